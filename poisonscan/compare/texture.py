"""Texture, what varies within cells: how much of the new picture's does the old one account for?

Sharpening, softening and toning scale texture; fine noise adds to its square everywhere, a stamp in one
place. Checks or noise may hardly move the means of the cells they lie in, but cannot hide their own texture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from poisonscan.compare.cells import activity, highest_around, on_luma_cells, within
from poisonscan.compare.geometry import STICKS_OUT, WHOLE, axes
from poisonscan.compare.order import median, quantile
from poisonscan.fingerprint.detail import DETAIL_SIDE, Detail
from poisonscan.records import LUMA_SIDE, TEXTURE_SIDE

if TYPE_CHECKING:
    from poisonscan.compare.align import Alignment
    from poisonscan.compare.geometry import Array, Window
    from poisonscan.fingerprint.grids import Grids

_SHARPENED, _UNSHARPENED = 1.2, 0.5
"""Gain of squared texture from which sharpening may have raised fine noise, and how much less is uncertain
without it: of 25 photos under all innocent edits, sharpened ones reach 3.9 and all others 1.4."""
_GRAIN_FLOOR, _GRAIN_SHARE = 5.0, 0.5  # squared grey levels that JPEG adds, and share of the old texture's
_MOST_GAIN = 4.0  # of squares: sharpening at most doubles texture
_FLOOR, _SHARE = 900.0, 0.5  # of the noise of one cell: squared grey levels, and share of what is expected
_QUANTILE, _NORMAL = 0.8, 1.2816  # the share of cells that sets the noise, and its place on a normal
_LEVEL = 4.0, 40.0  # bounds of the noise of squared texture where the picture is quiet, squared grey levels
_SLOPE = 0.03, 0.2  # the same for each squared grey level of texture around the cell
_LEAST_BUSY = 25.0  # squared grey levels of texture from which a share of it says anything
_BETWEEN = 0.5  # share of the activity between cells that may have become texture within them
_STILL = 0.3 / 32  # sides by which a window may be off before its cells count as moved
_EDGE = 2  # cells along a border that the new picture goes beyond
_GROUP = LUMA_SIDE // TEXTURE_SIDE  # luma cells a side whose texture is remembered as one


class Line(NamedTuple):
    """How squared texture became what it is: gain and what was added, and the old one where it is flat."""

    gain: float
    added: float
    least: float


@dataclass(frozen=True, eq=False)
class Common:
    """Squared texture of both pictures on the luma cells in common, or on all cells of texture.

    Attributes:
        old, new: (rows, columns), squared grey levels.
        most: (rows, columns), the most of the old picture's texture that may lie in each cell.
        calm: (rows, columns), by what flat cells are told from busy ones: the old texture, and both where
            cells moved. Cells chosen for little of the one would have more of the other there by chance.
        rows, columns: the cells, as slices.
        side: cells a side of the grid that these are part of.
    """

    old: Array
    new: Array
    most: Array
    calm: Array
    rows: slice
    columns: slice
    side: int = LUMA_SIDE

    @cached_property
    def line(self) -> Line:
        """How squared texture became what it is."""
        return _line(self)

    def on_luma_cells(self, values: Array) -> Array:
        """(32, 32): what these cells have, (rows, columns), on the luma cells they lie in; 0 elsewhere."""
        whole = np.zeros((self.side, self.side))
        whole[self.rows, self.columns] = values
        return on_luma_cells(whole)


def as_they_lie(old: Grids, new: Grids) -> Common:
    """Of two pictures laid over each other as they are, on the cells of texture."""
    before, after = old.texture**2, new.texture**2
    everywhere = slice(0, TEXTURE_SIDE)
    return Common(before, after, before, before, everywhere, everywhere, TEXTURE_SIDE)


def in_common(fit: Alignment, coarse: Grids, fine: Grids | Detail) -> Common:
    """Of two pictures as they were aligned, the old one being the coarse one.

    Where cells have moved, what was next to a cell may lie in it now, and steps between cells within one.
    Nothing has where the new picture was measured on the old one's cells.
    """
    cells = fit.rows, fit.columns
    before, after = _squares(coarse), _resampled(fit, fine)
    if isinstance(fine, Detail):
        most = _shown(_open_border(before, fit.window), fit)[cells]
        return Common(before[cells], after, most, most, *cells)
    most, calm = before, before[cells]
    if moved(fit.window):
        most = highest_around(before) + _BETWEEN * highest_around(activity(coarse.luma) ** 2)
        calm = calm + after
    most = _shown(_open_border(most, fit.window), fit)[cells]
    return Common(before[cells], after, most, calm, *cells)


def moved(window: Window) -> bool:
    """Whether the cells of two pictures do not coincide."""
    return max(abs(a - b) for a, b in zip(window, WHOLE, strict=True)) >= _STILL


def _open_border(most: Array, window: Window) -> Array:
    """Anything may lie in the cells along a side on which the new picture shows more: a bar's edge, say."""
    most = most.copy()
    for outside, border in (
        (-window.y0, most[:_EDGE]),
        (window.y1 - 1, most[-_EDGE:]),
        (-window.x0, most[:, :_EDGE]),
        (window.x1 - 1, most[:, -_EDGE:]),
    ):
        if outside > STICKS_OUT:
            border[:] = np.inf
    return most


