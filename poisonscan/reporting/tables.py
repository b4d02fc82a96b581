"""Questions to the Parquet of a check and its snapshot; of pictures one at a time."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from poisonscan.errors import StorageError
from poisonscan.records import Group, Verdict
from poisonscan.reporting.parquet import Row, Tables, Top, connected, one, parts
from poisonscan.reporting.words import verdicts_in
from poisonscan.store import schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

ROWS_PER_FOOTPRINT = 3
"""Rows of one footprint shown; a watermark has thousands, and they look the same."""

_SUSPICIOUS = [verdict.value for verdict in verdicts_in(Group.SUSPICIOUS)]
_UNANSWERED = [verdict.value for group in (Group.LOST, Group.UNKNOWN) for verdict in verdicts_in(group)]


@dataclass(frozen=True, slots=True)
class DomainLine:
    """One line of domains.parquet; `domain` is None for URLs that have none."""

    domain: str | None
    rows: int
    score: float
    swap_suspected: bool
    reasons: tuple[str, ...]
    counts: Mapping[Verdict, int]

    @property
    def suspicious(self) -> int:
        """Rows with a suspicious verdict."""
        return sum(count for verdict, count in self.counts.items() if verdict.group is Group.SUSPICIOUS)


@dataclass(frozen=True, slots=True)
class ReasonLine:
    """Rows without an answer that share a verdict and a reason."""

    verdict: Verdict
    reason: str
    rows: int


class RunTables(Tables):
    """The tables of one run. Tables that a run need not have are empty when absent.

    Args:
        connection: a DuckDB connection of its own.
        run: the run folder.
        snapshot: its snapshot's folder, if the kept pictures are to be shown.

    Raises:
        StorageError: from every method: a file is damaged or cannot be read.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, run: Path, snapshot: Path | None) -> None:
        super().__init__(connection, run)
        self.define("verdicts", parts(run / "verdicts"), schema.VERDICTS)
        self.define("quarantine", parts(run / "quarantine"), schema.QUARANTINE)
        self.define("domains", one(run / "domains.parquet"), schema.DOMAINS)
        self.define("members", one(run / "members.parquet"), schema.MEMBERS)
        self.define("originals", parts(snapshot / "bytes") if snapshot else [], schema.BYTES)

    @classmethod
    @contextmanager
    def open(cls, run: Path, snapshot: Path | None) -> Iterator[Self]:
        """The tables for the length of a `with` block."""
        with connected() as connection:
            yield cls(connection, run, snapshot)

    def counts(self) -> dict[Verdict, int]:
        """Rows by verdict, verdicts without rows left out."""
        lines = self.ask("SELECT verdict, count(*) AS rows FROM verdicts GROUP BY verdict")
        return {self.verdict(line["verdict"]): line["rows"] for line in lines}

    def suspected_domains(self, limit: int) -> Top[DomainLine]:
        """Domains suspected of serving other pictures, the most certain first."""
        return self._domains("swap_suspected", "score DESC, suspicious DESC, domain", limit)

    def domains_with_suspicious_rows(self, limit: int) -> Top[DomainLine]:
        """Domains with any suspicious row, those with most of them first."""
        return self._domains("suspicious > 0", "suspicious DESC, score DESC, domain", limit)

    def warned_domains(self, limit: int) -> Top[Row]:
        """Domains in new hands that are not suspected, those of most rows first: domain, rows, warnings."""
        return self.top(
            "SELECT domain, rows, warnings, count(*) OVER () AS total FROM domains"
            " WHERE len(warnings) > 0 ORDER BY rows DESC, domain LIMIT ?",
            limit,
        )

    def unanswered(self, limit: int) -> Top[ReasonLine]:
        """Why rows have no answer, the commonest reasons first."""
        found = self.top(
            "SELECT verdict, reason, count(*) AS rows, count(*) OVER () AS total FROM verdicts"
            " WHERE verdict = ANY(?) GROUP BY verdict, reason ORDER BY rows DESC, verdict, reason LIMIT ?",
            _UNANSWERED,
            limit,
        )
        told = (ReasonLine(self.verdict(one["verdict"]), one["reason"], one["rows"]) for one in found.lines)
        return Top(tuple(told), found.total)

    def telling_rows(self, limit: int) -> Top[Row]:
        """Changed rows whose new picture was kept: verdicts in turn, in each its domains in turn.

        Within a domain the highest score comes first. Of each footprint only the first ROWS_PER_FOOTPRINT
        are taken, since its finding tells the rest. `total` counts all changed rows.

        Returns:
            the columns of VERDICTS, `fetched_ms` (UTC, milliseconds since 1970) in place of `fetched_at`,
            and `part`, the quarantine file that holds the row.
        """
        return self.top(_TELLING_ROWS, _SUSPICIOUS, ROWS_PER_FOOTPRINT, limit)

    def evidence(self, row: int, part: str) -> Row:
        """The quarantine line of one row, with both fingerprints and the bytes served."""
        line = self.ask("SELECT * FROM quarantine WHERE filename = ? AND row = ? LIMIT 1", part, row)[0]
        self._check_digest(line["bytes"], line["new_sha256"], f"{part}, row {row}")
        return line

    def kept_originals(self, digests: Sequence[str]) -> dict[str, str]:
        """Which of the pictures with these SHA-256 digests the snapshot holds: digest to file."""
        lines = self.ask(
            "SELECT sha256, min(filename) AS part FROM originals WHERE sha256 = ANY(?) GROUP BY sha256",
            list(digests),
        )
        return {line["sha256"]: line["part"] for line in lines}

    def original(self, digest: str, part: str) -> bytes:
        """The bytes of one kept picture."""
        query = "SELECT bytes FROM originals WHERE filename = ? AND sha256 = ? LIMIT 1"
        line = self.ask(query, part, digest)[0]
        self._check_digest(line["bytes"], digest, part)
        return bytes(line["bytes"])

    def _domains(self, condition: str, order: str, limit: int) -> Top[DomainLine]:
        total_suspicious = " + ".join(map(_rows_of, _SUSPICIOUS))
        found = self.top(
            f"SELECT {_DOMAIN_COLUMNS}, {total_suspicious} AS suspicious, count(*) OVER () AS total"  # noqa: S608 - all our own names
            f" FROM domains WHERE {condition} ORDER BY {order} LIMIT ?",
            limit,
        )
        return Top(tuple(_domain_line(line) for line in found.lines), found.total)

    def _check_digest(self, body: bytes, digest: str | None, where: str) -> None:
        if digest is not None and hashlib.sha256(body).hexdigest() != digest:
            raise StorageError(
                f"{where}: the kept picture does not fit its SHA-256; restore it or repeat the run"
            )


