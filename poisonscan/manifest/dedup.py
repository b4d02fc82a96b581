"""Duplicate URLs: rows of later slices are adopted by the slice in which their URL occurs first.

Each slice fetches every distinct URL of its rows once. With the duplicates of a URL gathered in one slice,
it is fetched once over the whole manifest, and workers need not know of each other.
"""

from __future__ import annotations

import contextlib
import itertools
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poisonscan.errors import StorageError
from poisonscan.files import beside
from poisonscan.manifest.files import open_parquet, translated
from poisonscan.manifest.model import MANIFEST_ROWS
from poisonscan.manifest.normalise import as_text
from poisonscan.manifest.slices import slice_batches
from poisonscan.manifest.spill import Marker, identity
from poisonscan.manifest.tables import BATCH_ROWS, parquet_batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from poisonscan.manifest.model import Manifest, Slice

_MEMORY_LIMIT = "256MB"
_THREADS = 1
"""DuckDB sorts and groups on disk beyond the limit; more threads would each want a share of it."""

_ROW_GROUP = 10_000
"""Rows a row group: a slice finds its adopted rows by the statistics of the row groups."""


@dataclass(frozen=True, slots=True)
class UrlDedup:
    """Which rows moved to which slice.

    Attributes:
        moved: Parquet file with the numbers of all rows that moved away, column `row`, sorted.
        adopted: Parquet file of the same rows, columns `home_slice` and MANIFEST_ROWS, sorted by both
            slice and row.
    """

    moved: str
    adopted: str

    def moved_from(self, part: Slice) -> pa.Array:
        """Numbers of the slice's own rows that moved away."""
        last = part.first_row + part.count - 1
        batches = _matching(self.moved, "row", part.first_row, last)
        return pa.chunked_array([batch.column("row") for batch in batches], pa.int64()).combine_chunks()

    def adopted_by(self, part: Slice) -> Iterator[pa.RecordBatch]:
        """Rows of later slices that the slice adopted, in the form of MANIFEST_ROWS, sorted by row."""
        for batch in _matching(self.adopted, "home_slice", part.index, part.index):
            yield batch.select(MANIFEST_ROWS.names)


def adoptions(manifest: Manifest, slices: Sequence[Slice], spill: Path) -> UrlDedup:
    """Find the rows whose exact URL already occurs in an earlier slice, and move them there.

    Rows without a URL stay where they are. URLs are told apart by a 64-bit hash: should two collide, a row
    moves without need, and is still reported under its own URL. Memory does not grow with the manifest;
    what does not fit goes to a temporary folder below `spill`. A rerun reuses what is there.

    Args:
        manifest: the manifest.
        slices: what `plan` made of it.
        spill: folder for the two tables.

    Raises:
        ManifestError: a file vanished or is damaged.
        StorageError: `spill` cannot be written or has too little room.
    """
    found = UrlDedup(str(spill / "moved.parquet"), str(spill / "adopted.parquet"))
    made_from = identity(manifest.files, manifest.columns, tuple(slices))
    marker = Marker(spill / "adoptions.json")
    if marker.read(made_from) is None or not (Path(found.moved).is_file() and Path(found.adopted).is_file()):
        marker.clear()
        marker.write(made_from, [_move(manifest, slices, found)])
    return found


def _move(manifest: Manifest, slices: Sequence[Slice], found: UrlDedup) -> int:
    """Write both tables; the number of rows that moved."""
    with _database(Path(found.moved).with_name("adoptions.duckdb")) as database:
        _find_moves(database, manifest, slices)
        with beside(Path(found.moved)) as temporary:
            _copy(database, "SELECT row FROM moves ORDER BY row", temporary)
        leaving = {index for (index,) in database.execute("SELECT DISTINCT slice FROM moves").fetchall()}
        database.register("batch", MANIFEST_ROWS.empty_table())
        database.execute("CREATE TABLE leavers AS SELECT * FROM batch")
        for part in slices:
            if part.index in leaving:
                rows = found.moved_from(part)
                for batch in slice_batches(manifest, part):
                    _insert(database, "leavers", batch.filter(pc.is_in(batch["row"], rows)))
        with beside(Path(found.adopted)) as temporary:
            _copy(
                database,
                "SELECT home AS home_slice, leavers.* FROM leavers JOIN moves USING (row) ORDER BY home, row",
                temporary,
            )
        return int(database.execute("SELECT count(*) FROM moves").fetchall()[0][0])


