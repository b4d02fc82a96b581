"""Finished rows on their way to disk, in batches a few hundredths of a second apart."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from poisonscan.errors import IncompleteError
from poisonscan.files import storage
from poisonscan.stages.completion import may_be_asked_again
from poisonscan.store.folder import journal_path, part_path
from poisonscan.store.journal import Journal, JournalReader
from poisonscan.store.parts import batches_of, read_sealed
from poisonscan.store.receipts import Receipt, again_path, read_receipt, receipt_path, write_receipt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator
    from pathlib import Path

    from poisonscan.engine.shards import Context
    from poisonscan.store.rows import Row

FLUSH_S = 0.05
"""Rows finished within this time before a kill may be lost; they count as in flight."""
SYNC_S = 5.0
"""Rows finished within this time before a power failure may be lost. benchmarks/durability.py says why not
less: a sync of a journal that holds pictures takes as long as the disk takes to write them."""
_EXTRAS_ROWS = 16
"""Pictures of a part held in memory at once."""


class _Table(NamedTuple):
    """One of the two tables of a shard: the folder's name of its parts, and its columns."""

    kind: str
    schema: pa.Schema


class Recorder:
    """Writes the rows of one shard: a table of rows, and beside it a table of pictures.

    Goes on with what an earlier attempt left, as far as it is sound: a row counts when its frame has its
    checksum, its number belongs to the shard and came once, and the pictures that were written before it
    are there.

    Args:
        folder: the snapshot or run folder.
        index: the shard.
        rows: folder name and schema of the rows; `label` is the column whose values are counted.
        extras: the same for the table beside it, or None. Its first column is also one of the rows', and
            no value is filed twice under it.
        label: see `rows`.
        context: told how many rows were finished.
        expected: the numbers of all rows of the shard.

    Raises:
        StorageError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        index: int,
        rows: tuple[str, pa.Schema],
        extras: tuple[str, pa.Schema] | None,
        label: str,
        context: Context,
        expected: Collection[int],
    ) -> None:
        self._folder, self._index, self._label, self._context = folder, index, label, context
        self._expected = frozenset(expected)
        self._rows_of, self._extras_of = _Table(*rows), extras and _Table(*extras)
        self._counts: Counter[str] = Counter()
        self._done: set[int] = set()
        self._filed: set[object] = set()
        self._carry_over()
        self._flushed_at = self._synced_at = time.monotonic()
        self._pending_rows: list[Row] = []
        self._pending_extras: list[Row] = []
        self._syncing: asyncio.Future[None] | None = None

    def _carry_over(self) -> None:
        """Begin both journals with what is sound of an earlier attempt."""
        opened_again = again_path(self._folder, self._rows_of.kind, self._index)
        receipt = read_receipt(opened_again)
        rows = self._answered_rows(receipt) if receipt else self._journalled_rows()
        self._extras: Journal | None = None
        if self._extras_of is not None:
            # A picture whose row was lost will come again.
            name = self._extras_of.schema.names[0]
            known = pa.concat_arrays(
                [pa.array([], self._extras_of.schema.field(0).type), *(batch.column(name) for batch in rows)]
            )
            past = self._part_of(receipt, self._extras_of) if receipt else self._journal_of(self._extras_of)
            path = journal_path(self._folder, self._extras_of.kind, self._index)
            self._extras = Journal(path, self._extras_of.schema, self._filing(past, known))
        path = journal_path(self._folder, self._rows_of.kind, self._index)
        self._rows = Journal(path, self._rows_of.schema, rows, self._extras.rows if self._extras else 0)
        for batch in rows:
            self._counts.update(map(str, batch.column(self._label).to_pylist()))
        with storage(opened_again):
            opened_again.unlink(missing_ok=True)

    def _journal_of(self, table: _Table) -> Iterator[pa.RecordBatch]:
        path = journal_path(self._folder, table.kind, self._index)
        return (batch.rows for batch in JournalReader(path, table.schema))

    def _journalled_rows(self) -> list[pa.RecordBatch]:
        """The rows of the journal, up to the first that cannot be believed."""
        beside = 0
        if self._extras_of is not None:
            beside = sum(batch.num_rows for batch in self._journal_of(self._extras_of))
        found = []
        path = journal_path(self._folder, self._rows_of.kind, self._index)
        for batch in JournalReader(path, self._rows_of.schema):
            if batch.needs > beside or not self._take(batch.rows):
                break
            found.append(batch.rows)
        return found

    def _take(self, batch: pa.RecordBatch) -> bool:
        """Note the numbers of some rows; False, and nothing noted, if they cannot be rows of this shard."""
        numbers = batch.column("row").to_pylist()
        fresh = set(numbers)
        if len(fresh) < len(numbers) or fresh & self._done or not fresh <= self._expected:
            return False
        self._done |= fresh
        return True

    def _answered_rows(self, receipt: Receipt) -> list[pa.RecordBatch]:
        """The rows of a finished shard that need not be asked for again."""
        name = f"{self._rows_of.kind}/{part_path(self._folder, self._rows_of.kind, self._index).name}"
        table = read_sealed(self._folder / name, receipt.parts[name].sha256)
        if not table.schema.equals(self._rows_of.schema):
            return []  # of an earlier version
        lost = [label for label in receipt.counts if may_be_asked_again(label)]
        kept = table.filter(pc.invert(pc.is_in(table[self._label], pa.array(lost, pa.string()))))
        return [batch for batch in kept.combine_chunks().to_batches() if self._take(batch)]

    def _part_of(self, receipt: Receipt, table: _Table) -> Iterator[pa.RecordBatch]:
        name = f"{table.kind}/{part_path(self._folder, table.kind, self._index).name}"
        if name not in receipt.parts:
            return iter(())
        return batches_of(self._folder / name, receipt.parts[name].sha256, _EXTRAS_ROWS)

    def _filing(self, past: Iterator[pa.RecordBatch], known: pa.Array) -> Iterator[pa.RecordBatch]:
        """What of the table beside belongs to the rows that are carried over."""
        for batch in past:
            kept = batch.filter(pc.is_in(batch.column(0), known))
            self._filed.update(kept.column(0).to_pylist())
            yield kept

    def done(self) -> frozenset[int]:
        """Row numbers written by this or an earlier attempt."""
        return frozenset(self._done)

    def add(self, row: Row, extra: Row | None = None) -> None:
        """Take one finished row, and the picture that goes with it unless the table beside has it.

        Raises:
            StorageError: what was taken cannot be written.
            ValueError: the row is none of the shard, or came before.
        """
        if row["row"] not in self._expected or row["row"] in self._done:
            raise ValueError(f"row {row['row']} is none of shard {self._index}, or came twice")
        self._done.add(row["row"])
        self._pending_rows.append(row)
        if extra is not None and self._extras is not None:
            name = extra[self._extras.schema.names[0]]
            if name not in self._filed:
                self._filed.add(name)
                self._pending_extras.append(extra)
        if time.monotonic() - self._flushed_at > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Write what was taken. Pictures go first, so that no row on disk lacks its picture."""
        if self._pending_extras and self._extras is not None:
            self._extras.append(self._pending_extras)
            self._pending_extras = []
        if self._pending_rows:
            self._rows.append(self._pending_rows, self._extras.rows if self._extras else 0)
            # Forgotten before anybody is told: a parent that is gone cannot hear, and we flush once more.
            written, self._pending_rows = self._pending_rows, []
            counts = Counter(str(row[self._label]) for row in written)
            self._counts.update(counts)
            self._context.advance(counts)
        self._flushed_at = time.monotonic()

    @asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """Flush also while no row arrives, and once more when the block ends, however it ends."""
        timer = asyncio.create_task(self._flush_forever())
        try:
            yield
        finally:
            timer.cancel()
            # What it failed of is what the next write fails of, and says.
            await asyncio.gather(timer, *filter(None, [self._syncing]), return_exceptions=True)
            self.flush()

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self.flush()
            if time.monotonic() - self._synced_at > SYNC_S:
                # Aside: a disk that takes its time must not hold up rows that are being fetched.
                self._syncing = asyncio.get_running_loop().run_in_executor(None, self._sync)
                await asyncio.shield(self._syncing)
                self._synced_at = time.monotonic()

    def _sync(self) -> None:
        for journal in (self._extras, self._rows):
            if journal is not None:
                journal.sync()

    def finish(self) -> bool:
        """Turn the journals into parts if every row of the shard is there; else leave them as they are.

        Returns:
            Whether the shard is done.

        Raises:
            StorageError: what was taken cannot be written.
            IncompleteError: rows are missing although nothing stopped their coming.
        """
        self.flush()
        missing = len(self._expected) - len(self._done)
        if missing:
            self._close()
            if not self._context.stopping():
                raise IncompleteError(
                    f"{missing:,} of {len(self._expected):,} rows of shard {self._index} of {self._folder} "
                    "did not come: their source changed while it was read; repeat the same command"
                )
            return False
        self._write_parts()
        return True

    def _close(self) -> None:
        self._sync()
        for journal in (self._rows, self._extras):
            if journal is not None:
                journal.close()

    def _write_parts(self) -> None:
        """Write the parts, then the receipt, which marks the shard as done; until then the journals stay."""
        parts = {}
        if self._extras is not None and self._extras_of is not None:
            path = part_path(self._folder, self._extras_of.kind, self._index)
            parts[f"{self._extras_of.kind}/{path.name}"] = self._extras.write_part(path)
        path = part_path(self._folder, self._rows_of.kind, self._index)
        parts[f"{self._rows_of.kind}/{path.name}"] = self._rows.write_part(path, sort_by="row")
        receipt = Receipt(len(self._expected), dict(self._counts), parts)
        write_receipt(receipt, receipt_path(self._folder, self._rows_of.kind, self._index))
        for journal in (self._rows, self._extras):
            if journal is not None:
                journal.remove()