def _rows_of(verdict: str) -> str:
    """The count of a verdict; tables of a version that did not have it yet hold none of it."""
    return f"coalesce({verdict}, 0)"


_DOMAIN_COLUMNS = ", ".join(
    (
        *("domain", "rows", "score", "swap_suspected", "reasons"),
        *(f"{_rows_of(verdict)} AS {verdict}" for verdict in Verdict),
    )
)
"""What is shown of a domain; no moment is among it, which DuckDB would read only with pytz."""

_TELLING_ROWS = """
WITH kept AS (SELECT row, min(filename) AS part FROM quarantine GROUP BY row),
footprint AS (
    SELECT row, min(finding_id) AS name FROM members WHERE finding_id LIKE 'footprint-%' GROUP BY row
),
changed AS (
    SELECT row, part, verdict, domain, score, name, count(*) OVER () AS total,
           row_number() OVER (PARTITION BY name ORDER BY score DESC NULLS LAST, row) AS copy
    FROM verdicts JOIN kept USING (row) LEFT JOIN footprint USING (row) WHERE verdict = ANY(?)
),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY verdict, domain ORDER BY score DESC NULLS LAST, row) AS turn
    FROM changed WHERE name IS NULL OR copy <= ?
),
seated AS (
    SELECT *, row_number() OVER (PARTITION BY verdict ORDER BY turn, score DESC NULLS LAST, row) AS seat
    FROM ranked
),
chosen AS (SELECT row, part, seat, total FROM seated ORDER BY seat, score DESC NULLS LAST, row LIMIT ?)
SELECT verdicts.* EXCLUDE (fetched_at), epoch_ms(fetched_at) AS fetched_ms, part, total
FROM verdicts JOIN chosen USING (row) ORDER BY seat, score DESC NULLS LAST, row
"""


def _domain_line(line: Row) -> DomainLine:
    return DomainLine(
        domain=line["domain"],
        rows=line["rows"],
        score=line["score"],
        swap_suspected=line["swap_suspected"],
        reasons=tuple(line["reasons"]),
        counts={verdict: line[verdict.value] for verdict in Verdict},
    )
