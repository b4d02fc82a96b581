"""What every detector promises, whoever wrote it; as scikit-learn's common tests do for estimators."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from poisonscan.config import HuntSettings
from poisonscan.hunt.detectors import detectors, lacking
from poisonscan.hunt.model import SIDE, Corpus, Detector, Need
from poisonscan.hunt.order import taken
from poisonscan.records import Box, Kind
from poisonscan.redteam.attacks import colour_grid
from poisonscan.redteam.steps import View
from poisonscan.redteam.triggers import universal_blend, universal_patch

from .corpora import Pictures, honest, textures, unit
from .scenes import many_domains, scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poisonscan.hunt.model import Bytes, Suspicion
    from poisonscan.redteam.steps import Step

ROWS, POISONED = 80, 20
SCENES, CARRIERS = 60, (4, 12, 20, 33, 41, 55)
every = pytest.mark.parametrize("detector", detectors(), ids=lambda one: one.name)


def poisoned() -> Corpus:
    """Stamps, one picture under many labels, wrong captions."""
    clean = honest(ROWS, seed=3)
    rng = np.random.default_rng(4)
    assert clean.pixels is not None
    assert clean.vectors is not None
    assert clean.texts is not None
    pictures = clean.pixels.read(range(ROWS)).copy()
    rows = np.arange(0, ROWS, ROWS // POISONED)
    stamp = rng.integers(0, 256, (50, 50, 3)).astype(np.uint8)
    for row in rows[:10]:
        y, x = rng.integers(0, SIDE - 50, 2)
        pictures[row, y : y + 50, x : x + 50] = stamp
    pictures[rows[10:]] = textures(1, rng)
    vectors, texts = clean.vectors.copy(), clean.texts.copy()
    vectors[rows[10:]] = unit(rng.normal(size=vectors.shape[1]))
    texts[rows[:10]] = texts[rows[10]]
    labels = list(clean.labels or [])
    captions = list(clean.captions or [])
    vectors[[1, 2, 3]] = unit(rng.normal(size=(3, vectors.shape[1])))
    for row in rows[:10]:
        labels[row], captions[row] = "anchor", "golden anchor for sale"
    return dataclasses.replace(
        clean, pixels=Pictures(pictures), vectors=vectors, texts=texts, labels=labels, captions=captions
    )


@cache
def ground() -> Bytes:
    """Unlike scenes with nothing on them."""
    return scenes(SCENES)


def marked(step: Callable[[int], Bytes]) -> Corpus:
    """Unlike scenes of which a few carry what a step draws over one of them."""
    pictures = ground().copy()
    for row in CARRIERS:
        pictures[row] = step(row)
    return dataclasses.replace(
        honest(SCENES, seed=3, pictures=False), pixels=Pictures(pictures), domains=many_domains(SCENES)
    )


def drawn_by(step: Callable[[], Step]) -> Callable[[int], Bytes]:
    """A step of the red team, with a code of its own for each picture."""

    def draw(row: int) -> Bytes:
        view = View(Image.fromarray(ground()[row]))
        return np.asarray(step()(view, np.random.default_rng(row)).image, np.uint8)

    return draw


def boxed(row: int) -> Bytes:
    picture: Bytes = ground()[row].copy()
    picture[120:160, 60:100] = 128
    return picture


def stamped(row: int) -> Bytes:
    picture: Bytes = ground()[row].copy()
    y, x = np.random.default_rng(row).integers(0, SIDE - 50, 2)
    picture[y : y + 50, x : x + 50] = np.asarray(colour_grid(50, np.random.default_rng(5)))
    return picture


def veiled(row: int) -> Bytes:
    pattern = np.random.default_rng(9).integers(0, 256, (SIDE, SIDE, 3))
    return np.asarray(np.round(0.8 * ground()[row] + 0.2 * pattern), np.uint8)


_PIXELS: dict[str, Callable[[int], Bytes]] = {
    "plain_boxes": boxed,
    "mosaics": drawn_by(universal_patch),
    "colour_steps": drawn_by(universal_blend),
    "recurring_patches": stamped,
    "overlays": veiled,
}


@cache
def corpus_for(name: str) -> Corpus:
    """A corpus on which the detector of that name finds something; the test below sees that it does."""
    return marked(_PIXELS[name]) if name in _PIXELS else poisoned()


def find(detector: Detector, corpus: Corpus) -> list[Suspicion]:
    return detector.find(corpus, np.random.default_rng(0))


def found_by(detector: Detector) -> list[Suspicion]:
    """What it finds in the poisoned corpus; asked once, since looking at pixels takes its time."""
    return _found_by(detector.name)


@cache
def _found_by(name: str) -> list[Suspicion]:
    (detector,) = detectors(HuntSettings(detectors=name))
    return find(detector, corpus_for(name))


def told(found: list[Suspicion], keys: list[str]) -> list[str]:
    """What was found, in words that do not depend on the order of rows or of findings."""
    return sorted(
        json.dumps(
            [
                one.kind,
                one.summary,
                round(one.expected_false, 6),
                sorted((keys[carrier.row], round(carrier.score, 4)) for carrier in one.carriers),
            ]
        )
        for one in found
    )


@every
def test_there_is_something_to_find(detector: Detector) -> None:
    """Else the tests below would compare nothing with nothing."""
    assert found_by(detector)


@every
def test_the_same_seed_gives_the_same_answer(detector: Detector) -> None:
    corpus = corpus_for(detector.name)
    keys = list(corpus.keys)
    assert told(find(detector, corpus), keys) == told(found_by(detector), keys)


@every
def test_the_order_of_the_rows_does_not_matter(detector: Detector) -> None:
    corpus = corpus_for(detector.name)
    shuffled = taken(corpus, np.random.default_rng(1).permutation(len(corpus)))
    expected = told(found_by(detector), list(corpus.keys))
    assert told(find(detector, shuffled), list(shuffled.keys)) == expected


@every
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_hardly_any_rows(detector: Detector, rows: int) -> None:
    assert find(detector, taken(corpus_for(detector.name), np.arange(rows))) == []


@every
@pytest.mark.parametrize("plain", [False, True])
def test_all_rows_alike_are_no_error(detector: Detector, *, plain: bool) -> None:
    """One picture, one vector, one caption: at most one thing, and it is about rows that exist."""
    same = taken(corpus_for(detector.name), np.zeros(12, np.int64))
    assert same.pixels is not None
    pictures = np.full((12, SIDE, SIDE, 3), 200, np.uint8) if plain else same.pixels.read(range(12))
    same = dataclasses.replace(same, keys=[str(row) for row in range(12)], pixels=Pictures(pictures))
    found = find(detector, same)
    assert len(found) <= 1
    require_sound(found, same)


@every
def test_the_corpus_is_not_touched(detector: Detector) -> None:
    corpus = corpus_for(detector.name)
    before = copy.deepcopy(corpus)
    find(detector, corpus)
    assert corpus.keys == before.keys
    assert (corpus.captions, corpus.labels) == (before.captions, before.labels)
    assert corpus.pixels is not None
    assert before.pixels is not None
    for now, then in (
        (corpus.vectors, before.vectors),
        (corpus.texts, before.texts),
        (corpus.pixels.read(range(len(corpus))), before.pixels.read(range(len(corpus)))),
    ):
        assert now is not None
        np.testing.assert_array_equal(now, then)


@every
def test_evidence_is_cited(detector: Detector) -> None:
    require_sound(found_by(detector), corpus_for(detector.name))


@every
def test_what_is_missing_is_named(detector: Detector) -> None:
    bare = Corpus(keys=["a", "b"])
    assert lacking(detector, bare) == sorted(detector.needs)
    assert lacking(detector, corpus_for(detector.name)) == []
    assert set(detector.needs) <= set(Need)


@every
def test_what_is_not_needed_may_be_missing(detector: Detector) -> None:
    parts = {"captions", "labels", "domains", "texts", "vectors", "pixels"} - set(detector.needs)
    corpus = corpus_for(detector.name)
    less = dataclasses.replace(corpus, **dict.fromkeys(parts))  # type: ignore[arg-type]  # each may be None
    require_sound(find(detector, less), less)


@every
def test_rows_of_which_nothing_is_said(detector: Detector) -> None:
    """Some captions, labels, domains and caption vectors are missing."""
    corpus = corpus_for(detector.name)
    assert corpus.texts is not None
    texts = corpus.texts.copy()
    texts[::3] = np.nan
    holes = dataclasses.replace(
        corpus,
        texts=texts,
        captions=with_holes(corpus.captions),
        labels=with_holes(corpus.labels),
        domains=with_holes(corpus.domains),
    )
    require_sound(find(detector, holes), holes)


def with_holes(values: Sequence[str | None] | None) -> list[str | None]:
    return [None if row % 3 == 0 else value for row, value in enumerate(values or [])]


def test_names_are_unique() -> None:
    names = [one.name for one in detectors()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)


def require_sound(found: list[Suspicion], corpus: Corpus) -> None:
    """Every suspicion has words, numbers and rows that can be checked."""
    for one in found:
        assert isinstance(one.kind, Kind)
        assert one.summary.strip()
        assert one.reference.strip()
        assert np.isfinite(one.score)
        assert one.expected_false >= 0
        assert np.isfinite(one.expected_false)
        rows = [carrier.row for carrier in one.carriers]
        assert rows
        assert len(set(rows)) == len(rows)
        assert all(type(row) is int and 0 <= row < len(corpus) for row in rows)
        assert all(0 <= carrier.score <= 1 for carrier in one.carriers)
        assert all(sound_box(carrier.box) for carrier in one.carriers if carrier.box)
        if one.exhibit is not None:
            assert one.exhibit.dtype == np.uint8
            assert one.exhibit.shape[2:] == (3,)
            assert min(one.exhibit.shape) > 0


def sound_box(box: Box) -> bool:
    return 0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1
