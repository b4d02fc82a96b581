"""The eight orientations in which a picture may be stored, by their EXIF values (CIPA DC-008, 4.6.4).

A value says how rows and columns are to be swapped and reversed; together the eight are a group, that of
the symmetries of a rectangle's grid.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from poisonscan.compare.geometry import Window
from poisonscan.fingerprint.detail import Detail
from poisonscan.fingerprint.grids import SIDEWAYS, Grids, turn

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array

Shown = TypeVar("Shown", Grids, Detail)

UPRIGHT, MIRROR = 1, 2
EVERY = tuple(range(1, 9))
ROTATIONS = (1, 6, 3, 8)
"""By 0, 90, 180 and 270 degrees clockwise; each of the others is one of them of the mirror image."""
TURN_WORDS = {
    MIRROR: "mirrored",
    3: "turned by 180 degrees",
    4: "upside down and mirrored",
    5: "turned by 270 degrees and mirrored",
    6: "turned by 90 degrees",
    7: "turned by 90 degrees and mirrored",
    8: "turned by 270 degrees",
}
"""What became of a picture, clockwise, for a person."""
_PROBE = np.arange(6).reshape(2, 3)


def turned(shown: Shown, orientation: int) -> Shown:
    """Grids or a detail turned as an orientation says; the very same object where it says nothing."""
    if orientation == UPRIGHT:
        return shown
    return type(shown)(*(turn(plane, orientation) for plane in shown))


def views(grid: Array) -> Array:
    """(8, side, side): a square grid under every orientation, in the order of EVERY."""
    return np.stack([turn(grid, orientation) for orientation in EVERY])


@lru_cache(maxsize=64)
def composed(first: int, then: int) -> int:
    """The orientation that does what two do one after the other."""
    wanted = turn(turn(_PROBE, first), then).tolist()
    return next(one for one in EVERY if turn(_PROBE, one).tolist() == wanted)


def inverse(orientation: int) -> int:
    """The orientation that undoes another."""
    return {6: 8, 8: 6}.get(orientation, orientation)


def turned_window(window: Window, orientation: int) -> Window:
    """A rectangle of a picture as a rectangle of the picture turned."""
    x0, y0, x1, y1 = window
    if orientation in SIDEWAYS:
        x0, y0, x1, y1 = y0, x0, y1, x1
    if orientation in {2, 3, 6, 7}:
        x0, x1 = 1 - x1, 1 - x0
    if orientation in {3, 4, 7, 8}:
        y0, y1 = 1 - y1, 1 - y0
    return Window(x0, y0, x1, y1)


def ratio_of(ratio: float, orientation: int) -> float:
    """Height over width of a picture turned, from that of the picture."""
    return 1 / ratio if orientation in SIDEWAYS else ratio
