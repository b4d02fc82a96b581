"""Small grids of luma, chroma and texture of a picture, by exact area averaging.

A cell's value is the mean of the picture over the cell's area; a pixel that straddles two cells counts
in each by its covered fraction. Area means hardly move when a picture is re-encoded or resized, and
unlike a hash they still say *where* two pictures differ. Texture, how much pixels vary within a cell, says
how far the cell's mean may move when the picture is resampled, sharpened or clipped.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from poisonscan.records import CHROMA_SIDE, LUMA_SIDE, TEXTURE_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.records import Fingerprint

T = TypeVar("T", bound=np.generic)

RGB_TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], dtype=np.float64
)
"""ITU-T T.871 (JFIF), section 7: the same transform that JPEG stores pictures in."""

MIDDLE = 128.0
"""Grey levels taken off before squaring, so that float32 holds the squares of a flat cell well enough."""


class Grids(NamedTuple):
    """The grids as numbers.

    Attributes:
        luma: (LUMA_SIDE, LUMA_SIDE) float64, 0..255.
        chroma: (2, CHROMA_SIDE, CHROMA_SIDE) float64: Cb then Cr, -128..127.
        texture: (TEXTURE_SIDE, TEXTURE_SIDE) float64: rms deviation of green from its mean over a luma
            cell, 0..127.5. Green is most of luma and needs no conversion of every pixel.
    """

    luma: NDArray[np.float64]
    chroma: NDArray[np.float64]
    texture: NDArray[np.float64]


def area_means(
    pixels: NDArray[np.uint8 | np.float32], side: int, extent: tuple[float, float] | None = None
) -> NDArray[np.float32]:
    """Exact area averages.

    Args:
        pixels: (height, width, channels); any size, also smaller than the grid.
        side: cells a side.
        extent: height and width of the picture in these pixels, if it does not fill the last of them.

    Returns:
        (channels, side, side) in the range of `pixels`.
    """
    height, width, channels = pixels.shape
    down, across = extent or (height, width)
    under, weights = _rows_under(height, side, down)
    rows = weights @ _taken(pixels, under)
    return _across(rows.reshape(side, width, channels).transpose(2, 0, 1), across)


def means_of(pixels: NDArray[np.uint8], extent: tuple[float, float] | None = None) -> NDArray[np.float32]:
    """All that grids are made of: means under the luma grid's cells of an RGB picture.

    Args:
        pixels: (height, width, 3).
        extent: as for `area_means`.

    Returns:
        (4, LUMA_SIDE, LUMA_SIDE): red, green, blue, and the square of green less MIDDLE.
    """
    height, width, _ = pixels.shape
    down, across = extent or (height, width)
    under, weights = _rows_under(height, LUMA_SIDE, down)
    colours = _taken(pixels, under)
    green = colours.reshape(*under.shape, width, 3)[..., 1] - np.float32(MIDDLE)
    green *= green
    rows = np.empty((4, LUMA_SIDE, width), np.float32)
    rows[:3] = (weights @ colours).reshape(LUMA_SIDE, width, 3).transpose(2, 0, 1)
    rows[3] = (weights @ green)[:, 0]
    return _across(rows, across)


def _taken(pixels: NDArray[np.uint8 | np.float32], under: NDArray[np.intp]) -> NDArray[np.float32]:
    """The rows of pixels under each cell, (side, n, width x channels)."""
    rows = pixels.reshape(len(pixels), -1)
    return rows.take(under, axis=0, mode="clip").astype(np.float32, copy=False)


def _across(rows: NDArray[np.float32], extent: float) -> NDArray[np.float32]:
    """The means of rows, (channels, side, width), under cells of which so many pixels are a whole row."""
    channels, side, width = rows.shape
    # One product: channels in front, or it is one of many matrices of three columns each.
    means: NDArray[np.float32] = rows.reshape(channels * side, width) @ area_weights(width, side, extent).T
    return means.reshape(channels, side, side)


def grids_from(means: NDArray[np.float32]) -> Grids:
    """The grids of what `means_of` gives, (..., 4, LUMA_SIDE, LUMA_SIDE); of many pictures at once, too."""
    rgb, square = means[..., :3, :, :].astype(np.float64), means[..., 3, :, :].astype(np.float64)
    colours = (RGB_TO_YCBCR @ rgb.reshape(*rgb.shape[:-2], -1)).reshape(rgb.shape)
    to_chroma = area_weights(LUMA_SIDE, CHROMA_SIDE, LUMA_SIDE)
    chroma = to_chroma @ colours[..., 1:, :, :] @ to_chroma.T
    return Grids(colours[..., 0, :, :], chroma, _texture(rgb[..., 1, :, :] - MIDDLE, square))


def _texture(mean: NDArray[np.float64], mean_square: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rms deviation within luma cells, over groups of cells, from (..., LUMA_SIDE, LUMA_SIDE) means."""
    to_texture = area_weights(LUMA_SIDE, TEXTURE_SIDE, LUMA_SIDE)
    variance = np.maximum(mean_square - mean * mean, 0)
    rms: NDArray[np.float64] = np.sqrt(to_texture @ variance @ to_texture.T)
    return rms


SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""


def turn(grid: NDArray[T], orientation: int) -> NDArray[T]:
    """A grid, (..., rows, columns), turned as an EXIF orientation, 1 to 8, says (CIPA DC-008, 4.6.4)."""
    if orientation == 1:  # nearly all of them
        return grid
    axes = (-1, -2) if orientation in SIDEWAYS else (-2, -1)
    down = -1 if orientation in {3, 4, 7, 8} else 1
    across = -1 if orientation in {2, 3, 6, 7} else 1
    return np.moveaxis(grid, axes, (-2, -1))[..., ::down, ::across]


class Stored(NamedTuple):
    """The grids in the form they are stored in, uint8."""

    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]
    texture: NDArray[np.uint8]


def pack(grids: Grids) -> Stored:
    """The stored form: luma, chroma offset by 128 and twice the texture, each rounded to bytes."""
    return Stored(_to_bytes(grids.luma), _to_bytes(grids.chroma + 128), _to_bytes(2 * grids.texture))


def unpack(fingerprint: Fingerprint) -> Grids:
    """The grids stored in a fingerprint."""
    luma = np.frombuffer(fingerprint.luma, np.uint8).reshape(LUMA_SIDE, LUMA_SIDE)
    chroma = np.frombuffer(fingerprint.chroma, np.uint8).reshape(2, CHROMA_SIDE, CHROMA_SIDE)
    texture = np.frombuffer(fingerprint.texture, np.uint8).reshape(TEXTURE_SIDE, TEXTURE_SIDE)
    return Grids(luma.astype(np.float64), chroma.astype(np.float64) - 128, texture.astype(np.float64) / 2)


def _to_bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.minimum(np.maximum(np.rint(values), 0), 255).astype(np.uint8)


@lru_cache(maxsize=512)
def area_weights(length: int, side: int, extent: float) -> NDArray[np.float32]:
    """(side, length) matrix whose rows average the pixels under each cell of `extent` pixels."""
    edges = np.linspace(0, extent, side + 1)
    pixel = np.arange(length)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights: NDArray[np.float32] = (np.clip(covered, 0, 1) * (side / extent)).astype(np.float32)
    return weights


@lru_cache(maxsize=512)
def _rows_under(length: int, side: int, extent: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The same without the zeros, which are all but one in `side`.

    Returns:
        The pixels under each cell, (side, n), and their weights, (side, 1, n); cells that cover fewer
        pixels than others repeat their last with weight 0.
    """
    weights = area_weights(length, side, extent)
    n = int((weights > 0).sum(axis=1).max())
    under = np.minimum((weights > 0).argmax(axis=1)[:, None] + np.arange(n), length - 1)
    kept = np.take_along_axis(weights, under, axis=1)
    kept[:, 1:][under[:, 1:] == under[:, :-1]] = 0
    return under, kept[:, None, :]
