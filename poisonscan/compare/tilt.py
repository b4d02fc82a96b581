"""Pictures that were straightened: turned by a few degrees, and cut out upright.

The new picture is turned back about its middle, so that what follows sees an upright window as of any crop.
Its corners then stick out of the window that it filled, and the window's corners are not shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy

from poisonscan.compare.align import Alignment, approach, at_window, turning
from poisonscan.compare.geometry import WHOLE, Window, within
from poisonscan.fingerprint.detail import DETAIL_SIDE, Detail
from poisonscan.records import LUMA_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.compare.geometry import Array
    from poisonscan.fingerprint.grids import Grids

    Flags = NDArray[np.bool_]

MOST_DEGREES = 6.0
"""What is turned further is another picture: straightening a photo takes 5 degrees at most."""
_WORTH_A_LOOK = math.radians(0.08)  # a fortieth of a cell at the border of the picture
_ROUNDS = 6  # of turning and fitting
_SETTLED = math.radians(0.02)
_BETTER = 0.8  # of the level misfit: what is turned fits so much better, or it is not turned
_MARGIN = 0.5 / DETAIL_SIDE  # of the picture: its outermost pixels have something else beside them
_POINTS = 4  # a side of each cell: how finely it is asked whether all of a cell is shown


class Tilt(NamedTuple):
    """By how much the new picture is turned against the old one.

    Attributes:
        angle: radians by which it is to be turned clockwise to lie upright on the old one.
        ratio: its height over its width.
    """

    angle: float
    ratio: float

    def levelled(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Points of the new picture, in its sides, as points of the upright window that it was cut out as."""
        return self._turned(x, y, self.angle)

    def tilted(self, x: Array, y: Array) -> tuple[Array, Array]:
        """The inverse of `levelled`."""
        return self._turned(x, y, -self.angle)

    def _turned(self, x: Array, y: Array, angle: float) -> tuple[Array, Array]:
        right, below = x - 0.5, (y - 0.5) * self.ratio
        cosine, sine = math.cos(angle), math.sin(angle)
        return cosine * right - sine * below + 0.5, (sine * right + cosine * below) / self.ratio + 0.5

    def place(self, level: Window) -> Window:
        """The rectangle on the new picture around a rectangle of the upright window."""
        x, y = np.array(level)[[0, 2, 0, 2]], np.array(level)[[1, 1, 3, 3]]
        across, down = self.tilted(x, y)
        return Window(float(across.min()), float(down.min()), float(across.max()), float(down.max()))

    @property
    def around(self) -> Window:
        """The rectangle around the whole new picture, in sides of the upright window."""
        ends = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])
        across, down = self.levelled(*ends)
        return Window(float(across.min()), float(down.min()), float(across.max()), float(down.max()))


@dataclass(frozen=True, slots=True)
class Levelled:
    """A tilted picture laid over the old one.

    Attributes:
        tilt: by how much it was turned.
        window: the upright window of the old picture.
        fit: the alignment of what was turned back, over the rectangle around it.
    """

    tilt: Tilt
    window: Window
    fit: Alignment


def levelled(coarse: Array, fine: Array, start: Alignment, ratio: float) -> Levelled | None:
    """The fit with the picture turned back, if it is turned and then fits better.

    Args:
        coarse: (32, 32) luma of the old picture.
        fine: (side, side) luma of the new one.
        start: how it lies if it is taken for level.
        ratio: height over width of the new picture.
    """
    first = turning(start, ratio)
    if abs(first) < _WORTH_A_LOOK:
        return None
    angle, window = _fitted(coarse, fine, Tilt(0.0, ratio), start.window)
    if not _WORTH_A_LOOK <= abs(angle) <= math.radians(MOST_DEGREES):
        return None
    tilt = Tilt(angle, ratio)
    fit = at_tilt(coarse, fine, tilt, window)
    return Levelled(tilt, window, fit) if fit.misfit < _BETTER * start.misfit else None


def refined(coarse: Array, fine: Array, start: Levelled) -> Levelled:
    """The same on a finer view of the new picture."""
    angle, window = _fitted(coarse, fine, start.tilt, start.window)
    tilt = Tilt(angle, start.tilt.ratio)
    return Levelled(tilt, window, at_tilt(coarse, fine, tilt, window))


def at_tilt(coarse: Array, fine: Array, tilt: Tilt, window: Window) -> Alignment:
    """Fit the tone curve alone; arguments as for `levelled`."""
    outer = within(window, tilt.around)
    return at_window(coarse, turned_back(fine, tilt), outer, present=shown_cells(tilt, window))


def _fitted(coarse: Array, fine: Array, tilt: Tilt, window: Window) -> tuple[float, Window]:
    angle, most = tilt.angle, math.radians(1.5 * MOST_DEGREES)
    for _ in range(_ROUNDS):
        angle = min(max(angle, -most), most)
        turned = _resampled(fine[None], Tilt(angle, tilt.ratio), WHOLE)[0]
        at = approach(coarse, turned, window, 1, tilt.ratio)
        if at.lost:
            break
        window, angle = at.window, angle + at.turned
        if abs(at.turned) < _SETTLED and at.arrived:
            break
    return angle, window


def turned_back(fine: Array, tilt: Tilt) -> Array:
    """One plane over the rectangle around the picture as it is turned back."""
    turned: Array = _resampled(fine[None], tilt, tilt.around)[0]
    return turned


def shown_turned_back(shown: Grids | Detail, tilt: Tilt) -> Grids | Detail:
    """Grids or a detail over that rectangle."""
    side_by_side = [plane.reshape(-1, *plane.shape[-2:]) for plane in shown]
    back = [_resampled(planes, tilt, tilt.around) for planes in side_by_side]
    return type(shown)(*(planes.reshape(plane.shape) for planes, plane in zip(back, shown, strict=True)))


def _resampled(planes: Array, tilt: Tilt, part: Window) -> Array:
    """(n, side, side): planes turned back, over a part of the upright window; what is beyond is their border.

    A cell is asked for at its middle alone: cells are means already, and of a few degrees.
    """
    side = planes.shape[-1]
    at = _places(tilt, part, side)
    return np.stack([scipy.ndimage.map_coordinates(plane, at, order=3, mode="nearest") for plane in planes])


@lru_cache(maxsize=8)
def _places(tilt: Tilt, part: Window, side: int) -> Array:
    """(2, side, side): rows and columns at which the cells of a part of the upright window lie."""
    middles = (np.arange(side) + 0.5) / side
    x = part.x0 + middles * (part.x1 - part.x0)
    y = part.y0 + middles * (part.y1 - part.y0)
    across, down = tilt.tilted(*np.meshgrid(x, y))
    return np.stack([down, across]) * side - 0.5


@lru_cache(maxsize=8)
def shown_cells(tilt: Tilt, window: Window) -> Flags:
    """(32, 32): the cells of the old picture of which the new one shows all."""
    n = LUMA_SIDE * _POINTS + 1
    borders = np.arange(n) / (n - 1)
    x = (borders - window.x0) / (window.x1 - window.x0)
    y = (borders - window.y0) / (window.y1 - window.y0)
    across, down = tilt.tilted(*np.meshgrid(x, y))
    there = (np.minimum(across, down) >= _MARGIN) & (np.maximum(across, down) <= 1 - _MARGIN)
    whole = there[:-1, :-1] & there[1:, :-1] & there[:-1, 1:] & there[1:, 1:]
    apart = whole.reshape(LUMA_SIDE, _POINTS, LUMA_SIDE, _POINTS)
    cells: Flags = np.logical_and.reduce(apart, axis=(1, 3))
    return cells
