"""domains.parquet of a run: verdicts by domain, joined with what is known of each domain's owner."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from poisonscan.domains.registration import (
    Change,
    Hands,
    Kind,
    Owner,
    judge_hands,
    kind_of,
    registration_change,
    reregistration,
)
from poisonscan.domains.rollup import OneFailure, suspicion, warnings
from poisonscan.errors import UsageError
from poisonscan.records import Group, Verdict
from poisonscan.records import Kind as FindingKind
from poisonscan.store import schema
from poisonscan.store.parts import write_table
from poisonscan.store.query import rows_of, tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import duckdb

    from poisonscan.config import JudgeSettings
    from poisonscan.store.rows import Row

VERDICTS = "verdicts"
DOMAINS = "domains.parquet"
FINDINGS, MEMBERS = "findings.parquet", "members.parquet"

EVIDENCE = tuple(item.name for item in schema.DOMAIN_EVIDENCE)
_VERDICTS = ", ".join(f"'{verdict.value}'" for verdict in Verdict)
BY_DOMAIN = f"""
    PIVOT (SELECT domain, verdict FROM verdicts) ON verdict IN ({_VERDICTS})
    USING count(*) GROUP BY domain ORDER BY domain
"""  # noqa: S608 - all our own names
"""Rows of each domain by verdict, over a view `verdicts`."""

_INSTANTS = tuple(item.name for item in schema.DOMAIN_EVIDENCE if item.type == schema.INSTANT)
_READ = ", ".join(f"epoch_ms({name}) AS {name}" if name in _INSTANTS else name for name in EVIDENCE)
_MARKS = """
    SELECT domain, finding_id, any_value(summary) AS summary, count(DISTINCT row) AS n
    FROM members JOIN findings USING (finding_id) JOIN verdicts USING (row)
    WHERE kind = ? GROUP BY domain, finding_id ORDER BY n DESC, finding_id
"""
_LOST = ", ".join(f"'{verdict.value}'" for verdict in Verdict if verdict.group is Group.LOST)
ONE_FAILURE = f"""
    SELECT domain, any_value(kind) AS failure, count(*) AS failed FROM (
        SELECT domain, verdict,
            CASE WHEN coalesce(outcome, 'fetched') = 'fetched' THEN verdict ELSE outcome END AS kind
        FROM verdicts WHERE old_sha256 IS NOT NULL)
    GROUP BY domain HAVING bool_and(verdict IN ({_LOST})) AND count(DISTINCT kind) = 1
"""  # noqa: S608 - all our own names
"""Domains all of whose rows had a picture then and fail in one way now, over a view `verdicts`."""
_JOINED = f"""
    SELECT * FROM (SELECT DISTINCT domain FROM verdicts)
    JOIN (SELECT domain, {_READ} FROM known) USING (domain)
