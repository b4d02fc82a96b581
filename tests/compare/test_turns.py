from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from poisonscan.compare.geometry import Window, seen_from, within
from poisonscan.compare.pictures import compare_pictures
from poisonscan.compare.tilt import Tilt
from poisonscan.compare.turns import EVERY, composed, inverse, turned_window
from poisonscan.config import CompareSettings
from poisonscan.fingerprint.grids import turn
from poisonscan.records import Verdict
from poisonscan.redteam.pictures import draw
from tests.compare.pairs import original, seen

turns = st.sampled_from(EVERY)
shares = st.floats(0.0, 0.9)


@st.composite
def windows(drawn: st.DrawFn) -> Window:
    x0, y0 = drawn(shares), drawn(shares)
    return Window(x0, y0, x0 + drawn(st.floats(0.05, 1.0)), y0 + drawn(st.floats(0.05, 1.0)))


GRID = np.arange(12).reshape(3, 4)


@given(first=turns, then=turns)
def test_turns_compose(first: int, then: int) -> None:
    assert np.array_equal(turn(turn(GRID, first), then), turn(GRID, composed(first, then)))


@given(one=turns)
def test_the_inverse_undoes_a_turn(one: int) -> None:
    assert composed(one, inverse(one)) == composed(inverse(one), one) == 1


@given(first=turns, second=turns, third=turns)
def test_composing_is_associative(first: int, second: int, third: int) -> None:
    assert composed(composed(first, second), third) == composed(first, composed(second, third))


@given(window=windows(), first=turns, then=turns)
def test_windows_are_turned_as_pictures_are(window: Window, first: int, then: int) -> None:
    both = turned_window(turned_window(window, first), then)
    assert both == pytest.approx(turned_window(window, composed(first, then)))


@given(one=turns, row=st.integers(0, 2), column=st.integers(0, 3))
def test_a_turned_window_holds_the_cell_that_it_held(one: int, row: int, column: int) -> None:
    where = turned_window(Window(column / 4, row / 3, (column + 1) / 4, (row + 1) / 3), one)
    shown = turn(GRID, one)
    y, x = int((where.y0 + where.y1) / 2 * shown.shape[0]), int((where.x0 + where.x1) / 2 * shown.shape[1])
    assert shown[y, x] == GRID[row, column]


@given(window=windows(), place=windows())
def test_a_window_within_a_window_and_back(window: Window, place: Window) -> None:
    assert seen_from(window, within(window, place)) == pytest.approx(place)
    assert within(window, seen_from(window, place)) == pytest.approx(place)


@given(angle=st.floats(-0.1, 0.1), ratio=st.floats(0.3, 3.0), x=shares, y=shares)
def test_tilting_undoes_levelling(angle: float, ratio: float, x: float, y: float) -> None:
    tilt = Tilt(angle, ratio)
    back = tilt.tilted(*tilt.levelled(np.array(x), np.array(y)))
    assert np.allclose(back, (x, y))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("one", EVERY[1:])
def test_a_turned_picture_says_how(seed: int, one: int) -> None:
    stream = io.BytesIO()
    Image.fromarray(turned_pixels(seed, one)).save(stream, "JPEG", quality=90)
    new = seen(stream.getvalue())
    found = compare_pictures(original(seed), new, CompareSettings())
    assert (found.verdict, found.turn, found.mirrored) == (Verdict.REENCODED, one, one == 2)
    assert compare_pictures(new, original(seed), CompareSettings()).turn == inverse(one)


def turned_pixels(seed: int, one: int) -> np.ndarray:
    pixels = np.asarray(draw(seed))
    return np.ascontiguousarray(np.moveaxis(turn(np.moveaxis(pixels, -1, 0), one), 0, -1))
