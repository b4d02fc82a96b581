"""What is left of the difference once geometry and tone are accounted for, in units of its noise.

Re-encoding, resampling and sharpening disturb a cell the more, the busier the picture is around it; by
how much differs from edit to edit, so the noise is fitted to each pair anew, by a quantile that a
tampered region, being a minority of cells, hardly moves. Fitted noise is bounded, so that a pattern
which covers everything cannot pass for noise.

Differences are averaged over squares of several sizes before they are squared: errors of interpolation
change sign from cell to cell and cancel, a stamp's do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts load when they are first used, which a process that compares nothing never does

from poisonscan.compare.align import deviation, tone_basis
from poisonscan.compare.cells import activity, laplacian, means, on_luma_cells, smoothed
from poisonscan.compare.geometry import Axes, Window, axes, onto_fine, resample
from poisonscan.compare.order import median, quantile
from poisonscan.compare.robust import robust_fit
from poisonscan.fingerprint.detail import DETAIL_SIDE, Detail
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.compare.align import Alignment
    from poisonscan.compare.geometry import Array
    from poisonscan.compare.reading import Reading
    from poisonscan.fingerprint.grids import Grids

_QUANTILE, _NORMAL = 0.8, 1.2816  # the share of cells that sets the noise, and its place on a normal
_LEAST_CELLS = 30  # fewer than this many cells say nothing about noise
_LEAST_TEXTURE = 0.5  # grey levels
_FAR = 6.0  # standard deviations; beyond them a normal has 1e-10
_TONED, _SHARPENED = 2.0, 0.2  # grey levels, and share of the texture, that mean toning and sharpening
_TONING = 0.1  # share of a cell's toning by which curves, clipping and saturation may miss what was fitted
_STRETCHED = 1.05  # contrast from which what lies near black and white may be cut off there
_WHITE, _END, _NEAR_END = 255.0, 2.0, 24.0  # grey levels: white, what counts as an end, and as near it
_LEAST_CONTRAST, _GAINS = 4.0, (0.3, 3.0)  # of a tone curve: its slope is told from that on, within those


@dataclass(frozen=True, slots=True)
class Model:
    """Bounds of the fitted noise of one kind of grid.

    Attributes:
        busy: activity above which a cell counts as busy, grey levels.
        level: least and most noise where the picture is quiet, grey levels.
        slope: least and most noise for each grey level of activity.
        exact: least level and slope where the new picture was measured on the old one's cells and is neither
            toned nor sharpened.
    """

    busy: float
    level: tuple[float, float]
    slope: tuple[float, float]
    exact: tuple[float, float]

    def between(self, unrest: float) -> Model:
        """The same with its least noise that far, 0..1, from the exact one."""
        level, slope = (
            exact + unrest * (most_careful - exact)
            for exact, most_careful in zip(self.exact, (self.level[0], self.slope[0]), strict=True)
        )
        return replace(self, level=(level, self.level[1]), slope=(slope, self.slope[1]))


LUMA = Model(busy=4.0, level=(0.8, 4.0), slope=(0.05, 0.35), exact=(0.4, 0.02))
"""0.8 is what rounding both grids (0.41 rms) and JPEG leave at the least, 0.4 where only one is rounded.
Slopes seen: 0.02 to 0.10 for re-encoding, to 0.16 for nearest-neighbour resizing and sharpening, 0.2 to 0.35
after a crop that is interpolated, and next to none after one that is measured on the old cells."""

CHROMA = Model(busy=2.0, level=(1.0, 4.0), slope=(0.15, 0.5), exact=(0.4, 0.05))
"""Codecs store chroma at half the resolution and quantise it more coarsely."""


@dataclass(frozen=True, slots=True)
class Plane:
    """The residual of one plane of the pictures on their common cells.

    Attributes:
        difference: (rows, columns) new minus expected, grey levels.
        activity: (rows, columns) local activity of the picture, grey levels.
        clipping: (rows, columns) extra noise where a tone curve may have saturated, grey levels.
        toned: (rows, columns) how far each cell was toned, grey levels.
        model: bounds of its noise.
    """

    difference: Array
    activity: Array
    clipping: Array
    toned: Array
    model: Model

    def energy(self, side: int) -> Array:
        """Squared residual over squared noise of every square of `side` cells; 1 is usual."""
        difference, active, clipped = self.means(side)
        level, slope = self._noise(np.abs(difference), active, side)
        toned = _TONING * means(self.toned, side)
        noise: Array = level**2 + (slope * active) ** 2 + clipped**2 + toned**2
        squares: Array = difference**2 / noise
        return squares

    def means(self, side: int) -> tuple[Array, Array, Array]:
        """Difference, activity and clipping averaged over every square of `side` cells."""
        averages = means(np.stack([self.difference, self.activity, self.clipping]), side)
        return averages[0], averages[1], averages[2]

    def _noise(self, size: Array, active: Array, side: int) -> tuple[float, float]:
        """Fitted level and slope of the noise of squares of `side` cells."""
        busy = active > self.model.busy
        least = self.model.level[0] / math.sqrt(side)
        level, slope = least, self.model.slope[0]
        if (~busy).sum() > _LEAST_CELLS:
            level = quantile(size[~busy], _QUANTILE) / _NORMAL
        if busy.sum() > _LEAST_CELLS:
            slope = quantile(size[busy] / active[busy], _QUANTILE) / _NORMAL
        return _within(level, (least, self.model.level[1])), _within(slope, self.model.slope)


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
    known = coarse.luma[fit.rows, fit.columns]
    cells = fit.rows, fit.columns
    chroma = _on_luma_cells(coarse.chroma)[:, *cells]
    sharpness = laplacian(coarse.luma)[fit.rows, fit.columns]
    others = np.stack([*chroma, sharpness, _laid_otherwise(reading)]).reshape(4, -1) / 128
    shapes = np.concatenate([tone_basis(known), others])
    solution, _ = robust_fit(shapes, fit.seen.ravel())
    expected = np.clip((solution @ shapes).reshape(known.shape), 0, 255)
    contrast = _within(deviation(expected) / max(deviation(known), _LEAST_CONTRAST), _GAINS)
    busy = np.hypot(activity(coarse.luma)[fit.rows, fit.columns], smoothed(texture))
    clipping = _clipping(expected, contrast * chroma, contrast * texture)
    model = LUMA.between(_unrest(expected - known, gain)) if reading.exact else LUMA
    difference = fit.seen - expected
    if contrast > _STRETCHED:
        difference[_cut_off(known, fit.seen)] = 0
    return Plane(difference, busy, clipping, np.hypot(expected - known, colours.toned[cells]), model)


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
        everywhere[self.cells] = np.hypot(*(self.expected - self.known))
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
    fitted = [robust_fit(shapes, plane.ravel())[0] @ shapes for plane in seen]
    return Colours(Axes(vertical, horizontal), known[2:], seen, np.reshape(fitted, seen.shape))


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
    toned = np.hypot(*shifts)
    return [
        Plane(
            seen - expected,
            activity(old)[colours.cells],
            clipped,
            toned,
            CHROMA.between(_unrest(shift, gain)) if reading.exact else CHROMA,
        )
        for old, seen, expected, shift in zip(
            reading.coarse.chroma, colours.seen, colours.expected, shifts, strict=True
        )
    ]


def _unrest(toned: Array, gain: float) -> float:
    """How far a picture is from being the old one re-encoded, 0..1.

    What clipping and sharpening leave lies beside edges and in the brightest places, not everywhere, so
    that the noise fitted to all cells does not tell of it.

    Args:
        toned: by how much each cell was toned, grey levels.
        gain: by how much squared texture was scaled.
    """
    sharpened = math.sqrt(max(gain, 1.0)) - 1
    return min(max(median(np.abs(toned)) / _TONED, sharpened / _SHARPENED), 1.0)


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
    """What the coarse luma loses on its way to the cells of the fine grid and back."""
    side, window = coarse.luma.shape[0], fit.window
    vertical, horizontal = axes(window, side, side)
    there_y = onto_fine(window.y0, window.y1, side, side)
    there_x = onto_fine(window.x0, window.x1, side, side)
    back = (vertical.matrix @ there_y) @ coarse.luma @ (horizontal.matrix @ there_x).T
    lost: Array = coarse.luma[fit.rows, fit.columns] - back
    return lost


def _on_luma_cells(chroma: Array) -> Array:
    """(2, rows, columns): chroma on luma cells."""
    return np.stack([resample(plane, LUMA_SIDE, LUMA_SIDE) for plane in chroma])


def activity_of(picture: Grids) -> Array:
    """(32, 32): how much a picture varies within and between the cells around each luma cell, grey levels."""
    return np.hypot(activity(picture.luma), smoothed(on_luma_cells(picture.texture)))


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
    low = np.minimum(np.minimum(red, green), blue) / spread
    high = (255 - np.maximum(np.maximum(red, green), blue)) / spread
    cut: Array = spread * (_beyond(low) + _beyond(high))
    return cut


def _beyond(z: Array) -> Array:
    """E[max(x - z, 0)] of a standard normal x."""
    excess = np.zeros_like(z)
    near = z < _FAR
    z = z[near]
    excess[near] = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) - z * scipy.special.ndtr(-z)
    return excess


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def in_new_picture(window: Window, cell: Window) -> Window:
    """A rectangle on the coarse grid as seen on the fine picture that covers `window` of it."""
    width, height = window.x1 - window.x0, window.y1 - window.y0
    box = (
        (cell.x0 - window.x0) / width,
        (cell.y0 - window.y0) / height,
        (cell.x1 - window.x0) / width,
        (cell.y1 - window.y0) / height,
    )
    return Window(*(min(max(value, 0.0), 1.0) for value in box))
