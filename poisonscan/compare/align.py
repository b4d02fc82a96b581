"""Registration: which part of the old picture the new one shows, and through which tone curve.

From a window that is right to about a cell, window and tone are refined together by Gauss-Newton steps
whose least squares are robust, so that a tampered region does not steer the fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.compare.cells import as_grey, centred, deviation, mean, within
from poisonscan.compare.geometry import WHOLE, Window, axes
from poisonscan.compare.robust import robust_fit
from poisonscan.compare.search import LEAST_CELLS, SIDE

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array

_ITERATIONS, _ROUNDS = 6, 3  # steps of a fit, and rounds of re-weighting within one
_MAX_STEP = 1.5 / 32
_NEARLY, _SETTLED = 3e-3, 1e-3  # steps of the window, in sides: a tenth of a cell and a thirtieth
_OVERHANG = 0.03
_LEAST_SIDE = 0.9 * LEAST_CELLS / SIDE
_LEAST_CONTRAST = 8.0  # grey levels; below it a picture is all but flat
_GREY_SHIFT = 32.0  # grey levels by which toning may move a flat picture
_MOST_SAY = 0.5


@dataclass(frozen=True)
class Alignment:
    """Two grids on common cells.

    Attributes:
        window: the part of the coarse grid that the fine one covers.
        rows, columns: the coarse cells in common, as slices.
        known: the coarse picture's means on those cells, (rows, columns), 0..255.
        seen: the fine picture's means there.
        expected: `known` after the tone curve.
    """

    window: Window
    rows: slice
    columns: slice
    known: Array
    seen: Array
    expected: Array

    @cached_property
    def correlation(self) -> float:
        """Pearson's between what is expected and what is seen, -1..1."""
        return pearson(self.expected, self.seen)

    @cached_property
    def misfit(self) -> float:
        """Mean size of their difference over the picture's contrast, 0..0.5.

        Each cell's say is bounded to half the contrast, so that a tampered region hardly moves it.
        """
        return _misfit(self.seen, self.expected)

    @cached_property
    def gain(self) -> float:
        """Contrast of the coarse picture after the tone curve, over its contrast before.

        A flat stand-in fits anything through a curve that flattens everything. 1 where there was no
        contrast before and the grey level stayed, 0 where it did not.
        """
        before = deviation(self.known)
        if before < _LEAST_CONTRAST:
            return float(abs(mean(self.seen) - mean(self.known)) <= _GREY_SHIFT)
        return deviation(self.expected) / before


@dataclass(frozen=True, slots=True)
class Approach:
    """A fit on its way.

    Attributes:
        window: where it is.
        weights: those of the last step, if its cells are still much the same.
        arrived: whether the last step hardly moved the window.
        seen, expected: what the last step saw on each cell, and what it expected after its move.
    """

    window: Window
    weights: Array | None
    arrived: bool
    seen: Array
    expected: Array

    @property
    def misfit(self) -> float:
        """As of an `Alignment`."""
        return _misfit(self.seen, self.expected)


def approach(coarse: Array, fine: Array, start: Window | Approach, steps: int) -> Approach:
    """Fit window and tone together, in at most so many steps.

    Args:
        coarse: (32, 32) luma grid, 0..255.
        fine: (side, side) luma of the picture that shows a window of it, as fine or finer.
        start: a window that is right to about a cell, or what a fit that stopped early left off with.
        steps: at most; one is always taken.
    """
    window, weights = (start.window, start.weights) if isinstance(start, Approach) else (start, None)
    at = _step(coarse, fine, window, weights)
    for _ in range(1, steps):
        if at.arrived:
            break
        at = _step(coarse, fine, at.window, at.weights)
    return at


def _step(coarse: Array, fine: Array, window: Window, start: Array | None) -> Approach:
    """One step of Gauss and Newton."""
    view = _project(coarse, fine, window)
    shapes = tone_basis(view.known, more=4)
    _window_slopes(coarse.shape[0], window, view, shapes[-4:])
    seen = view.seen.ravel()
    fit = robust_fit(shapes, seen, start, _ROUNDS)
    step = [within(by, (-_MAX_STEP, _MAX_STEP)) for by in fit.solution[-4:].tolist()]
    moved = max(map(abs, step))
    return Approach(
        _clamped(window, step),
        fit.weights if moved <= _NEARLY else None,  # those that were right elsewhere would hold the fit there
        moved < _SETTLED,
        seen,
        fit.fitted,
    )


