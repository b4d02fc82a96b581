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
LEAST_CELLS = 6
"""Smallest window searched, in cells of SIDE: a crop to less than half the side on each axis."""
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


def candidates(coarse: Array, fine: Array, aspect: float) -> list[Candidate]:
    """The most promising windows of `coarse` that `fine` may show, two for each orientation, best first.

    Args:
        coarse: (32, 32) luma grid of the picture that shows all.
        fine: (32, 32) luma grid of the picture that may show a part.
        aspect: height of the window over its width, both as fractions of the coarse picture's sides,
            if `fine` was cut out and scaled without distortion.
    """
    small = resample(coarse, SIDE, SIDE)
    longer = range(LEAST_CELLS, SIDE + 1)
    sizes = [(side, round(side / aspect)) if aspect > 1 else (round(side * aspect), side) for side in longer]
    sizes = [size for size in sizes if min(size) >= LEAST_CELLS and size != small.shape]
    if not sizes:
        return []
    found = _best_places(_correlations(small - mean(small), fine, sizes), sizes)
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
    places = correlations.reshape(len(sizes), 2, -1)
    found = []
    for (height, width), at, most in zip(
        sizes, places.argmax(axis=2).tolist(), places.max(axis=2).tolist(), strict=True
    ):
        for mirrored, (place, correlation) in enumerate(zip(at, most, strict=True)):
            if correlation >= _LEAST_CORRELATION:
                y, x = divmod(place, SIDE)
                if mirrored:
                    x = SIDE - width - x
                window = Window(x / SIDE, y / SIDE, (x + width) / SIDE, (y + height) / SIDE)
                evidence = math.atanh(min(correlation, 0.9999)) * math.sqrt(height * width - 3)
                found.append(Candidate(evidence, window, bool(mirrored)))
    return found


def _correlations(coarse: Array, fine: Array, sizes: Sequence[tuple[int, int]]) -> Array:
    """(sizes, 2, SIDE, SIDE): of the fine picture in each size with what it covers of both views of a grid.

    By the row and column at which it begins; -1 where it would not fit in. Numerators as products of spectra,
    as of J. P. Lewis, "Fast Normalized Cross-Correlation" (1995). No place that counts wraps around the
    grid, so it needs no margin.

    Args:
        coarse: (SIDE, SIDE) of mean 0. The second view of it is its mirror image.
        fine: (side, side) luma grid.
        sizes: heights and widths, in cells of SIDE.
    """
    heights, widths = np.transpose(sizes)
    views = np.stack([coarse, coarse[:, ::-1]])
    down, across = _covered()[heights][:, None], _covered()[widths][:, None].transpose(0, 1, 3, 2)
    sums, squares = (down @ grids @ across for grids in (views, views * views))
    energy = squares - sums * sums / (heights * widths)[:, None, None, None]
    templates = _templates(fine, heights, widths)
    ours = np.sqrt((templates * templates).sum(axis=(1, 2)))[:, None, None, None]
    spectra = scipy.fft.rfft2(templates).conj()[:, None] * scipy.fft.rfft2(views)
    products = scipy.fft.irfft2(spectra, (SIDE, SIDE))
    correlations = products / (np.sqrt(np.maximum(energy, 1.0)) * np.maximum(ours, 1.0))
    starts = np.arange(SIDE)
    below, beside = starts > SIDE - heights[:, None], starts > SIDE - widths[:, None]
    return np.where((below[:, :, None] | beside[:, None])[:, None], -1.0, correlations)


def _templates(fine: Array, heights: NDArray[np.intp], widths: NDArray[np.intp]) -> Array:
    """(sizes, SIDE, SIDE): the fine picture in each size, less its mean, in the upper left of a grid of 0."""
    shrunk, covered = _shrunk(len(fine)), _covered()
    templates: Array = shrunk[heights] @ fine @ shrunk[widths].transpose(0, 2, 1)
    means = templates.sum(axis=(1, 2)) / (heights * widths)
    templates -= (means[:, None] * covered[heights, 0])[:, :, None] * covered[widths, 0][:, None]
    return templates


@lru_cache
def _shrunk(side: int) -> Array:
    """(SIDE + 1, SIDE, side): for each n, what makes n cells of one axis of a grid, and 0 in the others."""
    shrunk = np.zeros((SIDE + 1, SIDE, side))
    for n in range(1, SIDE + 1):
        shrunk[n, :n] = resample(np.eye(side), n, side)
    return shrunk


@lru_cache
def _covered() -> Array:
    """(SIDE + 1, SIDE, SIDE): for each n and each cell, 1 in the n cells from it on."""
    return np.stack([np.tri(SIDE, k=n - 1) - np.tri(SIDE, k=-1) for n in range(SIDE + 1)])
