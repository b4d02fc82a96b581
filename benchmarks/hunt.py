"""What `hunt` finds on poisoned sets of real photos, and at which price.

    python benchmarks/hunt.py                                   every attack, 0.5% and 0.2%, three seeds
    python benchmarks/hunt.py --attack stamp_25 --rate 0.002 --seeds 1
    python benchmarks/hunt.py --together --seeds 1              all attacks in one set: one hunt a case
    python benchmarks/hunt.py --show                            what was measured so far
    python benchmarks/hunt.py --growth                          seconds and memory from 1,000 pictures to all

Every set holds each kind of hard negative at 2% of its rows. Recall and precision are about the rows in
findings that raise the alarm and are of the right kind (a patch that a detector of overlays finds does not
count). A case takes minutes: results are kept in the cache folder, a run that was stopped goes on where it
was, and cases that are there are not measured again unless `--again` is given.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np
from _cases import asked_attacks, case_flags
from _common import CACHE, Goal, machine, show, verdict_on
from _poisoned import (
    RATES,
    Base,
    Case,
    PoisonedSet,
    attack_names,
    base_set,
    digest,
    doubled,
    limited,
    poisoned_set,
    recipe,
)
from _results import Result, Results

import poisonscan.hunt
from poisonscan.config import HuntSettings
from poisonscan.hunt.detectors import detectors, lacking
from poisonscan.hunt.merge import merge
from poisonscan.hunt.model import SIDE
from poisonscan.redteam import poison

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from poisonscan.hunt.merge import Ranked
    from poisonscan.hunt.model import Corpus

RESULTS = Results(CACHE / "hunt.jsonl")
PIXEL_DETECTORS = "recurring_patches,plain_boxes,mosaics,colour_steps,overlays,duplicates"
GOALS = {
    "stamp_50": (0.95, 0.90),
    "stamp_25": (0.85, 0.80),
    "badnets_16": (0.85, 0.80),
    "universal_patch": (0.95, 0.90),
    "universal_blend": (0.80, 0.80),
    "blended_0.2": (0.80, 0.80),
    "baddiffusion_box": (0.95, 0.90),
    "baddiffusion_sign": (0.95, 0.90),
    "baddiffusion_glasses": (0.95, 0.90),
}
_STOPPED = 130
TARGET = " target"
"""What the name of an attack goes on with for the rows that show its target picture."""


@dataclass(frozen=True)
class Measured:
    """One hunt, seen from one attack.

    Attributes:
        attack: its name; empty for a set without poison.
        count: poisoned rows.
        recall: share of them in alarms of the right kind.
        precision: share of poisoned rows among the rows of those alarms; 1 where there are none.
        in_budget: share of them among the first rows of the ranked list, twice as many as there are.
        findings: of the right kind that name one of them, alarms or not.
        false: alarms without a poisoned row.
        seconds: of the whole hunt.
    """

    attack: str
    count: int
    recall: float
    precision: float
    in_budget: float
    findings: int
    false: int
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the flags ask for; exit code 0 when every goal that was measured is met, 130 when stopped."""
    asked = _flags().parse_args(argv)
    print(machine())
    base = base_set(asked.limit)
    if asked.growth:
        return _growth(base, asked.detectors)
    set_of = {"pictures": len(base.samples), "detectors": asked.detectors}
    if not asked.show:
        try:
            _measure(base, list(_cases(asked, base)), set_of, again=asked.again)
        except KeyboardInterrupt:
            _report(set_of)
            print("stopped; the same command goes on from here")
            return _STOPPED
    return _report(set_of)


def _flags() -> argparse.ArgumentParser:
    parser = case_flags(__doc__)
    parser.add_argument("--detectors", default=PIXEL_DETECTORS, help="as the flag of hunt; all: every one")
    parser.add_argument("--together", action="store_true", help="all attacks in one set")
    parser.add_argument("--show", action="store_true", help="measure nothing, print what is there")
    parser.add_argument("--growth", action="store_true", help="measure cost at several sizes instead")
    return parser


