"""Sealed snapshots: the document that seals one, and its parts, each read once and used as it was read.

What was verified is what is used. A file that is verified by its path and then opened again by its path may
be another file the second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poisonscan.errors import SnapshotInvalidError
from poisonscan.store.folder import (
    FINISHED,
    INCOMPLETE,
    SNAPSHOT_DOCUMENT,
    SNAPSHOT_SIGNATURE,
    document_bytes,
    parse_document,
)
from poisonscan.store.parts import read_sealed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from poisonscan.authenticity.signing import Trust

_ROWS = "rows/"


@dataclass(frozen=True, slots=True)
class SealedPart:
    """A part of a snapshot that holds rows.

    Attributes:
        index: its number.
        path: the Parquet file.
        sha256: the digest that the snapshot's document gives it.
    """

    index: int
    path: Path
    sha256: str

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Its rows, of the very bytes that have the sealed digest.

        Raises:
            SnapshotInvalidError: it is missing or was altered.
        """
        return read_sealed(self.path, self.sha256, columns)


def finished_snapshot(
    path: Path, trust: Trust | None = None, signature: Path | None = None
) -> dict[str, Any]:
    """The document of a snapshot that is sealed.

    Args:
        path: the folder.
        trust: whose signature it must have; None to believe it unsigned.
        signature: the file; by default the one in the folder.

    Raises:
        SnapshotInvalidError: it is missing, damaged, altered or not sealed, or not signed as it must be.
        UsageError: the key cannot be used.
        MissingDependencyError: signatures need an extra that is not installed.
    """
    content = document_bytes(path, SNAPSHOT_DOCUMENT)
    if trust is not None:
        # Loaded only where a signature is asked for.
        from poisonscan.authenticity.signing import require_content  # noqa: PLC0415

        require_content(content, path / SNAPSHOT_DOCUMENT, signature or path / SNAPSHOT_SIGNATURE, trust)
    document = parse_document(content, path / SNAPSHOT_DOCUMENT)
    if document["state"] == INCOMPLETE:
        raise SnapshotInvalidError(
            f"snapshot {path} is incomplete and not sealed: too many of its rows gave no picture; repeat the "
            "command that took it, which asks for these again, or seal it as it is with --seal-incomplete"
        )
    if document["state"] != FINISHED:
        raise SnapshotInvalidError(f"snapshot {path} is unfinished; repeat the command that started it")
    return document


def rows_parts(snapshot: Path, document: Mapping[str, Any]) -> list[SealedPart]:
    """The parts of a sealed snapshot that hold rows, in order.

    Raises:
        SnapshotInvalidError: one is missing.
    """
    names = sorted(name for name in document["parts"] if name.startswith(_ROWS))
    parts = [SealedPart(int(Path(name).stem), snapshot / name, document["parts"][name]) for name in names]
    for part in parts:
        if not part.path.exists():
            raise SnapshotInvalidError(f"{part.path} is missing from the snapshot; restore it")
    return parts
