"""Journals: the rows of a shard that is not finished, appended as they come.

A journal is a file of frames. A frame is a header and an Arrow message: of the first frame the schema, of
each later one a batch of rows. The header tells the length of the message, and carries two checksums:

- one of the message, which goes on from the checksum of the frame before, so that a frame that was damaged,
  lost, repeated or swapped with another does not fit;
- one of the header itself, so that a damaged length is not followed.

After any kind of death the frames up to the first that does not fit are what was written; what lies behind
is written anew. A file that merely breaks off was cut by that death. Anything else is damage, and is named.
"""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Self
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

from poisonscan.errors import StorageError
from poisonscan.files import make_folder, storage, sync
from poisonscan.store.parts import part_writer, release_memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from poisonscan.store.parts import Digested
    from poisonscan.store.rows import Row

_FIELDS = struct.Struct("<QQI")
"""Bytes of the message; rows of the table beside that must be there; checksum of all three."""
_CHECK = struct.Struct("<I")
_HEADER_BYTES = _FIELDS.size + _CHECK.size
_SUMMED = struct.Struct("<QQ")
_BYTES_PER_GROUP = 64 << 20
_SORTED_ROWS_PER_GROUP = 2_500
"""A quarter of a shard: what is sorted is copied, and this bounds the copy."""


class Batch(NamedTuple):
    """Some rows of a journal.

    Attributes:
        rows: the rows.
        needs: how many rows of the table beside were written before them, and must be there still.
    """

    rows: pa.RecordBatch
    needs: int


