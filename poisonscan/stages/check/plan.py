"""Which rows of a snapshot an audit looks at, and what it guarantees before and after it looked.

All of it runs over DuckDB's streams, a batch of domains in memory at a time; only the numbers of the rows
drawn are held.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from itertools import islice, tee
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poisonscan.domains.sampling import rows_needed, spend
from poisonscan.errors import UsageError
from poisonscan.files import beside, storage
from poisonscan.records import Group, Verdict
from poisonscan.stages.check.audit import AUDIT, Audit, Risk, Tally, assured
from poisonscan.stages.common import Summary
from poisonscan.stages.diff.pairing import parquet_of
from poisonscan.stages.sealed import finished_snapshot, rows_parts
from poisonscan.store import schema
from poisonscan.store.query import stream_of, tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import duckdb
    from numpy.typing import NDArray

    from poisonscan.authenticity.signing import Trust
    from poisonscan.domains.sampling import Aim
    from poisonscan.stages.sealed import SealedPart
    from poisonscan.store.rows import Row

_BATCH = 4096
_MOST_SHOWN = 20
_FOR_SALE = "['unregistered', 'nxdomain', 'expired']"
_NOT_WELL = "['parked', 'unresolvable']"

# Of equal risk the largest first: the same number of fetches covers the most rows.
_ORDER = "risk DESC, rows DESC, domain"
# Only a row with a baseline can show that it was replaced.
_BASELINES = pa.array([schema.FINGERPRINTED, schema.HASHED], pa.string())
_COPY = ".baselines.parquet"
_RANKED = """
    SELECT domain, count(*) AS rows, coalesce(any_value(risk), 0) AS risk
    FROM baselines LEFT JOIN risks USING (domain) GROUP BY domain ORDER BY {order}
"""
# Rows are put in an order that nobody foresees who does not know the seed, and that no version changes.
_DRAWN = """
    SELECT row FROM (
        SELECT row, drawn, row_number() OVER (
            PARTITION BY baselines.domain ORDER BY md5('{seed}:' || row), row) AS turn
        FROM baselines JOIN (SELECT domain, drawn FROM {audit} WHERE drawn > 0) AS planned
        ON baselines.domain IS NOT DISTINCT FROM planned.domain)
    WHERE turn <= drawn ORDER BY row
"""
_SEEN = """
    SELECT planned.* EXCLUDE (answered, replaced), coalesce(seen.answered, 0) AS answered,
           coalesce(seen.replaced, 0) AS replaced
    FROM {audit} AS planned LEFT JOIN (
        SELECT domain, count(*) FILTER (list_contains({answers}, verdict)) AS answered,
               count(*) FILTER (verdict IN ('replaced', 'changed')) AS replaced
        FROM verdicts GROUP BY domain) AS seen ON planned.domain IS NOT DISTINCT FROM seen.domain
    ORDER BY {order}
