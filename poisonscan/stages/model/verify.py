"""model verify: is a checkpoint what its maker published, and can loading it run code?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poisonscan.authenticity.listing import compare_digests, compare_listings, take_listing
from poisonscan.authenticity.manifest import read_manifest
from poisonscan.authenticity.model import Defect, Level, Problem
from poisonscan.authenticity.scanning import scan_file
from poisonscan.authenticity.signing import actual_digests, read_statement
from poisonscan.errors import UsageError
from poisonscan.stages.model.manifest import (
    default_signature,
    name_in,
    require_outside,
    without_signatures,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from poisonscan.authenticity.model import Entry, Listing
    from poisonscan.authenticity.signing import Trust

_GRAVITY = (Level.WRONG, Level.SUSPICIOUS, Level.UNSEEN, Level.NOTE)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found out about a checkpoint.

    Attributes:
        path: the checkpoint.
        against: what it was compared with: manifest, key, certificate or identity; empty for nothing.
        defects: what is wrong, gravest first.
        kinds: files by kind.
        files: how many.
        size: bytes of all of them.
        accepted: problems that the caller takes upon himself.
    """

    path: Path
    against: tuple[str, ...]
    defects: tuple[Defect, ...]
    kinds: Mapping[str, int]
    files: int
    size: int
    accepted: frozenset[Problem] = frozenset()

    @property
    def exit_code(self) -> int:
        """4 for anything wrong, else 1 for anything suspicious, else 3 for what nobody looked at, else 0."""
        levels = {item.problem.level for item in self.defects if item.problem not in self.accepted}
        return next((level.value for level in _GRAVITY if level in levels), 0)

    def as_dict(self, *, full: bool = False) -> dict[str, Any]:
        """Plain values for JSON.

        Args:
            full: with every defect, not only their counts.
        """
        counts = Counter(item.problem.value for item in self.defects)
        return {
            "verb": "model verify",
            "path": str(self.path),
            "files": self.files,
            "bytes": self.size,
            "kinds": dict(self.kinds),
            "checked_against": list(self.against),
            "counts": dict(sorted(counts.items())),
            "accepted": sorted(self.accepted),
            "exit_code": self.exit_code,
        } | ({"problems": [item.as_dict() for item in self.defects]} if full else {})


def model_verify(
    path: Path,
    *,
    manifest: Path | None = None,
    trust: Trust | None = None,
    signature: Path | None = None,
    accept: Collection[Problem] = (),
) -> Verification:
    """Account for every file of a checkpoint and look into each; nothing is executed or unpickled.

    Args:
        path: a folder, or one file.
        manifest: what `model_manifest` wrote at a moment that is trusted.
        trust: whose signature must be there; None where none is asked for.
        signature: the file; by default where `model_manifest` puts it.
        accept: problems that shall not count; only those that ask for the exit codes 1 and 3.

    Raises:
        UsageError: there is no checkpoint, or no such manifest; the key cannot be used; a problem that is
            wrong under any circumstances was to be accepted.
        MissingDependencyError: signatures or pickles need an extra that is not installed.
        StorageError: a file cannot be read.
    """
    _require_acceptable(accept)
    if signature is not None and trust is None:
        raise UsageError(
            f"--signature {signature} without whose it must be; add --key, --certificate-chain or --identity"
        )
    if manifest is not None:
        require_outside(manifest, path)
    listing = take_listing(path)
    compared = _compare(path, listing, manifest, trust, signature)
    kinds, seen = _look_inside(path, listing)
    return Verification(
        path,
        (*(["manifest"] if manifest else []), *([trust.kind] if trust else [])),
        _gravest_first([*listing.defects, *compared, *seen]),
        dict(sorted(kinds.items())),
        len(listing.entries),
        sum(entry.size for entry in listing.entries.values()),
        frozenset(accept),
    )


def _compare(
    path: Path, listing: Listing, manifest: Path | None, trust: Trust | None, signature: Path | None
) -> list[Defect]:
    """How the files differ from what the manifest and the signature say."""
    signed = signature or default_signature(path)
    defects = list(_unauthenticated(manifest, trust, signed))
    if manifest is not None:
        defects += _against_manifest(manifest, without_signatures(listing, path, signature))
    if trust is not None:
        vouched = {Problem.LEFT_OUT} if manifest else set()  # by the manifest, which leaves nothing out
        found = _against_signature(path, listing, signed, trust)
        defects += [item for item in found if item.problem not in vouched]
    return defects


def _gravest_first(defects: Sequence[Defect]) -> tuple[Defect, ...]:
    order = {level: place for place, level in enumerate(_GRAVITY)}
    return tuple(sorted(_merged(defects), key=lambda item: (order[item.problem.level], item)))


def _merged(defects: Sequence[Defect]) -> list[Defect]:
    """One defect for each file and problem, whoever saw it."""
    words: dict[tuple[str, Problem], list[str]] = {}
    for item in defects:
        words.setdefault((item.path, item.problem), []).append(item.words)
    return [Defect(path, problem, "; ".join(seen)) for (path, problem), seen in words.items()]


def _require_acceptable(accept: Collection[Problem]) -> None:
    for problem in accept:
        if problem.level is Level.WRONG or problem is Problem.UNAUTHENTICATED:
            raise UsageError(f"{problem} cannot be accepted: a checkpoint with it is not the one to use")


def _unauthenticated(manifest: Path | None, trust: Trust | None, signed: Path) -> Iterator[Defect]:
    if manifest is None and trust is None:
        hint = f"; {signed} may be a signature: add --key" if signed.exists() else ""
        words = f"nothing was authenticated: no manifest and no key to compare with{hint}"
        yield Defect("", Problem.UNAUTHENTICATED, words)


def _against_manifest(manifest: Path, found: Mapping[str, Entry]) -> Iterator[Defect]:
    said = read_manifest(manifest)
    if isinstance(said, Defect):
        yield said
    else:
        yield from compare_listings(said, found, "the manifest")


def _against_signature(path: Path, listing: Listing, signed: Path, trust: Trust) -> Iterator[Defect]:
    statement = read_statement(signed, trust)
    if isinstance(statement, Defect):
        yield statement
        return
    own = name_in(path, signed)
    actual = {
        name: digest
        for name, digest in actual_digests(path, listing, statement).items()
        if not own or name.split(":")[0] != own
    }
    yield from compare_digests(statement.digests, actual, "the signature", statement.left_out)


def _look_inside(path: Path, listing: Listing) -> tuple[Counter[str], list[Defect]]:
    """The kinds of all files, and what looking into each gives."""
    kinds: Counter[str] = Counter()
    defects: list[Defect] = []
    for name in listing.entries:
        file = path if path.is_file() else path / name
        if file.is_dir():  # a link to a folder, whose files are listed where they are
            continue
        kind, found = scan_file(file, name)
        kinds[kind.value] += 1
        defects += found
    return kinds, defects
