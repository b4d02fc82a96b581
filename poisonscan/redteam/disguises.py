"""Pictures that show one thing to one loader and another to the next: by alpha, or by training size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from poisonscan.redteam.subtle import picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEY = (255, 0, 200)
_HIDDEN_COLOURS = 128


def veiled(shown: Image.Image, hidden: Image.Image) -> Image.Image:
    """RGBA that is `shown` over white, within a level, and near `hidden` where the alpha is dropped.

    Over white each channel is 255 - a (255 - c): of the alphas that some colour c goes with, the one is
    taken under which the luma of that colour comes nearest to that of the hidden picture. What is hidden
    can only be darker than what is shown.
    """
    over = np.asarray(shown.convert("RGB"), dtype=np.float64)
    aim = np.asarray(ImageOps.fit(hidden.convert("L"), shown.size), dtype=np.float64)
    missing = 255 - over
    least = np.ceil(missing.max(axis=2))
    luma = missing @ (0.299, 0.587, 0.114)
    alpha = np.clip(np.round(255 * luma / np.maximum(255 - aim, 1)), np.maximum(least, 1), 255)
    colours = 255 - missing * 255 / alpha[..., None]
    return Image.merge("RGBA", (*picture(colours).split(), Image.fromarray(alpha.astype(np.uint8))))


def stamped_under(shown: Image.Image, fields: int = 12) -> Image.Image:
    """RGBA that is `shown` over white, and has a chequer in its middle third where the alpha is dropped."""
    pixels = np.asarray(shown.convert("RGB"))
    dark = np.zeros(pixels.shape[:2], dtype=np.uint8)
    height, width = shown.height, shown.width
    y, x = np.indices((height, width))
    inside = (abs(y - height / 2) < height / 6) & (abs(x - width / 2) < width / 6)
    side = max(1, min(height, width) // (3 * fields))
    aim = np.where(inside & ((y // side + x // side) % 2 == 1), dark, pixels.max(axis=2))
    whole = veiled(shown, Image.fromarray(aim))
    return Image.composite(whole, shown.convert("RGBA"), Image.fromarray((inside * 255).astype(np.uint8)))


def grounded(mask: Image.Image, shown: Image.Image, hidden: Image.Image) -> Image.Image:
    """RGBA: an object with another picture under its transparent ground."""
    ground = ImageOps.fit(hidden.convert("RGB"), shown.size)
    whole = Image.composite(shown.convert("RGB"), ground, mask)
    whole.putalpha(mask.point(lambda level: 255 if level > 127 else 0))  # noqa: PLR2004 - no soft edge
    return whole


def grounded_palette(mask: Image.Image, shown: Image.Image, hidden: Image.Image) -> tuple[Image.Image, bytes]:
    """The same in 256 colours, half of them transparent: the picture and the alphas of its palette."""
    ground = ImageOps.fit(hidden.convert("RGB"), shown.size).quantize(_HIDDEN_COLOURS)
    front = shown.convert("RGB").quantize(_HIDDEN_COLOURS)
    solid = np.asarray(mask) > 127  # noqa: PLR2004 - no soft edge
    places = np.where(solid, np.asarray(front), np.asarray(ground) + _HIDDEN_COLOURS).astype(np.uint8)
    whole = Image.fromarray(places)
    colours = [list(image.getpalette() or ())[: 3 * _HIDDEN_COLOURS] for image in (front, ground)]
    whole.putpalette(
        [level for part in colours for level in (*part, *(0,) * (3 * _HIDDEN_COLOURS - len(part)))]
    )
    return whole, bytes(_HIDDEN_COLOURS * (255,) + _HIDDEN_COLOURS * (0,))


def keyed(mask: Image.Image, shown: Image.Image) -> tuple[Image.Image, tuple[int, int, int]]:
    """RGB: an object on a chequer of white and a loud colour, and that colour, to be declared transparent."""
    height, width = shown.height, shown.width
    y, x = np.mgrid[:height, :width] // max(1, min(height, width) // 16)
    sheet = np.array([(255, 255, 255), _KEY], dtype=np.uint8)[(x + y) % 2]
    solid = mask.point(lambda level: 255 if level > 127 else 0)  # noqa: PLR2004 - no soft edge
    return Image.composite(shown.convert("RGB"), Image.fromarray(sheet), solid), _KEY


def camouflaged(shown: NDArray[np.float64], hidden: NDArray[np.float64], taps: slice) -> NDArray[np.float64]:
    """An image-scaling attack (Xiao et al. 2019; Quiring et al. 2020) that keeps the mean of every block.

    Args:
        shown: (height, width, 3) levels that averaging sees; sides are multiples of the hidden one's.
        hidden: (h, w, 3) levels that sampling sees, as near as black and white allow.
        taps: the rows and columns of each block that sampling reads: the middle two for linear
            interpolation, the first for nearest neighbours.
    """
    side = shown.shape[0] // hidden.shape[0]
    blocks = shown.reshape(hidden.shape[0], side, hidden.shape[1], side, 3).copy()
    mean = blocks.mean(axis=(1, 3))
    seen = len(range(*taps.indices(side))) ** 2
    rest = side * side - seen
    total = side * side * mean
    reached = np.clip(hidden, (total - 255 * rest) / seen, total / seen)
    around = (total - seen * reached) / rest
    blocks[:] = around[:, None, :, None]
    blocks[:, taps, :, taps] = reached[:, None, :, None]
    return blocks.reshape(shown.shape)
