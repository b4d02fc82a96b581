"""Registration: which part of the old picture the new one shows, and through which tone curve.

The search is coarse to fine. Windows are tried by normalised cross-correlation of the luma grids,
then window and tone are refined together by Gauss-Newton steps with iteratively re-weighted least
squares (Tukey's biweight), so that a tampered region does not steer the fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from poisonscan.compare.geometry import WHOLE, Window, axis, resample
from poisonscan.compare.order import nth

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array

_SEARCH_SIDE = 16
"""Windows are looked for on grids of half the resolution; refinement reaches over the cell that costs."""
_LEAST_WINDOW = 6
"""Smallest window searched, in cells of _SEARCH_SIDE: a crop to less than half the side on each axis."""
_LEAST_CORRELATION = 0.6  # of a window tried: true windows reach 0.9
_ALIKE = 1.5 / 16  # candidates whose borders differ by no more than this refine to the same window

TUKEY_C = 4.685
"""Tukey's biweight at 95% efficiency for normal errors (Holland & Welsch 1977)."""

_ITERATIONS = 6
_ROUNDS, _AGAIN = 4, 2  # of re-weighting, and where the weights are all but known
_MAX_STEP = 1.5 / 32
_NEARLY, _SETTLED = 3e-3, 3e-4  # steps of the window, in sides: a tenth of a cell and a hundredth
_OVERHANG = 0.03
_LEAST_CONTRAST = 8.0  # grey levels; below it a picture is all but flat
_GREY_SHIFT = 32.0  # grey levels by which toning may move a flat picture
_MOST_SAY = 0.5
_LEAST_SCALE = 0.3  # grey levels; two grids rounded to bytes differ by 0.41 rms


@dataclass(frozen=True, slots=True)
class Alignment:
    """Two grids on common cells.

    Attributes:
        window: the part of the coarse grid that the fine one covers.
        rows, columns: the coarse cells in common, as slices.
        seen: the fine picture's means on those cells, (rows, columns), 0..255.
        expected: the coarse picture's values there after the tone curve.
        correlation: Pearson's between the two, -1..1.
        misfit: mean size of their difference, each cell's say bounded to half the picture's contrast,
            over that contrast: 0..0.5, and hardly moved by a tampered region.
        gain: contrast of the coarse picture after the tone curve, over its contrast before. A flat
            stand-in fits anything through a curve that flattens everything. 1 where there was no
            contrast before and the grey level stayed, 0 where it did not.
    """

    window: Window
    rows: slice
    columns: slice
    seen: Array
    expected: Array
    correlation: float
    misfit: float
    gain: float


class Candidate(NamedTuple):
    """A window that may be the right one.

    Attributes:
        evidence: Fisher's z of the normalised cross-correlation, in standard deviations. A small window
            reaches a high correlation by chance in many places, and is worth the less for it.
        window: the window.
    """

    evidence: float
    window: Window


def candidates(coarse: Array, fine: Array, aspect: float) -> list[Candidate]:
    """The windows of `coarse` that `fine` may show, one for each size, best first.

    Args:
        coarse: (32, 32) luma grid of the picture that shows all.
        fine: (32, 32) luma grid of the picture that may show a part.
        aspect: height of the window over its width, both as fractions of the coarse picture's sides,
            if `fine` was cut out and scaled without distortion.
    """
    found = []
    small = resample(coarse, _SEARCH_SIDE, _SEARCH_SIDE)
    for width in range(_LEAST_WINDOW, _SEARCH_SIDE + 1):
        height = round(width * aspect)
        if _LEAST_WINDOW <= height <= _SEARCH_SIDE and (width, height) != small.shape:
            correlation, window = _best_place(small, resample(fine, height, width))
            if correlation >= _LEAST_CORRELATION:
                evidence = float(np.arctanh(min(correlation, 0.9999)) * np.sqrt(width * height - 3))
                found.append(Candidate(evidence, window))
    return _distinct(sorted(found, reverse=True))


def _distinct(found: list[Candidate]) -> list[Candidate]:
    """The candidates less those that are all but the same as one before them."""
    kept: list[Candidate] = []
    for one in found:
        if all(np.abs(np.subtract(one.window, other.window)).max() > _ALIKE for other in kept):
            kept.append(one)
    return kept


def _best_place(coarse: Array, template: Array) -> tuple[float, Window]:
    """Normalised cross-correlation of a template with every place of the grid; the best of them."""
    side = coarse.shape[0]
    height, width = template.shape
    places = sliding_window_view(coarse, template.shape).reshape(-1, height * width)
    flat = template.ravel() - template.mean()
    norm = np.sqrt(np.maximum(places.var(axis=1) * places.shape[1], 1.0)) * max(
        float(np.linalg.norm(flat)), 1.0
    )
    scores = places @ flat / norm
    best = int(scores.argmax())
    y, x = divmod(best, side - width + 1)
    window = Window(x / side, y / side, (x + width) / side, (y + height) / side)
    return float(scores[best]), window


