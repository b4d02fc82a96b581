"""Residuals in units of their noise."""

from __future__ import annotations

import numpy as np
import pytest

from poisonscan.compare.noise import LUMA, Plane, veil

CELLS = (32, 32)


def plane(difference: np.ndarray, active: np.ndarray) -> Plane:
    nothing = np.zeros(difference.shape)
    return Plane(difference, active, nothing, nothing, LUMA)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level", [0.5, 2.0])
def test_what_lies_everywhere_alike_is_a_veil_of_its_level(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    found = veil(plane(rng.normal(0, level, CELLS), rng.uniform(0, 40, CELLS)))
    assert found == pytest.approx(0.6745 * level / 2, rel=0.2)


@pytest.mark.parametrize("seed", range(4))
def test_what_grows_with_activity_is_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    active = np.repeat(rng.uniform(0, 40, (1, 32)), 32, axis=0)
    assert veil(plane(rng.normal(0, 1, CELLS) * active, active)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_what_fades_with_activity_is_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    active = rng.uniform(0, 40, CELLS)
    assert veil(plane(rng.normal(0, 1, CELLS) * np.exp(-active / 15), active)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_what_has_long_tails_is_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rough = rng.normal(0, 0.3, CELLS) + rng.normal(0, 8, CELLS) * (rng.random(CELLS) < 0.1)
    assert veil(plane(rough, rng.uniform(0, 40, CELLS))) == 0


def test_what_goes_by_the_level_alone_is_taken_off_and_a_pattern_is_not() -> None:
    rng = np.random.default_rng(3)
    levels = np.sort(rng.uniform(0, 255, CELLS), axis=None).reshape(CELLS)
    stairs = levels % 16 - 8
    pattern = rng.normal(0, 6, CELLS)
    shuffled = rng.permutation(levels.ravel()).reshape(CELLS)
    left = plane(stairs, levels).less_steps(levels).difference
    assert np.abs(left).mean() < 0.5 * np.abs(stairs).mean()
    kept = plane(pattern, shuffled).less_steps(shuffled).difference
    assert np.abs(kept).mean() > 0.9 * np.abs(pattern).mean()


def test_a_narrow_strip_says_nothing() -> None:
    assert veil(plane(np.ones((1, 32)), np.ones((1, 32)))) == 0
