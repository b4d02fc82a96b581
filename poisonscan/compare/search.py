"""Where one picture may lie in another: windows tried by normalised cross-correlation of the luma grids."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from poisonscan.compare.geometry import Window, resample

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    found = _best_places(small - small.mean(), [resample(fine, *size) for size in sizes])
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
    plain = np.abs(lines - np.median(lines[0])).max(axis=1) <= _PLAIN
    return 0 if plain.all() else int(plain.argmin())


def _distinct(found: list[Candidate], *, mirrored: bool) -> list[Candidate]:
    """The first candidates of an orientation less those that are all but the same as one before them."""
    kept: list[Candidate] = []
    for one in found:
        if one.mirrored is mirrored and not any(_alike(one.window, other.window) for other in kept):
            kept.append(one)
    return kept[:_MOST]


def _alike(one: Window, other: Window) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= _ALIKE


def _best_places(coarse: Array, templates: Sequence[Array]) -> list[Candidate]:
    """The best place of each template, and that of its mirror image, on a grid whose mean is 0.

    Numerators as products of spectra, as of J. P. Lewis, "Fast Normalized Cross-Correlation" (1995). No
    place that counts wraps around the grid, so it needs no margin.
    """
    side = coarse.shape[0]
    shapes = np.zeros((len(templates), 3, side, side))
    for shape, template in zip(shapes, templates, strict=True):
        rows, columns = template.shape
        flat = template - template.mean()
        shape[:, :rows, :columns] = flat, flat[:, ::-1], np.ones_like(flat)
    spectra = np.conj(np.fft.rfft2(shapes))
    products = np.fft.irfft2(spectra * np.fft.rfft2(coarse), (side, side))
    squares = np.fft.irfft2(spectra[:, 2] * np.fft.rfft2(coarse * coarse), (side, side))
    cells = shapes[:, 2].sum(axis=(1, 2))
    energy = squares - products[:, 2] ** 2 / cells[:, None, None]
    ours = np.sqrt((shapes[:, 0] ** 2).sum(axis=(1, 2)))
    norm = np.sqrt(np.maximum(energy, 1.0)) * np.maximum(ours, 1.0)[:, None, None]
    scores = products[:, :2] / norm[:, None]
    found = []
    for template, both in zip(templates, scores, strict=True):
        height, width = template.shape
        for mirrored, inside in enumerate(both[:, : side - height + 1, : side - width + 1]):
            y, x = divmod(int(inside.argmax()), inside.shape[1])
            correlation = float(inside[y, x])
            if correlation >= _LEAST_CORRELATION:
                window = Window(x / side, y / side, (x + width) / side, (y + height) / side)
                evidence = math.atanh(min(correlation, 0.9999)) * math.sqrt(template.size - 3)
                found.append(Candidate(evidence, window, bool(mirrored)))
    return found
