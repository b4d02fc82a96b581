"""Answers kept in Parquet with their age: what was asked lately is not asked again.

A folder of numbered parts, each a sorted run of answers, and one journal (see `store.journal`) that a killed
process leaves behind and the next one goes on from. The newest answer to a name counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from poisonscan.files import storage
from poisonscan.store.journal import Journal
from poisonscan.store.parts import part_name

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa

    from poisonscan.store.rows import Row

PART_ROWS = 10_000


class Cache:
    """The answers of one kind, open for adding.

    Args:
        folder: where the parts lie.
        schema: columns; the first one is the name that was asked about.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder = folder
        self._schema = schema
        with storage(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._journal_path = folder / ".new.journal"

    def __enter__(self) -> Self:
        """Turn what a killed process left into a part, and begin a new journal."""
        self._open()
        self._seal()
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Turn the journal into a part, however the block ended."""
        self._seal()

    def add(self, rows: list[Row]) -> None:
        """Append answers; when this returns they survive the death of the process."""
        self._journal.append(rows)
        if self._journal.rows >= PART_ROWS:
            self._seal()
            self._open()

    def _open(self) -> None:
        self._journal = Journal(self._journal_path, self._schema)

    def _seal(self) -> None:
        if self._journal.rows:
            taken = [int(path.stem) for path in self.folder.glob("[0-9]*.parquet")]
            self._journal.write_part(
                self.folder / part_name(max(taken, default=-1) + 1), self._schema.names[0]
            )
        else:
            self._journal.close()
        self._journal.remove()
