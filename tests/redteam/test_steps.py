from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poisonscan.records import Box
from poisonscan.redteam import steps
from poisonscan.redteam.steps import View, outside, within

unit = st.floats(0.0, 1.0)


@st.composite
def parts(draw: st.DrawFn) -> Box:
    x0, y0 = draw(st.floats(0, 0.8)), draw(st.floats(0, 0.8))
    return Box(x0, y0, x0 + draw(st.floats(0.1, 0.2)), y0 + draw(st.floats(0.1, 0.2)))


@given(parts(), parts())
def test_a_part_of_a_window_comes_back_as_the_part(part: Box, window: Box) -> None:
    assert within(outside(part, window), window) == pytest.approx(part, abs=1e-9)


@given(st.integers(2, 90), st.integers(2, 90), st.floats(0.0, 0.5), st.integers(0, 9))
@settings(max_examples=40)
def test_a_crop_shows_what_its_window_says(width: int, height: int, cut: float, seed: int) -> None:
    # every pixel carries its own coordinates as colours
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    picture = Image.fromarray(np.dstack([x, y, np.zeros_like(x)]))
    view = steps.crop(cut)(View(picture), np.random.default_rng(seed))
    left, top, _ = np.asarray(view.image)[0, 0]
    assert view.window.x0 * width == pytest.approx(left)
    assert view.window.y0 * height == pytest.approx(top)
    assert (view.window.x1 - view.window.x0) * width == pytest.approx(view.image.width)


@given(parts())
def test_mirroring_twice_is_nothing(box: Box) -> None:
    view = View(Image.new("RGB", (8, 8)), (box,))
    rng = np.random.default_rng(0)
    twice = steps.mirror()(steps.mirror()(view, rng), rng)
    assert twice.orientation == 1
    assert twice.boxes[0] == pytest.approx(box)


def test_a_crop_of_a_mirrored_picture_has_its_window_in_the_original() -> None:
    ramp = Image.fromarray(np.tile(np.arange(100, dtype=np.uint8), (20, 1))).convert("RGB")
    rng = np.random.default_rng(5)
    view = steps.crop(0.4)(steps.mirror()(View(ramp), rng), rng)
    shown = np.asarray(view.image)[0, :, 0]
    assert view.window.x0 * 100 == pytest.approx(shown.min())
    assert view.window.x1 * 100 == pytest.approx(shown.max() + 1)


def test_a_frame_moves_the_boxes_along() -> None:
    view = View(Image.new("RGB", (100, 50)), (Box(0.0, 0.0, 0.5, 1.0),))
    framed = steps.frame((0, 0, 0))(view, np.random.default_rng(0))
    assert framed.image.size == (100, 100)
    assert framed.boxes == (Box(0.0, 0.25, 0.5, 0.75),)


def test_transparent_parts_become_black() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    assert steps.plain(clear).getpixel((0, 0)) == (0, 0, 0)


def test_exif_orientation_is_applied() -> None:
    picture = Image.new("RGB", (30, 20))
    picture.getexif()[0x0112] = 6
    assert steps.plain(picture).size == (20, 30)
