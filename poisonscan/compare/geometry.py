"""Resampling of cell grids by an exact-area model.

A grid holds means over cells. Interpolating its *cumulative* sum with a cubic and differencing again
gives means over any other cells, keeps the old means exactly where the cells coincide, and is linear:
one small matrix an axis.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class Window(NamedTuple):
    """A rectangle on a grid, in fractions of the grid's sides; (0, 0, 1, 1) is all of it."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def area(self) -> float:
        """Share of the grid's area."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)


WHOLE = Window(0.0, 0.0, 1.0, 1.0)


class Axis(NamedTuple):
    """How one axis of a fine grid becomes cells of a coarse one.

    Attributes:
        matrix: (cells, fine side): means over coarse cells from the fine grid.
        first, last: the coarse cells [first, last) that the fine grid covers.
    """

    matrix: Array
    first: int
    last: int


@lru_cache(maxsize=64)
def axis(start: float, stop: float, coarse_side: int, fine_side: int) -> Axis:
    """Coarse cells within [start, stop] (fractions of the coarse grid) seen by a fine grid spanning it.

    A cell that sticks out by less than a twentieth of a cell counts as covered.
    """
    span = stop - start
    first = int(np.ceil(start * coarse_side - 0.05))
    last = int(np.floor(stop * coarse_side + 0.05))
    first, last = max(first, 0), min(last, coarse_side)
    edges = (np.arange(first, last + 1) / coarse_side - start) / span * fine_side
    edges = np.clip(edges, 0.0, fine_side)
    cumulative = _cumulative(edges, fine_side)
    return Axis((cumulative[1:] - cumulative[:-1]) / (edges[1:] - edges[:-1])[:, None], first, last)


def onto_fine(start: float, stop: float, coarse_side: int, fine_side: int) -> Array:
    """(fine side, coarse side) matrix: means over the cells of a fine grid spanning [start, stop]."""
    edges = np.linspace(start, stop, fine_side + 1) * coarse_side
    cumulative = _cumulative(np.clip(edges, 0.0, coarse_side), coarse_side)
    means: Array = np.diff(cumulative, axis=0) / np.diff(edges)[:, None]
    return means


def resample(grid: Array, side_y: int, side_x: int) -> Array:
    """Means over a (side_y, side_x) grid of the same area."""
    means: Array = _whole(side_y, grid.shape[0]) @ grid @ _whole(side_x, grid.shape[1]).T
    return means


@lru_cache(maxsize=256)
def _whole(coarse_side: int, fine_side: int) -> Array:
    return axis(0.0, 1.0, coarse_side, fine_side).matrix


def _cumulative(at: Array, side: int) -> Array:
    """(len(at), side) matrix: the integral of the grid from 0 to `at`, by cubic Hermite interpolation."""
    left = np.minimum(at.astype(int), side - 1)
    t = at - left
    matrix: Array = (np.arange(side) < left[:, None]).astype(np.float64)
    # Slopes of the integral at cell borders are border values: means of the neighbouring cells.
    before, after = np.maximum(left - 1, 0), np.minimum(left + 1, side - 1)
    line = np.arange(len(at))
    slope_in, slope_out = t**3 - 2 * t**2 + t, t**3 - t**2
    matrix[line, left] += 3 * t**2 - 2 * t**3 + (slope_in + slope_out) / 2
    matrix[line, before] += slope_in / 2
    matrix[line, after] += slope_out / 2
    return matrix