"""


def plan_audit(
    snapshot: Path, audit: Audit, trust: Trust | None = None, signature: Path | None = None
) -> Summary:
    """Say how many rows of each domain an audit would fetch and what that would guarantee; fetch nothing.

    Args:
        snapshot: a finished snapshot folder.
        audit: what is to be noticed, and the budget.
        trust: whose signature the snapshot must have; None to believe its digests alone.
        signature: the file; by default the one in the snapshot.

    Returns:
        `rows` are those that would be fetched; the details hold the sums and the domains that come first.

    Raises:
        SnapshotInvalidError: the snapshot is unfinished or damaged.
        UsageError: the evidence is none.
    """
    started = time.monotonic()
    document = finished_snapshot(snapshot, trust, signature)
    shown: list[Row] = []
    tally = Tally()
    with (
        TemporaryDirectory() as work,
        _baselines(Path(work), rows_parts(snapshot, document), audit) as lines,
    ):
        for line in _planned(lines, audit):
            tally.add(line, audit.aim)
            if len(shown) < _MOST_SHOWN:
                shown.append(line)
    seconds = time.monotonic() - started
    details = {
        "audit": tally.as_dict(audit),
        "without_baseline": int(document["rows"]) - tally.rows,
        "riskiest": [_brief(line) for line in shown],
    }
    return Summary(
        verb="plan",
        out="",
        rows=tally.drawn,
        counts={},
        seconds=round(seconds, 2),
        rows_per_s=0.0,
        exit_code=0,
        details=details,
    )


def drawn_rows(parts: Sequence[SealedPart], audit: Audit, seed: int, out: Path) -> NDArray[np.int64]:
    """Draw the rows of an audit; the same for the same snapshot, audit and seed.

    Writes `out`/audit.parquet.

    Args:
        parts: the snapshot's rows.
        audit: what is to be noticed, and the budget.
        seed: of the draw. Who knows it and the list can foresee the rows.
        out: the run folder.
    """
    path = out / AUDIT
    with _baselines(out, parts, audit) as lines:
        _write(_planned(lines, audit), path, audit.aim)
    with tables(out) as connection, _rows_with_baseline(out, parts, connection):
        cursor = connection.execute(_DRAWN.format(seed=int(seed), audit=parquet_of([path])))
        batches = [
            np.array([row for (row,) in batch], np.int64)
            for batch in iter(lambda: cursor.fetchmany(_BATCH), [])
        ]
    return np.concatenate([np.empty(0, np.int64), *batches])


def close_audit(folder: Path, audit: Audit) -> Tally:
    """Write what a judged run found into its audit.parquet; the guarantee that it reached.

    Rows without an answer count as not looked at.

    Args:
        folder: the run folder, with `verdicts` and audit.parquet.
        audit: with which the run was started.
    """
    answers = [v.value for v in Verdict if v.group in (Group.CLEAN, Group.SUSPICIOUS)]
    query = _SEEN.format(audit=parquet_of([folder / AUDIT]), answers=answers, order=_ORDER)
    with tables(folder, "verdicts") as connection:
        lines = (_closed(line, audit.aim) for line in stream_of(connection, query))
        return _write(lines, folder / AUDIT, audit.aim)


@contextmanager
def _baselines(work: Path, parts: Sequence[SealedPart], audit: Audit) -> Iterator[Iterator[Row]]:
    """The domains of a snapshot, riskiest first, each with its rows that have a baseline."""
    evidence = audit.evidence_files()
    with tables(work) as connection, _rows_with_baseline(work, parts, connection):
        tiers = [_tier(file) for file in evidence]
        every = " UNION ALL ".join(tiers) or "SELECT NULL::VARCHAR AS domain, 0 AS tier"
        connection.execute(
            f"CREATE TEMP TABLE risks AS SELECT domain, max(tier) AS risk FROM ({every}) GROUP BY domain"  # noqa: S608 - our own names
        )
        yield stream_of(connection, _RANKED.format(order=_ORDER))


@contextmanager
def _rows_with_baseline(
    work: Path, parts: Sequence[SealedPart], connection: duckdb.DuckDBPyConnection
) -> Iterator[None]:
    """A view `baselines`, of a copy that holds what was sealed: the parts may be others a moment later."""
    path = work / _COPY
    columns = pa.schema([pa.field("row", pa.int64()), pa.field("domain", pa.string())])
    try:
        with beside(path, durable=False) as temporary, pq.ParquetWriter(temporary, columns) as writer:
            for part in parts:
                table = part.read(["row", "domain", "state"])
                writer.write_table(
                    table.filter(pc.is_in(table["state"], _BASELINES)).select(columns.names).cast(columns)
                )
        connection.execute(f"CREATE VIEW baselines AS FROM {parquet_of([path])}")
        yield
    finally:
        with storage(path):
            path.unlink(missing_ok=True)


def _tier(file: Path) -> str:
    """SQL for the risk of each domain by one file of evidence, from those of its columns that tell."""
    source = parquet_of([file])
    known = set(_columns(file))
    if "domain" not in known:
        raise UsageError(f"--evidence {file} has no column domain; name a table that check or domains wrote")
    suspicious, lost = ([v.value for v in Verdict if v.group is g] for g in (Group.SUSPICIOUS, Group.LOST))
    rules = [
        (Risk.SUSPECTED, "swap_suspected" if "swap_suspected" in known else None),
        (Risk.IN_NEW_HANDS, "reregistered" if "reregistered" in known else None),
        (Risk.IN_NEW_HANDS, "hands = 'new'" if "hands" in known else None),
        (Risk.FOR_SALE, "buyable" if "buyable" in known else None),
        (Risk.FOR_SALE, f"list_contains({_FOR_SALE}, status)" if "status" in known else None),
        (Risk.CHANGED, _any_of(suspicious, known)),
        (Risk.UNANSWERED, _any_of(lost, known)),
        (Risk.UNANSWERED, f"list_contains({_NOT_WELL}, status)" if "status" in known else None),
    ]
    cases = " ".join(f"WHEN {rule} THEN {risk.value}" for risk, rule in rules if rule)
    if not cases:
        raise UsageError(f"--evidence {file} says nothing of risk; name a table that check or domains wrote")
    return f"SELECT domain, CASE {cases} ELSE 0 END AS tier FROM {source}"  # noqa: S608 - our own names


def _columns(file: Path) -> list[str]:
    try:
        return list(pq.read_schema(file).names)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"--evidence {file} is no Parquet file; name a table of check or domains") from error


def _any_of(columns: Sequence[str], known: set[str]) -> str | None:
    present = [column for column in columns if column in known]
    return f"({' + '.join(present)}) > 0" if present else None


def _planned(lines: Iterator[Row], audit: Audit) -> Iterator[Row]:
    """The lines of AUDIT before anything was fetched."""
    cache: dict[int, int | None] = {}

    def need(line: Row) -> int | None:
        rows = line["rows"]
        if rows not in cache:
            cache[rows] = rows_needed(rows, audit.aim)
        return cache[rows]

    ahead, behind = tee(lines)
    drawn = spend((need(line) or 0 for line in ahead), audit.budget)
    for line, given in zip(behind, drawn, strict=True):
        facts = {"needed": need(line), "drawn": given, "evidence": Risk(line["risk"]).words}
        unknown = {"answered": None, "replaced": None, "noticed": None}
        yield assured(line | facts | unknown, given, audit.aim)


def _closed(line: Row, aim: Aim) -> Row:
    """A line of AUDIT after the run."""
    noticed = {"noticed": line["replaced"] >= aim.notice_rows}
    return assured(line | noticed, line["answered"], aim)


def _write(lines: Iterable[Row], path: Path, aim: Aim) -> Tally:
    """Write lines of AUDIT, a batch in memory at a time; their sums."""
    tally = Tally()
    lines = iter(lines)
    with beside(path) as temporary, pq.ParquetWriter(temporary, schema.AUDIT, compression="zstd") as writer:
        while batch := list(islice(lines, _BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema.AUDIT))
            for line in batch:
                tally.add(line, aim)
    return tally


def _brief(line: Row) -> Row:
    return {name: line[name] for name in ("domain", "rows", "evidence", "needed", "drawn", "confidence")}
