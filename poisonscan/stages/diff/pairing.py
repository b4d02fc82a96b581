"""Laying two sides' fingerprints beside each other, and the decision on each pair.

The join runs in DuckDB, which spills to disk, over the Parquet parts of both sides. Every row of NEW
comes out exactly once, beside its baseline where OLD has one, and so does every row of OLD that NEW lacks.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from poisonscan.compare.ladder import Baseline, judge
from poisonscan.errors import UsageError
from poisonscan.files import beside
from poisonscan.records import Algorithm, Comparison, Fingerprint, Published, Verdict
from poisonscan.store import schema
from poisonscan.store.query import rows_of, tables
from poisonscan.store.rows import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import duckdb

    from poisonscan.config import CompareSettings
    from poisonscan.store.rows import Row

URL, KEY = "url", "key"

_NAMES_OF_NEW = [field.name for field in (*schema.REF, *schema.FETCH, *schema.FINGERPRINT)] + [
    "state",
    "reason",
]
_NAMES_OF_OLD = [field.name for field in (*schema.PUBLISHED, *schema.FINGERPRINT)] + ["state", "reason"]
_EVIDENCE = ", ".join(["sha256", *[field.name for field in schema.PUBLISHED]])

_SQL_TYPES = {
    pa.binary(): "BLOB",
    pa.string(): "VARCHAR",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
}

_BASELINES = f"""
    CREATE VIEW baselines AS
    WITH groups AS (
        SELECT match, count(DISTINCT evidence) AS pictures,
               coalesce(min(row) FILTER (evidence IS NOT NULL), min(row)) AS chosen
        FROM (SELECT match, row, CASE state WHEN '{schema.FINGERPRINTED}' THEN sha256
                     WHEN '{schema.HASHED}' THEN concat_ws(' ', {_EVIDENCE}) END AS evidence
              FROM old WHERE match IS NOT NULL)
        GROUP BY match
    )
    SELECT old.*, groups.pictures FROM old JOIN groups ON old.row = groups.chosen
"""  # noqa: S608 - column names of our own schema
"""One baseline for each matching value: the first row of OLD that knows something, and whether others
know something else."""

_COUNTS = """
    SELECT (SELECT count(*) FROM old) AS old_rows, (SELECT count(*) FROM new) AS new_rows,
           (SELECT count(match) - count(DISTINCT match) FROM old) AS old_duplicates,
           (SELECT count(match) - count(DISTINCT match) FROM new) AS new_duplicates,
           (SELECT count(*) FROM new SEMI JOIN old USING (match)) AS matched