class JournalReader:
    """The sound batches of a journal, in the order in which they were written; none if there is no file.

    Args:
        path: the journal.
        schema: which it must have; None for any.

    Attributes:
        damage: once all is read, what is wrong in words; empty for a journal that is whole or breaks off.
    """

    def __init__(self, path: Path, schema: pa.Schema | None = None) -> None:
        self.path = path
        self.damage = ""
        self._schema = schema

    def __iter__(self) -> Iterator[Batch]:
        """Read the file from its beginning, one batch in memory at a time.

        Raises:
            StorageError: the file cannot be read.
        """
        self.damage = ""
        with storage(self.path):
            if not self.path.exists():
                return
            with self.path.open("rb") as stream:
                frames = self._frames(stream)
                schema = self._read_schema(frames)
                if schema is None:
                    return
                for message, needs in frames:
                    yield Batch(pa.ipc.read_record_batch(pa.py_buffer(message), schema), needs)

    def _read_schema(self, frames: Iterator[tuple[bytes, int]]) -> pa.Schema | None:
        first = next(frames, None)
        if first is None:
            return None
        schema = pa.ipc.read_schema(pa.py_buffer(first[0]))
        if self._schema is not None and not schema.equals(self._schema):
            self.damage = "it has other columns than this version writes"
            return None
        return schema

    def _frames(self, stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
        """Message and needs of each frame, up to the first that is not whole or does not fit."""
        size, place, chained = os.fstat(stream.fileno()).st_size, 0, 0
        while size - place >= _HEADER_BYTES:
            header = stream.read(_HEADER_BYTES)
            length, needs, checksum = _FIELDS.unpack_from(header)
            if _CHECK.unpack_from(header, _FIELDS.size) != (crc32(header[: _FIELDS.size]),):
                self.damage = f"what is written at byte {place:,} is no frame"
                return
            if length > size - place - _HEADER_BYTES:
                return  # the frame that was being written when the process died
            message = stream.read(length)
            chained = crc32(message, crc32(_SUMMED.pack(length, needs), chained))
            if chained != checksum:
                self.damage = f"the frame at byte {place:,} does not have its checksum"
                return
            yield message, needs
            place += _HEADER_BYTES + length


def rows_in_journal(path: Path) -> Iterator[pa.RecordBatch]:
    """The sound batches of a journal; see `JournalReader`."""
    return (batch.rows for batch in JournalReader(path))


class Journal:
    """Append-only rows of one schema, readable up to the last whole batch after any kind of death.

    Args:
        path: the journal file, which is begun anew.
        schema: columns of every row.
        carried: rows that it begins with; None for all that is sound in the file that is there.
        needs: see `Batch`, of the rows carried.

    Raises:
        StorageError: it cannot be written.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, carried: Iterable[pa.RecordBatch] | None = None, needs: int = 0
    ) -> None:
        self.path = path
        self.schema = schema
        self.rows = 0
        self._checksum = 0
        self._failure: StorageError | None = None
        if carried is None:
            carried = (batch.rows for batch in JournalReader(path, schema))
        with storage(path):
            make_folder(path.parent)
            temporary = path.with_suffix(".tmp")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._handle: int | None = os.open(temporary, flags, 0o666)
            self._begin(carried, needs)
            temporary.replace(path)
            sync(path.parent)

    def _begin(self, carried: Iterable[pa.RecordBatch], needs: int) -> None:
        self._write(self.schema.serialize(), 0)
        for batch in carried:
            if batch.num_rows:
                self._write(batch.serialize(), needs)
                self.rows += batch.num_rows
        self.sync()

    def append(self, rows: Sequence[Row], needs: int = 0) -> None:
        """Append rows; when this returns they survive the death of the process.

        Args:
            rows: what to append.
            needs: see `Batch`.

        Raises:
            StorageError: they cannot be written; so does every later call, for the same cause, since a
                batch behind a broken one could never be read back.
        """
        batch = pa.RecordBatch.from_pylist(list(rows), schema=self.schema)
        self._write(batch.serialize(), needs)
        self.rows += len(rows)

    def _write(self, message: pa.Buffer, needs: int) -> None:
        with self._writing() as handle:
            chained = crc32(message, crc32(_SUMMED.pack(message.size, needs), self._checksum))
            fields = _FIELDS.pack(message.size, needs, chained)
            _write_all(handle, fields + _CHECK.pack(crc32(fields)), memoryview(message))
            self._checksum = chained

    def sync(self) -> None:
        """Wait until what was appended is on the disk, and survives a power failure too.

        Raises:
            StorageError: the disk did not take it.
        """
        with self._writing() as handle:
            os.fsync(handle)

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """The handle to write to. The first failure is what every later use is told."""
        if self._failure is not None:
            raise self._failure
        if self._handle is None:
            raise ValueError(f"{self.path} is closed")
        try:
            with storage(self.path):
                yield self._handle
        except StorageError as error:
            self._failure = error
            raise

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Every batch written so far.

        Raises:
            StorageError: the file no longer holds what was written into it.
        """
        reader, rows = JournalReader(self.path, self.schema), 0
        for batch in reader:
            rows += batch.rows.num_rows
            yield batch.rows
        if rows != self.rows:
            what = reader.damage or "its end is missing"
            raise StorageError(
                f"{self.path} was damaged while it was in use ({what}); repeat the command, which asks for "
                "the rows behind the damage again"
            )

    def close(self) -> None:
        """Close the file; the journal stays for the next run to carry on."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with storage(self.path):
                os.close(handle)

    def write_part(self, part: Path, sort_by: str | None = None) -> Digested:
        """Close the journal and copy it into a Parquet part; `remove` it once nothing depends on it.

        Args:
            part: where the part goes.
            sort_by: column to sort by; None keeps the order of arrival and flat memory.

        Returns:
            What was written, with the digest taken while it was.

        Raises:
            StorageError: the journal is damaged or the part cannot be written.
        """
        self.close()
        written = _streamed(self, part) if sort_by is None else _sorted(self, part, sort_by)
        release_memory()
        return written

    def remove(self) -> None:
        """Delete the journal's file."""
        with storage(self.path):
            self.path.unlink()

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is still open."""
        self.close()


def _write_all(handle: int, *pieces: bytes | memoryview) -> None:
    """Write a frame: in one call, unless the file system takes it in pieces, as it does on a full disk."""
    left = [memoryview(piece) for piece in pieces]
    while left:
        written = os.writev(handle, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def _sorted(journal: Journal, part: Path, by: str) -> Digested:
    table = pa.Table.from_batches(journal.batches(), schema=journal.schema)
    order = pc.sort_indices(table.column(by))
    with part_writer(part, journal.schema, compression="zstd") as writer:
        for first in range(0, max(len(order), 1), _SORTED_ROWS_PER_GROUP):
            writer.write(table.take(order.slice(first, _SORTED_ROWS_PER_GROUP)))
    return writer.written


def _streamed(journal: Journal, part: Path) -> Digested:
    with part_writer(part, journal.schema, compression="none") as writer:
        pending: list[pa.RecordBatch] = []
        for batch in journal.batches():
            pending.append(batch)
            if sum(item.nbytes for item in pending) > _BYTES_PER_GROUP:
                writer.write(pa.Table.from_batches(pending))
                pending = []
        if pending:
            writer.write(pa.Table.from_batches(pending))
    return writer.written
