"""A picture at hand, three times as fine as what is remembered of it.

Nothing of it is stored. Where a new picture shows a window of an old one, its cells lie across the old
one's, and interpolating between them costs what small stamps are seen by; from its detail, its means over
the very cells of the old picture are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from poisonscan.fingerprint.grids import MIDDLE, RGB_TO_YCBCR, area_means
from poisonscan.records import Rendering

if TYPE_CHECKING:
    from numpy.typing import NDArray

DETAIL_SIDE = 96
"""Cells a side, a whole multiple of the stored grids'; measured against 64 and 128 in docs/verdicts.md."""


class Detail(NamedTuple):
    """Means over DETAIL_SIDE x DETAIL_SIDE cells, float64.

    Attributes:
        luma: (side, side), 0..255.
        chroma: (2, side, side): Cb then Cr, -128..127.
        green: (side, side), -128..127: what texture is told by.
        square: (side, side): of green's square.
    """

    luma: NDArray[np.float64]
    chroma: NDArray[np.float64]
    green: NDArray[np.float64]
    square: NDArray[np.float64]


Look: TypeAlias = Callable[[int], Detail]
"""Gives the detail of a picture at hand, with squares of so many working pixels a side averaged first."""

Looks: TypeAlias = Mapping[Rendering, Look]
"""The same for each rendering of it."""


def detail_of(pixels: NDArray[np.uint8], extent: tuple[float, float] | None = None) -> Detail:
    """The detail of an RGB picture (height, width, 3), uint8; `extent` as for `area_means`."""
    planes = np.empty((*pixels.shape[:2], 4), np.float32)
    planes[..., :3] = pixels
    green = planes[..., 1] - np.float32(MIDDLE)
    np.multiply(green, green, out=planes[..., 3])
    *colours, square = area_means(planes, DETAIL_SIDE, extent).astype(np.float64)
    rgb = np.stack(colours)
    luma, *chroma = (RGB_TO_YCBCR @ rgb.reshape(3, -1)).reshape(rgb.shape)
    return Detail(luma, np.stack(chroma), rgb[1] - MIDDLE, square)