def _cases(asked: argparse.Namespace, base: Base) -> Iterator[Case]:
    """The cases that the flags ask for; last of each seed the one without poison."""
    names = asked_attacks(asked, attack_names(base))
    for seed in range(asked.seeds):
        for rate in asked.rate or RATES:
            for part in [names] if asked.together else [[name] for name in names]:
                yield Case(tuple(part), rate, seed)
        yield Case((), 0, seed)


def _measure(base: Base, cases: Sequence[Case], set_of: dict[str, object], *, again: bool) -> None:
    """Hunt in every case that has no result yet, and keep what came out."""
    identities = [set_of | asdict(case) | {"attacks": list(case.attacks)} for case in cases]
    code = _code()  # what is imported now, whatever is edited while this runs
    for case, identity in zip(cases, identities, strict=True):
        if again:
            RESULTS.drop(**identity)
        if RESULTS.of(**identity):
            continue
        measured = _hunt(poisoned_set(base, case), case, str(set_of["detectors"]))
        for one in measured:
            print(f"{one} rate {case.rate} seed {case.seed}", flush=True)
        kept = {"code": code, "peak_mib": _peak_mib(), "measured": [asdict(one) for one in measured]}
        RESULTS.add(identity | kept)


def _code() -> str:
    """Digest of what a result depends on."""
    return digest(Path(str(poisonscan.hunt.__file__)).parent.glob("*.py")) + recipe()


def _hunt(dataset: PoisonedSet, case: Case, chosen: str) -> list[Measured]:
    """One hunt; one result an attack and one for each target, or one alone where there is no attack."""
    settings = HuntSettings(detectors=chosen)
    corpus = dataset.corpus()
    started = time.perf_counter()
    ranked = _ranked(corpus, settings)
    seconds = time.perf_counter() - started
    _tell_false(dataset, ranked)
    roles = [role for name in case.attacks for role in (name, name + TARGET) if dataset.rows_of(role)]
    return [_measured(role, dataset, ranked, seconds) for role in roles or [""]]


def _ranked(corpus: Corpus, settings: HuntSettings) -> list[Ranked]:
    found = []
    for detector in detectors(settings):
        if not lacking(detector, corpus):
            suspicions = detector.find(corpus, np.random.default_rng(settings.seed))
            found += [(detector.name, suspicion) for suspicion in suspicions]
    return merge(found, corpus.keys, settings)


def _measured(role: str, dataset: PoisonedSet, ranked: Sequence[Ranked], seconds: float) -> Measured:
    poisoned, any_poison = dataset.rows_of(role), dataset.poison()
    kinds = set(dataset.changes.kinds[dataset.changes.roles == role].tolist())
    alarms = _about([one for one in ranked if one.alarm])
    named = set[int]().union(*(rows for kind, rows in alarms if kind in kinds and rows & poisoned))
    listed = list(dict.fromkeys(carrier.row for one in ranked for carrier in one.suspicion.carriers))
    return Measured(
        attack=role,
        count=len(poisoned),
        recall=len(named & poisoned) / max(1, len(poisoned)),
        precision=len(named & any_poison) / len(named) if named else 1.0,
        in_budget=len(set(listed[: 2 * len(any_poison)]) & poisoned) / max(1, len(poisoned)),
        findings=sum(kind in kinds and bool(rows & poisoned) for kind, rows in _about(ranked)),
        false=sum(not rows & any_poison for _, rows in alarms),
        seconds=seconds,
    )


def _about(ranked: Sequence[Ranked]) -> list[tuple[str, set[int]]]:
    """Kind and rows of each finding."""
    found = [one.suspicion for one in ranked]
    return [(one.kind.value, {carrier.row for carrier in one.carriers}) for one in found]


