"""Known detectors on the same poisoned sets as `benchmarks/hunt.py`, with ours beside them.

    python benchmarks/hunt_peers.py                               every attack, 0.5% and 0.2%, three seeds
    python benchmarks/hunt_peers.py --attack stamp_50 --rate 0.005 --seeds 1

- k-distance, SLOF and DAO as published (Huang et al., ICLR 2025; k = 16), each the score alone: against all
  other rows, within random batches of 1,024 (as their code does), and against eight random references of 256.
- Spectral signatures (Tran et al. 2018) and activation clustering (Chen et al. 2018) of ART, in an
  environment of its own that is installed when it is first needed. They get the labels as well, which
  detectors of pixels do not. ART projects features as they are, the paper centres them first: both are shown.

All of them see the features of the frozen encoder, since nobody has trained a model on the poison. AUROC: of
stamped rows against the rows that are no poison. Recall: of the stamped rows among as many rows as twice the
poison, equal scores in random order. Ours is taken from what `benchmarks/hunt.py` has measured so far.
"""

from __future__ import annotations

import subprocess
import sys
import time
import venv
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np
from _cases import asked_attacks, case_flags
from _common import CACHE, fresh, machine, show
from _poisoned import RATES, Base, Case, PoisonedSet, attack_names, base_set, normalised, poisoned_set
from _results import Results
from hunt import PIXEL_DETECTORS, RESULTS
from scipy.stats import rankdata

from poisonscan.hunt.outliers import mean_scores, scores_against

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from _results import Result
    from numpy.typing import NDArray

    from poisonscan.hunt.model import Floats

    Scores = NDArray[np.float64]

PEERS = Results(CACHE / "hunt-peers.jsonl")
NEEDS = ("adversarial-robustness-toolbox==1.20.1", "packaging")  # it imports packaging without asking for it
NEIGHBOURS, BATCH, REFERENCE, DRAWS = 16, 1_024, 256, 8
PUBLISHED = ("k-distance", "SLOF", "DAO")
OURS = "poisonscan hunt"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what has no result yet, then print everything that was measured."""
    asked = case_flags(__doc__).parse_args(argv)
    print(machine())
    base = base_set(asked.limit)
    n = len(base.samples)
    for case in _cases(asked, attack_names(base)):
        identity = {"pictures": n, "attack": case.attacks[0], "rate": case.rate, "seed": case.seed}
        if asked.again:
            PEERS.drop(**identity)
        if not PEERS.of(**identity):
            PEERS.add(identity | {"methods": list(_measured(base, case))})
            print(f"measured: {identity}", flush=True)
    for rate in sorted({result["rate"] for result in PEERS.of(pictures=n)}, reverse=True):
        _report(n, rate)
    return 0


def _cases(asked: argparse.Namespace, known: Sequence[str]) -> Iterator[Case]:
    names = asked_attacks(asked, known)
    for seed in range(asked.seeds):
        for rate in asked.rate or RATES:
            for name in names:
                yield Case((name,), rate, seed)


def _measured(base: Base, case: Case) -> Iterator[Result]:
    """AUROC, recall and seconds of every method on one set."""
    dataset = poisoned_set(base, case)
    stamped, poison = dataset.rows_of(case.attacks[0]), dataset.poison()
    others = np.array(sorted(set(range(len(base.samples))) - poison))
    rows = np.array(sorted(stamped))
    for name, scores, seconds in (*_outliers(dataset, case.seed), *_of_art(dataset, case.seed)):
        yield {
            "method": name,
            "auroc": auroc(scores[rows], scores[others]),
            "recall": recall_within(scores, rows, 2 * len(poison)),
            "seconds": seconds,
        }


def auroc(poisoned: Scores, others: Scores) -> float:
    """Chance that a poisoned row scores above another one, half of a tie: Mann and Whitney's U."""
    ranks = rankdata(np.concatenate([poisoned, others]))[: len(poisoned)]
    return float((ranks.sum() / len(poisoned) - (len(poisoned) + 1) / 2) / len(others))


def recall_within(scores: Scores, rows: NDArray[np.int64], budget: int) -> float:
    """Expected share of the rows among the `budget` highest scores, equal scores in random order."""
    limit = np.sort(scores)[::-1][min(budget, len(scores)) - 1]
    above, equal = scores > limit, scores == limit
    share = (min(budget, len(scores)) - above.sum()) / equal.sum()
    return float((above[rows].sum() + share * equal[rows].sum()) / len(rows))


def _outliers(dataset: PoisonedSet, seed: int) -> Iterator[tuple[str, Scores, float]]:
    """The published outlier scores; the seconds are those of all of them together."""
    vectors = normalised(dataset.vectors())
    rng = np.random.default_rng(seed)
    for words, reference in (
        ("all rows", lambda: scores_against(vectors, np.arange(len(vectors)), NEIGHBOURS)),
        (f"batches of {BATCH:,}", lambda: in_batches(vectors, BATCH, rng)),
        (
            f"{DRAWS} references of {REFERENCE}",
            lambda: mean_scores(vectors, REFERENCE, NEIGHBOURS, DRAWS, rng),
        ),
    ):
        started = time.perf_counter()
        scored = reference()
        seconds = time.perf_counter() - started
        yield from ((f"{name}, {words}", scored[name], seconds) for name in PUBLISHED)


