from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from poisonscan.fingerprint.working import working_picture
from poisonscan.redteam import subtle
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.steps import Step, View


def changed(step: Step, size: tuple[int, int] = (300, 225)) -> tuple[np.ndarray, np.ndarray, View]:
    picture = draw(3, size)
    view = step(View(picture), np.random.default_rng(2))
    return np.asarray(picture, dtype=float), np.asarray(view.image, dtype=float), view


def test_smooth_noise_stays_within_its_levels_and_is_smooth() -> None:
    before, after, _ = changed(subtle.smooth_noise(8))
    change = after - before
    assert 7 <= np.abs(change).max() <= 8.5
    assert change.std() > 3
    grey = np.asarray(
        subtle.smooth_noise(8)(View(Image.new("RGB", (300, 225), "grey")), np.random.default_rng(2)).image
    )
    plane = grey[..., 0].astype(float)
    assert np.abs(np.diff(plane, axis=1)).mean() < 0.5 * plane.std()


def test_a_warp_moves_pixels_a_little_and_keeps_their_colours() -> None:
    y, x = np.mgrid[:200, :200]
    ramps = Image.fromarray(np.dstack([x, y, np.zeros_like(x)]).astype(np.uint8))
    moved = np.asarray(subtle.warp()(View(ramps), np.random.default_rng(1)).image, dtype=float)
    off = np.abs(moved[20:-20, 20:-20, 0] - x[20:-20, 20:-20])
    assert 0.3 < off.mean() < 3
    assert off.max() < 8


def test_an_erased_place_is_boxed_and_as_its_borders_are() -> None:
    before, after, view = changed(subtle.erase(0.18))
    (box,) = view.boxes
    differs = np.abs(after - before).max(axis=2) > 0
    rows, columns = np.nonzero(differs)
    assert box.x0 * 300 <= columns.min() <= columns.max() < round(box.x1 * 300)
    assert box.y0 * 225 <= rows.min() <= rows.max() < round(box.y1 * 225)
    top, left = round(box.y0 * 225), round(box.x0 * 300)
    inside = after[top : top + 40, left : left + 40]
    assert np.abs(np.diff(inside, axis=0)).mean() < np.abs(np.diff(before, axis=0)).mean()


@pytest.mark.parametrize("size", [(300, 225), (640, 480), (1100, 1030)])
def test_a_pattern_without_a_mean_leaves_working_pixels_as_they_were(size: tuple[int, int]) -> None:
    flat = Image.new("RGB", size, (120, 128, 140))
    view = subtle.zero_mean(90)(View(flat), np.random.default_rng(0))
    change = np.asarray(view.image, dtype=float) - np.asarray(flat, dtype=float)
    assert np.abs(change).max() == 90
    assert 0.2 < (change[..., 0] != 0).mean() < 0.26
    if min(size) >= 256:
        working, _ = working_picture(view.image, *size)
        assert np.abs(np.asarray(working, dtype=float) - (120, 128, 140)).max() <= 1
