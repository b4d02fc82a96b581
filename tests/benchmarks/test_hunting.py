"""What the benchmarks of hunting count, and that they can be stopped and continued."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import _poisoned
import hunt
import hunt_peers
import numpy as np
import pytest
from _common import CACHE
from _results import Results
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.hunt.merge import Ranked
from poisonscan.hunt.model import Carrier, Suspicion
from poisonscan.records import Kind
from poisonscan.redteam.poison import Sample
from tests.hunt.scenes import scenes

if TYPE_CHECKING:
    from pathlib import Path

SCORES = st.lists(st.integers(0, 6).map(float), min_size=2, max_size=30)


@given(SCORES, st.integers(1, 20))
def test_auroc_counts_pairs(scores: list[float], cut: int) -> None:
    poisoned, others = np.array(scores[:cut]), np.array(scores[cut:] or scores[:1])
    pairs = [(a > b) + (a == b) / 2 for a in poisoned for b in others]
    assert hunt_peers.auroc(poisoned, others) == pytest.approx(np.mean(pairs))


def test_recall_within_a_budget() -> None:
    scores = np.array([9.0, 1, 8, 2, 7, 0])
    assert hunt_peers.recall_within(scores, np.array([0, 3]), 2) == 0.5
    assert hunt_peers.recall_within(scores, np.array([0, 2]), 2) == 1.0
    assert hunt_peers.recall_within(scores, np.array([5]), 5) == 0.0
    assert hunt_peers.recall_within(scores, np.array([5]), 99) == 1.0


@given(SCORES, st.integers(1, 30), st.integers(0, 10))
def test_equal_scores_come_in_random_order(scores: list[float], budget: int, seed: int) -> None:
    values, rng = np.array(scores), np.random.default_rng(seed)
    rows = rng.choice(len(values), 2, replace=False)
    recalls = []
    for _ in range(300):
        order = np.lexsort((rng.random(len(values)), -values))
        recalls.append(np.isin(rows, order[:budget]).mean())
    assert hunt_peers.recall_within(values, rows, budget) == pytest.approx(np.mean(recalls), abs=0.15)


def test_spectral_signatures_point_along_what_a_class_differs_in() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, 20)).astype(np.float32) + 50
    labels = np.repeat([0, 1], 40)
    features[[3, 9, 21]] += 8
    scores = hunt_peers.spectral_signatures(features, labels)
    assert set(np.argsort(-scores)[:3].tolist()) == {3, 9, 21}
    moved = hunt_peers.spectral_signatures(features - 50, labels)
    assert np.allclose(scores, moved, rtol=1e-2)


def test_batches_score_every_row_against_its_own_batch() -> None:
    rng = np.random.default_rng(0)
    vectors = _poisoned.normalised(rng.normal(size=(120, 8)).astype(np.float32))
    vectors[7] = -vectors.mean(axis=0) / np.linalg.norm(vectors.mean(axis=0))
    scores = hunt_peers.in_batches(vectors, 40, np.random.default_rng(1))
    order = np.random.default_rng(1).permutation(120)
    batch = next(part for part in np.array_split(order, 3) if 7 in part)
    near = np.sort(np.linalg.norm(vectors[batch] - vectors[7], axis=1))
    assert scores["k-distance"][7] == pytest.approx(near[hunt_peers.NEIGHBOURS], rel=1e-4)


def test_results_outlive_a_run_and_can_be_forgotten(tmp_path: Path) -> None:
    results = Results(tmp_path / "deep" / "some.jsonl")
    assert results.read() == []
    results.add({"attack": "sig", "seed": 0, "recall": 0.5})
    results.add({"attack": "sig", "seed": 1, "recall": 0.25})
    again = Results(results.path)
    assert [result["recall"] for result in again.of(attack="sig")] == [0.5, 0.25]
    assert again.of(attack="sig", seed=2) == []
    again.drop(attack="sig", seed=0)
    assert [result["seed"] for result in results.read()] == [1]
    assert [path.name for path in results.path.parent.iterdir()] == ["some.jsonl"]


def base_of(folder: Path, n: int = 12) -> _poisoned.Base:
    """A base set of drawn pictures, whose files do not matter."""
    samples = [
        Sample(f"{i}.jpg", folder / f"{i}.jpg", f"c{i % 3}", f"a photo of c{i % 3}", "a.test")
        for i in range(n)
    ]
    return _poisoned.Base(samples, scenes(n), np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32))


def changes_of(rows: list[int], role: str, kind: str) -> _poisoned.Changes:
    """Black pictures with zeros for features."""
    same = [np.full(len(rows), words) for words in ("c9", "a photo of c9", "b.test", role, kind)]
    black = np.zeros((len(rows), 224, 224, 3), np.uint8)
    return _poisoned.Changes(np.array(rows), black, np.ones((len(rows), 4), np.float32), *same)


def dataset_of(folder: Path) -> _poisoned.PoisonedSet:
    """Two hard negatives, three stamped rows and two with a target."""
    parts = [
        changes_of([0, 1], "border", ""),
        changes_of([5, 2, 8], "sign", Kind.RECURRING_PATCH.value),
        changes_of([3, 9], "sign target", Kind.DUPLICATE_TARGET.value),
    ]
    return _poisoned.PoisonedSet(base_of(folder), _poisoned.joined(parts))


def test_a_poisoned_set_is_the_base_with_its_changes(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path)
    assert dataset.rows_of("sign") == {2, 5, 8}
    assert dataset.rows_of("border") == set()
    assert dataset.poison() == {2, 3, 5, 8, 9}
    corpus = dataset.corpus()
    assert corpus.pixels is not None
    assert corpus.vectors is not None
    assert corpus.pixels.read([4, 5]).any(axis=(1, 2, 3)).tolist() == [True, False]
    assert np.array_equal(corpus.pixels.read([4])[0], dataset.base.pictures[4])
    assert corpus.labels is not None
    assert [corpus.labels[row] for row in (0, 4, 5)] == ["c9", "c1", "c9"]
    assert corpus.vectors[5].tolist() == [0.5] * 4


def test_changes_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_poisoned, "CACHE", tmp_path)
    made = []

    def make() -> _poisoned.Changes:
        made.append(1)
        return changes_of([4, 2], "sign", Kind.RECURRING_PATCH.value)

    first, second = (_poisoned.kept_changes("sign-12-2-0", make) for _ in range(2))
    assert len(made) == 1
    assert second.rows.tolist() == first.rows.tolist() == [4, 2]
    assert second.kinds.tolist() == first.kinds.tolist()


def test_words_do_not_count_as_code(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    digests = []
    for text in ("X = 1", '"""Doc."""\nX = 1  # why\n"""About X."""', "X = 2"):
        file.write_text(text, encoding="utf-8")
        digests.append(_poisoned.digest([file]))
    assert digests[0] == digests[1] != digests[2]


def ranked(kind: Kind, rows: list[int], *, alarm: bool) -> Ranked:
    """A finding about these rows."""
    carriers = tuple(Carrier(row, 1.0) for row in rows)
    suspicion = Suspicion(kind, 1.0, "a finding", carriers, 0.01 if alarm else 1.0, "itself")
    return Ranked(suspicion, ("some",), alarm, in_budget=True)


def test_what_counts_as_found(tmp_path: Path) -> None:
    findings = [
        ranked(Kind.RECURRING_PATCH, [5, 2, 7], alarm=True),
        ranked(Kind.OVERLAY, [8], alarm=True),
        ranked(Kind.RECURRING_PATCH, [0, 1, 4], alarm=True),
        ranked(Kind.DUPLICATE_TARGET, [3, 9], alarm=False),
    ]
    dataset = dataset_of(tmp_path)
    sign = hunt._measured("sign", dataset, findings, 1.0)
    assert (sign.count, sign.findings, sign.false) == (3, 1, 1)
    assert sign.recall == pytest.approx(2 / 3)
    assert sign.precision == pytest.approx(2 / 3)
    assert sign.in_budget == 1.0
    target = hunt._measured("sign target", dataset, findings, 1.0)
    assert (target.recall, target.precision, target.findings) == (0.0, 1.0, 1)
    assert target.in_budget == 1.0


def test_measured_cases_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunt, "RESULTS", Results(tmp_path / "hunt.jsonl"))
    monkeypatch.setattr(hunt, "poisoned_set", lambda _base, _case: dataset_of(tmp_path))
    base, set_of = base_of(tmp_path), {"pictures": 12, "detectors": "plain_boxes"}
    cases = [_poisoned.Case(("sign",), 0.2, 0), _poisoned.Case(("sign",), 0.2, 1)]
    hunt._measure(base, cases[:1], set_of, again=False)
    (first,) = hunt.RESULTS.read()
    assert [one["attack"] for one in first["measured"]] == ["sign", "sign target"]
    hunt._measure(base, cases, set_of, again=False)
    assert hunt.RESULTS.read()[0] == first
    assert [result["seed"] for result in hunt.RESULTS.read()] == [0, 1]
    hunt._measure(base, cases[:1], set_of, again=True)
    assert [result["seed"] for result in hunt.RESULTS.read()] == [1, 0]


def test_results_of_older_code_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hunt, "RESULTS", Results(tmp_path / "hunt.jsonl"))
    set_of = {"pictures": 12, "detectors": "plain_boxes"}
    assert hunt._report(set_of) == 1
    one = {"attack": "sig", "count": 8, "recall": 0.5, "precision": 1.0, "in_budget": 0.5}
    measured = one | {"findings": 1, "false": 0, "seconds": 9.0}
    hunt.RESULTS.add(set_of | {"attacks": ["sig"], "code": "other", "peak_mib": 7, "measured": [measured]})
    hunt._report(set_of)
    assert "1 of 1 cases are older than the code of hunt" in capsys.readouterr().out


def test_art_scores_features_without_a_model(tmp_path: Path) -> None:
    program = CACHE.parent / "art" / "bin" / "python"
    if not program.exists():
        pytest.skip("ART is not installed in its environment; benchmarks/hunt_peers.py does it")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(64, 40)).astype(np.float32)
    labels = np.r_[np.repeat([0, 1], 30), [2] * 4]
    features[:5] += 20
    np.savez(tmp_path / "in.npz", features=features, labels=labels, seed=0)
    script = CACHE.parents[1] / "benchmarks" / "_detectors_of_art.py"
    command = [str(program), "-W", "ignore", str(script), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    subprocess.run(command, check=True, timeout=120)  # noqa: S603 - our own script
    with np.load(tmp_path / "out.npz") as out:
        for name in ("clusters_size", "clusters_silhouette", "spectral"):
            assert set(np.argsort(-out[name], kind="stable")[:5].tolist()) == set(range(5)), name
        assert not out["clusters_size"][60:].any()
