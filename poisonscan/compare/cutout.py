"""Cut-outs: what loaders lay below them is no picture of its own.

A shop that cuts its goods out of a white ground serves the same goods on whatever a loader lays below them:
a plain ground that changes colour says nothing. Its outline may, since white goods on a transparent white
ground are seen by some loaders only. So nothing white may lie beside the ground, and all of it must reach the
border.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.ndimage

from poisonscan.compare.surround import STRAY
from poisonscan.fingerprint.grids import unpack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.fingerprint.grids import Grids
    from poisonscan.records import Fingerprint

    Flags = NDArray[np.bool_]

_ROUNDING = 2.0  # grey levels by which two renderings of an opaque or a clear place may differ
_SOFT = 2  # cells that a soft edge may take
_SEEN = 0.1  # share of a cell from which the colour of what covers it is known well enough
_WHITE = 245.0  # luma: what covers a cell is not seen on white
_WHITES = 1  # cells beside the ground that may be white: three let a patch of 7% of the side pass
_PLAIN = 3.0  # texture in which opaque and clear places may differ between renderings


def is_cut_out(over_white: Fingerprint, over_black: Fingerprint) -> bool:
    """Whether a picture is an object on a plain ground whose colour is all that black and white change.

    Each cell is opaque, clear, or within two cells of both, as a soft edge is. What is clear reaches the
    border, and what covers the cells beside it is not white.

    Args:
        over_white: the picture laid over white.
        over_black: the same over black.
    """
    white, black = unpack(over_white), unpack(over_black)
    apart = white.luma - black.luma
    clear, solid = apart >= 255 - _ROUNDING, apart <= _ROUNDING
    edge = ~clear & ~solid
    near = _grown(clear, _SOFT) & _grown(solid, _SOFT)
    if not clear.any() or np.count_nonzero(edge & ~near) > STRAY or not _reaches_the_border(clear):
        return False
    beside = _grown(clear, 1) & _is_white(white.luma, apart)
    return bool(np.count_nonzero(beside) <= _WHITES) and _alike(white, black, ~_grown(edge, 1))


def _is_white(luma: NDArray[np.float64], apart: NDArray[np.float64]) -> Flags:
    """Of which cells what covers them is white: over white a share of it is missing from 255."""
    opaque = 1 - apart / 255
    flags: Flags = (opaque >= _SEEN) & (255 - luma <= (255 - _WHITE) * opaque)
    return flags


def _reaches_the_border(cells: Flags) -> bool:
    numbers, _ = scipy.ndimage.label(cells, np.ones((3, 3)))
    outer = np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]])
    return bool(np.isin(numbers[cells], outer).all())


def _alike(one: Grids, other: Grids, cells: Flags) -> bool:
    """Whether textures agree where all of their cells are among those given."""
    side = len(one.texture)
    whole = cells.reshape(side, len(cells) // side, side, -1).all(axis=(1, 3))
    return float(np.abs(one.texture - other.texture)[whole].max(initial=0)) <= _PLAIN


def _grown(cells: Flags, by: int) -> Flags:
    grown: Flags = scipy.ndimage.binary_dilation(cells, np.ones((3, 3), np.bool_), iterations=by)
    return grown
