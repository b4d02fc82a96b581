"""Points that a picture's own content picks, and what the small window around each looks like.

The places are extrema of a difference of Gaussians (Lowe 2004, section 3) at two scales: the same pixels
give the same places wherever they lie on a picture, so a pasted stamp brings its own points along. The
windows are described in absolute colours: pasted pixels agree to within what JPEG does to them, and colours
tell more than gradients do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import dct
from scipy.ndimage import gaussian_filter, maximum_filter

from poisonscan.hunt.blocks import block_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes, Floats

SCALES = (1, 2)
"""Pictures are searched as they are and at half their size."""
_FINE, _COARSE = 1.6, 2.6
"""Widths of the two Gaussians, pixels of the scale."""
_APART = 7
"""Extrema are the largest within a window of so many pixels of the scale."""
_MOST = (110, 60)
"""Points kept a picture and scale, strongest first: three times what a 50 px stamp brings along."""
_WEAKEST = 4.0
"""Least difference of Gaussians, levels: above the noise of JPEG 75."""
_REACH = 8
"""Half the window, pixels of the scale."""
_GRID = 8
_KEPT_LUMA, _KEPT_CHROMA = 4, 2
"""Lowest coefficients kept in each direction: JPEG changes those least."""
_TO_OPPONENT = np.array([[0.299, 0.587, 0.114], [0.5, -0.4187, -0.0813], [-0.1687, -0.3313, 0.5]], np.float32)
"""RGB to Y, Cr, Cb (JFIF)."""


@dataclass(frozen=True, slots=True)
class Points:
    """Points of many pictures; entry i of everything is the same point.

    Attributes:
        rows: picture, by row of the corpus.
        y: downwards, pixels of the full picture.
        x: to the right.
        scales: factor by which the picture was reduced.
        windows: description of the surroundings, shape (n, 24), in levels times the root of the samples.
    """

    rows: NDArray[np.int64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    scales: NDArray[np.int64]
    windows: Floats

    def __len__(self) -> int:
        """How many points."""
        return len(self.rows)


def joined(parts: list[Points]) -> Points:
    """All points of the parts, in their order."""
    return Points(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.scales for part in parts]),
        np.concatenate([part.windows for part in parts]),
    )


def points_of(row: int, picture: Bytes) -> Points:
    """The strongest points of one picture with their descriptions.

    Args:
        row: of the picture.
        picture: shape (h, w, 3).
    """
    return joined([_at_scale(row, picture, scale, most) for scale, most in zip(SCALES, _MOST, strict=True)])


def _at_scale(row: int, picture: Bytes, scale: int, most: int) -> Points:
    opponent = reduced(picture, scale) @ _TO_OPPONENT.T
    smooth = gaussian_filter(opponent, (_FINE / 2, _FINE / 2, 0), truncate=3)
    y, x = _extrema(smooth[..., 0], most)
    descriptions = _describe(smooth, y, x)
    structured = _contrast(descriptions) > _LEAST_CONTRAST
    y, x, descriptions = y[structured], x[structured], descriptions[structured]
    centre = (scale - 1) // 2
    return Points(
        np.full(len(y), row, np.int64),
        y * scale + centre,
        x * scale + centre,
        np.full(len(y), scale, np.int64),
        descriptions,
    )


def reduced(picture: Bytes, scale: int) -> Floats:
    """The picture as floats, reduced by averaging blocks of scale x scale pixels."""
    full = picture.astype(np.float32)
    if scale == 1:
        return full
    height, width = (length // scale * scale for length in full.shape[:2])
    planes = np.ascontiguousarray(full[:height, :width].transpose(2, 0, 1))
    return np.ascontiguousarray(block_sums(planes, scale).transpose(1, 2, 0)) / np.float32(scale**2)


def _extrema(luma: Floats, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    difference = gaussian_filter(luma, _FINE, truncate=3) - gaussian_filter(luma, _COARSE, truncate=3)
    strength = np.abs(difference)
    peak = (strength == maximum_filter(strength, _APART)) & (strength > _WEAKEST)
    peak[:_REACH] = peak[-_REACH:] = False
    peak[:, :_REACH] = peak[:, -_REACH:] = False
    y, x = np.nonzero(peak)
    best = np.argsort(-strength[y, x], kind="stable")[:most]
    return y[best], x[best]


_LEAST_CONTRAST = 15.0
"""Standard deviation, levels, below which a window counts as plain."""


def _describe(smooth: Floats, y: NDArray[np.int64], x: NDArray[np.int64]) -> Floats:
    """Lowest cosine coefficients (orthonormal) of 8 x 8 samples, 2 px apart, of Y, Cr and Cb."""
    steps = np.arange(_GRID) * 2 - _GRID + 1
    samples = smooth[(y[:, None] + steps)[:, :, None], (x[:, None] + steps)[:, None, :]]
    spectrum = dct(dct(samples, axis=1, norm="ortho"), axis=2, norm="ortho")
    luma = spectrum[:, :_KEPT_LUMA, :_KEPT_LUMA, 0].reshape(len(y), _KEPT_LUMA**2)
    chroma = spectrum[:, :_KEPT_CHROMA, :_KEPT_CHROMA, 1:].reshape(len(y), 2 * _KEPT_CHROMA**2)
    return np.asarray(np.concatenate([luma, chroma], axis=1), np.float32)


def _contrast(descriptions: Floats) -> Floats:
    varying = descriptions.copy()
    varying[:, [0, _KEPT_LUMA**2, _KEPT_LUMA**2 + 1]] = 0
    return np.asarray(np.linalg.norm(varying, axis=1) / _GRID, np.float32)