def _shown(most: Array, fit: Alignment) -> Array:
    """Anything may lie in groups of cells of which one is not shown."""
    everywhere = slice(None), slice(None)
    groups = fit.present_on(everywhere, TEXTURE_SIDE)
    return most if groups is None else np.where(on_luma_cells(groups.astype(np.float64)) > 0, most, np.inf)


def of_old(fit: Alignment, coarse: Grids, fine: Grids | Detail, *, framed: bool) -> Array:
    """(rows, columns): texture of the old picture on the luma cells in common, grey levels.

    Args:
        fit: the alignment.
        coarse: grids of the picture whose cells are compared.
        fine: grids of the other.
        framed: whether `fine` is the old picture.
    """
    if framed:
        return np.sqrt(_resampled(fit, fine))
    return on_luma_cells(coarse.texture)[fit.rows, fit.columns]


def _squares(grids: Grids) -> Array:
    return on_luma_cells(grids.texture**2)


def _resampled(fit: Alignment, fine: Grids | Detail) -> Array:
    """(rows, columns): squared texture of the fine picture on the luma cells in common."""
    if isinstance(fine, Detail):
        vertical, horizontal = axes(fit.window, LUMA_SIDE, DETAIL_SIDE)
        mean, square = vertical.matrix @ np.stack([fine.green, fine.square]) @ horizontal.matrix.T
        return _grouped(np.maximum(square - mean * mean, 0), vertical.first, horizontal.first)
    vertical, horizontal = axes(fit.window, LUMA_SIDE, LUMA_SIDE)
    squares: Array = np.maximum(vertical.matrix @ _squares(fine) @ horizontal.matrix.T, 0)
    return squares


def _grouped(cells: Array, top: int, left: int) -> Array:
    """Each cell with the mean of those of its group that are there, as the old texture is remembered.

    Args:
        cells: (rows, columns) of luma cells.
        top: which row of the whole grid the first one is.
        left: which column.
    """
    down, across = (
        _membership(first, length) for first, length in zip((top, left), cells.shape, strict=True)
    )
    grouped: Array = down @ cells @ across
    return grouped


@lru_cache(maxsize=64)
def _membership(first: int, length: int) -> Array:
    """(length, length) symmetric: the share of each cell in the mean of another one's group."""
    group = np.arange(first, first + length) // _GROUP
    same = (group[:, None] == group).astype(np.float64)
    shares: Array = same / same.sum(axis=1)
    return shares


def grain(common: Common) -> float:
    """Energy of fine noise laid over the new picture, in units of what is uncertain about it.

    What was added to the square where there was next to no texture.
    """
    line = common.line
    uncertain = _GRAIN_FLOOR + _GRAIN_SHARE * line.least
    return line.added / (uncertain if line.gain > _SHARPENED else _UNSHARPENED * uncertain)


def gain(common: Common) -> float:
    """By how much squared texture was scaled, 0..4; sharpening scales it by 1.5 to 2.5."""
    return common.line.gain


def excess(common: Common) -> Array:
    """(rows, columns): energy of the texture that each new cell has beyond what it may have.

    That is the most texture that may lie there, scaled as texture was scaled and with the noise added that
    was added everywhere.
    """
    line = common.line
    added = max(line.added, 0.0)
    expected = max(line.gain, 1.0) * common.most  # softening leaves edges as they were
    noise = _FLOOR + _SHARE * expected + added
    energy: Array = np.maximum(common.new - expected - added, 0) / noise
    return energy


def surplus(common: Common) -> Array:
    """The same in units of a noise that is fitted to the pair, for pictures laid over each other as they are.

    What re-encoding leaves in the texture of such pictures is little, and goes by the busiest cell around:
    ringing and shifted edges. The noise is bounded, so that a pattern over a good part cannot pass for it.
    """
    line = common.line
    away = np.abs(common.new - line.gain * common.old - line.added)
    quiet = common.calm <= median(common.calm)
    loud = ~quiet
    level, slope = _LEVEL[0], _SLOPE[0]
    if quiet.any():
        level = within(quantile(away[quiet], _QUANTILE) / _NORMAL, _LEVEL)
    if loud.any():
        share = away[loud] / np.maximum(common.old[loud], _LEAST_BUSY)
        slope = within(quantile(share, _QUANTILE) / _NORMAL, _SLOPE)
    noise = level**2 + (slope * highest_around(common.old)) ** 2
    beyond = np.maximum(common.new - max(line.gain, 1.0) * common.old - max(line.added, 0.0), 0)
    energy: Array = beyond * beyond / noise
    return energy


def _line(common: Common) -> Line:
    """A line through two points: medians of the old picture's flattest quarter and of its busier half."""
    before, after, calm = common.old.ravel(), common.new.ravel(), common.calm.ravel()
    counts = np.isfinite(calm)  # all do but those along an open border, which a frame reaches into
    if not counts.all():
        before, after, calm = before[counts], after[counts], calm[counts]
    order = calm.argsort()
    flat, busy = order[: len(order) // 4], order[len(order) // 2 :]
    flat_before, flat_after = median(before[flat]), median(after[flat])
    rise = (median(after[busy]) - flat_after) / max(median(before[busy]) - flat_before, 1e-3)
    gain = min(max(rise, 0.0), _MOST_GAIN)
    return Line(gain, flat_after - gain * flat_before, flat_before)
