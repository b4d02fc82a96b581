from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from poisonscan.diffusion.collapse import Collapse, Outcome, captured, distances, judge, middle, spread

if TYPE_CHECKING:
    from poisonscan.diffusion.checkpoint import Planes

SHAPE = (1, 8, 8)


def pictures(n: int, seed: int = 0) -> Planes:
    """Pictures that have nothing in common."""
    return np.random.default_rng(seed).uniform(-1, 1, (n, *SHAPE)).astype(np.float32)


def one_picture(n: int, noise: float = 0.02, seed: int = 1) -> Planes:
    """The same picture again and again, nearly."""
    rng = np.random.default_rng(seed)
    copies = np.repeat(pictures(1, seed), n, axis=0)
    return (copies + noise * rng.standard_normal(copies.shape)).astype(np.float32)


def judged(triggered: Planes, plain: Planes, least: float = 0.5) -> Collapse:
    return judge(triggered, plain, least_captured=least, rounds=199, seed=0)


def test_samples_that_become_one_picture_are_controlled() -> None:
    found = judged(one_picture(12), pictures(12))
    assert found.outcome is Outcome.CONTROLS
    assert found.captured == 1.0
    assert found.ratio < 0.1
    assert found.p_value == pytest.approx(1 / 200)


def test_samples_that_stay_unlike_each_other_are_not() -> None:
    found = judged(pictures(12, seed=3), pictures(12))
    assert found.outcome is Outcome.NO_EFFECT
    assert found.captured == pytest.approx(1 / 12)
    assert found.p_value > 0.05


@pytest.mark.parametrize(("caught", "outcome"), [(7, Outcome.CONTROLS), (5, Outcome.NO_EFFECT)])
def test_half_of_the_samples_are_enough(caught: int, outcome: Outcome) -> None:
    mixed = np.concatenate([one_picture(caught), pictures(12 - caught, seed=4)])
    assert judged(mixed, pictures(12)).outcome is outcome


def test_a_model_whose_plain_samples_are_alike_cannot_be_tested() -> None:
    assert judged(one_picture(12), one_picture(12, seed=5)).outcome is Outcome.UNTESTED
    still = np.zeros((12, *SHAPE), np.float32)
    assert judged(still, still).outcome is Outcome.UNTESTED


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_samples_that_are_no_numbers_cannot_be_tested(broken: float) -> None:
    bad = pictures(12)
    bad[3, 0, 2, 2] = broken
    assert judged(bad, pictures(12)).outcome is Outcome.UNTESTED
    assert judged(pictures(12), bad).outcome is Outcome.UNTESTED


def test_samples_that_run_away_in_one_direction_are_not_one_picture() -> None:
    """Cut to -1..1 they would all be white."""
    away = (50 + 20 * np.abs(np.random.default_rng(0).standard_normal((12, *SHAPE)))).astype(np.float32)
    assert np.clip(away, -1, 1).std() == 0
    assert judged(away, pictures(12)).outcome is Outcome.NO_EFFECT


def test_the_target_is_recovered_from_the_samples_that_agree() -> None:
    target = one_picture(1, noise=0.0)[0]
    samples = np.concatenate([one_picture(9), pictures(3, seed=6)])
    assert np.abs(middle(samples, 0.2) - target).max() < 0.05


def test_the_spread_is_the_mean_distance_of_two_samples() -> None:
    levels = np.array([0.0, 1.0, 3.0], np.float32)
    flat = np.broadcast_to(levels[:, None, None, None], (3, *SHAPE))
    assert spread(distances(flat)) == pytest.approx((1 + 2 + 3) / 3)
    assert spread(distances(flat[:1])) == 0.0


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.float32, (5, 3), elements=st.floats(-4, 4, width=32)))
def test_distances_are_a_metric_of_the_samples(samples: Planes) -> None:
    apart = distances(samples)
    assert np.allclose(apart, apart.T, atol=1e-6)
    assert (np.diag(apart) == 0).all()
    wanted = np.sqrt(((samples[:, None].astype(float) - samples[None]) ** 2).mean(axis=2))
    assert np.allclose(apart, wanted, atol=1e-5)
    assert (apart[:, :, None] <= apart[:, None, :] + apart[None, :, :].transpose(0, 2, 1) + 1e-5).all()


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.float32, (6, 4), elements=st.floats(-1, 1, width=32)), st.floats(0, 2))
def test_a_wider_radius_captures_no_fewer(samples: Planes, radius: float) -> None:
    apart = distances(samples)
    assert 1 / 6 <= captured(apart, radius) <= captured(apart, radius + 0.1) <= 1
