from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from poisonscan.compare.geometry import Window, axes, resample

grids = arrays(np.float64, (32, 32), elements=st.floats(0, 255))


@given(grids)
def test_the_same_cells_keep_their_means(grid: np.ndarray) -> None:
    assert np.allclose(resample(grid, 32, 32), grid)


@given(grids, st.sampled_from([1, 2, 4, 8, 16]))
def test_cells_that_nest_average_exactly(grid: np.ndarray, side: int) -> None:
    ratio = 32 // side
    blocks = grid.reshape(side, ratio, side, ratio).mean(axis=(1, 3))
    assert np.allclose(resample(grid, side, side), blocks)


@given(grids, st.integers(3, 40), st.integers(3, 40))
def test_the_mean_of_the_whole_survives_any_resampling(grid: np.ndarray, height: int, width: int) -> None:
    assert np.isclose(resample(grid, height, width).mean(), grid.mean())


@given(st.floats(0, 0.4), st.floats(0.6, 1.0), st.floats(0, 255))
def test_a_flat_picture_stays_flat_in_any_window(start: float, stop: float, grey: float) -> None:
    for cells in axes(Window(start, start / 2, stop, 1.0), 32, 32):
        assert np.allclose(cells.matrix @ np.full(32, grey), grey)
        assert 0 <= cells.first < cells.last <= 32


@pytest.mark.parametrize(
    ("start", "stop", "first", "last"), [(0, 1, 0, 32), (0.25, 0.75, 8, 24), (0.26, 1, 9, 32)]
)
def test_only_covered_cells_are_in_common(start: float, stop: float, first: int, last: int) -> None:
    horizontal = axes(Window(start, 0.0, stop, 1.0), 32, 32).horizontal
    vertical = axes(Window(0.0, start, 1.0, stop), 32, 32).vertical
    assert (horizontal.first, horizontal.last) == (first, last)
    assert (vertical.first, vertical.last) == (first, last)


def test_cells_beside_a_frame_are_left_out_where_the_fine_grid_shows_it() -> None:
    wide = Window(-0.25, 0.0, 1.25, 1.0)
    assert axes(wide, 32, 96).horizontal[1:] == (1, 31)
    assert axes(wide, 32, 96).vertical[1:] == (0, 32)
    assert axes(wide, 32, 32).horizontal[1:] == (0, 32)


@given(arrays(np.float64, (96, 96), elements=st.floats(0, 255)))
def test_cells_that_nest_in_a_finer_grid_are_averaged_exactly(fine: np.ndarray) -> None:
    vertical, horizontal = axes(Window(0.0, 0.0, 1.0, 1.0), 32, 96)
    expected = fine.reshape(32, 3, 32, 3).mean(axis=(1, 3))
    assert np.allclose(vertical.matrix @ fine @ horizontal.matrix.T, expected)
