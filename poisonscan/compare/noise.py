"""Residuals in units of their noise, which is fitted to each pair of pictures anew.

Re-encoding, resampling and sharpening disturb a cell the more, the busier the picture is around it; by
how much differs from edit to edit. So level and slope are set by a quantile that a tampered region, being a
minority of cells, hardly moves, and bounded, so that a pattern which covers everything cannot pass for noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.compare.align import pearson
from poisonscan.compare.cells import hypotenuse, means, within
from poisonscan.compare.order import median, quantile, ranks

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array

_QUANTILE, _NORMAL = 0.8, 1.2816  # the share of cells that sets the noise, and its place on a normal
_LEAST_CELLS = 30  # fewer than this many cells say nothing about noise
_TONED, _FILTERED = 2.0, 0.2  # grey levels, and share of the texture either way, that mean it was altered
_TONED_AWAY = 0.3  # share of the extra noise of toned cells that curves leave everywhere
_VEIL_SIDE, _ALIKE = 2, 1.2  # cells a side of squares, and by how much all may differ more than quiet ones
_NINE_OF_TEN = 0.9
_AS_LIGHT = 16  # cells in a row, from dark to light, whose typical residual goes by their level
_EVEN = 2.9  # ninth of ten squares over the fifth; 2.44 of normal noise, 2.84 at most of 40 smooth ones
_UNRELATED = 4.0  # rank correlation with activity that counts as none, times the root of the squares


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
            exact + unrest * (usual - exact)
            for exact, usual in zip(self.exact, (self.level[0], self.slope[0]), strict=True)
        )
        return replace(self, level=(level, self.level[1]), slope=(slope, self.slope[1]))

    def wider(self) -> Model:
        """The same with twice the most noise: a steep curve multiplies whatever is there."""
        level, slope = ((least, 2 * most) for least, most in (self.level, self.slope))
        return replace(self, level=level, slope=slope)

    def at_least(self, level: float) -> Model:
        """The same with no less noise where the picture is quiet, within its bounds."""
        return replace(self, level=(within(level, self.level), self.level[1]))


LUMA = Model(busy=4.0, level=(0.8, 4.0), slope=(0.05, 0.35), exact=(0.4, 0.02))
"""0.8 is what rounding both grids (0.41 rms) and JPEG leave at the least, 0.4 where only one is rounded.
Slopes seen: 0.02 to 0.10 for re-encoding, to 0.16 for nearest-neighbour resizing and sharpening, 0.2 to 0.35
after a crop that is interpolated, and next to none after one that is measured on the old cells."""

CHROMA = Model(busy=2.0, level=(1.0, 4.0), slope=(0.15, 0.5), exact=(0.4, 0.05))
"""Codecs store chroma at half the resolution and quantise it more coarsely."""


@dataclass(frozen=True)
class Plane:
    """The residual of one plane of the pictures on their common cells.

    Attributes:
        difference: (rows, columns) new minus expected, grey levels.
        activity: (rows, columns) local activity of the picture, grey levels.
        clipping: (rows, columns) extra noise where a tone curve may have saturated, grey levels.
        toned: (rows, columns) extra noise where a cell was toned, grey levels.
        model: bounds of its noise.
    """

    difference: Array
    activity: Array
    clipping: Array
    toned: Array
    model: Model

    def energy(self, side: int) -> Array:
        """Squared residual over squared noise of every square of `side` cells; 1 is usual."""
        difference, active, clipped, toned = means(self._all, side)
        level, slope = self._noise(np.abs(difference), active, side)
        noise: Array = level**2 + (slope * active) ** 2 + clipped**2 + toned**2
        squares: Array = difference**2 / noise
        return squares

    def means(self, side: int, *, toned: bool = False) -> tuple[Array, Array, Array]:
        """Difference, activity and clipping averaged over every square of `side` cells.

        Args:
            side: of the squares, in cells.
            toned: whether the extra noise of toned cells counts as clipping.
        """
        difference, active, clipped, extra = means(self._all, side)
        return difference, active, hypotenuse(clipped, extra) if toned else clipped

    def less_steps(self, levels: Array) -> Plane:
        """The same without what goes by the level alone, as what few levels a channel or histograms leave.

        A pattern that lies over the picture goes by its place.

        Args:
            levels: (rows, columns) of the picture as it was.
        """
        order = np.argsort(levels, axis=None)
        each = np.array_split(order, max(order.size // _AS_LIGHT, 1))
        left = self.difference.ravel().copy()
        for cells in each:
            left[cells] -= median(left[cells])
        return replace(self, difference=left.reshape(self.difference.shape))

    @cached_property
    def _all(self) -> Array:
        return np.stack([self.difference, self.activity, self.clipping, self.toned])

    def _noise(self, size: Array, active: Array, side: int) -> tuple[float, float]:
        """Fitted level and slope of the noise of squares of `side` cells."""
        busy = active > self.model.busy
        n_busy = np.count_nonzero(busy)
        least = self.model.level[0] / math.sqrt(side)
        level, slope = least, self.model.slope[0]
        if busy.size - n_busy > _LEAST_CELLS:
            level = quantile(size[~busy], _QUANTILE) / _NORMAL
        if n_busy > _LEAST_CELLS:
            slope = quantile(size[busy] / active[busy], _QUANTILE) / _NORMAL
        return within(level, (least, self.model.level[1])), within(slope, self.model.slope)


def veil(plane: Plane) -> float:
    """The level of what lies over the whole picture alike, grey levels; 0 where busy places differ by more.

    Smooth noise of a few levels moves quiet and busy places by the same, and is normal. What re-encoding,
    resizing and sharpening leave grows with activity, what a median or a palette leaves has long tails, what
    few levels a channel leave is strongest where the picture is quiet, and what a curve leaves grows with how
    far it toned.
    """
    if min(plane.difference.shape) < _VEIL_SIDE:
        return 0.0
    difference, active, _ = plane.means(_VEIL_SIDE)
    away = np.abs(difference)
    quiet = median(away[active <= median(active)])
    usual = median(away)
    if usual > _ALIKE * quiet or quantile(away, _NINE_OF_TEN) > _EVEN * usual:
        return 0.0
    related = pearson(ranks(away), ranks(active))  # Spearman's
    if abs(related) > _UNRELATED / math.sqrt(away.size):
        return 0.0
    return max(quiet - _TONED_AWAY * median(plane.toned), 0.0)


def unrest(toned: Array, gain: float) -> float:
    """How far a picture is from being the old one re-encoded, 0..1.

    What clipping, sharpening and softening leave lies beside edges and in the brightest places, not
    everywhere, so that the noise fitted to all cells does not tell of it.

    Args:
        toned: by how much each cell was toned, grey levels.
        gain: by how much squared texture was scaled.
    """
    altered = abs(math.sqrt(max(gain, 0.0)) - 1)
    return min(max(median(np.abs(toned)) / _TONED, altered / _FILTERED), 1.0)
