"""Is the exposure of real lists measured exactly?

Five published lists, and a name server on loopback that declares a seeded 1% of their domains dead. The
truth is computed here from the lists alone, in the plainest way; shares and the cost curve that `domains`
measured must be equal to it, domain by domain.

    python benchmarks/exposure.py
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq
from _common import LISTS, Goal, fresh, machine, shared_data, show, verdict_on
from _dns import QuickDns, Zones

from poisonscan.config import Config, DomainSettings
from poisonscan.domains.evidence import Registration, RegistryState
from poisonscan.fetch.url import domain_of, is_sold
from poisonscan.registry.tables import prices
from poisonscan.stages.domains.run import survey_domains

if TYPE_CHECKING:
    from poisonscan.stages.domains.run import DomainReport

DEAD = 0.01
BUDGETS = (100, 1_000, 10_000)
SHARES = (0.0001, 0.001)
_LONGEST_LABEL = 63

Offer = tuple[str, int, int]
"""Domain, rows and US cents."""


def main() -> int:
    """Measure every list and compare with the truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the dead domains (default: 0)")
    asked = parser.parse_args()
    folder = fresh("exposure")
    print(machine())
    lines, costs, goals = [], [], []
    for name in LISTS:
        path = shared_data("url_lists", f"{name}.parquet")
        counts = Counter(domain_of(url or "") for url in pd.read_parquet(path, columns=["url"])["url"])
        dead = _draw(counts, asked.seed)
        with QuickDns(Zones(dead=frozenset(dead))) as server:
            settings = DomainSettings(nameserver=server.address, registration=False)
            report = survey_domains(str(path), folder / f"{name}.parquet", config=Config(domains=settings))
        offers = _offers(counts, dead)
        total = counts.total()
        lines.append(_line(name, report, dead))
        costs.append([name, *_points(offers, total)])
        goals.append(_goal(name, report, counts, offers, dead))
    columns = (
        "list",
        "rows",
        "domains",
        "hosts",
        "top 1",
        "top 10",
        "top 100",
        "half in",
        "dead",
        "rows there",
    )
    show("domains of five lists", columns, lines)
    titles = [f"share for USD {usd:,}" for usd in BUDGETS] + [f"USD for {share:.2%}" for share in SHARES]
    show("what it costs", ("list", *titles), costs)
    return verdict_on(goals)


def _draw(counts: Counter[str | None], seed: int) -> set[str]:
    """1% of the domains that somebody can register and DNS can hold."""
    names = sorted(name for name in counts if name and is_sold(name) and _holds(name))
    return set(Random(seed).sample(names, round(len(names) * DEAD)))


def _holds(name: str) -> bool:
    return name.isascii() and all(0 < len(label) <= _LONGEST_LABEL for label in name.split("."))


def _offers(counts: Counter[str | None], dead: set[str]) -> list[Offer]:
    """What is for sale, the cheapest rows first."""
    table = prices(None, DomainSettings().other_price)
    asked = Registration(RegistryState.NOT_ASKED)
    found = [(name, counts[name], cents) for name in dead if (cents := table.of(name, asked)) is not None]
    return sorted(found, key=lambda offer: (offer[2] / offer[1], -offer[1], offer[0]))


def _points(offers: list[Offer], total: int) -> list[str]:
    """The points of the curve, by walking along it."""
    cells = []
    for usd in BUDGETS:
        spent = rows = 0
        for _, n, cents in offers:
            if spent + cents > usd * 100:
                break
            spent, rows = spent + cents, rows + n
        cells.append(f"{rows / total:.4%}")
    for share in SHARES:
        spent = rows = 0
        for _, n, cents in offers:
            if rows >= share * total:
                break
            spent, rows = spent + cents, rows + n
        cells.append(f"{spent / 100:,.0f}" if rows >= share * total else "not for sale")
    return cells


def _measured_points(facts: dict[str, Any]) -> list[str]:
    shares = [f"{share:.4%}" for share in facts["share_for_usd"].values()]
    costs = ["not for sale" if usd is None else f"{usd:,.0f}" for usd in facts["usd_for_share"].values()]
    return shares + costs


def _line(name: str, report: DomainReport, dead: set[str]) -> list[object]:
    found = report.measures
    rows = found.rows_by_status["nxdomain"]
    largest = [f"{share:.1%}" for share in found.biggest.values()]
    sizes = (found.rows, found.domains, found.hosts, *largest, found.half)
    return [name, *sizes, len(dead), f"{rows / found.rows:.3%}"]


def _goal(
    name: str, report: DomainReport, counts: Counter[str | None], offers: list[Offer], dead: set[str]
) -> Goal:
    table = pq.read_table(report.files["table"])
    measured = dict(zip(table["domain"].to_pylist(), table["rows"].to_pylist(), strict=True))
    lost = sum(counts[domain] for domain in dead)
    curve = pq.read_table(report.files["curve"])
    bought = zip(
        curve["domain"].to_pylist(),
        curve["rows"].to_pylist(),
        [round(usd * 100) for usd in curve["price_usd"].to_pylist()],
        strict=True,
    )
    checks = {
        "counts": measured == dict(counts),
        "share": report.measures.rows_by_status["nxdomain"] == lost,
        "curve": list(bought) == offers,
        "points": _measured_points(dict(report.summary.details)) == _points(offers, counts.total()),
    }
    wrong = ", ".join(what for what, right in checks.items() if not right)
    return Goal(name, f"wrong: {wrong}" if wrong else "equal", "equal", not wrong)


if __name__ == "__main__":
    sys.exit(main())
