"""Does an audit by sample keep its promise, and what does it save on real lists?

Five published lists; nothing is fetched. For each: how many rows a plan takes to notice, with 99%, any domain
of which 30% was swapped, and what part of the list is guaranteed for a budget of a tenth of its rows. Then
every domain is swapped, in its first 30% of rows as they stand in the list, and rows are drawn with SEEDS
different seeds: how many domains does a draw miss, against what was promised?

    python benchmarks/auditing.py --seeds 40
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from _common import LISTS, Goal, fresh, machine, shared_data, show, verdict_on

from poisonscan.domains.sampling import Aim, confidence_reached, rows_needed
from poisonscan.fetch.url import domain_of
from poisonscan.files import file_digest
from poisonscan.records import SCHEMA_VERSION
from poisonscan.stages.check.audit import Audit
from poisonscan.stages.check.plan import drawn_rows, plan_audit
from poisonscan.stages.sealed import finished_snapshot, rows_parts
from poisonscan.store.folder import FINISHED, document_digest
from poisonscan.store.schema import FINGERPRINTED

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

AIM = Aim(share=0.3, confidence=0.99)
BUDGET = 0.1
_SLACK = 4  # standard deviations of chance that a count may lie above its expectation


def main() -> int:
    """Plan every list, then try the promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40, help="draws a list (default: 40)")
    asked = parser.parse_args()
    folder = fresh("auditing")
    print(machine())
    plans, tries, goals = [], [], []
    for name in LISTS:
        urls = pd.read_parquet(shared_data("url_lists", f"{name}.parquet"), columns=["url"])["url"]
        domains = np.array([domain_of(url or "") or "" for url in urls])
        snapshot = _snapshot(folder / name, domains)
        plans.append((name, *_planned(snapshot, len(domains))))
        missed, expected, deviation, trials = _tried(snapshot, domains, folder, asked.seeds)
        tries.append((name, trials, missed, round(expected, 1), f"{missed / trials:.3%}"))
        goals.append(
            Goal(
                f"{name}: swapped domains missed, of {trials:,}",
                f"{missed:,}",
                f"{expected:,.1f} + {_SLACK} sd",
                met=missed <= expected + _SLACK * deviation and expected <= (1 - AIM.confidence) * trials,
            )
        )
    columns = ("list", "rows", "domains", "rows needed", "share", "domains for a tenth", "rows they have")
    show("plans: 30% of a domain, 99%", columns, plans)
    show("every domain swapped", ("list", "domains x draws", "missed", "expected", "share missed"), tries)
    return verdict_on(goals)


def _snapshot(folder: Path, domains: NDArray[np.str_]) -> Path:
    """What a plan reads of a snapshot: rows, their domains, and that each has a baseline."""
    (folder / "rows").mkdir(parents=True)
    states = pa.array([FINGERPRINTED] * len(domains))
    names = pa.array([name or None for name in domains.tolist()], pa.string())
    table = pa.table({"row": np.arange(len(domains)), "domain": names, "state": states})
    pq.write_table(table, folder / "rows" / "00000.parquet")
    document = {"schema_version": SCHEMA_VERSION, "state": FINISHED, "rows": len(domains)}
    document |= {"parts": {"rows/00000.parquet": file_digest(folder / "rows" / "00000.parquet")}}
    document["digest"] = document_digest(document)
    (folder / "snapshot.json").write_text(json.dumps(document))
    return folder


def _planned(snapshot: Path, rows: int) -> tuple[object, ...]:
    whole = plan_audit(snapshot, Audit(AIM)).details["audit"]
    tenth = plan_audit(snapshot, Audit(AIM, budget=max(1, int(BUDGET * rows)))).details["audit"]
    share = f"{whole['needed'] / rows:.1%}"
    covered = f"{tenth['guaranteed_rows'] / rows:.1%}"
    return rows, whole["domains"], whole["needed"], share, tenth["guaranteed_domains"], covered


def _tried(
    snapshot: Path, domains: NDArray[np.str_], folder: Path, seeds: int
) -> tuple[int, float, float, int]:
    """How many swapped domains the draws missed, how many they may miss, and of how many."""
    names, place, sizes = np.unique(domains, return_inverse=True, return_counts=True)
    order = np.argsort(place, kind="stable")
    rank = np.empty(len(domains), np.int64)
    rank[order] = np.arange(len(domains)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    limits = np.array([AIM.swapped(size) for size in sizes.tolist()])
    swapped = rank < limits[place]
    chance = {
        size: 1 - confidence_reached(size, rows_needed(size, AIM) or 0, AIM) for size in set(sizes.tolist())
    }
    expected = np.array([chance[size] for size in sizes.tolist()])
    missed, parts = 0, rows_parts(snapshot, finished_snapshot(snapshot))
    for seed in range(seeds):
        rows = drawn_rows(parts, Audit(AIM), seed, folder)
        noticed = np.unique(place[rows[swapped[rows]]])
        missed += len(names) - len(noticed)
    deviation = float(np.sqrt(seeds * np.sum(expected * (1 - expected))))
    return missed, float(seeds * expected.sum()), deviation, len(names) * seeds


if __name__ == "__main__":
    sys.exit(main())
