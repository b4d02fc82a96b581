"""Answers of DuckDB that are too long for memory: through a file, and from there batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from poisonscan.files import storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from poisonscan.store.rows import Row

_BATCH = 4096


def streamed(connection: duckdb.DuckDBPyConnection, sql: str, file: Path) -> Iterator[Row]:
    """Run a query into a Parquet file, sorting on disk if need be, and give its rows one after the other.

    A result that is fetched is first built in memory as a whole; one that is copied is not. Moments come
    back with their zone, for which DuckDB itself would need pytz.

    Args:
        connection: whose memory limit holds.
        sql: without parameters.
        file: to write; its folder exists.
    """
    path = str(file).replace("'", "''")
    connection.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 20000)")
    with storage(file), pq.ParquetFile(file) as table:
        for batch in table.iter_batches(_BATCH):
            yield from batch.to_pylist()
