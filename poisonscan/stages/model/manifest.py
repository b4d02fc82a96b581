"""model manifest: remember a checkpoint at a moment that is trusted, and sign it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.authenticity.listing import take_listing
from poisonscan.authenticity.manifest import write_manifest
from poisonscan.authenticity.signing import require_signer, sign
from poisonscan.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.authenticity.model import Entry, Listing
    from poisonscan.authenticity.signing import Signer

SIGNATURE = "model.sig"


@dataclass(frozen=True, slots=True)
class Manifested:
    """What was written.

    Attributes:
        path: the checkpoint.
        out: its manifest.
        signature: None where it was not signed.
        files: how many.
        size: bytes of all of them.
    """

    path: Path
    out: Path
    signature: Path | None
    files: int
    size: int

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "verb": "model manifest",
            "path": str(self.path),
            "out": str(self.out),
            "signature": str(self.signature) if self.signature else None,
            "files": self.files,
            "bytes": self.size,
            "exit_code": 0,
        }


def model_manifest(
    path: Path, out: Path | None = None, *, signer: Signer | None = None, signature: Path | None = None
) -> Manifested:
    """Write the manifest of a checkpoint, and sign the checkpoint.

    Args:
        path: a folder, or one file.
        out: the manifest to write; by default beside `path`, with .manifest.json added to its name. Never in
            the folder: who can change that could change the manifest as well.
        signer: who signs; None for no signature.
        signature: where that goes; by default model.sig in the folder, or beside the file with .sig added.

    Raises:
        UsageError: there is no checkpoint, or one with links or devices; there is another manifest or a
            signature already; the key cannot be used.
        MissingDependencyError: signing needs an extra that is not installed.
        StorageError: a file cannot be read or written.
    """
    out = out or default_manifest(path)
    require_outside(out, path)
    if signer is not None:
        require_signer(signer)
        signature = signature or default_signature(path)
        if signature.exists():
            raise UsageError(f"{signature} is there already; move it away if you mean to sign anew")
    elif signature is not None:
        raise UsageError(f"--signature {signature}: nobody signs; add --sign or --keyless")
    listing = take_listing(path)
    _require_plain(path, listing, signed=signer is not None)
    entries = without_signatures(listing, path, signature)
    write_manifest(entries, path.resolve().name, out)
    if signer is not None and signature is not None:
        sign(path, signature, signer)
    size = sum(entry.size for entry in entries.values())
    return Manifested(path, out, signature, len(entries), size)


def default_manifest(path: Path) -> Path:
    """Where the manifest of a checkpoint is, unless told otherwise: beside it."""
    whole = path.resolve()
    return whole.with_name(f"{whole.name}.manifest.json")


def default_signature(path: Path) -> Path:
    """Where the signature of a checkpoint is, unless told otherwise."""
    return path / SIGNATURE if path.is_dir() else path.with_name(f"{path.name}.sig")


def without_signatures(listing: Listing, path: Path, signature: Path | None) -> dict[str, Entry]:
    """The files of a checkpoint without its signature, which may come after the manifest and be renewed."""
    own = {name_in(path, default_signature(path)), name_in(path, signature) if signature else ""}
    return {name: entry for name, entry in listing.entries.items() if name not in own}


def name_in(path: Path, file: Path) -> str:
    """What a file is called in the listing of a folder; "" where it lies elsewhere."""
    place, root = file.parent.resolve() / file.name, path.resolve()
    return place.relative_to(root).as_posix() if path.is_dir() and place.is_relative_to(root) else ""


def require_outside(manifest: Path, path: Path) -> None:
    """Refuse a manifest in the folder it is about.

    Raises:
        UsageError: it lies there.
    """
    if path.is_dir() and manifest.resolve().is_relative_to(path.resolve()):
        raise UsageError(
            f"{manifest} lies in {path}: who can change one can change the other; keep it elsewhere"
        )


def _require_plain(path: Path, listing: Listing, *, signed: bool) -> None:
    """Refuse to vouch for what cannot be accounted for, or would be another thing elsewhere."""
    if listing.defects:
        worst = listing.defects[0]
        raise UsageError(f"{path / worst.path}: {worst.words}; nobody can vouch for that")
    if not listing.entries:
        raise UsageError(f"{path} has no files; give a checkpoint")
    links = [name for name, entry in listing.entries.items() if entry.link]
    if signed and links:
        raise UsageError(f"{path / links[0]} is a link; put files in the place of links before you sign")
