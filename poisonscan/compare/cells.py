"""Arithmetic on grids of cells, small as ours are: what a cell's neighbourhood is like."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.records import LUMA_SIDE

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array


def mean(values: Array) -> float:
    """As `values.mean()`; as the two below, it takes a third as long as numpy's on grids like ours."""
    return float(values.sum()) / values.size


def centred(values: Array) -> Array:
    """(n,): all values less their mean."""
    flat: Array = values.ravel() - mean(values)
    return flat


def deviation(values: Array) -> float:
    """As `values.std()`."""
    flat = centred(values)
    return math.sqrt(float(flat @ flat) / flat.size)


def as_grey(values: Array) -> Array:
    """As `np.clip` to 0..255, the range of grey levels."""
    held: Array = np.minimum(np.maximum(values, 0), 255)
    return held


def within(value: float, bounds: tuple[float, float]) -> float:
    """The value, or the bound that it exceeds."""
    return min(max(value, bounds[0]), bounds[1])


def means(values: Array, side: int) -> Array:
    """Mean over every square of `side` cells.

    Args:
        values: (..., rows, columns).
        side: of the squares, at most the number of rows and of columns.

    Returns:
        (..., rows - side + 1, columns - side + 1).
    """
    *_, height, width = values.shape
    rows, columns = height - side + 1, width - side + 1
    # A few additions of whole slices; running sums (`cumsum`) take twice as long on grids as small as ours.
    bands = sum((values[..., first : first + rows, :] for first in range(1, side)), values[..., :rows, :])
    squares = sum((bands[..., first : first + columns] for first in range(1, side)), bands[..., :columns])
    average: Array = squares / side**2
    return average


def smoothed(grid: Array) -> Array:
    """Mean over each cell and the eight around it."""
    return means(_with_border(grid), 3)


def highest_around(grid: Array) -> Array:
    """The highest value of each cell and the eight around it."""
    around = _with_border(grid)
    rows = np.maximum(np.maximum(around[:-2], around[1:-1]), around[2:])
    highest: Array = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return highest


def activity(grid: Array) -> Array:
    """Root mean square difference to the four neighbours, averaged over 3 x 3 cells, grey levels."""
    around = _with_border(grid)
    across, down = np.diff(around[1:-1], axis=1) ** 2, np.diff(around[:, 1:-1], axis=0) ** 2
    return smoothed(np.sqrt((across[:, :-1] + across[:, 1:] + down[:-1] + down[1:]) / 4))


def laplacian(grid: Array) -> Array:
    """Sum of the four neighbours less four times the cell."""
    around = _with_border(grid)
    total: Array = around[1:-1, :-2] + around[1:-1, 2:] + around[:-2, 1:-1] + around[2:, 1:-1] - 4 * grid
    return total


def on_luma_cells(grid: Array) -> Array:
    """(32, 32): each luma cell with the value of the cell of a coarser grid that it lies in."""
    ratio = LUMA_SIDE // grid.shape[0]
    return grid.repeat(ratio, axis=0).repeat(ratio, axis=1)


def _with_border(grid: Array) -> Array:
    """The grid with its outermost cells repeated once around it (`np.pad` is slow on small arrays)."""
    height, width = grid.shape
    framed = np.empty((height + 2, width + 2))
    framed[1:-1, 1:-1] = grid
    framed[0, 1:-1], framed[-1, 1:-1] = grid[0], grid[-1]
    framed[:, 0], framed[:, -1] = framed[:, 1], framed[:, -2]
    return framed
