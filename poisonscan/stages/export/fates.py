"""What becomes of each row of a manifest in an export: kept or quarantined, decided in one query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.files import beside
from poisonscan.records import Group, Verdict
from poisonscan.stages.check.judging import VERDICTS
from poisonscan.stages.check.recheck import OBSERVED
from poisonscan.stages.check.vantage import VANTAGES
from poisonscan.stages.diff.pairing import parquet_of
from poisonscan.stages.export.choosing import UNSEEN
from poisonscan.stages.export.flaps import define_flaps
from poisonscan.store.marks import MARKS_FILE, read_marks
from poisonscan.store.parts import write_table
from poisonscan.store.query import rows_of, tables

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

QUARANTINE, REFRESHED, WATCHED = "quarantine.parquet", "refreshed.parquet", "watched.parquet"

_UNSEEN_REASON = "this run did not look at the row"
_DROPPED_REASON = "marked drop by hand"
_FATES = """
    CREATE TABLE fates AS
    WITH known AS (
        SELECT past.row, past.key, past.url, now.verdict, now.reason, now.score, now.old_sha256, mark, note,
               coalesce(now.verdict, ?) IN (SELECT unnest(?)) AS good, later IS TRUE AS later,
               out IS TRUE AS flapped, coalesce(cloaked.words, CASE WHEN out THEN told END) AS words,
               mark IS DISTINCT FROM 'drop' AND past.row IN (SELECT row FROM {readmitted}) AS let_in
        FROM {past} AS past LEFT JOIN verdicts AS now USING (row) LEFT JOIN cloaked USING (row)
        LEFT JOIN flaps USING (row)
        LEFT JOIN (SELECT row, mark, note FROM {marks}) AS decided USING (row)
    )
    SELECT *, CASE mark WHEN 'keep' THEN true WHEN 'drop' THEN false
                        ELSE (good OR later) AND words IS NULL END AS stays,
           stays AND later AND NOT good AND mark IS DISTINCT FROM 'keep' AS taken_later
    FROM known
"""
# What somebody else is served is what a trainer may get: such a row goes out whatever we were served.
_CLOAKED = """
    CREATE TABLE cloaked AS
    SELECT row, min(reason) AS words FROM {views} WHERE sight = 'cloaked' GROUP BY row
"""
_KEPT = "SELECT row FROM fates WHERE stays OR let_in ORDER BY row"
_UIDS = """
    SELECT lower(key) AS uid FROM fates
    WHERE (stays OR let_in) AND regexp_full_match(key, '[0-9a-fA-F]{32}') ORDER BY uid
"""
_QUARANTINE = """
    SELECT row, key, url, verdict, {groups} AS "group",
           CASE mark WHEN 'drop' THEN concat('{dropped}', ': ' || note)
                     ELSE coalesce(words, reason, '{unseen}') END AS reason, score
    FROM fates WHERE NOT (stays OR let_in) ORDER BY row
"""
_REFRESHED = """
    SELECT row, key, url, verdict, let_in AND NOT stays AS readmitted, taken_later,
           sha256, phash, width, height
    FROM fates JOIN (SELECT row, sha256, phash, width, height FROM observed) USING (row)
    WHERE (stays OR let_in) AND sha256 IS NOT NULL
      AND (sha256 IS DISTINCT FROM old_sha256 OR NOT stays) ORDER BY row
"""
_WATCHED = """
    SELECT row, key, url, verdict, coalesce(reason, '{unseen}') AS reason, note, stays OR let_in AS kept
    FROM fates WHERE mark = 'watch' ORDER BY row
"""
_COUNTS = """
    SELECT count(*) AS rows, count(*) FILTER (mark = 'keep') AS marked_keep,
           count(*) FILTER (mark = 'drop') AS marked_drop, count(*) FILTER (mark = 'watch') AS marked_watch,
           count(*) FILTER (stays OR let_in) AS kept,
           count(*) FILTER (NOT (stays OR let_in)) AS quarantined,
           count(*) FILTER (taken_later) AS taken_later,
           count(*) FILTER (flapped AND NOT (stays OR let_in)) AS flapped,
           count(*) FILTER (let_in AND NOT stays) AS readmitted, count(*) FILTER (verdict IS NULL) AS unseen
    FROM fates
