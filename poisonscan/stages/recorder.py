"""Finished rows on their way to disk, in batches a few hundredths of a second apart."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from poisonscan.store.folder import journal_path, part_path
from poisonscan.store.parts import Journal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from poisonscan.engine.shards import Context
    from poisonscan.store.rows import Row

FLUSH_S = 0.05
"""Rows finished within this time before a kill may be lost; they count as in flight."""


class Recorder:
    """Writes the rows of one shard: a table of rows, and beside it a table of pictures.

    Args:
        folder: the snapshot or run folder.
        index: the shard.
        rows: folder name and schema of the rows; `label` is the column whose values are counted.
        extras: the same for the table beside it, or None. Its first column is also one of the rows', and
            no value is filed twice under it.
        label: see `rows`.
        context: told how many rows were finished.
    """

    def __init__(
        self,
        folder: Path,
        index: int,
        rows: tuple[str, pa.Schema],
        extras: tuple[str, pa.Schema] | None,
        label: str,
        context: Context,
    ) -> None:
        self._parts = part_path(folder, rows[0], index), extras and part_path(folder, extras[0], index)
        self._rows = Journal(journal_path(folder, rows[0], index), rows[1])
        self._extras: Journal | None = None
        self._filed: set[object] = set()
        if extras is not None:
            # Pictures are written before their rows: one whose row was then lost will come again.
            filed = self._column(extras[1].field(0))
            self._extras = Journal(journal_path(folder, extras[0], index), extras[1], filed)
            self._filed.update(filed.to_pylist())
        self._label = label
        self._context = context
        self._flushed_at = time.monotonic()
        self._pending_rows: list[Row] = []
        self._pending_extras: list[Row] = []

    def done(self) -> set[int]:
        """Row numbers written by this or an earlier attempt."""
        return set(self._column(pa.field("row", pa.int64())).to_pylist())

    def _column(self, field: pa.Field) -> pa.Array:
        cells = [batch.column(field.name) for batch in self._rows.batches()]
        return pa.concat_arrays([pa.array([], field.type), *cells])

    def add(self, row: Row, extra: Row | None = None) -> None:
        """Take one finished row, and the picture that goes with it unless the table beside has it.

        Raises:
            StorageError: what was taken cannot be written.
        """
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
            self._rows.append(self._pending_rows)
            # Forgotten before anybody is told: a parent that is gone cannot hear, and we flush once more.
            written, self._pending_rows = self._pending_rows, []
            self._context.advance(Counter(str(row[self._label]) for row in written))
        self._flushed_at = time.monotonic()

    @asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """Flush also while no row arrives, and once more when the block ends, however it ends."""
        timer = asyncio.create_task(self._flush_forever())
        try:
            yield
        finally:
            timer.cancel()
            self.flush()

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self.flush()

    def finish(self, *, complete: bool) -> None:
        """Turn the journals into parts if the shard is complete; else leave them for the next attempt."""
        rows_part, extras_part = self._parts
        if not complete:
            self._rows.close()
            if self._extras is not None:
                self._extras.close()
            return
        # The rows' part is what marks a shard as done, so it comes last; until then both journals stay.
        if self._extras is not None and extras_part is not None:
            self._extras.write_part(extras_part)
        self._rows.write_part(rows_part, sort_by="row")
        for journal in (self._rows, self._extras):
            if journal is not None:
                journal.remove()
