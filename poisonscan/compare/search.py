"""Where one picture may lie in another: windows tried by normalised cross-correlation of the luma grids."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy  # its parts load when they are first used, which a process that compares nothing never does

from poisonscan.compare.cells import mean
from poisonscan.compare.geometry import Window, resample
from poisonscan.compare.order import median

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from poisonscan.compare.geometry import Array

SIDE = 16
"""Windows are looked for on grids of half the resolution; the fit reaches over the cell that costs."""
SMALL_SIDE = 32
"""Small ones on the grids as they are."""
LEAST_CELLS = 6
"""Smallest window searched, in cells of SIDE: a crop to less than half the side on each axis."""
_SMALLEST = 7  # cells of SMALL_SIDE, a side
_LEAST_AREA = 0.09  # of a small window: a little less than a tenth, which it may measure in whole cells
_LEAST_CORRELATION = 0.6  # of a window tried: true windows reach 0.9
_ALIKE = 1.5 / 16  # candidates whose borders differ by no more than this lead to the same window
_PLAIN = 6.0  # grey levels by which the cells of a bar may differ
_MOST = 2  # candidates of one orientation


class Candidate(NamedTuple):
    """A window that may be the right one.

    Attributes:
        evidence: Fisher's z of the normalised cross-correlation, in standard deviations. A small window
            reaches a high correlation by chance in many places, and is worth the less for it.
        window: the part of the coarse picture that the fine one would cover.
        mirrored: whether the fine picture lies there mirrored.
    """

    evidence: float
    window: Window
    mirrored: bool


def candidates(coarse: Array, fine: Array, aspect: float, step: int = 1) -> list[Candidate]:
    """The most promising windows of `coarse` that `fine` may show, two for each orientation, best first.

    Args:
        coarse: (32, 32) luma grid of the picture that shows all.
        fine: (32, 32) luma grid of the picture that may show a part.
        aspect: height of the window over its width, both as fractions of the coarse picture's sides,
            if `fine` was cut out and scaled without distortion.
        step: cells by which the windows tried differ in their longer side.
    """
    sizes = [
        size for size in _sizes(SIDE, aspect)[::-step] if min(size) >= LEAST_CELLS and size != (SIDE, SIDE)
    ]
    return _searched(resample(coarse, SIDE, SIDE), fine, sizes)


def small_windows(coarse: Array, fine: Array, aspect: float) -> list[Candidate]:
    """Those that `candidates` would not look for, down to a tenth of the area; arguments as for it."""
    least, factor = _LEAST_AREA * SMALL_SIDE**2, SMALL_SIDE // SIDE
    sizes = [
        size
        for size in _sizes(SMALL_SIDE, aspect)
        if _SMALLEST <= min(size) <= factor * LEAST_CELLS and size[0] * size[1] >= least
    ]
    return _searched(coarse, fine, sizes)


def _sizes(side: int, aspect: float) -> list[tuple[int, int]]:
    """Heights and widths of windows of one shape on a grid, in cells."""
    longer = range(1, side + 1)
    if aspect > 1:
        return [(length, round(length / aspect)) for length in longer]
    return [(round(length * aspect), length) for length in longer]


def _searched(coarse: Array, fine: Array, sizes: list[tuple[int, int]]) -> list[Candidate]:
    if not sizes:
        return []
    found = _best_places(_correlations(coarse - mean(coarse), fine, sizes), sizes)
    found.sort(reverse=True)
    return sorted(_distinct(found, mirrored=False) + _distinct(found, mirrored=True), reverse=True)


def in_a_frame(coarse: Array, fine: Array) -> Window | None:
    """What plain bars leave of a picture, if it has broader ones than the picture that may lie between them.

    Narrow panoramas and line drawings, which correlate with little, are found by their bars alone.

    Args:
        coarse: (32, 32) luma grid of the picture that may have bars.
        fine: (32, 32) luma grid of the other.
    """
    bars, own = _bars(coarse), _bars(fine)
    side = len(coarse)
    top, bottom, left, right = bars
    if not any(there > here for there, here in zip(bars, own, strict=True)):
        return None
    if min(side - top - bottom, side - left - right) < LEAST_CELLS * side / SIDE:
        return None
    return Window(left / side, top / side, 1 - right / side, 1 - bottom / side)


def _bars(grid: Array) -> tuple[int, int, int, int]:
    """How many rows from the top and bottom, and columns from the left and right, are one plain bar."""
    top, bottom, left, right = (_alike_first(lines) for lines in (grid, grid[::-1], grid.T, grid.T[::-1]))
    return top, bottom, left, right


def _alike_first(lines: Array) -> int:
    """How many lines from the first are of the first one's level all along; 0 where all are."""
    plain = np.abs(lines - median(lines[0])).max(axis=1) <= _PLAIN
    return int(plain.argmin())  # the first that is not, or 0 where all are


