"""What is left of the difference once geometry and tone are accounted for, in units of its noise.

Re-encoding, resampling and sharpening disturb a cell the more, the busier the picture is around it; by
how much differs from edit to edit, so the noise is fitted to each pair anew, by a quantile that a
tampered region, being a minority of cells, hardly moves. Fitted noise is bounded, so that a pattern
which covers everything cannot pass for noise.

Differences are averaged over squares of several sizes before they are squared: errors of interpolation
change sign from cell to cell and cancel, a stamp's do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts load when they are first used, which a process that compares nothing never does

from poisonscan.compare.align import Alignment, robust_fit, tone_basis
from poisonscan.compare.geometry import Axis, Window, axis, onto_fine, resample
from poisonscan.compare.order import quantile
from poisonscan.records import LUMA_SIDE

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array
    from poisonscan.fingerprint.grids import Grids

_QUANTILE, _NORMAL = 0.8, 1.2816  # the share of cells that sets the noise, and its place on a normal
_LEAST_CELLS = 30  # fewer than this many cells say nothing about noise
_LEAST_TEXTURE = 0.5  # grey levels
_LEAST_CONTRAST, _GAINS = 4.0, (0.3, 3.0)  # of a tone curve: its slope is told from that on, within those


@dataclass(frozen=True, slots=True)
class Model:
    """Bounds of the fitted noise of one kind of grid.

    Attributes:
        busy: activity above which a cell counts as busy, grey levels.
        level: least and most noise where the picture is quiet, grey levels.
        slope: least and most noise for each grey level of activity.
    """

    busy: float
    level: tuple[float, float]
    slope: tuple[float, float]


LUMA = Model(busy=4.0, level=(0.8, 4.0), slope=(0.05, 0.35))
"""0.8 is what rounding both grids (0.41 rms) and JPEG leave at the least. Slopes seen: 0.02 to 0.10
for re-encoding, to 0.16 for nearest-neighbour resizing and sharpening, 0.2 to 0.35 after a crop."""

CHROMA = Model(busy=2.0, level=(1.0, 4.0), slope=(0.15, 0.5))
"""Codecs store chroma at half the resolution and quantise it more coarsely."""


@dataclass(frozen=True, slots=True)
class Plane:
    """The residual of one plane of the pictures on their common cells.

    Attributes:
        difference: (rows, columns) new minus expected, grey levels.
        activity: (rows, columns) local activity of the picture, grey levels.
        clipping: (rows, columns) extra noise where a tone curve may have saturated, grey levels.
        model: bounds of its noise.
    """

    difference: Array
    activity: Array
    clipping: Array
    model: Model

    def energy(self, side: int) -> Array:
        """Squared residual over squared noise of every square of `side` cells; 1 is usual."""
        difference, active, clipped = self.means(side)
        level, slope = self._noise(np.abs(difference), active, side)
        noise: Array = level**2 + (slope * active) ** 2 + clipped**2
        squares: Array = difference**2 / noise
        return squares

    def means(self, side: int) -> tuple[Array, Array, Array]:
        """Difference, activity and clipping averaged over every square of `side` cells."""
        averages = means(np.stack([self.difference, self.activity, self.clipping]), side)
        return averages[0], averages[1], averages[2]

    def _noise(self, size: Array, active: Array, side: int) -> tuple[float, float]:
        """Fitted level and slope of the noise of squares of `side` cells."""
        busy = active > self.model.busy
        least = self.model.level[0] / np.sqrt(side)
        level, slope = least, self.model.slope[0]
        if (~busy).sum() > _LEAST_CELLS:
            level = quantile(size[~busy], _QUANTILE) / _NORMAL
        if busy.sum() > _LEAST_CELLS:
            slope = quantile(size[busy] / active[busy], _QUANTILE) / _NORMAL
        return float(np.clip(level, least, self.model.level[1])), float(np.clip(slope, *self.model.slope))


def luma_plane(fit: Alignment, coarse: Grids, texture: Array) -> Plane:
    """The residual of luma after everything that an innocent host may do to it at once.

    Curves and saturation are applied to red, green and blue, so that new luma is no function of old
    luma alone: a cubic in luma and a linear share of both chroma planes follows them. A share of the
    old picture's Laplacian follows sharpening and softening, a share of `_lost_detail` the error of
    laying cells over other cells.

    Args:
        fit: the alignment.
        coarse: grids of the picture whose cells are compared.
        texture: (rows, columns) of the old picture on the cells in common, grey levels.
    """
    known = coarse.luma[fit.rows, fit.columns]
    colours = _on_luma_cells(coarse.chroma)[:, fit.rows, fit.columns]
    sharpness = _laplacian(coarse.luma)[fit.rows, fit.columns]
    columns = [
        tone_basis(known),
        *(part.ravel() / 128 for part in (*colours, sharpness, _lost_detail(fit, coarse))),
    ]
    design = np.column_stack(columns)
    solution, _ = robust_fit(design, fit.seen.ravel())
    expected = np.clip((design @ solution).reshape(known.shape), 0, 255)
    gain = float(np.clip(expected.std() / max(float(known.std()), _LEAST_CONTRAST), *_GAINS))
    busy = np.hypot(activity(coarse.luma)[fit.rows, fit.columns], _smoothed(texture))
    return Plane(fit.seen - expected, busy, _clipping(expected, gain * colours, gain * texture), LUMA)


def chroma_planes(
    fit: Alignment, coarse: Grids, fine: Grids, clipping: Array
) -> tuple[Axis, Axis, list[Plane]]:
    """The residuals of Cb and Cr, each fitted linearly to the old colours (saturation, white balance).

    Args:
        fit: the alignment.
        coarse: grids of the picture whose cells are compared.
        fine: grids of the other.
        clipping: (rows, columns) extra noise of luma on its cells in common.

    Returns:
        Vertical and horizontal axis of the chroma cells in common, and the planes.
    """
    side = coarse.chroma.shape[1]
    vertical, horizontal = _chroma_axes(fit, side)
    cells = slice(vertical.first, vertical.last), slice(horizontal.first, horizontal.last)
    everywhere = np.zeros_like(coarse.luma)
    everywhere[fit.rows, fit.columns] = clipping
    clipped = np.maximum(resample(everywhere, side, side), 0)[cells]
    planes = []
    known = (resample(coarse.luma, side, side), *coarse.chroma)
    columns = [plane[cells].ravel() for plane in known]
    design = np.column_stack([np.ones(columns[0].size), *columns])
    for old, new in zip(coarse.chroma, fine.chroma, strict=True):
        seen = vertical.matrix @ new @ horizontal.matrix.T
        solution, _ = robust_fit(design, seen.ravel())
        difference = seen - (design @ solution).reshape(seen.shape)
        planes.append(Plane(difference, activity(old)[cells], clipped, CHROMA))
    return vertical, horizontal, planes


def textures(fit: Alignment, coarse: Grids, fine: Grids) -> tuple[Array, Array]:
    """Texture of the coarse and of the fine picture on the luma cells in common, grey levels."""
    vertical, horizontal = _axes(fit, coarse.luma.shape[0], fine.luma.shape[0])
    ours, theirs = (_repeated(grids.texture, grids.luma.shape[0]) for grids in (coarse, fine))
    squares = vertical.matrix @ theirs**2 @ horizontal.matrix.T
    return ours[fit.rows, fit.columns], np.sqrt(np.maximum(squares, 0))


def _chroma_axes(fit: Alignment, side: int) -> tuple[Axis, Axis]:
    return _axes(fit, side, side)


def _axes(fit: Alignment, coarse_side: int, fine_side: int) -> tuple[Axis, Axis]:
    window = fit.window
    return (
        axis(window.y0, window.y1, coarse_side, fine_side),
        axis(window.x0, window.x1, coarse_side, fine_side),
    )


def _lost_detail(fit: Alignment, coarse: Grids) -> Array:
    """What the coarse luma loses on its way to the cells of the fine grid and back."""
    side, window = coarse.luma.shape[0], fit.window
    vertical, horizontal = _axes(fit, side, side)
    there_y = onto_fine(window.y0, window.y1, side, side)
    there_x = onto_fine(window.x0, window.x1, side, side)
    back = (vertical.matrix @ there_y) @ coarse.luma @ (horizontal.matrix @ there_x).T
    lost: Array = coarse.luma[fit.rows, fit.columns] - back
    return lost


def _laplacian(grid: Array) -> Array:
    around = _with_border(grid)
    total: Array = around[1:-1, :-2] + around[1:-1, 2:] + around[:-2, 1:-1] + around[2:, 1:-1] - 4 * grid
    return total


def _on_luma_cells(chroma: Array) -> Array:
    """(2, rows, columns): chroma on luma cells."""
    return np.stack([resample(plane, LUMA_SIDE, LUMA_SIDE) for plane in chroma])


def on_luma_cells(grid: Array) -> Array:
    """(32, 32): each luma cell with the value of the cell of a coarser grid that it lies in."""
    return _repeated(grid, LUMA_SIDE)


def _repeated(grid: Array, side: int) -> Array:
    """The grid on `side` cells a side, a multiple of its own."""
    ratio = side // grid.shape[0]
    return grid.repeat(ratio, axis=0).repeat(ratio, axis=1)


def activity_of(picture: Grids) -> Array:
    """(32, 32): how much a picture varies within and between the cells around each luma cell, grey levels."""
    return np.hypot(activity(picture.luma), _smoothed(_repeated(picture.texture, LUMA_SIDE)))


def _smoothed(texture: Array) -> Array:
    return means(_with_border(texture), 3)


def activity(grid: Array) -> Array:
    """Root mean square difference to the four neighbours, averaged over 3 x 3 cells, grey levels."""
    around = _with_border(grid)
    across, down = np.diff(around[1:-1], axis=1) ** 2, np.diff(around[:, 1:-1], axis=0) ** 2
    steps = np.sqrt((across[:, :-1] + across[:, 1:] + down[:-1] + down[1:]) / 4)
    return means(_with_border(steps), 3)


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


def _with_border(grid: Array) -> Array:
    """The grid with its outermost cells repeated once around it (`np.pad` is slow on small arrays)."""
    height, width = grid.shape
    framed = np.empty((height + 2, width + 2))
    framed[1:-1, 1:-1] = grid
    framed[0, 1:-1], framed[-1, 1:-1] = grid[0], grid[-1]
    framed[:, 0], framed[:, -1] = framed[:, 1], framed[:, -2]
    return framed


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
    excess: Array = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) - z * scipy.special.ndtr(-z)
    return excess


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
