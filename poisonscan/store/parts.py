"""Parquet parts: written beside and renamed, so that a part is either whole or absent.

What is written is digested on its way, not read back: a digest that was taken from the disk afterwards
would vouch for whatever the disk made of it.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from poisonscan.errors import SnapshotInvalidError
from poisonscan.files import beside, storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Digested:
    """A file as it was written.

    Attributes:
        sha256: of its bytes, hex.
        size: how many bytes.
    """

    sha256: str
    size: int


def part_name(index: int) -> str:
    """File name of a shard's part: five digits."""
    return f"{index:05d}.parquet"


class PartWriter:
    """Writes tables of one schema into a Parquet file; `part_writer` makes it.

    Attributes:
        written: the file; there once the block of `part_writer` has ended.
    """

    written: Digested

    def __init__(self, sink: pq.ParquetWriter) -> None:
        self._sink = sink

    def write(self, table: pa.Table) -> None:
        """Append a row group."""
        self._sink.write_table(table)


@contextmanager
def part_writer(path: Path, schema: pa.Schema, compression: str) -> Iterator[PartWriter]:
    """Write one Parquet file, whole or not at all, and take its digest on the way.

    Raises:
        StorageError: it cannot be written.
    """
    with beside(path) as temporary, temporary.open("wb") as stream:
        digesting = _DigestingStream(stream)
        with pq.ParquetWriter(digesting, schema, compression=compression) as sink:
            writer = PartWriter(sink)
            yield writer
        stream.flush()
        writer.written = digesting.digested()


class _DigestingStream:
    """What Arrow writes a file to: hands the bytes on, and counts and digests them."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self._size += len(data)
        self._stream.write(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Called by Arrow; the stream is closed by who opened it."""

    def digested(self) -> Digested:
        return Digested(self._digest.hexdigest(), self._size)


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


def read_sealed(path: Path, sha256: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one Parquet part whose digest is known; what is given is the very bytes that were digested.

    Args:
        path: the part. All of it is held in memory while it is read.
        sha256: hex, that it must have.
        columns: those wanted; None for all.

    Raises:
        SnapshotInvalidError: the file is missing, or other bytes than those that were sealed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SnapshotInvalidError(f"{path} is missing or cannot be read ({error}); restore it") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise SnapshotInvalidError(f"{path} was altered: its digest is not the sealed one; restore it")
    with _readable(path), pq.ParquetFile(pa.BufferReader(content)) as file:
        return file.read(columns=columns, use_threads=False)


def batches_of(path: Path, sha256: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a part whose digest is known, a few in memory at a time, of the file that was digested.

    Raises:
        SnapshotInvalidError: as `read_sealed`.
    """
    with storage(path), path.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
            raise SnapshotInvalidError(f"{path} was altered: its digest is not the sealed one; restore it")
        stream.seek(0)
        with pq.ParquetFile(stream) as file:
            yield from file.iter_batches(batch_rows, use_threads=False)


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


def release_memory() -> None:
    """Give back what Arrow keeps of freed memory; else the room of the largest part stays taken."""
    pa.default_memory_pool().release_unused()