"""


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides about a row on which nobody has decided by hand.

    Attributes:
        keep: verdicts that stay.
        readmitted: Parquet file with the rows that stay whatever else is known of them.
        history: folder of a history that the run is a look of; None for none.
    """

    keep: frozenset[str]
    readmitted: Path
    history: Path | None = None


@dataclass(frozen=True, slots=True)
class Fates:
    """How the rows of a manifest were divided.

    Attributes:
        kept_rows: Parquet file with the column `row`, ascending.
        kept_uids: Parquet file with the column `uid`, ascending; keys that are no uids are not in it.
        rows: rows of the manifest.
        kept, quarantined: how many of them; together all.
        taken_later: kept since a history vouches for the picture that the run saw.
        flapped: quarantined rows that a history says to leave out.
        readmitted: kept only because a rule let them in.
        unseen: rows to which the run gave no verdict.
        marked_keep, marked_drop: rows that a person decided on, whatever their verdict.
        marked_watch: rows that a person wants to see again; they are listed and else treated by the rules.
        refreshed: kept rows whose bytes are new, with their new hashes in `refreshed.parquet`.
    """

    kept_rows: Path
    kept_uids: Path
    rows: int
    kept: int
    quarantined: int
    taken_later: int
    flapped: int
    readmitted: int
    unseen: int
    marked_keep: int
    marked_drop: int
    marked_watch: int
    refreshed: int


def split(
    run: Path,
    past: Sequence[Path],
    rules: Rules,
    out: Path,
    work: Path,
) -> Fates:
    """Divide the rows; write the quarantine list, the refreshed hashes and the watched rows.

    A row that a person marked keep or drop goes where the mark says.

    Args:
        run: a finished run.
        past: parts of its snapshot with all rows of the manifest.
        rules: what stays.
        out: folder for `quarantine.parquet`, `refreshed.parquet` and `watched.parquet`.
        work: folder for what only the export itself needs.

    Raises:
        StorageError: a part cannot be read, or the disk is full.
    """
    kept_rows, kept_uids = work / "kept.parquet", work / "uids.parquet"
    marks = work / MARKS_FILE
    write_table(read_marks(run), marks)
    with tables(run, VERDICTS, OBSERVED) as connection:
        connection.execute(_CLOAKED.format(views=_views(run)))
        define_flaps(connection, rules.history)
        paths = {"readmitted": [rules.readmitted], "past": past, "marks": [marks]}
        sources = {name: parquet_of(parts) for name, parts in paths.items()}
        connection.execute(_FATES.format(**sources), [UNSEEN, sorted(rules.keep)])
        _copy(connection, _KEPT, kept_rows)
        _copy(connection, _UIDS, kept_uids)
        words = {"unseen": _UNSEEN_REASON, "dropped": _DROPPED_REASON}
        _copy(connection, _QUARANTINE.format(groups=_groups(), **words), out / QUARANTINE)
        _copy(connection, _WATCHED.format(**words), out / WATCHED)
        _copy(connection, _REFRESHED, out / REFRESHED)
        refreshed = rows_of(connection, f"SELECT count(*) AS n FROM ({_REFRESHED})")[0]["n"]  # noqa: S608 - ours
        return Fates(kept_rows, kept_uids, **rows_of(connection, _COUNTS)[0], refreshed=refreshed)


def _views(run: Path) -> str:
    """What a run saw from vantages, as a table in SQL; nothing for a run without any."""
    parts = sorted((run / VANTAGES).glob("[0-9]*.parquet"))
    return parquet_of(parts) if parts else "(SELECT 0 AS row, '' AS sight, '' AS reason LIMIT 0)"


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    with beside(path) as temporary:
        name = str(temporary).replace("'", "''")
        connection.execute(f"COPY ({query}) TO '{name}' (FORMAT parquet, COMPRESSION zstd)")


def _groups() -> str:
    """SQL that gives the group of the column `verdict`; rows without a verdict are unknown."""
    cases = " ".join(f"WHEN '{verdict.value}' THEN '{verdict.group.value}'" for verdict in Verdict)
    return f"CASE verdict {cases} ELSE '{Group.UNKNOWN.value}' END"