"""


@dataclass(frozen=True, slots=True)
class Matching:
    """How the sides were laid beside each other.

    Attributes:
        by: "url" or "key".
        old_rows, new_rows: rows on each side.
        old_duplicates, new_duplicates: rows whose matching value an earlier row of their side has too.
        matched: rows of NEW that OLD has too.
    """

    by: str
    old_rows: int
    new_rows: int
    old_duplicates: int
    new_duplicates: int
    matched: int


def pair(old: Sequence[Path], new: Sequence[Path], out: Path, group_rows: int) -> Matching:
    """Write the rows of both sides, matched, to one Parquet file in row groups of about `group_rows`.

    Rows are matched by URL where both sides name any, else by key. A row that only OLD has is numbered
    after those of NEW.

    Raises:
        UsageError: no row of one side matches any of the other.
        StorageError: the disk is full, or a part cannot be read.
    """
    with tables(out.parent) as connection:
        by = URL if _has_urls(connection, old) and _has_urls(connection, new) else KEY
        _view(connection, "old", old, by)
        _view(connection, "new", new, by)
        connection.execute(_BASELINES)
        matching = Matching(by, **rows_of(connection, _COUNTS)[0])
        if not matching.matched:
            raise UsageError(
                f"no row of NEW has the {by} of a row of OLD ({matching.new_rows} and {matching.old_rows} "
                "rows were matched by it); name sides that belong together"
            )
        with beside(out) as temporary:
            connection.execute(_pairs(matching.new_rows, temporary, group_rows))
    return matching


def decide(row: Row, by: str, settings: CompareSettings) -> Comparison:
    """The comparison of one line that `pair` wrote. Pure."""
    if row["state"] is None:
        return Comparison(
            Verdict.GONE, "not in NEW" + _aside("OLD", row["old_state"], row["old_reason"]), 0.0
        )
    if row["state"] == schema.HASHED:
        return Comparison(Verdict.NO_BASELINE, "NEW knows published hashes of it but no picture", 0.0)
    new = fingerprint_of(row)
    if new is None:
        return Comparison(Verdict(row["state"]), row["reason"] or "no reason is recorded", 0.0)
    if row["old_state"] is None:
        reason = "not in OLD" if row[by] else f"not in OLD: it has no {by} to match by"
        return Comparison(Verdict.NO_BASELINE, reason, 0.0)
    if row["old_pictures"] > 1:
        reason = f"OLD has {row['old_pictures']} different pictures of this {by}"
        return Comparison(Verdict.NO_BASELINE, reason, 0.0)
    return _compared(baseline_of(row), new, row, settings)


def _compared(baseline: Baseline, new: Fingerprint, row: Row, settings: CompareSettings) -> Comparison:
    comparison = judge(baseline, new, settings)
    compared = baseline.fingerprint is not None or comparison.phash_distance is not None
    if compared or comparison.verdict is not Verdict.NO_BASELINE:
        return comparison
    if baseline.published:
        reason = "OLD knows only published hashes that NEW's fingerprint does not hold"
    else:
        reason = "nothing to compare with" + _aside("OLD", row["old_state"], row["old_reason"])
    return Comparison(Verdict.NO_BASELINE, reason, 0.0)


def _aside(name: str, state: str, reason: str | None) -> str:
    """Words on a row that one side has no picture of; nothing where it has."""
    if state in {schema.FINGERPRINTED, schema.HASHED}:
        return ""
    return f"; {name} has it as {state}" + (f" ({reason})" if reason else "")


def baseline_of(row: Row) -> Baseline:
    """What OLD knows of a line that `pair` wrote."""
    published = Published(**{name.value: row[f"old_published_{name}"] for name in Algorithm})
    if row["old_state"] != schema.FINGERPRINTED:
        return Baseline(None, published)
    known = {field.name: row[f"old_{field.name}"] for field in schema.FINGERPRINT}
    return Baseline(Fingerprint(**known), published)


def _has_urls(connection: duckdb.DuckDBPyConnection, parts: Iterable[Path]) -> bool:
    query = f"SELECT count(*) AS n FROM {parquet_of(parts)} WHERE url <> ''"  # noqa: S608 - quoted paths
    return bool(rows_of(connection, query)[0]["n"])


def _view(connection: duckdb.DuckDBPyConnection, name: str, parts: Iterable[Path], by: str) -> None:
    # File systems differ in how they write an accented letter: macOS in two characters, others in one.
    value = f"nfc_normalize({by})" if by == KEY else by
    query = f"SELECT *, nullif({value}, '') AS match FROM {remembered_in(parts)}"  # noqa: S608 - quoted paths
    connection.execute(f"CREATE VIEW {name} AS {query}")


def parquet_of(parts: Iterable[Path]) -> str:
    """Parquet parts as a table in SQL; their paths hold no patterns and no columns."""
    names = ", ".join(_quoted(glob.escape(str(path))) for path in parts)
    return f"read_parquet([{names}], hive_partitioning = false)"


def remembered_in(parts: Iterable[Path]) -> str:
    """Parts with fingerprints as a table in SQL; columns that those of an earlier version lack are null."""
    later = [field for field in schema.FINGERPRINT if field.name in schema.LATER]
    lacking = ", ".join(f"NULL::{_SQL_TYPES[field.type]} AS {field.name}" for field in later)
    return f"(FROM {parquet_of(parts)} UNION ALL BY NAME SELECT {lacking} WHERE false)"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _pairs(new_rows: int, out: Path, group_rows: int) -> str:
    seen = ", ".join(f"new.{name}" for name in _NAMES_OF_NEW)
    known = ", ".join(f"known.{name} AS old_{name}" for name in _NAMES_OF_OLD)
    return f"""
        COPY (
            SELECT {seen}, {known}, known.pictures AS old_pictures
            FROM new LEFT JOIN baselines AS known USING (match)
            UNION ALL BY NAME
            SELECT {new_rows} + row AS row, key, url, domain, caption, {known}
            FROM old AS known ANTI JOIN new USING (match)
            ORDER BY row
        ) TO {_quoted(str(out))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group_rows})
    """  # noqa: S608 - column names of our own schema and a quoted path
