"""Rows by host and domain, for any number of rows in flat memory.

Python looks at each distinct beginning of a URL (scheme and authority), not at each URL: Arrow cuts them
off and counts them batch by batch, DuckDB adds the counts up, spilling to disk, and only what is left
is read by `host_of` and `registrable_domain`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poisonscan.fetch.url import authority_of, host_of, registrable_domain
from poisonscan.files import beside
from poisonscan.stages.domains.streaming import streamed
from poisonscan.store.parts import part_name
from poisonscan.store.query import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

AUTHORITIES, HOSTS = "authorities", "hosts"

_BEGINNING = r"^(?P<authority>[^/?#]*//[^/?#]*[/?#]?)"
_SUMS = "SELECT authority, sum(rows)::BIGINT AS rows FROM authorities GROUP BY authority"
_FLUSH_ROWS = 1 << 18

AUTHORITY_ROWS = pa.schema([pa.field("authority", pa.string()), pa.field("rows", pa.int64())])
HOST_ROWS = pa.schema(
    [pa.field("domain", pa.string()), pa.field("host", pa.string()), pa.field("rows", pa.int64())]
)


def count_hosts(urls: Iterable[pa.Array], work: Path) -> None:
    """Write `work/hosts/`: domain, host and rows, a line a host; nulls for URLs that have none.

    Args:
        urls: of all rows, in batches; read once.
        work: a folder of ours; `work/authorities/` is written on the way.
    """
    _write(work / AUTHORITIES / part_name(0), AUTHORITY_ROWS, (_authorities(batch) for batch in urls))
    with tables(work, AUTHORITIES) as connection:
        sums = streamed(connection, _SUMS, work / "sums.parquet")
        lines = ((row["authority"], row["rows"]) for row in sums)
        _write(work / HOSTS / part_name(0), HOST_ROWS, _hosts(lines))


def _authorities(urls: pa.Array) -> pa.RecordBatch:
    """Distinct beginnings of a batch of URLs, and how many rows have each."""
    cut = pc.struct_field(pc.extract_regex(urls, _BEGINNING), "authority")
    # What the expression does not match is rare, and the whole URL then decides.
    whole = pc.if_else(pc.and_(pc.is_valid(urls), pc.is_null(cut)), urls, cut)
    counted = pc.value_counts(whole)
    return pa.record_batch([counted.field("values"), counted.field("counts")], schema=AUTHORITY_ROWS)


def _hosts(lines: Iterable[tuple[str | None, int]]) -> Iterator[pa.RecordBatch]:
    """Lines of domain, host and rows, in batches; a host may come more than once."""
    found: list[dict[str, str | int | None]] = []
    for authority, rows in lines:
        host = host_of(authority_of(authority)) if authority else None
        domain = registrable_domain(host) if host else None
        found.append({"domain": domain, "host": host, "rows": rows})
        if len(found) == _FLUSH_ROWS:
            yield pa.RecordBatch.from_pylist(found, schema=HOST_ROWS)
            found = []
    yield pa.RecordBatch.from_pylist(found, schema=HOST_ROWS)


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write batches as one Parquet file in row groups of some size."""
    with beside(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        pending: list[pa.RecordBatch] = []
        for batch in batches:
            pending.append(batch)
            if sum(item.num_rows for item in pending) >= _FLUSH_ROWS:
                writer.write_table(pa.Table.from_batches(pending, schema))
                pending = []
        writer.write_table(pa.Table.from_batches(pending, schema))