def in_batches(vectors: Floats, size: int, rng: np.random.Generator) -> dict[str, Scores]:
    """Scores of rows against the other rows of their random batch; batches are as large as each other."""
    order = rng.permutation(len(vectors))
    out = {name: np.zeros(len(vectors)) for name in PUBLISHED}
    for rows in np.array_split(order, max(1, round(len(vectors) / size))):
        found = scores_against(vectors[rows], np.arange(len(rows)), NEIGHBOURS)
        for name in PUBLISHED:
            out[name][rows] = found[name]
    return out


def _of_art(dataset: PoisonedSet, seed: int) -> list[tuple[str, Scores, float]]:
    """What needs labels: ART's detectors, and spectral signatures by the paper's own formula."""
    features = dataset.vectors()
    labels = np.unique(dataset.labels(), return_inverse=True)[1]
    folder = fresh("hunt-art")
    np.savez(folder / "in.npz", features=features, labels=labels, seed=seed)
    script = Path(__file__).parent / "_detectors_of_art.py"
    command = [str(art()), "-W", "ignore", str(script), str(folder / "in.npz"), str(folder / "out.npz")]
    subprocess.run(command, check=True)  # noqa: S603 - our own script
    started = time.perf_counter()
    published = spectral_signatures(features, labels)
    seconds = time.perf_counter() - started
    with np.load(folder / "out.npz") as out:
        return [
            ("spectral signatures, ART", out["spectral"], float(out["spectral_s"])),
            ("spectral signatures, centred", published, seconds),
            ("activation clustering, ART, size", out["clusters_size"], float(out["clusters_s"])),
            ("activation clustering, ART, silhouette", out["clusters_silhouette"], float(out["clusters_s"])),
        ]


def art() -> Path:
    """Python of ART's environment, installed if it is not there yet."""
    home = CACHE.parent / "art"
    program = home / "bin" / "python"
    if not (home / "installed").exists():
        venv.create(home, with_pip=True, clear=True)
        pip = [str(program), "-m", "pip", "install", "--quiet", *NEEDS]
        subprocess.run(pip, check=True)  # noqa: S603 - the packages are named above
        (home / "installed").touch()
    return program


def spectral_signatures(features: Floats, labels: NDArray[np.int64]) -> Scores:
    """Squared projection of centred features on the first right singular vector of their class.

    Tran et al., Spectral Signatures in Backdoor Attacks (NeurIPS 2018), algorithm 1.
    """
    scores = np.zeros(len(features))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        centred = features[rows] - features[rows].mean(axis=0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        scores[rows] = (centred @ directions[0]) ** 2
    return scores


def _report(n: int, rate: float) -> None:
    """One table a measure: methods down, attacks across, means over seeds."""
    results = PEERS.of(pictures=n, rate=rate)
    names = list(dict.fromkeys(result["attack"] for result in results))
    methods = list(dict.fromkeys(one["method"] for result in results for one in result["methods"]))
    seeds = len({result["seed"] for result in results})
    measured = sum(bool(_ours(n, result)) for result in results)
    print(f"of {len(results)} sets at {rate:.1%}, benchmarks/hunt.py has measured {measured} so far")
    for measure, title in (("recall", "recall within twice the poison"), ("auroc", "AUROC")):
        ours = [(OURS, *(_mean_of_ours(n, results, name) for name in names), "")]
        lines = [
            (method, *(_mean(results, name, method, measure) for name in names), _seconds(results, method))
            for method in methods
        ]
        show(
            f"{title}; {rate:.1%}, seeds: {seeds}",
            ("method", *names, "s"),
            (ours if measure == "recall" else []) + lines,
        )


def _mean(results: Sequence[Result], attack: str, method: str, measure: str) -> str:
    same = [result["methods"] for result in results if result["attack"] == attack]
    return f"{mean(one[measure] for methods in same for one in methods if one['method'] == method):.2f}"


def _seconds(results: Sequence[Result], method: str) -> str:
    every = [one["seconds"] for result in results for one in result["methods"] if one["method"] == method]
    return f"{mean(every):.1f}"


def _mean_of_ours(n: int, results: Sequence[Result], attack: str) -> str:
    same = [share for result in results if result["attack"] == attack for share in _ours(n, result)]
    return f"{mean(same):.2f}" if same else "-"


def _ours(n: int, peers: Result) -> list[float]:
    """The share that hunt has found within the budget on the set of a peers' result, if that was measured."""
    attack = peers["attack"]
    same_set = {"pictures": n, "attacks": [attack], "rate": peers["rate"], "seed": peers["seed"]}
    found = RESULTS.of(detectors=PIXEL_DETECTORS, **same_set)
    return [one["in_budget"] for result in found for one in result["measured"] if one["attack"] == attack]


if __name__ == "__main__":
    sys.exit(main())
