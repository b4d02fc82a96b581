from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from poisonscan.compare.align import tone_basis
from poisonscan.compare.robust import robust_fit


def test_a_minority_is_ignored() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 200)
    y = 3 * x + 1 + rng.normal(0, 0.01, 200)
    y[:40] += 50
    solution, _, weights = robust_fit(np.stack([np.ones(200), x]), y)
    assert np.allclose(solution, [1, 3], atol=0.05)
    assert weights[:40].max() == 0


def test_weights_of_an_earlier_fit_are_taken_up() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, 200)
    y = x + rng.choice([-50, 0, 50], 200, p=[0.1, 0.8, 0.1])
    shapes = np.stack([np.ones(200), x])
    first, _, weights = robust_fit(shapes, y)
    assert np.allclose(robust_fit(shapes, y, weights)[0], first, atol=0.01)
    assert np.allclose(robust_fit(shapes, y, np.ones(3))[0], first)  # of other cells: not used


@given(arrays(np.float64, 64, elements=st.floats(0, 255)), arrays(np.float64, 64, elements=st.floats(0, 255)))
def test_any_two_pictures_have_a_fit(known: np.ndarray, seen: np.ndarray) -> None:
    """Also flat ones, whose powers of grey are all the same shape."""
    solution, _, weights = robust_fit(tone_basis(known), seen)
    assert np.isfinite(solution).all()
    assert weights.min() >= 0
    assert weights.max() <= 1
