"""What a page says of a table that `domains` wrote: who could serve the rows, and what that would cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.domains.evidence import Status
from poisonscan.domains.exposure import BUDGETS_USD, SHARES
from poisonscan.errors import StorageError
from poisonscan.reporting.parquet import Row, Tables, Top, connected, moment
from poisonscan.store import schema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

MAX_BARGAINS = 10
MAX_MOVED = 20
MAX_POINTS = 240
"""Steps of the curve that are drawn; more would not be seen."""

FAILED_DNS = ("servfail", "timeout")
FAILED_REGISTRY = ("failed", "rate_limited")


@dataclass(frozen=True, slots=True)
class StatusLine:
    """Domains and rows of one status; None for rows without a domain, or of which nothing is known."""

    status: Status | None
    domains: int
    rows: int


@dataclass(frozen=True, slots=True)
class Exposed:
    """Everything a page shows of a table of domains; texts are raw.

    Attributes:
        name: of the file.
        rows, domains: of the list.
        statuses: in the order of Status.
        buyable_domains, buyable_rows: what anybody can register today.
        buyable_usd: price of all that for a year.
        curve: US dollars a year and the share of the rows that they buy, ascending.
        shares: what the budgets BUDGETS_USD buy, share of the rows.
        costs: what the shares SHARES cost, US dollars a year; None where no money buys as much.
        bargains: cheapest rows first: the columns of COST_CURVE.
        moved: domains in new hands: domain, rows, registered_at, changes, swap_suspected.
        failed: domains of which DNS or a registry gave no answer.
        asked: domains that anybody was asked about.
        last_asked_at: when.
    """

    name: str
    rows: int
    domains: int
    statuses: Sequence[StatusLine]
    buyable_domains: int
    buyable_rows: int
    buyable_usd: float
    curve: Sequence[tuple[float, float]]
    shares: Sequence[tuple[int, float]]
    costs: Sequence[tuple[float, float | None]]
    bargains: Top[Row]
    moved: Top[Row]
    failed: int
    asked: int
    last_asked_at: datetime | None


def read_exposed(table: Path) -> Exposed:
    """Read what `domains` wrote.

    Args:
        table: FILE.parquet; FILE.curve.parquet lies beside it.

    Raises:
        StorageError: either is missing or damaged.
    """
    curve = table.with_suffix(".curve.parquet")
    for file in (table, curve):
        if not file.is_file():
            raise StorageError(f"there is no {file}; repeat `poisonscan domains`, which writes it")
    with connected() as connection:
        tables = Tables(connection, table)
        tables.define("domains", [table], schema.DOMAINS)
        tables.define("curve", [curve], schema.COST_CURVE)
        (sums,) = tables.ask(_SUMS, FAILED_DNS, FAILED_REGISTRY)
        (bought,) = tables.ask(_BOUGHT)
        return Exposed(
            name=table.name,
            rows=sums["rows"],
            domains=sums["domains"],
            statuses=_statuses(tables, table),
            buyable_domains=bought["domains"],
            buyable_rows=bought["rows"],
            buyable_usd=bought["usd"],
            curve=[(line["usd"], line["share"]) for line in tables.ask(_CURVE, MAX_POINTS)],
            shares=[(usd, tables.ask(_SHARE_FOR, usd)[0]["share"]) for usd in BUDGETS_USD],
            costs=[(share, tables.ask(_COST_OF, share)[0]["usd"]) for share in SHARES],
            bargains=tables.top(_BARGAINS, MAX_BARGAINS),
            moved=_moved(tables),
            failed=sums["failed"],
            asked=sums["asked"],
            last_asked_at=moment(sums["last_ms"]),
        )


def _statuses(tables: Tables, table: Path) -> list[StatusLine]:
    known = [status.value for status in Status]
    lines = tables.ask(_STATUSES)
    strange = [line["status"] for line in lines if line["status"] not in (None, *known)]
    if strange:
        raise StorageError(
            f"{table} holds the unknown status {strange[0]!r}; read it with the version that wrote it"
        )
    by_status = {line["status"]: line for line in lines}
    return [
        StatusLine(status, by_status[status]["domains"], by_status[status]["rows"])
        for status in (*Status, None)
        if status in by_status
    ]


def _moved(tables: Tables) -> Top[Row]:
    found = tables.top(_MOVED, MAX_MOVED)
    lines = [{**line, "registered_at": moment(line["registered_ms"])} for line in found.lines]
    return Top(tuple(lines), found.total)


_SUMS = """
SELECT coalesce(sum(rows), 0)::BIGINT AS rows, count(domain) AS domains,
       count(*) FILTER (dns_asked_at IS NOT NULL OR registry_asked_at IS NOT NULL) AS asked,
       count(*) FILTER (list_contains(?, dns) OR list_contains(?, registration)) AS failed,
       epoch_ms(max(greatest(dns_asked_at, registry_asked_at))) AS last_ms
FROM domains
"""
_BOUGHT = """
SELECT count(*) AS domains, coalesce(sum(rows), 0)::BIGINT AS rows, coalesce(max(total_usd), 0.0) AS usd
FROM curve
"""
_STATUSES = """
SELECT status, count(*) AS domains, sum(rows)::BIGINT AS rows FROM domains GROUP BY status
"""
_CURVE = """
WITH counted AS (SELECT *, count(*) OVER () AS n FROM curve)
SELECT total_usd AS usd, total_share AS share FROM counted
WHERE rank = 1 OR rank = n OR rank % greatest(1, n // ?) = 0 ORDER BY rank
"""
_SHARE_FOR = "SELECT coalesce(max(total_share), 0.0) AS share FROM curve WHERE total_usd <= ? + 1e-6"
_COST_OF = "SELECT min(total_usd) AS usd FROM curve WHERE total_share >= ? - 1e-12"
_BARGAINS = "SELECT *, count(*) OVER () AS total FROM curve ORDER BY rank LIMIT ?"
_MOVED = """
SELECT domain, rows, epoch_ms(registered_at) AS registered_ms, changes, warnings, swap_suspected,
       count(*) OVER () AS total
FROM domains WHERE reregistered OR hands = 'new'
ORDER BY swap_suspected DESC NULLS LAST, rows DESC, domain LIMIT ?
"""
