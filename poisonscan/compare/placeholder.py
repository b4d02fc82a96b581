"""New pictures that are one and the same stand-in, though their bytes differ.

Hosts send their stand-in in several formats and sizes, so equal bytes are not to be expected, and a
perceptual hash of a plain picture is the hash of its noise: the stored grids decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from poisonscan.compare.geometry import resample
from poisonscan.fingerprint.hashes import hamming
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from poisonscan.config import JudgeSettings

_LUMA, _CHROMA = 16, 8  # cells a side that are compared; finer ones feel the resampling of small pictures
_BLOCK = 4  # cells a side of the means that are searched; their rms difference is at most that of the cells
_BAND = 9  # grey levels that count as one; JPEG ripples around letters
_PLAIN = 0.6  # share of cells in one band; stand-ins with lettering have 0.6 to 1, 93% of photos less


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a new picture looks like, in 384 bytes.

    Attributes:
        phash: 16 hex digits.
        cells: uint8: 16 x 16 luma, then 2 x 8 x 8 chroma.
        plain: whether it is one colour, or lettering or a small drawing on one.
        urls: how many URLs show it.
    """

    phash: str
    cells: NDArray[np.uint8]
    plain: bool
    urls: int


def look_of(phash: str, luma: bytes, chroma: bytes, urls: int) -> Look:
    """The look of a picture with these stored grids, which `urls` URLs show.

    Raises:
        ValueError, TypeError: the hash or a grid is missing or damaged.
    """
    hamming(phash, phash)  # one that cannot be compared is to be noticed here, not among the others
    fine = np.frombuffer(luma, np.uint8)
    colours = np.frombuffer(chroma, np.uint8).astype(np.float64).reshape(2, CHROMA_SIDE, CHROMA_SIDE)
    cells = [
        resample(fine.astype(np.float64).reshape(LUMA_SIDE, LUMA_SIDE), _LUMA, _LUMA),
        *(resample(plane, _CHROMA, _CHROMA) for plane in colours),
    ]
    packed = np.concatenate([np.clip(np.rint(plane), 0, 255).astype(np.uint8).ravel() for plane in cells])
    return Look(phash, packed, _is_plain(fine), urls)


def _blocks(planes: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Means over blocks of `side` x `side` cells."""
    n, height, width = planes.shape
    blocks = planes.reshape(n, height // side, side, width // side, side)
    means: NDArray[np.float32] = blocks.mean(axis=(2, 4), dtype=np.float32)
    return means


def _is_plain(luma: NDArray[np.uint8]) -> bool:
    counts = np.bincount(luma, minlength=256)
    in_band = np.convolve(counts, np.ones(_BAND, np.int64), "valid")
    return bool(in_band.max() >= _PLAIN * luma.size)


def same_stand_in(looks: Sequence[Look], settings: JudgeSettings) -> list[int]:
    """Which looks are of one picture.

    The look that most URLs show takes all that agree with it, then the next of those left. The outcome
    does not depend on the order of the looks.

    Returns:
        for each look the number of the look that leads its group, which may be its own.
    """
    if not looks:
        return []
    cells = np.stack([look.cells for look in looks])
    rough = _rough(cells)
    tree = scipy.spatial.cKDTree(rough)
    reach = settings.placeholder_levels * np.sqrt(rough.shape[1])
    leaders = [-1] * len(looks)
    for one in sorted(range(len(looks)), key=lambda at: _rank(looks[at])):
        if leaders[one] >= 0:
            continue
        near = [at for at in tree.query_ball_point(rough[one], reach + 1) if leaders[at] < 0]
        for at in _agreeing(one, near, looks, cells, settings):
            leaders[at] = one
    return leaders


def _rank(look: Look) -> tuple[int, str, bytes]:
    return -look.urls, look.phash, look.cells.tobytes()


def _rough(cells: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(looks, 24): means over blocks of the cells of each plane."""
    luma = cells[:, : _LUMA**2].reshape(-1, _LUMA, _LUMA)
    chroma = cells[:, _LUMA**2 :].reshape(-1, _CHROMA, _CHROMA)
    parts = (_blocks(luma, _BLOCK), _blocks(chroma, _BLOCK))
    return np.hstack([part.reshape(len(cells), -1) for part in parts])


def _agreeing(
    one: int, near: list[int], looks: Sequence[Look], cells: NDArray[np.uint8], settings: JudgeSettings
) -> list[int]:
    apart = cells[near].astype(np.float32) - cells[one]
    levels = np.sqrt((apart**2).mean(axis=1))
    return [
        at
        for at, distance in zip(near, levels.tolist(), strict=True)
        if distance <= settings.placeholder_levels
        and ((looks[one].plain and looks[at].plain) or _close(looks[one], looks[at], settings))
    ]


def _close(one: Look, other: Look, settings: JudgeSettings) -> bool:
    return hamming(one.phash, other.phash) <= settings.placeholder_bits
