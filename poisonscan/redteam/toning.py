"""Steps that change tone and colour beyond what re-encoding does, from mild to strong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from poisonscan.redteam.steps import filtered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poisonscan.redteam.steps import Step, View

_SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))
"""The matrix of the CSS filter of that name (W3C Filter Effects Module Level 1, 13.2)."""


def mixed(matrix: Sequence[Sequence[float]], offset: Sequence[float] = (0, 0, 0)) -> Step:
    """Each new channel is a weighted sum of the old ones plus an offset, 0..255, cut at black and white."""
    flat = tuple(value for row, more in zip(matrix, offset, strict=True) for value in (*row, more))
    return filtered(lambda image: image.convert("RGB").convert("RGB", flat))


def gains(red: float, green: float, blue: float, offset: Sequence[float] = (0, 0, 0)) -> Step:
    """Multiply each channel, then add an offset."""
    return mixed(((red, 0, 0), (0, green, 0), (0, 0, blue)), offset)


def sepia() -> Step:
    """Brown, as of an old print."""
    return mixed(_SEPIA)


def equalised() -> Step:
    """Every level equally frequent in each channel (Pillow's `ImageOps.equalize`)."""
    return filtered(lambda image: ImageOps.equalize(image.convert("RGB")))


def posterised(bits: int) -> Step:
    """So many bits a channel."""
    return filtered(lambda image: ImageOps.posterize(image.convert("RGB"), bits))


def solarised(threshold: int) -> Step:
    """Levels above the threshold inverted."""
    return filtered(lambda image: ImageOps.solarize(image.convert("RGB"), threshold))


def median(pixels: int) -> Step:
    """The median of a square of so many pixels a side, an odd number."""
    return filtered(lambda image: image.convert("RGB").filter(ImageFilter.MedianFilter(pixels)))


def vignette(least: float) -> Step:
    """Darker by the square of the distance from the middle, down to a factor of `least` in the corners."""

    def apply(view: View, _: np.random.Generator) -> View:
        pixels = np.asarray(view.image.convert("RGB"), dtype=np.float32)
        y, x = (np.linspace(-1, 1, length, dtype=np.float32) for length in pixels.shape[:2])
        gain = 1 - (1 - least) * (y[:, None] ** 2 + x[None, :] ** 2) / 2
        return replace(view, image=Image.fromarray((pixels * gain[..., None] + 0.5).astype(np.uint8)))

    return apply