def refine(coarse: Array, fine: Array, start: Window | Approach, steps: int = _ITERATIONS) -> Alignment:
    """Fit window and tone together to the end; arguments as for `approach`."""
    at = approach(coarse, fine, start, steps)
    return at_window(coarse, fine, at.window, at.weights)


@dataclass(frozen=True, slots=True)
class _View:
    """Both pictures on the coarse cells that a window covers."""

    rows: slice
    columns: slice
    known: Array
    seen: Array


def _project(coarse: Array, fine: Array, window: Window) -> _View:
    vertical, horizontal = axes(window, coarse.shape[0], fine.shape[0])
    rows, columns = slice(vertical.first, vertical.last), slice(horizontal.first, horizontal.last)
    return _View(rows, columns, coarse[rows, columns], vertical.matrix @ fine @ horizontal.matrix.T)


def _window_slopes(side: int, window: Window, view: _View, out: Array) -> None:
    """What moving each border of the window takes from `seen`, by the picture's gradient, as (4, cells)."""
    rows, columns = view.seen.shape
    down, across = _gradient(rows, side) @ view.seen, view.seen @ _gradient(columns, side).T
    right = _shares(view.columns, side, window.x0, window.x1)
    below = _shares(view.rows, side, window.y0, window.y1)[:, None]
    # Moving a border by d moves what lies under a cell at fraction f from it by (1 - f) d the other way.
    slopes = out.reshape(4, rows, columns)
    np.multiply(across, right, out=slopes[2])
    np.multiply(down, below, out=slopes[3])
    np.subtract(across, slopes[2], out=slopes[0])
    np.subtract(down, slopes[3], out=slopes[1])


@lru_cache(maxsize=256)
def _gradient(cells: int, side: int) -> Array:
    """(cells, cells): `np.gradient` along one axis, a cell being one of `side`, as a matrix."""
    steps = np.gradient(np.eye(cells), axis=0)
    return side * np.asarray(steps)


def _shares(cells: slice, side: int, start: float, stop: float) -> Array:
    """How far along [start, stop] the middles of these cells lie, 0..1 within it."""
    shares: Array = (_middles(side)[cells] - start) / (stop - start)
    return shares


@lru_cache
def _middles(side: int) -> Array:
    middles: Array = (np.arange(side) + 0.5) / side
    return middles


def _clamped(window: Window, step: list[float]) -> Window:
    """The window after a step; a border stays on the picture unless it began far outside, in a frame."""
    low, high = -_OVERHANG, 1 + _OVERHANG
    x0, y0, x1, y1 = (
        within(at + by, (low, high)) if low <= at <= high else at + by
        for at, by in zip(window, step, strict=True)
    )
    return Window(x0, y0, max(x1, x0 + _LEAST_SIDE), max(y1, y0 + _LEAST_SIDE))


def at_window(coarse: Array, fine: Array, window: Window, weights: Array | None = None) -> Alignment:
    """Fit the tone curve alone, the window being known; `weights` as for `robust_fit`."""
    view = _project(coarse, fine, window)
    fit = robust_fit(tone_basis(view.known), view.seen.ravel(), weights)
    expected = as_grey(fit.fitted).reshape(view.seen.shape)
    return Alignment(window, view.rows, view.columns, view.known, view.seen, expected)


def as_they_are(coarse: Array, fine: Array) -> Alignment:
    """Two (32, 32) luma grids laid over each other without any fit."""
    return Alignment(WHOLE, slice(0, coarse.shape[0]), slice(0, coarse.shape[1]), coarse, fine, coarse)


def _misfit(seen: Array, expected: Array) -> float:
    contrast = max(deviation(seen), _LEAST_CONTRAST)
    away = np.abs(seen - expected)
    return mean(np.minimum(away, _MOST_SAY * contrast, out=away)) / contrast


def tone_basis(values: Array, more: int = 0) -> Array:
    """(4 + more, cells): powers 0..3 of grey levels, scaled to -1..1: the shapes of a tone curve.

    Args:
        values: grey levels, of any shape.
        more: rows below these for other shapes, to be filled in.
    """
    shapes = np.empty((4 + more, values.size))
    shapes[0] = 1
    np.divide(values.ravel() - 127.5, 127.5, out=shapes[1])
    np.multiply(shapes[1], shapes[1], out=shapes[2])
    np.multiply(shapes[1], shapes[2], out=shapes[3])
    return shapes


def pearson(one: Array, other: Array) -> float:
    """Pearson's correlation of two arrays of one shape, -1..1; 0 where either is flat."""
    a, b = centred(one), centred(other)
    return float(a @ b) / max(math.sqrt(float(a @ a) * float(b @ b)), 1e-9)