def _distinct(found: list[Candidate], *, mirrored: bool) -> list[Candidate]:
    """The first candidates of an orientation less those that are all but the same as one before them."""
    kept: list[Candidate] = []
    for one in found:
        if one.mirrored is mirrored and not any(_alike(one.window, other.window) for other in kept):
            kept.append(one)
            if len(kept) == _MOST:
                break
    return kept


def _alike(one: Window, other: Window) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= _ALIKE


def _best_places(correlations: Array, sizes: Sequence[tuple[int, int]]) -> list[Candidate]:
    """The best place of each size, and that of the mirror image, of what `_correlations` gives."""
    places, side = correlations.reshape(len(sizes), 2, -1), correlations.shape[-1]
    found = []
    for (height, width), at, most in zip(
        sizes, places.argmax(axis=2).tolist(), places.max(axis=2).tolist(), strict=True
    ):
        for mirrored, (place, correlation) in enumerate(zip(at, most, strict=True)):
            if correlation >= _LEAST_CORRELATION:
                y, x = divmod(place, side)
                if mirrored:
                    x = side - width - x
                window = Window(x / side, y / side, (x + width) / side, (y + height) / side)
                evidence = math.atanh(min(correlation, 0.9999)) * math.sqrt(height * width - 3)
                found.append(Candidate(evidence, window, bool(mirrored)))
    return found


def _correlations(coarse: Array, fine: Array, sizes: Sequence[tuple[int, int]]) -> Array:
    """(sizes, 2, side, side): of the fine picture in each size with what it covers of both views of a grid.

    By the row and column at which it begins; -1 where it would not fit in. Numerators as products of spectra,
    as of J. P. Lewis, "Fast Normalized Cross-Correlation" (1995). No place that counts wraps around the
    grid, so it needs no margin.

    Args:
        coarse: (side, side) of mean 0. The second view of it is its mirror image.
        fine: (32, 32) luma grid.
        sizes: heights and widths, in cells of the coarse grid.
    """
    heights, widths = np.transpose(sizes)
    views = np.stack([coarse, coarse[:, ::-1]])
    side = len(coarse)
    covered = _covered(side)
    down, across = covered[heights][:, None], covered[widths][:, None].transpose(0, 1, 3, 2)
    sums, squares = (down @ grids @ across for grids in (views, views * views))
    energy = squares - sums * sums / (heights * widths)[:, None, None, None]
    templates = _templates(fine, heights, widths, side)
    ours = np.sqrt((templates * templates).sum(axis=(1, 2)))[:, None, None, None]
    spectra = scipy.fft.rfft2(templates).conj()[:, None] * scipy.fft.rfft2(views)
    products = scipy.fft.irfft2(spectra, (side, side))
    correlations = products / (np.sqrt(np.maximum(energy, 1.0)) * np.maximum(ours, 1.0))
    starts = np.arange(side)
    below, beside = starts > side - heights[:, None], starts > side - widths[:, None]
    return np.where((below[:, :, None] | beside[:, None])[:, None], -1.0, correlations)


def _templates(fine: Array, heights: NDArray[np.intp], widths: NDArray[np.intp], side: int) -> Array:
    """(sizes, side, side): the fine picture in each size, less its mean, in the upper left of a grid of 0."""
    shrunk, covered = _shrunk(side, len(fine)), _covered(side)
    templates: Array = shrunk[heights] @ fine @ shrunk[widths].transpose(0, 2, 1)
    means = templates.sum(axis=(1, 2)) / (heights * widths)
    templates -= (means[:, None] * covered[heights, 0])[:, :, None] * covered[widths, 0][:, None]
    return templates


@lru_cache
def _shrunk(side: int, fine_side: int) -> Array:
    """(side + 1, side, fine_side): for each n, what makes n cells of an axis, and 0 in the others."""
    shrunk = np.zeros((side + 1, side, fine_side))
    for n in range(1, side + 1):
        shrunk[n, :n] = resample(np.eye(fine_side), n, fine_side)
    return shrunk


@lru_cache
def _covered(side: int) -> Array:
    """(side + 1, side, side): for each n and each cell, 1 in the n cells from it on."""
    return np.stack([np.tri(side, k=n - 1) - np.tri(side, k=-1) for n in range(side + 1)])
