from __future__ import annotations

import numpy as np
import pytest

from poisonscan.diffusion.quality import features, histogram_shift, hit_rate, mmd, usual_distance

RNG = np.random.default_rng(0)


def test_the_discrepancy_of_one_distribution_is_about_nothing_and_of_two_is_not() -> None:
    one, same, other = RNG.normal(0, 1, (200, 3)), RNG.normal(0, 1, (200, 3)), RNG.normal(1, 1, (200, 3))
    width = usual_distance(one)
    assert abs(mmd(one, same, width)) < 0.01
    assert mmd(one, other, width) > 0.05


def test_the_discrepancy_is_without_bias() -> None:
    """Its mean over many draws from one distribution is 0, though each is small."""
    drawn = [mmd(RNG.normal(0, 1, (8, 2)), RNG.normal(0, 1, (8, 2)), 1.0) for _ in range(400)]
    assert abs(np.mean(drawn)) < 4 * np.std(drawn) / 20


def test_features_see_a_shift_of_levels_and_of_texture() -> None:
    flat = np.zeros((2, 1, 16, 16), np.float32)
    striped = np.tile(np.where(np.arange(16) // 2 % 2, 0.5, -0.5).astype(np.float32), (2, 1, 16, 1))
    assert features(flat).shape == (2, 32)
    assert np.abs(features(flat + 0.5) - features(flat)).max() == pytest.approx(0.5)
    assert np.abs(features(striped) - features(flat))[:, 16:].min() > 0.1


def test_features_are_of_what_is_shown() -> None:
    white = np.full((1, 3, 8, 12), 1.0, np.float32)
    assert (features(white) == features(7 * white)).all()


def test_a_histogram_moves_by_the_share_that_changed_class() -> None:
    one, other = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    assert histogram_shift(one, one, 3) == 0
    assert histogram_shift(one, other, 3) == pytest.approx(0.25)
    assert histogram_shift(np.array([0]), np.array([2]), 3) == 1


def test_hits_are_the_samples_that_show_the_target() -> None:
    target = np.full((1, 4, 4), 0.5, np.float32)
    samples = np.stack([target, target + 0.05, -target, target * 0])
    assert hit_rate(samples, target, 0.1) == 0.5
    assert hit_rate(samples, target, 0.6) == 0.75
