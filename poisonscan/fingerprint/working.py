"""The picture at its working size: small enough to be quick, large enough to say what is in it.

Grids are means over areas, and means of means are the same means; so a picture of many pixels is first
made smaller by a power of two: a JPEG by its decoder, which then computes no more than that, any other by
averaging. Only noise finer than the working pixels is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

WORKING_SIDE = 128
"""Pixels that the shorter side keeps at least, four a cell of the grids; measured in docs/benchmarks.md."""


def reduction(width: int, height: int) -> int:
    """The power of two by which a picture is made smaller."""
    return 1 << max(0, (min(width, height) // WORKING_SIDE).bit_length() - 1)


def ask_for(image: Image.Image, factor: int) -> None:
    """Have a picture that is not loaded yet decoded so many times smaller, as JPEG's decoder can, up to 8."""
    image.draft(None, (image.width // factor, image.height // factor))


def working_picture(image: Image.Image, width: int, height: int) -> tuple[Image.Image, tuple[float, float]]:
    """The picture at its working size.

    Args:
        image: decoded, mode RGB, at its full size or smaller by a power of two.
        width: of the picture as it is stored, pixels.
        height: likewise.

    Returns:
        The picture, and how many rows and columns of its pixels the stored picture fills: what does not
        divide evenly leaves a last pixel that stands for less than the others.
    """
    factor = reduction(width, height)
    left = factor * image.width // width  # a decoder rounds widths up
    return image.reduce(left) if left > 1 else image, (height / factor, width / factor)
