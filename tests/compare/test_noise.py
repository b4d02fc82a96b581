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


def test_a_narrow_strip_says_nothing() -> None:
    assert veil(plane(np.ones((1, 32)), np.ones((1, 32)))) == 0
