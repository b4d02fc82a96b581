"""What a page says of an audit: what the rows that were drawn guarantee, and of which domains they do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poisonscan.domains.sampling import SLACK
from poisonscan.errors import StorageError
from poisonscan.reporting.checked import json_object
from poisonscan.reporting.parquet import Row, Tables, Top, connected, one
from poisonscan.store import schema

if TYPE_CHECKING:
    from pathlib import Path

MAX_NOTICED = 12
MAX_SHORT = 12


@dataclass(frozen=True, slots=True)
class ShortLine:
    """A domain of which a swap may go unnoticed; `domain` is None for URLs that have none.

    Attributes:
        rows: that have a baseline.
        looked_at: of those drawn, the ones that gave a picture.
        confidence: that a swap of the share asked for was noticed, 0..1.
        share_noticed: the smallest share noticed as surely as asked for, 0..1; None for no share.
        why: it falls short.
    """

    domain: str | None
    rows: int
    looked_at: int
    confidence: float
    share_noticed: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Audited:
    """Everything a page shows of an audit; texts are raw.

    Attributes:
        share, confidence, notice_rows: what was to be noticed, as in `domains.sampling.Aim`.
        budget: rows to look at, at the most; None for all that were needed.
        domains, rows: that could show a swap.
        guaranteed_domains, guaranteed_rows: of which one is noticed as surely as asked for.
        drawn, answered: rows that were chosen, and those of them that gave a picture.
        noticed: domains in which enough replaced rows were drawn, most of them first: the columns of AUDIT.
        short: domains without the guarantee, those with most rows first.
    """

    share: float
    confidence: float
    notice_rows: int
    budget: int | None
    domains: int
    rows: int
    guaranteed_domains: int
    guaranteed_rows: int
    drawn: int
    answered: int
    noticed: Top[Row]
    short: Top[ShortLine]

    @property
    def complete(self) -> bool:
        """Whether the guarantee holds for every domain."""
        return self.guaranteed_domains == self.domains


def read_audited(run: Path) -> Audited | None:
    """Read what the audit of a finished check guarantees; None where the check was none.

    Raises:
        StorageError: a file is missing or damaged.
    """
    told = json_object(run / "summary.json").get("audit")
    if told is None:
        return None
    try:
        return _audited(run, told)
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"{run / 'summary.json'} lacks a value of its audit, or holds one of the wrong kind ({error!r}); "
            "repeat the check"
        ) from error


def _audited(run: Path, told: dict[str, Any]) -> Audited:
    with connected() as connection:
        tables = Tables(connection, run)
        tables.define("audit", one(run / "audit.parquet"), schema.AUDIT)
        confidence = float(told["confidence"])
        noticed = tables.top(_NOTICED, MAX_NOTICED)
        short = tables.top(_SHORT, (1 - confidence) * (1 + SLACK), MAX_SHORT)
    return Audited(
        share=float(told["share"]),
        confidence=confidence,
        notice_rows=int(told["notice_rows"]),
        budget=None if told["budget"] is None else int(told["budget"]),
        domains=int(told["domains"]),
        rows=int(told["rows"]),
        guaranteed_domains=int(told["guaranteed_domains"]),
        guaranteed_rows=int(told["guaranteed_rows"]),
        drawn=int(told["drawn"]),
        answered=int(told["answered"] or 0),
        noticed=noticed,
        short=Top(tuple(map(_short_line, short.lines)), short.total),
    )


def _short_line(line: Row) -> ShortLine:
    answered = line["answered"] or 0
    return ShortLine(
        domain=line["domain"],
        rows=line["rows"],
        looked_at=answered,
        confidence=line["confidence"],
        share_noticed=line["share_noticed"],
        why=why_short(line["needed"], line["drawn"], answered),
    )


def why_short(needed: int | None, drawn: int, answered: int) -> str:
    """Why a domain falls short of the guarantee, in words. Pure.

    Args:
        needed: rows that it takes; None where the share is fewer rows than must be noticed.
        drawn: rows that were chosen.
        answered: those of them that gave a picture.
    """
    if needed is None:
        return "too few rows to show such a share"
    if not drawn:
        return "the budget ended before it"
    if drawn < needed:
        return f"the budget ended at it: {drawn:,} of {needed:,} rows drawn"
    return f"{drawn - answered:,} of {drawn:,} drawn rows gave no picture"


_NOTICED = """
SELECT *, count(*) OVER () AS total FROM audit WHERE noticed
ORDER BY replaced DESC, risk DESC, rows DESC, domain LIMIT ?
"""
_SHORT = """
SELECT *, count(*) OVER () AS total FROM audit WHERE 1 - confidence > ?
ORDER BY rows DESC, risk DESC, domain LIMIT ?
"""