"""  # noqa: S608 - all our own names


@dataclass(frozen=True, slots=True)
class Known:
    """Evidence about domains that a check takes into account.

    Attributes:
        file: what the verb `domains` wrote; None for no evidence.
        since: date of the snapshot.
    """

    file: Path | None = None
    since: datetime | None = None


def known_domains(file: Path | None, snapshot: Mapping[str, Any]) -> Known:
    """The evidence in a file, for a check of a snapshot with this document.

    Raises:
        UsageError: the file is missing or not written by `domains`.
    """
    if file is None:
        return Known()
    require_evidence("--domains", file)
    return Known(file, datetime.fromisoformat(snapshot["created_at"]))


def require_evidence(flag: str, file: Path) -> None:
    """Refuse a file that the verb `domains` did not write.

    Raises:
        UsageError: it is missing, no Parquet file, or lacks a column.
    """
    try:
        columns = set(pq.read_schema(file).names)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{flag} {file} cannot be read: {error}") from error
    missing = sorted({"domain", *EVIDENCE} - columns)
    if missing:
        raise UsageError(
            f"{flag} {file} was not written by `poisonscan domains`: it has no column {missing[0]}"
        )


def write_domains(folder: Path, since: str, settings: JudgeSettings, known: Known) -> None:
    """Write domains.parquet of a run whose verdicts are written.

    Args:
        folder: the run folder.
        since: date of the snapshot, for the words.
        settings: thresholds.
        known: evidence about the domains.

    Reads `findings.parquet` and `members.parquet` too, for the footprints on each domain.
    """
    with tables(folder, VERDICTS) as connection:
        grouped = rows_of(connection, BY_DOMAIN)
        evidence = {}
        if known.file is not None:
            _view(connection, "known", known.file)
            evidence = {row["domain"]: with_instants(row, _INSTANTS) for row in rows_of(connection, _JOINED)}
        marks = _marks(connection, folder)
        failures = {row["domain"]: failure_in(row) for row in rows_of(connection, ONE_FAILURE)}
    total = sum(row[verdict.value] for row in grouped for verdict in Verdict)
    table = [
        _line(row, evidence.get(row["domain"]), failures.get(row["domain"]), total, since, settings, known)
        for row in grouped
    ]
    for line in table:
        line["reasons"] += marks.get(line["domain"], [])
    write_table(pa.Table.from_pylist(table, schema=schema.DOMAINS), folder / DOMAINS)


def _view(connection: duckdb.DuckDBPyConnection, name: str, file: Path) -> None:
    connection.read_parquet(glob.escape(str(file)), hive_partitioning=False).create_view(name)


def _marks(connection: duckdb.DuckDBPyConnection, folder: Path) -> dict[str | None, list[str]]:
    """Words for the footprints on the pictures of each domain."""
    _view(connection, "findings", folder / FINDINGS)
    _view(connection, "members", folder / MEMBERS)
    words: dict[str | None, list[str]] = {}
    for row in rows_of(connection, _MARKS, FindingKind.FOOTPRINT.value):
        kind = row["summary"].partition(":")[0]
        line = f"{row['n']} pictures with the mark {row['finding_id']} ({kind})"
        words.setdefault(row["domain"], []).append(line)
    return words


def with_instants(row: Row, names: Iterable[str]) -> Row:
    """A row whose named columns turn from milliseconds since 1970 into moments in UTC.

    DuckDB itself gives moments with a zone only where pytz is installed.
    """
    moments = {name: row[name] for name in names}
    return row | {
        name: None if ms is None else datetime.fromtimestamp(ms / 1000, UTC) for name, ms in moments.items()
    }


def judged(
    counts: Mapping[Verdict, int],
    since: str,
    settings: JudgeSettings,
    owner: Owner,
    failure: OneFailure | None = None,
) -> Row:
    """The columns of judgement and of counts for one domain.

    Args:
        counts: its rows by verdict.
        since: date of the snapshot, for the words.
        settings: thresholds.
        owner: who holds it, as far as known.
        failure: in which all its rows that had a picture ended, if they did.
    """
    found = suspicion(counts, since, settings, owner, failure)
    return {
        "swap_suspected": found.suspected,
        "score": found.score,
        "reasons": list(found.reasons),
        "warnings": list(warnings(counts, owner, since, settings, failure)),
        **{verdict.value: counts.get(verdict, 0) for verdict in Verdict},
    }


def failure_in(row: Row) -> OneFailure | None:
    """In which way all pictures of a domain fail, from its line with the columns of `ONE_FAILURE`."""
    return OneFailure(row["failure"], row["failed"]) if row["failure"] is not None else None


def owner_in(row: Row, since: datetime | None) -> Owner:
    """Who holds a domain, from its line in a file of evidence, judged against the date of a snapshot."""
    registered_at = row["registered_at"]
    anew = registration_change(registered_at, row["formerly_registered_at"], since)
    others = [Change(kind_of(words), words) for words in row["changes"] or []]
    others = [change for change in others if change.kind is not Kind.REGISTRATION]
    changes = tuple([anew, *others] if anew else others)
    return judge_hands(changes, registered_at, since, known=row["hands"] == Hands.SAME)


def _line(
    row: Row,
    evidence: Row | None,
    failure: OneFailure | None,
    total: int,
    since: str,
    settings: JudgeSettings,
    known: Known,
) -> Row:
    counts = {verdict: int(row[verdict.value]) for verdict in Verdict}
    rows = sum(counts.values())
    owner = owner_in(evidence, known.since) if evidence else Owner()
    line = {"domain": row["domain"], "rows": rows, "share": rows / total, **(evidence or {})}
    line |= judged(counts, since, settings, owner, failure)
    if evidence:
        line |= {"reregistered": reregistration(owner.registered_at, known.since), "hands": owner.hands.value}
    return line | {"swap_suspected": line["swap_suspected"] and row["domain"] is not None}
