"""Resampling of cell grids by an exact-area model.

A grid holds means over cells. Interpolating its *cumulative* sum with a cubic and differencing again
gives means over any other cells, keeps the old means exactly where the cells coincide, and is linear:
one small matrix an axis.
"""

from __future__ import annotations

import math
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
STICKS_OUT = 0.002
"""Sides by which a window reaches beyond a border when the picture is taken to show more there."""


class Axis(NamedTuple):
    """How one axis of a fine grid becomes cells of a coarse one.

    Attributes:
        matrix: (cells, fine side): means over coarse cells from the fine grid.
        first, last: the coarse cells [first, last) that the fine grid covers.
    """

    matrix: Array
    first: int
    last: int


class Axes(NamedTuple):
    """Both axes of a window."""

    vertical: Axis
    horizontal: Axis


@lru_cache(maxsize=64)
def axes(window: Window, coarse_side: int, fine_side: int) -> Axes:
    """Coarse cells within a window of the coarse grid, as a fine grid that spans the window sees them.

    A cell that sticks out by less than a twentieth of a cell counts as covered. Along a border beyond which
    the fine picture shows more, a frame for instance, that would smear into the outermost cells: they are
    left out where the fine grid is known well enough for it to show.
    """
    down = _covered(window.y0, window.y1, coarse_side, fine_side)
    across = _covered(window.x0, window.x1, coarse_side, fine_side)
    at = np.minimum(np.maximum(np.concatenate([down.borders, across.borders]), 0.0), fine_side)
    integral, n = _cumulative(at, fine_side), len(down.borders)
    return Axes(
        Axis(_differences(integral[:n], at[:n]), down.first, down.last),
        Axis(_differences(integral[n:], at[n:]), across.first, across.last),
    )


class _Covered(NamedTuple):
    """The coarse cells [first, last) and their borders, in fine cells."""

    borders: Array
    first: int
    last: int


def _covered(start: float, stop: float, coarse_side: int, fine_side: int) -> _Covered:
    finer = fine_side > coarse_side
    before, after = finer and start < -STICKS_OUT, finer and stop > 1 + STICKS_OUT
    first = min(max(math.ceil(start * coarse_side - 0.05), int(before)), coarse_side)
    last = max(min(math.floor(stop * coarse_side + 0.05), coarse_side - int(after)), first)
    borders = (_borders(coarse_side)[first : last + 1] - start) * (fine_side / (stop - start))
    return _Covered(borders, first, last)


@lru_cache
def _borders(side: int) -> Array:
    """(side + 1,) from 0 to 1."""
    borders: Array = np.arange(side + 1) / side
    return borders


def _differences(integral: Array, at: Array) -> Array:
    """Means between each two places, of whose integrals up to them these are."""
    means: Array = (integral[1:] - integral[:-1]) / (at[1:] - at[:-1])[:, None]
    return means


def onto_fine(start: float, stop: float, coarse_side: int, fine_side: int) -> Array:
    """(fine side, coarse side) matrix: means over the cells of a fine grid spanning [start, stop]."""
    edges = (start + (stop - start) * _borders(fine_side)) * coarse_side
    inside = np.minimum(np.maximum(edges, 0.0), coarse_side)
    return _differences(_cumulative(inside, coarse_side), edges)


def resample(grid: Array, side_y: int, side_x: int) -> Array:
    """Means over a (side_y, side_x) grid of the same area, of a grid or several, (..., rows, columns)."""
    means: Array = _whole(side_y, grid.shape[-2]) @ grid @ _whole(side_x, grid.shape[-1]).T
    return means


@lru_cache(maxsize=256)
def _whole(coarse_side: int, fine_side: int) -> Array:
    return axes(WHOLE, coarse_side, fine_side).vertical.matrix


def _cumulative(at: Array, side: int) -> Array:
    """(len(at), side) matrix: the integral of the grid from 0 to `at`, by cubic Hermite interpolation."""
    left = np.minimum(at.astype(np.intp), side - 1)
    t = (at - left)[:, None]
    matrix: Array
    *lower, matrix = (shares.take(left, axis=0) for shares in _hermite(side))
    for shares in reversed(lower):
        matrix *= t
        matrix += shares
    return matrix


@lru_cache
def _hermite(side: int) -> Array:
    """(4, side, side): by cell, the share of every cell in the powers 0..3 of the way through it.

    Slopes of the integral at cell borders are border values: means of the neighbouring cells.
    """
    own = np.eye(side)
    at_start = (own + own[[0, *range(side - 1)]]) / 2
    at_end = (own + own[[*range(1, side), side - 1]]) / 2
    squared, cubed = 3 * own - 2 * at_start - at_end, at_start + at_end - 2 * own
    return np.stack([np.tri(side, k=-1), at_start, squared, cubed])


def seen_from(window: Window, place: Window) -> Window:
    """A rectangle on the coarse grid in sides of the fine picture that covers `window` of it."""
    width, height = window.x1 - window.x0, window.y1 - window.y0
    return Window(
        (place.x0 - window.x0) / width,
        (place.y0 - window.y0) / height,
        (place.x1 - window.x0) / width,
        (place.y1 - window.y0) / height,
    )


def within(window: Window, place: Window) -> Window:
    """The inverse of `seen_from`: a rectangle in sides of the fine picture on the coarse grid."""
    width, height = window.x1 - window.x0, window.y1 - window.y0
    return Window(
        window.x0 + place.x0 * width,
        window.y0 + place.y0 * height,
        window.x0 + place.x1 * width,
        window.y0 + place.y1 * height,
    )


def in_new_picture(window: Window, cell: Window) -> Window:
    """What of such a rectangle lies on the fine picture."""
    return on_picture(seen_from(window, cell))


def on_picture(place: Window) -> Window:
    """What of a rectangle in sides of a picture lies on it."""
    return Window(*(min(max(value, 0.0), 1.0) for value in place))