def refine(coarse: Array, fine: Array, start: Window) -> Alignment:
    """Fit window and tone together.

    Args:
        coarse: (32, 32) luma grid, 0..255.
        fine: the same of the picture that shows a window of it.
        start: the window of `coarse` to start from, right to about a cell.
    """
    window, weights = start, None
    for _ in range(_ITERATIONS):
        view = _project(coarse, fine, window)
        basis = tone_basis(view.known)
        slopes = _window_slopes(coarse.shape[0], window, view)
        design = np.concatenate([basis, slopes], axis=1)
        solution, weights = robust_fit(design, view.seen.ravel(), weights)
        step = np.clip(solution[basis.shape[1] :], -_MAX_STEP, _MAX_STEP)
        window = _clamped(Window(*(np.array(window) + step)))
        moved = np.abs(step).max()
        if moved < _SETTLED:
            break
        if moved > _NEARLY:  # weights that were right elsewhere would hold the fit there
            weights = None
    return at_window(coarse, fine, window)


def robust_fit(design: Array, target: Array, start: Array | None = None) -> tuple[Array, Array]:
    """Iteratively re-weighted least squares.

    Args:
        design: (n, k).
        target: (n,).
        start: weights that an earlier fit to nearly the same cells gave, which halves the work.

    Returns:
        The (k,) solution and the (n,) weights in 0..1 that the last round gave.
    """
    known = start is not None and len(start) == len(target)
    weights = start if known and start is not None else np.ones(len(target))
    across = np.ascontiguousarray(design.T)
    ridge = 1e-6 * np.diag((across**2).sum(axis=1) + 1e-9)
    for _ in range(_AGAIN if known else _ROUNDS):
        weighted = across * weights
        solution = np.linalg.solve(weighted @ design + ridge, weighted @ target).astype(np.float64)
        residual = target - design @ solution
        middle = nth(np.abs(residual), len(residual) // 2)
        scale = max(1.4826 * middle, _LEAST_SCALE)
        weights = np.maximum(1 - (residual / (TUKEY_C * scale)) ** 2, 0) ** 2
    return solution, weights


@dataclass(frozen=True, slots=True)
class _View:
    """Both pictures on the coarse cells that a window covers."""

    rows: slice
    columns: slice
    known: Array
    seen: Array


def _project(coarse: Array, fine: Array, window: Window) -> _View:
    vertical = axis(window.y0, window.y1, coarse.shape[0], fine.shape[0])
    horizontal = axis(window.x0, window.x1, coarse.shape[1], fine.shape[1])
    rows, columns = slice(vertical.first, vertical.last), slice(horizontal.first, horizontal.last)
    return _View(rows, columns, coarse[rows, columns], vertical.matrix @ fine @ horizontal.matrix.T)


def _window_slopes(side: int, window: Window, view: _View) -> Array:
    """(cells, 4): what moving each border of the window takes from `seen`, by the picture's gradient."""
    gradient_y, gradient_x = np.gradient(view.seen)
    across = (np.arange(view.columns.start, view.columns.stop) + 0.5) / side
    down = (np.arange(view.rows.start, view.rows.stop) + 0.5) / side
    right = (across - window.x0) / (window.x1 - window.x0)
    below = (down - window.y0) / (window.y1 - window.y0)
    # Moving a border by d moves what lies under a cell at fraction f from it by (1 - f) d the other way.
    parts = (
        gradient_x * (1 - right)[None, :],
        gradient_y * (1 - below)[:, None],
        gradient_x * right[None, :],
        gradient_y * below[:, None],
    )
    return np.stack([part.ravel() * side for part in parts], axis=1)


def _clamped(window: Window) -> Window:
    low, high = -_OVERHANG, 1 + _OVERHANG
    x0, y0, x1, y1 = np.clip(np.array(window), low, high)
    least = 0.9 * _LEAST_WINDOW / _SEARCH_SIDE
    return Window(x0, y0, max(x1, x0 + least), max(y1, y0 + least))


def at_window(coarse: Array, fine: Array, window: Window) -> Alignment:
    """Fit the tone curve alone, the window being known."""
    view = _project(coarse, fine, window)
    basis = tone_basis(view.known)
    solution, _ = robust_fit(basis, view.seen.ravel())
    expected = np.clip((basis @ solution).reshape(view.seen.shape), 0, 255)
    return _aligned(window, view, expected)


def as_they_are(coarse: Array, fine: Array) -> Alignment:
    """Two (32, 32) luma grids laid over each other without any fit."""
    everything = slice(0, coarse.shape[0]), slice(0, coarse.shape[1])
    return _aligned(WHOLE, _View(*everything, coarse, fine), coarse)


def _aligned(window: Window, view: _View, expected: Array) -> Alignment:
    contrast = max(float(view.seen.std()), _LEAST_CONTRAST)
    misfit = np.minimum(np.abs(view.seen - expected) / contrast, _MOST_SAY).mean()
    return Alignment(
        window,
        view.rows,
        view.columns,
        view.seen,
        expected,
        correlation=_correlation(expected, view.seen),
        misfit=float(misfit),
        gain=_gain(view, expected),
    )


def _gain(view: _View, expected: Array) -> float:
    before = float(view.known.std())
    if before < _LEAST_CONTRAST:
        return float(abs(view.seen.mean() - view.known.mean()) <= _GREY_SHIFT)
    return float(expected.std()) / before


def tone_basis(values: Array) -> Array:
    """(cells, 4): powers 0..3 of grey levels, scaled to -1..1: the shapes of a tone curve."""
    grey = (values.ravel() - 127.5) / 127.5
    square = grey * grey
    return np.stack([np.ones_like(grey), grey, square, square * grey], axis=1)


def _correlation(one: Array, other: Array) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))
