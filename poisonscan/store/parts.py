"""Parquet parts: written beside and renamed, so that a part is either whole or absent.

A shard's rows are first appended to a journal (an Arrow IPC stream). A killed process loses only what
was not yet appended; whoever opens the journal again gets every whole batch back and goes on.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poisonscan.errors import SnapshotInvalidError
from poisonscan.files import beside, storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from poisonscan.store.rows import Row

_BYTES_PER_GROUP = 64 << 20
_BUFFER = 1 << 18
_SORTED_ROWS_PER_GROUP = 2_500
"""A quarter of a shard: what is sorted is copied, and this bounds the copy."""


def part_name(index: int) -> str:
    """File name of a shard's part: five digits."""
    return f"{index:05d}.parquet"


def write_table(table: pa.Table, path: Path) -> None:
    """Write one Parquet file, whole or not at all."""
    with beside(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one Parquet part.

    Raises:
        SnapshotInvalidError: the file is missing or no whole Parquet file.
    """
    # Not read_table, which takes "day=1" in a path for a column; and without threads, each of which keeps
    # memory of its own for good.
    with _readable(path), pq.ParquetFile(path) as file:
        return file.read(columns=columns, use_threads=False)


def rows_in(path: Path) -> int:
    """How many rows a Parquet part has by its footer. Raises as `read_part` does."""
    with _readable(path):
        return int(pq.read_metadata(path).num_rows)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise SnapshotInvalidError(f"{path} cannot be read: {error}; restore the file") from error


class Journal:
    """Append-only rows of one schema, readable up to the last whole batch after any kind of death.

    Args:
        path: the journal file; rows already in it are kept.
        schema: columns of every row.
        known: when given, only those are kept whose first column is among these values.
    """

    def __init__(self, path: Path, schema: pa.Schema, known: pa.Array | None = None) -> None:
        self.path = path
        self.schema = schema
        self.rows = 0
        self._broken = False
        with storage(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._carry_over(known)

    def _carry_over(self, known: pa.Array | None) -> None:
        """Start a clean stream that begins with the whole batches of the old one."""
        temporary = self.path.with_suffix(".tmp")
        # Arrow writes a batch in some eighty pieces.
        self._sink = pa.BufferedOutputStream(pa.OSFile(str(temporary), "wb"), _BUFFER)
        self._writer = pa.ipc.new_stream(self._sink, self.schema)
        for batch in whole_batches(self.path):
            kept = batch if known is None else batch.filter(pc.is_in(batch.column(0), known))
            self._writer.write_batch(kept)
            self.rows += kept.num_rows
        self._sink.flush()
        temporary.replace(self.path)

    def append(self, rows: list[Row]) -> None:
        """Append rows; when this returns they survive the death of the process.

        Raises:
            StorageError: they cannot be written; so does every later call, since a batch behind a
                broken one could never be read back.
        """
        batch = pa.RecordBatch.from_pylist(rows, schema=self.schema)
        with storage(self.path):
            if self._broken:
                raise OSError(errno.EIO, "an earlier write failed", str(self.path))
            self._broken = True
            self._writer.write_batch(batch)
            self._sink.flush()
            self._broken = False
        self.rows += len(rows)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Every whole batch written so far."""
        return whole_batches(self.path)

    def close(self) -> None:
        """Close the file; the journal stays for the next run to carry on."""
        with storage(self.path):
            self._writer.close()
            self._sink.close()

    def write_part(self, part: Path, sort_by: str | None = None) -> None:
        """Close the journal and copy it into a Parquet part; `remove` it once nothing depends on it.

        Args:
            part: where the part goes.
            sort_by: column to sort by; None keeps the order of arrival and flat memory.
        """
        self.close()
        if sort_by is None:
            _stream_to_parquet(self, part)
        else:
            _sort_to_parquet(self, part, sort_by)
        release_memory()

    def remove(self) -> None:
        """Delete the journal's file."""
        with storage(self.path):
            self.path.unlink()

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is still open."""
        if not self._sink.closed:
            self.close()


def release_memory() -> None:
    """Give back what Arrow keeps of freed memory; else the room of the largest part stays taken."""
    pa.default_memory_pool().release_unused()


def whole_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The batches of an Arrow stream up to where it breaks off; none if there is no file."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with pa.OSFile(str(path), "rb") as source:
        try:
            reader = pa.ipc.open_stream(source)
            yield from reader
        except (pa.ArrowInvalid, OSError):
            return  # the tail that was being written when the process died


def _sort_to_parquet(journal: Journal, part: Path, by: str) -> None:
    table = pa.Table.from_batches(journal.batches(), schema=journal.schema)
    order = pc.sort_indices(table.column(by))
    with beside(part) as temporary, pq.ParquetWriter(temporary, journal.schema, compression="zstd") as writer:
        for first in range(0, max(len(order), 1), _SORTED_ROWS_PER_GROUP):
            writer.write_table(table.take(order.slice(first, _SORTED_ROWS_PER_GROUP)))


def _stream_to_parquet(journal: Journal, part: Path) -> None:
    with beside(part) as temporary, pq.ParquetWriter(temporary, journal.schema, compression="none") as writer:
        pending: list[pa.RecordBatch] = []
        for batch in journal.batches():
            pending.append(batch)
            if sum(item.nbytes for item in pending) > _BYTES_PER_GROUP:
                writer.write_table(pa.Table.from_batches(pending))
                pending = []
        if pending:
            writer.write_table(pa.Table.from_batches(pending))
