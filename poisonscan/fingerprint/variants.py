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

_CODES = {
    Rendering.ALPHA_DROPPED: 1,
    Rendering.OVER_BLACK: 2,
    Rendering.OVER_WHITE: 3,
    Rendering.CLIPPED: 4,
    Rendering.RANGED: 5,
    Rendering.FIRST_FRAME: 6,
}
_RENDERINGS = {code: rendering for rendering, code in _CODES.items()}
_LUMA, _CHROMA, _TEXTURE = LUMA_SIDE**2, 2 * CHROMA_SIDE**2, TEXTURE_SIDE**2
_HEAD = struct.Struct("<BH")


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
