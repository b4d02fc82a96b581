"""What is left of the difference once geometry and tone are accounted for.

Differences are averaged over squares of several sizes before they are squared: errors of interpolation
change sign from cell to cell and cancel, a stamp's do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts load when they are first used, which a process that compares nothing never does

from poisonscan.compare.align import tone_basis
from poisonscan.compare.cells import (
    activity,
    as_grey,
    deviation,
    hypotenuse,
    laplacian,
    on_luma_cells,
    smoothed,
    within,
)
from poisonscan.compare.geometry import WHOLE, Axes, axes, onto_fine, resample
from poisonscan.compare.noise import CHROMA, LUMA, Plane, unrest
from poisonscan.compare.robust import robust_fit_where
from poisonscan.fingerprint.detail import DETAIL_SIDE, Detail
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.compare.align import Alignment
    from poisonscan.compare.geometry import Array
    from poisonscan.compare.reading import Reading
    from poisonscan.fingerprint.grids import Grids

_LEAST_TEXTURE = 0.5  # grey levels
_FAR = 6.0  # standard deviations; beyond them a normal has 1e-10
_STRETCHED = 1.05  # contrast from which what lies near black and white may be cut off there
_WHITE, _END, _NEAR_END = 255.0, 2.0, 24.0  # grey levels: white, what counts as an end, and as near it
_LEAST_CONTRAST, _GAINS = 4.0, (0.3, 3.0)  # of a tone curve: its slope is told from that on, within those


def luma_plane(reading: Reading, colours: Colours, texture: Array, gain: float) -> Plane:
    """The residual of luma after everything that an innocent host may do to it at once.

    Curves and saturation are applied to red, green and blue, so that new luma is no function of old
    luma alone: a cubic in luma and a linear share of both chroma planes follows them. A share of the
    old picture's Laplacian follows sharpening and softening, and a share of `_laid_otherwise` what laying
    the new picture on these cells leaves.

    Args:
        reading: how the pictures lie.
        colours: what became of them.
        texture: (rows, columns) of the old picture on the cells in common, grey levels.
        gain: by how much the new picture's squared texture was scaled, if it was measured on the old cells.
    """
    fit, coarse = reading.fit, reading.coarse
    cells = fit.rows, fit.columns
    known, sharpness = coarse.luma[cells], laplacian(coarse.luma)[cells]
    chroma = _on_luma_cells(coarse.chroma)[:, *cells]
    shapes = tone_basis(known, more=4)
    shapes[4:].reshape(4, *known.shape)[:] = *chroma, sharpness, _laid_otherwise(reading)
    expected = as_grey(robust_fit_where(shapes, fit.seen.ravel(), fit.present)).reshape(known.shape)
    contrast = within(deviation(expected) / max(deviation(known), _LEAST_CONTRAST), _GAINS)
    busy = hypotenuse(activity(coarse.luma)[cells], smoothed(texture))
    clipping = _clipping(expected, contrast * chroma, contrast * texture)
    model = LUMA.between(unrest(expected - known, gain)) if reading.exact else LUMA
    difference = fit.seen - expected
    if contrast > _STRETCHED:
        difference[_cut_off(known, fit.seen)] = 0
    if fit.present is not None:
        difference[~fit.present] = 0
    return Plane(difference, busy, clipping, hypotenuse(expected - known, colours.toned[cells]), model)


def _cut_off(known: Array, seen: Array) -> NDArray[np.bool_]:
    """Cells that were near black or white and now are it: a curve that stretches contrast ends there."""
    white = (known >= _WHITE - _NEAR_END) & (seen >= _WHITE - _END)
    black = (known <= _NEAR_END) & (seen <= _END)
    return white | black


@dataclass(frozen=True, slots=True)
class Colours:
    """Both chroma planes on their cells in common.

    Attributes:
        axes: of these cells.
        known: (2, rows, columns) of the old picture, grey levels.
        seen: of the new one.
        expected: `known` fitted to what is seen: saturation, white balance.
    """

    axes: Axes
    known: Array
    seen: Array
    expected: Array

    @property
    def cells(self) -> tuple[slice, slice]:
        """Which of the whole grid these are."""
        down, across = self.axes
        return slice(down.first, down.last), slice(across.first, across.last)

    @property
    def toned(self) -> Array:
        """(32, 32): how far the colour of each luma cell was toned, grey levels; 0 outside."""
        everywhere = np.zeros((CHROMA_SIDE, CHROMA_SIDE))
        everywhere[self.cells] = hypotenuse(*(self.expected - self.known))
        return on_luma_cells(everywhere)


def colours_of(reading: Reading) -> Colours:
    """Fit the old colours, linearly and with a share of luma, to the new ones."""
    fit, coarse, fine = reading.fit, reading.coarse, reading.fine
    side = CHROMA_SIDE
    vertical, horizontal = axes(fit.window, side, fine.chroma.shape[1])
    cells = slice(vertical.first, vertical.last), slice(horizontal.first, horizontal.last)
    known = np.stack([np.ones((side, side)), resample(coarse.luma, side, side), *coarse.chroma])[:, *cells]
    shapes = known.reshape(len(known), -1)
    seen = vertical.matrix @ fine.chroma @ horizontal.matrix.T
    present = fit.present_on(cells, side)
    fitted = np.reshape([robust_fit_where(shapes, plane.ravel(), present) for plane in seen], seen.shape)
    if present is not None:
        seen = np.where(present, seen, fitted)
    return Colours(Axes(vertical, horizontal), known[2:], seen, fitted)


def chroma_planes(reading: Reading, colours: Colours, clipping: Array, gain: float) -> list[Plane]:
    """The residuals of Cb and Cr.

    Args:
        reading: how the pictures lie.
        colours: what became of them.
        clipping: (rows, columns) extra noise of luma on its cells in common.
        gain: as for `luma_plane`.
    """
    fit = reading.fit
    everywhere = np.zeros((LUMA_SIDE, LUMA_SIDE))
    everywhere[fit.rows, fit.columns] = clipping
    clipped = np.maximum(resample(everywhere, CHROMA_SIDE, CHROMA_SIDE), 0)[colours.cells]
    shifts = colours.expected - colours.known
    toned = hypotenuse(*shifts)
    active = activity(reading.coarse.chroma)[:, *colours.cells]
    return [
        Plane(
            difference,
            busy,
            clipped,
            toned,
            CHROMA.between(unrest(shift, gain)) if reading.exact else CHROMA,
        )
        for difference, busy, shift in zip(colours.seen - colours.expected, active, shifts, strict=True)
    ]


def _laid_otherwise(reading: Reading) -> Array:
    """(rows, columns): what is left in cells by the way in which the new picture came to lie on them.

    Where it was measured there, sharpening at the scale of its detail is all: what crosses the borders of
    cells. The new picture's own, since the old one's is not known so finely.
    """
    fit, fine = reading.fit, reading.fine
    if not isinstance(fine, Detail):
        return _lost_detail(fit, reading.coarse)
    vertical, horizontal = axes(fit.window, LUMA_SIDE, DETAIL_SIDE)
    crossing: Array = vertical.matrix @ laplacian(fine.luma) @ horizontal.matrix.T
    return crossing


def _lost_detail(fit: Alignment, coarse: Grids) -> Array:
    """What the coarse luma loses on its way to the cells of the fine grid and back, if these are others."""
    if fit.window == WHOLE:
        return np.zeros_like(fit.seen)
    side, window = coarse.luma.shape[0], fit.window
    vertical, horizontal = axes(window, side, side)
    there_y = onto_fine(window.y0, window.y1, side, side)
    there_x = onto_fine(window.x0, window.x1, side, side)
    back = (vertical.matrix @ there_y) @ coarse.luma @ (horizontal.matrix @ there_x).T
    lost: Array = coarse.luma[fit.rows, fit.columns] - back
    return lost


def _on_luma_cells(chroma: Array) -> Array:
    """(2, rows, columns): chroma on luma cells."""
    return resample(chroma, LUMA_SIDE, LUMA_SIDE)


def activity_of(picture: Grids) -> Array:
    """(32, 32): how much a picture varies within and between the cells around each luma cell, grey levels."""
    return hypotenuse(activity(picture.luma), smoothed(on_luma_cells(picture.texture)))


def _clipping(luma: Array, chroma: Array, texture: Array) -> Array:
    """By how much clipping at black and white may move the mean of a cell, grey levels.

    A tone curve that pushes part of a cell's pixels over the end moves the mean less than the curve
    says. For pixels spread normally around the mean by `texture`, the part cut off is known.
    """
    blue_difference, red_difference = chroma
    red = luma + 1.402 * red_difference
    green = luma - 0.344 * blue_difference - 0.714 * red_difference
    blue = luma + 1.772 * blue_difference
    spread = np.maximum(texture, _LEAST_TEXTURE)
    low = np.minimum(np.minimum(red, green), blue)
    high = 255 - np.maximum(np.maximum(red, green), blue)
    cut: Array = spread * _beyond(np.stack([low, high]) / spread).sum(axis=0)
    return cut


def _beyond(z: Array) -> Array:
    """E[max(x - z, 0)] of a standard normal x."""
    excess = np.zeros_like(z)
    near = z < _FAR
    z = z[near]
    excess[near] = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) - z * scipy.special.ndtr(-z)
    return excess
