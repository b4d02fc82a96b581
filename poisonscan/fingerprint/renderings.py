"""The pictures that common loaders make of one file.

Loaders disagree on transparency, on more than 8 bits and on animations, and an attacker may show another
picture to each. What was tried (one file a case, November 2026):

| file | Pillow 13 `convert("RGB")` | torchvision 0.29 | OpenCV 5 colour | img2dataset |
|---|---|---|---|---|
| RGBA, LA, palette or colour key; PNG, WebP | dropped | dropped | dropped | over white |
| the same in TIFF | dropped | - | over black | over black |
| transparent GIF | dropped | palette's background | over black | over white |
| 16-bit grey | above 255 cut off | 16 bits kept | high byte | high byte |
| float or int32 TIFF | below 0 and above 255 cut off | - | refused | value by value |
| APNG that leaves its default image out | default image | default image | default image | default image |

Browsers show the first frame of the last. Tools that plot scale deep pictures by their range.
An orientation that is applied or not gives the same picture turned, which the comparison recognises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from poisonscan.fingerprint.hidden import filled_by_webp
from poisonscan.records import Rendering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_TRANSPARENT_MODES = {"RGBA", "LA", "PA", "RGBa", "La"}
_DEEP_MODES = {"I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
_MOST = 255
_DEEPEST = 65535
_FULL = 1 << 14
"""From here the high byte of 16 bits shows all that scaling by the range does, less contrast at most."""
_OPAQUE = (255, 255)


def renderings_of(image: Image.Image) -> Iterator[tuple[Rendering, Image.Image]]:
    """Every picture that loaders make of a decoded file, mode RGB, at the size it was decoded to.

    The main one comes first. Others are left out where the file's mode says that they cannot differ; whether
    they do differ, `variants.agree` tells. An animation is moved on to its next frame.

    Raises:
        Exception: whatever the decoder raises on a broken frame.
    """
    if image.mode in _DEEP_MODES:
        yield from _deep(image)
    elif is_transparent(image):
        yield from _transparent(image)
    else:
        yield Rendering.MAIN, image if image.mode == "RGB" else image.convert("RGB")
    if getattr(image, "default_image", False) and getattr(image, "n_frames", 1) > 1:
        image.seek(1)
        image.load()
        yield Rendering.FIRST_FRAME, rgb(image)


def rgb(image: Image.Image) -> Image.Image:
    """The main rendering: mode RGB, transparency over white, deep values scaled to 8 bits."""
    if image.mode in _DEEP_MODES:
        image = _grey(_shifted(np.asarray(image)))
    elif is_transparent(image):
        image = _over(image.convert("RGBA"), "white")
    return image if image.mode == "RGB" else image.convert("RGB")


def is_transparent(image: Image.Image) -> bool:
    """Whether a picture has any transparency, be it alpha or a transparent colour."""
    return image.mode in _TRANSPARENT_MODES or "transparency" in image.info


def _transparent(image: Image.Image) -> Iterator[tuple[Rendering, Image.Image]]:
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema() == _OPAQUE:
        yield Rendering.MAIN, layer.convert("RGB")
        return
    yield Rendering.MAIN, _over(layer, "white")
    filled = image.format == "WEBP" and filled_by_webp(layer)
    yield Rendering.ON_ONE_COLOUR if filled else Rendering.ALPHA_DROPPED, layer.convert("RGB")
    yield Rendering.OVER_BLACK, _over(layer, "black")


def _over(layer: Image.Image, ground: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", layer.size, ground), layer).convert("RGB")


def _deep(image: Image.Image) -> Iterator[tuple[Rendering, Image.Image]]:
    values = np.asarray(image)
    yield Rendering.MAIN, _grey(_shifted(values))
    yield Rendering.CLIPPED, _grey(np.clip(np.nan_to_num(values), 0, _MOST))
    if values.dtype != np.uint16 or values.max() < _FULL:
        yield Rendering.RANGED, _grey(_ranged(values))
    key = image.info.get("transparency")
    if isinstance(key, int):
        yield Rendering.OVER_WHITE, _grey(np.where(values == key, _MOST, _shifted(values)))


def _shifted(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Deep values on 0..255: of a picture whose values fill 8 or 16 bits, their high byte.

    Of 32-bit integers that are larger still the highest bits that are used, and of floats on 0..1 that scale.
    Pillow's own conversion clips some of these modes to white.
    """
    numbers = np.nan_to_num(values.astype(np.float64))
    top = float(numbers.max())
    if values.dtype.kind == "f" and top <= 1:
        return np.clip(numbers * _MOST, 0, _MOST)
    if top <= _MOST:
        return np.clip(numbers, 0, _MOST)
    bits = 16 if top <= _DEEPEST else int(top).bit_length()
    return np.clip(np.floor(numbers / float(1 << bits - 8)), 0, _MOST)


def _ranged(values: NDArray[np.generic]) -> NDArray[np.float64]:
    numbers = np.nan_to_num(values.astype(np.float64))
    low, high = float(numbers.min()), float(numbers.max())
    return (numbers - low) * (_MOST / (high - low)) if high > low else np.zeros_like(numbers)


def _grey(values: NDArray[np.generic]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")