def _find_moves(database: duckdb.DuckDBPyConnection, manifest: Manifest, slices: Sequence[Slice]) -> None:
    """Table `moves`: row, the slice it leaves, and the slice where its URL occurs first."""
    database.execute("CREATE TABLE seen (row BIGINT, slice INTEGER, url UBIGINT)")
    for batch in _urls(manifest, slices):
        _insert(database, "seen", batch, "SELECT row, slice, hash(url) FROM batch WHERE url <> ''")
    database.execute(
        "CREATE TABLE moves AS SELECT row, slice, home FROM seen JOIN ("
        "SELECT url, min(slice) AS home FROM seen GROUP BY url HAVING min(slice) < max(slice)"
        ") USING (url) WHERE slice > home"
    )


def _insert(
    database: duckdb.DuckDBPyConnection, table: str, batch: pa.RecordBatch, query: str = "SELECT * FROM batch"
) -> None:
    # batch by batch instead of as one stream: an error while reading then stays the error it was
    database.register("batch", pa.Table.from_batches([batch]))
    database.execute(f"INSERT INTO {table} {query}")


@contextlib.contextmanager
def _database(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database on disk that is deleted afterwards, bounded in memory."""
    _remove(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(path) as database:
            database.execute("SET enable_progress_bar = false")  # it would go to stdout
            database.execute(f"SET memory_limit = '{_MEMORY_LIMIT}'")
            database.execute(f"SET threads = {_THREADS}")
            database.execute("SET preserve_insertion_order = false")
            yield database
    except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
        raise StorageError(
            f"{path} cannot be written ({error}); make room or choose another folder"
        ) from error
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}.wal")):
        name.unlink(missing_ok=True)


def _copy(database: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    name = str(path).replace("'", "''")
    database.execute(
        f"COPY ({query}) TO '{name}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
    )


def _urls(manifest: Manifest, slices: Sequence[Slice]) -> Iterator[pa.RecordBatch]:
    """Row, slice and URL of all rows; consecutive slices of one file are read in one go."""
    firsts = np.array([part.first_row for part in slices])
    for path, group in itertools.groupby(slices, key=operator.attrgetter("path")):
        parts = list(group)
        column = "url" if parts[0].normalised else manifest.columns.url
        row, count = parts[0].first_row, sum(part.count for part in parts)
        with translated(path), open_parquet(path) as table:
            for cells, _ in parquet_batches(table, {"url": column}, parts[0].start, count):
                rows = np.arange(row, row + len(cells["url"]))
                index = np.searchsorted(firsts, rows, side="right") - 1
                yield pa.RecordBatch.from_pydict({"row": rows, "slice": index, "url": as_text(cells["url"])})
                row += len(rows)


def _matching(path: str, column: str, least: int, most: int) -> Iterator[pa.RecordBatch]:
    """Rows whose `column`, by which the file is sorted, lies within [least, most]."""
    with translated(path), open_parquet(path) as table:
        groups = [g for g in range(table.num_row_groups) if _may_match(table, g, column, least, most)]
        for batch in table.iter_batches(BATCH_ROWS, groups):
            values = batch.column(column)
            found = batch.filter(pc.and_(pc.greater_equal(values, least), pc.less_equal(values, most)))
            if found.num_rows:
                yield found


def _may_match(table: pq.ParquetFile, group: int, column: str, least: int, most: int) -> bool:
    place = table.schema_arrow.names.index(column)
    bounds = table.metadata.row_group(group).column(place).statistics
    return bounds is None or not bounds.has_min_max or (bounds.min <= most and bounds.max >= least)
