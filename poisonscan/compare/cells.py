"""Arithmetic on grids of cells, small as ours are: what a cell's neighbourhood is like.

Sums over neighbours are products with a small matrix on either side: on 32 x 32 cells two products take as
long as three additions of whole slices.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.records import LUMA_SIDE

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array


def mean(values: Array) -> float:
    """As `values.mean()`; as those below, it takes a third as long as numpy's on grids like ours."""
    return float(values.sum()) / values.size


def hypotenuse(one: Array, other: Array) -> Array:
    """As `np.hypot`; grey levels cannot overflow when squared."""
    longest: Array = np.sqrt(one * one + other * other)
    return longest


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
    if side == 1:
        return values
    *_, height, width = values.shape
    averages: Array = _averaging(height, side) @ values @ _averaging(width, side).T
    return averages


@lru_cache(maxsize=512)
def _averaging(length: int, side: int) -> Array:
    """(length - side + 1, length): a row for the mean of every `side` cells that follow one another."""
    shape = length - side + 1, length
    averaging: Array = (np.tri(*shape, k=side - 1) - np.tri(*shape, k=-1)) / side
    return averaging


def smoothed(grid: Array) -> Array:
    """Mean over each cell and the eight around it; the outermost cells stand once more beyond the border."""
    *_, height, width = grid.shape
    average: Array = _smoothing(height) @ grid @ _smoothing(width).T
    return average


@lru_cache(maxsize=128)
def _smoothing(length: int) -> Array:
    beyond = np.eye(length)[[0, *range(length), length - 1]]
    return _averaging(length + 2, 3) @ beyond


def highest_around(grid: Array) -> Array:
    """The highest value of each cell and the eight around it."""
    around = _with_border(grid)
    rows = np.maximum(np.maximum(around[:-2], around[1:-1]), around[2:])
    highest: Array = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return highest


def activity(grid: Array) -> Array:
    """(..., rows, columns): rms difference to the four neighbours, averaged over 3 x 3 cells, grey levels."""
    across, down = grid[..., 1:] - grid[..., :-1], grid[..., 1:, :] - grid[..., :-1, :]
    *_, height, width = grid.shape
    squares = _beside(height) @ (down * down) + (across * across) @ _beside(width).T
    return smoothed(np.sqrt(squares / 4))


@lru_cache(maxsize=128)
def _beside(length: int) -> Array:
    """(length, length - 1): 1 where one of the steps between `length` cells touches the cell."""
    touching: Array = np.eye(length, length - 1) + np.eye(length, length - 1, -1)
    return touching


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
