"""The grids of a picture's other renderings, packed into one column beside its main ones.

A record a rendering: a code, the length of what follows (2 bytes, little-endian), and the differences
(modulo 256) between its luma, chroma and texture bytes and those of the main rendering. Only what is hidden
differs, so most of these bytes are zero, and what they take in a compressed part is little.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.records import CHROMA_SIDE, LUMA_SIDE, TEXTURE_SIDE, Fingerprint, Rendering

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_CODES = {
    Rendering.ALPHA_DROPPED: 1,
    Rendering.OVER_BLACK: 2,
    Rendering.OVER_WHITE: 3,
    Rendering.CLIPPED: 4,
    Rendering.RANGED: 5,
    Rendering.FIRST_FRAME: 6,
    Rendering.ON_ONE_COLOUR: 7,
}
_RENDERINGS = {code: rendering for rendering, code in _CODES.items()}
_LUMA, _CHROMA, _TEXTURE = LUMA_SIDE**2, 2 * CHROMA_SIDE**2, TEXTURE_SIDE**2
_HEAD = struct.Struct("<BH")
_OPAQUE = 0.95  # the share of a cell from which what is dropped is what shows
_VISIBLE = 0.25  # beside such cells resampling mixes hidden colours with visible ones
_CLEAR = 0.006  # the grids' rounding: of these cells no pixel is more than wholly transparent
_SOFT = 2  # cells that a soft edge may take
_ONE_COLOUR = 12  # levels; AVIF at quality 70 moves a plain ground by 4
_ROUGH = 16  # twice the rms deviation within a cell, as it is stored


def packed(main: bytes, others: Mapping[Rendering, bytes]) -> bytes:
    """The column: `main` and each of the others are luma, chroma and texture bytes in a row."""
    whole = np.frombuffer(main, np.uint8)
    records = []
    for rendering, grids in others.items():
        apart = (np.frombuffer(grids, np.uint8) - whole).tobytes()
        records.append(_HEAD.pack(_CODES[rendering], len(apart)) + apart)
    return b"".join(records)


def agree(one: bytes, other: bytes) -> bool:
    """Whether two sets of stored grids are the same but for rounding."""
    apart = np.frombuffer(one, np.uint8).astype(np.int16) - np.frombuffer(other, np.uint8)
    return int(np.abs(apart).max(initial=0)) <= 1


def hides_nothing(over_white: bytes, over_black: bytes, dropped: bytes, *, filled: bool) -> bool:
    """Whether a loader that drops transparency shows but what shows over white and black, on one colour.

    Over white and black together a cell's transparency is seen, and its colours as far as it is opaque. Where
    it is not, encoders paint over what is hidden, and so does resizing: such colours must not be held
    against a copy. So the wholly transparent places must have one colour, but for those within two cells of
    what is visible, and no place may be half transparent that is not the edge of an opaque one.

    Args:
        over_white: luma, chroma and texture bytes.
        over_black: the same.
        dropped: the same.
        filled: whether an encoder made up what is beneath the wholly transparent pixels, see `hidden`.
    """
    white, black, colours = (_luma_of(grids) for grids in (over_white, over_black, dropped))
    opaque = 1 - (white - black) / 255
    partial = (opaque > 1 - _OPAQUE) & (opaque < _OPAQUE)
    if np.any(partial & ~_grown(opaque >= _OPAQUE, _SOFT + 1)):
        return False
    core = ~_grown(opaque >= _VISIBLE, _SOFT)
    if not core.any():
        return True
    if filled:
        return float(opaque[core].max()) <= _CLEAR
    halves = core.reshape(CHROMA_SIDE, 2, CHROMA_SIDE, 2).all(axis=(1, 3))
    chroma = np.frombuffer(dropped[_LUMA : _LUMA + _CHROMA], np.uint8).reshape(2, CHROMA_SIDE, CHROMA_SIDE)
    texture = np.frombuffer(dropped[_LUMA + _CHROMA :], np.uint8).reshape(TEXTURE_SIDE, TEXTURE_SIDE)
    planes: list[NDArray[np.generic]] = [colours[core], *(plane[halves] for plane in chroma)]
    return all(_is_one_level(plane) for plane in planes) and int(texture[halves].max(initial=0)) <= _ROUGH


def _luma_of(grids: bytes) -> NDArray[np.float64]:
    return np.frombuffer(grids[:_LUMA], np.uint8).reshape(LUMA_SIDE, LUMA_SIDE).astype(np.float64)


def _is_one_level(plane: NDArray[np.generic]) -> bool:
    return plane.size == 0 or float(np.ptp(plane.astype(np.float64))) <= _ONE_COLOUR


def _grown(cells: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """The cells and all within so many of them, diagonals too."""
    side = len(cells)
    padded = np.pad(cells, by)
    steps = range(2 * by + 1)
    grown: NDArray[np.bool_] = np.any(
        [padded[y : y + side, x : x + side] for y in steps for x in steps], axis=0
    )
    return grown


def variants(fingerprint: Fingerprint) -> dict[Rendering, Fingerprint]:
    """Every rendering that is remembered of a picture as a fingerprint of its own, the main one first.

    Raises:
        ValueError: the column was not written by `packed`.
    """
    found = {Rendering.MAIN: fingerprint}
    column, at = fingerprint.renderings or b"", 0
    main = np.frombuffer(fingerprint.luma + fingerprint.chroma + fingerprint.texture, np.uint8)
    while at < len(column):
        code, length = _read_head(column, at)
        at += _HEAD.size
        apart = np.frombuffer(column[at : at + length], np.uint8)
        if code not in _RENDERINGS or len(apart) < len(main):
            raise ValueError("the column of renderings is damaged")
        grids = (main + apart[: len(main)]).tobytes()
        found[_RENDERINGS[code]] = dataclasses.replace(
            fingerprint,
            luma=grids[:_LUMA],
            chroma=grids[_LUMA : _LUMA + _CHROMA],
            texture=grids[_LUMA + _CHROMA : _LUMA + _CHROMA + _TEXTURE],
            renderings=b"",
        )
        at += length
    return found


def _read_head(column: bytes, at: int) -> tuple[int, int]:
    if len(column) - at < _HEAD.size:
        raise ValueError("the column of renderings is damaged")
    code, length = _HEAD.unpack_from(column, at)
    return code, length