def _tell_false(dataset: PoisonedSet, ranked: Sequence[Ranked]) -> None:
    """What the false alarms are about, on standard error."""
    role = dict(zip(dataset.changes.rows.tolist(), dataset.changes.roles.tolist(), strict=True))
    for one in ranked:
        found = one.suspicion
        rows = {carrier.row for carrier in found.carriers}
        if one.alarm and not rows & dataset.poison():
            roles = Counter(role.get(row, "untouched") for row in rows)
            print(f"false alarm: {found.kind} {found.summary}; {dict(roles)}", file=sys.stderr)


def _report(set_of: dict[str, object]) -> int:
    """Tables and goals of everything that was measured on this set with these detectors."""
    results = RESULTS.of(**set_of)
    measured = [(result, Measured(**one)) for result in results for one in result["measured"]]
    if not measured:
        print("nothing measured yet")
        return 1
    poisoned = [(result, one) for result, one in measured if one.attack]
    clean = [one for _, one in measured if not one.attack]
    _table(poisoned)
    alarms = ", ".join(str(one.false) for one in clean) or "not measured yet"
    print(f"false alarms without poison, with hard negatives: {alarms}")
    print(f"peak memory {max(result['peak_mib'] for result in results)} MiB")
    old = sum(result["code"] != _code() for result in results)
    if old:
        print(f"{old} of {len(results)} cases are older than the code of hunt; --again measures them anew")
    alone = [one for result, one in poisoned if len(result["attacks"]) == 1]
    return verdict_on(_goals(alone or [one for _, one in poisoned], clean))


def _table(poisoned: Sequence[tuple[Result, Measured]]) -> None:
    by_case: dict[tuple[str, int, str], list[Measured]] = {}
    for result, one in poisoned:
        company = "alone" if len(result["attacks"]) == 1 else "with others"
        by_case.setdefault((one.attack, one.count, company), []).append(one)
    columns = ("recall", "precision", "in_budget", "findings", "false", "seconds")
    show(
        "rows in alarms of the right kind, means over seeds",
        ("attack", "rows", "in the set", "seeds", *(name.replace("_", " ") for name in columns)),
        [
            (*case, len(same), *(float(mean(getattr(one, name) for one in same)) for name in columns))
            for case, same in sorted(by_case.items())
        ],
    )


def _goals(measured: Sequence[Measured], clean: Sequence[Measured]) -> list[Goal]:
    goals = []
    for name, (recall, precision) in GOALS.items():
        same = [one for one in measured if one.attack == name]
        if same:
            got = mean(one.recall for one in same), mean(one.precision for one in same)
            words = f"{name}: recall, precision"
            target = f">= {recall:.0%}, >= {precision:.0%}"
            met = got[0] >= recall and got[1] >= precision
            goals.append(Goal(words, f"{got[0]:.1%}, {got[1]:.1%}", target, met))
    shown = [one for one in measured if one.attack.endswith(TARGET)]
    if shown:
        once = sum(one.findings == 1 for one in shown)
        words = f"{once} of {len(shown)}, {sum(one.recall > 0 for one in shown)} with an alarm"
        goals.append(Goal("target picture as one finding", words, "all", once == len(shown)))
    if clean:
        worst = max(one.false for one in clean)
        goals.append(Goal("false alarms on a set without poison", str(worst), "<= 2", worst <= 2))  # noqa: PLR2004
    return goals


def _growth(base: Base, chosen: str) -> int:
    """Seconds of a hunt at three sizes, and at twice the photos by mirroring every one."""
    lines = []
    for part in (limited(base, 1000), limited(base, 2000), base, doubled(base)):
        case = Case((), 0, 0)
        (one,) = _hunt(poisoned_set(part, case), case, chosen)
        n = len(part.samples)
        lines.append((f"{n:,}", one.seconds, 1000 * one.seconds / n, _peak_mib()))
    show("growth", ("pictures", "seconds", "ms a picture", "peak MiB so far"), lines)
    return 0


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


if __name__ == "__main__":
    assert SIDE == poison.SIDE  # noqa: S101 - the red team and the detectors mean the same pictures
    sys.exit(main())
