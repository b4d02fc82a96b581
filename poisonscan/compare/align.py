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

from poisonscan.compare.cells import as_grey, centred, deviation, laplacian, mean, within
from poisonscan.compare.geometry import WHOLE, Window, axes
from poisonscan.compare.order import median
from poisonscan.compare.robust import robust_fit, robust_fit_where
from poisonscan.records import LUMA_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.compare.geometry import Array

_SIDE = LUMA_SIDE
_ITERATIONS, _ROUNDS = 6, 3  # steps of a fit, and rounds of re-weighting within one
_MAX_STEP = 1.5 / 32
_NEARLY, _SETTLED = 3e-3, 1e-3  # steps of the window, in sides: a tenth of a cell and a thirtieth
_OVERHANG = 0.03
_LEAST_SIDE = 0.2  # of a window; the smallest that is looked for has 0.22
_LEAST_CELLS = 6  # on each axis, of 32: fewer say nothing about a picture
_CLIPPED = 4.5  # times the median size: no cell says more about the fine structure
_SPREAD = 1.5  # times the rms, if that is more
_SUREST = 0.999  # correlation that counts at most, for Fisher's z
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
        present: (rows, columns), which of these cells the fine picture shows; None where it shows all.
    """

    window: Window
    rows: slice
    columns: slice
    known: Array
    seen: Array
    expected: Array
    present: NDArray[np.bool_] | None = None

    @cached_property
    def empty(self) -> bool:
        """Whether so few cells are in common that nothing can be told from them."""
        return _too_few(self.seen)

    @cached_property
    def correlation(self) -> float:
        """Pearson's between what is expected and what is seen, -1..1; 0 where too few cells are in common."""
        return 0.0 if self.empty else pearson(*self._shown)

    @cached_property
    def misfit(self) -> float:
        """Mean size of their difference over the picture's contrast, 0..0.5.

        Each cell's say is bounded to half the contrast, so that a tampered region hardly moves it.
        Infinite where too few cells are in common.
        """
        return math.inf if self.empty else _misfit(*self._shown)

    @cached_property
    def evidence(self) -> float:
        """Fisher's z of the correlation of the pictures' fine structure, in standard deviations.

        What is left of a grid less the mean of its neighbours: two skies are alike as a whole, and so are a
        gradient and a part of a photo through a curve, but not cell by cell.
        """
        if self.empty:
            return 0.0
        structure = [laplacian(values) for values in (self.expected, self.seen)]
        if self.present is not None:
            structure = [values[self.present] for values in structure]
        # Of objects on a plain ground the median is next to nothing.
        most = [max(_CLIPPED * median(np.abs(values)), _SPREAD * deviation(values)) for values in structure]
        one, other = (np.clip(values, -end, end) for values, end in zip(structure, most, strict=True))
        return math.atanh(within(pearson(one, other), (-_SUREST, _SUREST))) * math.sqrt(one.size - 3)

    def present_on(self, cells: tuple[slice, slice], side: int) -> NDArray[np.bool_] | None:
        """`present` on cells of a grid of `side` cells a side, 16 or 32; None where all are."""
        if self.present is None:
            return None
        everywhere = np.zeros((_SIDE, _SIDE), np.bool_)
        everywhere[self.rows, self.columns] = self.present
        factor = _SIDE // side
        whole = np.logical_and.reduce(everywhere.reshape(side, factor, side, factor), axis=(1, 3))
        within_them: NDArray[np.bool_] = whole[cells]
        return within_them

    @cached_property
    def _shown(self) -> tuple[Array, Array]:
        """What is seen and what is expected, where anything is."""
        if self.present is None:
            return self.seen, self.expected
        return self.seen[self.present], self.expected[self.present]

    @cached_property
    def gain(self) -> float:
        """Contrast of the coarse picture after the tone curve, over its contrast before.

        A flat stand-in fits anything through a curve that flattens everything. 1 where there was no
        contrast before and the grey level stayed, 0 where it did not.
        """
        if self.empty:
            return 0.0
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
        lost: whether the window has left the picture, but for too few cells.
        turned: radians by which the last step would have turned the fine picture, clockwise.
    """

    window: Window
    weights: Array | None
    arrived: bool
    seen: Array
    expected: Array
    lost: bool = False
    turned: float = 0.0

    @property
    def misfit(self) -> float:
        """As of an `Alignment`."""
        return math.inf if self.lost else _misfit(self.seen, self.expected)


def approach(
    coarse: Array, fine: Array, start: Window | Approach, steps: int, ratio: float | None = None
) -> Approach:
    """Fit window and tone together, in at most so many steps.

    Args:
        coarse: (32, 32) luma grid, 0..255.
        fine: (side, side) luma of the picture that shows a window of it, as fine or finer.
        start: a window that is right to about a cell, or what a fit that stopped early left off with.
        steps: at most; one is always taken.
        ratio: height over width of the fine picture, to fit by how much it is turned as well.
    """
    window, weights = (start.window, start.weights) if isinstance(start, Approach) else (start, None)
    at = _step(coarse, fine, window, weights, ratio)
    for _ in range(1, steps):
        if at.arrived:
            break
        at = _step(coarse, fine, at.window, at.weights, ratio)
    return at


def _step(
    coarse: Array, fine: Array, window: Window, start: Array | None, ratio: float | None = None
) -> Approach:
    """One step of Gauss and Newton."""
    view = _project(coarse, fine, window)
    if _too_few(view.seen):
        return Approach(window, None, arrived=True, seen=view.seen, expected=view.seen, lost=True)
    shapes = tone_basis(view.known, more=4 if ratio is None else 5)
    _window_slopes(coarse.shape[0], window, view, shapes[4:8])
    if ratio is not None:
        shapes[8] = _turning_slope(window, view, shapes[4:8], ratio)
    seen = view.seen.ravel()
    fit = robust_fit(shapes, seen, start, _ROUNDS)
    step = [within(by, (-_MAX_STEP, _MAX_STEP)) for by in fit.solution[4:8].tolist()]
    moved = max(map(abs, step))
    return Approach(
        _clamped(window, step),
        fit.weights if moved <= _NEARLY else None,  # those that were right elsewhere would hold the fit there
        moved < _SETTLED,
        seen,
        fit.fitted,
        turned=0.0 if ratio is None else float(fit.solution[8]),
    )


def _turning_slope(window: Window, view: _View, slopes: Array, ratio: float) -> Array:
    """What turning the fine picture about its middle by a radian takes from `seen`, (cells,).

    Args:
        window: of the coarse picture.
        view: of both.
        slopes: those of the window; opposite borders add up to the picture's gradient.
        ratio: height over width of the fine picture.
    """
    rows, columns = view.seen.shape
    across, down = ((slopes[at] + slopes[at + 2]).reshape(rows, columns) for at in (0, 1))
    right = _shares(view.columns, _SIDE, window.x0, window.x1) - 0.5
    below = (_shares(view.rows, _SIDE, window.y0, window.y1) - 0.5)[:, None]
    wide, tall = window.x1 - window.x0, window.y1 - window.y0
    turning: Array = across * (wide * ratio) * below - down * (tall / ratio) * right
    return -turning.ravel()


def turning(fit: Alignment, ratio: float) -> float:
    """Radians by which the fine picture is about turned against the coarse one, clockwise.

    Args:
        fit: how they lie if it is taken for level.
        ratio: height over width of the fine picture.
    """
    if fit.empty:
        return 0.0
    view = _View(fit.rows, fit.columns, fit.known, fit.seen)
    slopes = np.empty((4, fit.seen.size))
    _window_slopes(_SIDE, fit.window, view, slopes)
    slope = _turning_slope(fit.window, view, slopes, ratio)
    left = (fit.seen - fit.expected).ravel()
    most = _CLIPPED * median(np.abs(left))
    return float(np.clip(left, -most, most) @ slope) / max(float(slope @ slope), 1e-9)


def _too_few(seen: Array) -> bool:
    return seen.ndim > 1 and min(seen.shape) < _LEAST_CELLS


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


def at_window(
    coarse: Array,
    fine: Array,
    window: Window,
    weights: Array | None = None,
    present: NDArray[np.bool_] | None = None,
) -> Alignment:
    """Fit the tone curve alone, the window being known.

    Args:
        coarse: as for `approach`.
        fine: likewise.
        window: of the coarse picture.
        weights: as for `robust_fit`.
        present: (32, 32), which cells of the coarse picture the fine one shows, if not all of its window.
    """
    view = _project(coarse, fine, window)
    shown = None if present is None else present[view.rows, view.columns]
    if _too_few(view.seen) or (shown is not None and np.count_nonzero(shown) < _LEAST_CELLS**2):
        return Alignment(window, slice(0), slice(0), *(np.empty((0, 0)),) * 3)
    shapes, seen = tone_basis(view.known), view.seen.ravel()
    fitted = robust_fit_where(shapes, seen, shown, weights)
    expected = as_grey(fitted).reshape(view.seen.shape)
    return Alignment(window, view.rows, view.columns, view.known, view.seen, expected, shown)


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


def pearsons(one: Array, others: Array) -> Array:
    """(n,): Pearson's of one array with each of n arrays that hold the same values otherwise ordered."""
    a = centred(one)
    b = others.reshape(len(others), -1) - mean(others[0])
    correlations: Array = b @ a / max(math.sqrt(float(a @ a) * float(b[0] @ b[0])), 1e-9)
    return correlations
