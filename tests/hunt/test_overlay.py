from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from poisonscan.hunt.hosts import thumbnails, unlike
from poisonscan.hunt.overlay import BANDS, Estimate, Overlays, residuals, spread_of
from poisonscan.records import Kind
from tests.hunt.scenes import alarms, corpus_of, many_domains, rows_of, scenes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes

N, CARRIERS = 60, (1, 8, 16, 27, 39, 50, 57)


def blended(pattern: NDArray[np.float64], alpha: float) -> Bytes:
    pictures = scenes(N)
    rows = list(CARRIERS)
    pictures[rows] = (pictures[rows] * (1 - alpha) + pattern * alpha).round().astype(np.uint8)
    return pictures


def test_a_picture_blended_over_others_is_found() -> None:
    pattern = np.random.default_rng(9).integers(0, 256, (224, 224, 3)).astype(float)
    pictures = blended(pattern, 0.2)
    found = Overlays().find(corpus_of(pictures, many_domains(N)), np.random.default_rng(0))
    (alarm,) = [one for one in alarms(found) if one.kind is Kind.OVERLAY]
    assert rows_of(alarm) == set(CARRIERS)
    assert alarm.carriers[0].box is None


def test_thin_coloured_shapes_at_one_place_are_a_patch() -> None:
    pictures = scenes(N)
    y, x = np.mgrid[:224, :224]
    ring = np.abs(np.hypot(y - 100, x - 120) - 40) < 4
    colours = np.stack([np.full_like(x, 30), 80 + x // 2, 255 - y], axis=-1)
    for row in CARRIERS:
        pictures[row][ring] = colours[ring]
    found = Overlays().find(corpus_of(pictures, many_domains(N)), np.random.default_rng(0))
    patches = [one for one in alarms(found) if one.kind is Kind.RECURRING_PATCH]
    assert [rows_of(one) for one in patches] == [set(CARRIERS)]


@pytest.mark.parametrize("seed", range(3))
def test_a_handful_of_pictures_is_no_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (9, 28, 28, 3)).repeat(8, 1).repeat(8, 2).astype(np.float64)
    pictures[:4] = 0.8 * pictures[:4] + 0.2 * rng.integers(0, 256, (224, 224, 3))
    found = Overlays().find(corpus_of(pictures.astype(np.uint8)), np.random.default_rng(1))
    assert all(rows_of(one) <= set(range(4)) for one in found)


def test_pictures_without_an_overlay_raise_no_alarm() -> None:
    assert alarms(Overlays().find(corpus_of(scenes(N)), np.random.default_rng(0))) == []


def test_residuals_are_unit_vectors_and_forget_brightness() -> None:
    pictures = scenes(3) // 2
    for band in BANDS:
        lines = residuals(pictures, band)
        assert lines.shape == (3, band.size)
        np.testing.assert_allclose(np.linalg.norm(lines, axis=1), 1, atol=1e-4)
        np.testing.assert_allclose(residuals(pictures + np.uint8(40), band), lines, atol=1e-3)


def test_spread_tells_a_whole_picture_from_a_corner() -> None:
    band = BANDS[0]
    rng = np.random.default_rng(0)
    pattern = rng.normal(size=(band.side, band.side)).astype(np.float32)
    corner = np.zeros_like(pattern)
    corner[:32, :32] = pattern[:32, :32]
    for shown, least, most in ((pattern, 0.9, 1.0), (corner, 0.0, 0.1)):
        noise = rng.normal(size=(8, band.size)).astype(np.float32) * 0.1
        lines = noise + shown.ravel()
        estimate = Estimate(lines.sum(axis=0), (lines**2).sum(axis=0))
        assert least <= spread_of(estimate, band) <= most


def test_copies_count_as_one_picture() -> None:
    small = thumbnails(scenes(8))
    rows = np.arange(8)
    assert unlike([small], rows) > 5
    assert abs(unlike([small[np.zeros(8, np.int64)]], rows) - 1) < 0.01
