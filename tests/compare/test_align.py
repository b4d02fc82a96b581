from __future__ import annotations

import numpy as np
import pytest

from poisonscan.compare.align import approach, refine
from poisonscan.compare.geometry import WHOLE, Window
from poisonscan.compare.search import candidates
from poisonscan.fingerprint.grids import unpack
from tests.compare.pairs import edited, original, seen

SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("edit", ["crop-10", "crop-25"])
def test_a_crop_is_found_where_it_was_cut(seed: int, edit: str) -> None:
    change = edited(seed, edit)
    old, new = original(seed), seen(change.data)
    stretch = (new.height * old.width) / (new.width * old.height)
    found = candidates(unpack(old).luma, unpack(new).luma, stretch)
    fits = [refine(unpack(old).luma, unpack(new).luma, one.window) for one in found[:2]]
    best = min(fits, key=lambda fit: fit.misfit)
    assert np.allclose(best.window, change.window, atol=0.5 / 32)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tone_curve_is_taken_out(seed: int) -> None:
    luma = unpack(original(seed)).luma
    fit = refine(luma, 255 * (luma / 255) ** 0.7, WHOLE)
    assert np.allclose(fit.window, WHOLE, atol=0.2 / 32)
    assert np.abs(fit.seen - fit.expected).mean() < 2


def test_a_tampered_region_does_not_steer_the_fit() -> None:
    luma = unpack(original(3)).luma
    tampered = luma.copy()
    tampered[4:10, 20:26] = 255
    fit = refine(luma, tampered, WHOLE)
    assert np.allclose(fit.window, WHOLE, atol=0.1 / 32)
    assert fit.misfit < 0.05
    untouched = np.abs(fit.seen - fit.expected)[16:]
    assert untouched.max() < 2


def test_a_flat_stand_in_shows_as_lost_contrast() -> None:
    fit = refine(unpack(original(1)).luma, np.full((32, 32), 200.0), WHOLE)
    assert fit.gain < 0.05


def test_a_fit_that_stopped_early_goes_on_from_there() -> None:
    old, new = unpack(original(4)).luma, unpack(seen(edited(4, "crop-10").data)).luma
    begun = approach(old, new, WHOLE, 2)
    rested = refine(old, new, begun)
    assert begun.misfit > rested.misfit
    assert np.allclose(rested.window, refine(old, new, WHOLE).window, atol=0.1 / 32)


def test_a_fit_that_has_arrived_stays() -> None:
    luma = unpack(original(5)).luma
    begun = approach(luma, luma, Window(0.01, 0.0, 1.0, 1.0), 6)
    assert begun.arrived
    assert np.allclose(approach(luma, luma, begun, 6).window, WHOLE, atol=0.02 / 32)
