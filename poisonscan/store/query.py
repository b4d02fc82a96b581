"""DuckDB over the Parquet of a run: aggregates over any number of rows in flat memory."""

from __future__ import annotations

import glob
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from poisonscan.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MEMORY = "1GB"
_OF_FILES = (duckdb.IOException, duckdb.InvalidInputException, duckdb.OutOfMemoryException)
_BATCH = 1024  # rows of a streamed answer held at a time


@contextmanager
def tables(folder: Path, *kinds: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with one view for each kind of part, e.g. `verdicts`.

    Raises:
        StorageError: a part cannot be read or the disk is full.
    """
    connection = duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": str(folder / ".duckdb")})
    try:
        connection.execute("SET enable_progress_bar = false; SET preserve_insertion_order = false")
        for kind in kinds:
            pattern = f"{glob.escape(str(folder / kind))}/[0-9]*.parquet"
            view = connection.read_parquet(pattern, hive_partitioning=False)
            view.create_view(kind)
        yield connection
    except duckdb.Error as error:
        # DuckDB 2.0 has types for broken files, and yet was seen to raise the plain one under load.
        if not isinstance(error, _OF_FILES) and type(error) is not duckdb.Error:
            raise
        raise StorageError(f"{folder} cannot be queried: {str(error).splitlines()[0]}") from error
    finally:
        connection.close()


def rows_of(connection: duckdb.DuckDBPyConnection, sql: str, *values: object) -> list[dict[str, Any]]:
    """Run a query and give its rows as dictionaries."""
    cursor = connection.execute(sql, list(values))
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def stream_of(connection: duckdb.DuckDBPyConnection, sql: str, *values: object) -> Iterator[dict[str, Any]]:
    """Run a query and give its rows one after the other, a batch of them in memory at a time."""
    cursor = connection.execute(sql, list(values))
    names = [column[0] for column in cursor.description or []]
    while batch := cursor.fetchmany(_BATCH):
        yield from (dict(zip(names, row, strict=True)) for row in batch)
