"""Equal essences mean equal pictures in Pillow, OpenCV and torchvision, whatever is done to chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from _loaders import LOADERS, outcomes
from _rewriting import FORMATS, dictionary, joined, notes, parted, rewritten, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from rewriting import Trial, tried

from poisonscan.fingerprint.essence import essence

if TYPE_CHECKING:
    from random import Random

pytestmark = pytest.mark.filterwarnings("ignore")  # what loaders doubt is no concern of these tests
RANDOMS = st.randoms(use_true_random=False)


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_seed_is_taken_apart_and_put_together(image_format: str) -> None:
    for parts in seeds(image_format):
        body = joined(image_format, parts)
        assert tuple(parted(image_format, body)) == parts
        loaded = {name for name, outcome in outcomes(body).items() if "(" in outcome}
        assert loaded >= {name for name in LOADERS if name.startswith(("Pillow", "OpenCV"))}


@pytest.mark.parametrize("image_format", FORMATS)
def test_nothing_in_the_dictionary_contradicts_the_essence_at_any_place(image_format: str) -> None:
    trial = Trial(image_format)
    parts = list(seeds(image_format)[0])
    for part in {*dictionary(image_format), *notes(image_format)}:
        for place in range(len(parts) + 1):
            trial.case(joined(image_format, [*parts[:place], part, *parts[place:]]))
    assert trial.counts["readable"] > 0 or image_format == "WEBP"  # where a header must say what follows
    assert trial.counterexamples == []


@pytest.mark.parametrize("image_format", FORMATS)
def test_rewritten_files_of_equal_essence_are_one_picture_to_every_loader(image_format: str) -> None:
    """A small part of what `benchmarks/rewriting.py` does, with enough equal essences to say something."""
    trial = tried(image_format, 400, seed=1)
    assert trial.counts["readable"] > 40
    assert trial.counterexamples == []


@pytest.mark.parametrize("image_format", FORMATS)
@settings(max_examples=100, deadline=None, derandomize=True)
@given(RANDOMS)
def test_a_file_that_keeps_its_essence_keeps_its_picture(image_format: str, random: Random) -> None:
    number, body = rewritten(image_format, random)
    before = joined(image_format, seeds(image_format)[number])
    found = essence(body, image_format)
    if found is not None and found == essence(before, image_format):
        assert outcomes(body) == outcomes(before)


def test_a_trial_finds_what_contradicts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An essence that says the same of everything is found out at once."""
    monkeypatch.setattr("rewriting.essence", lambda _body, _format: "all:0")
    trial = Trial("PNG")
    for parts in seeds("PNG")[:3]:
        trial.case(joined("PNG", parts))
    assert len(trial.counterexamples) == 2
