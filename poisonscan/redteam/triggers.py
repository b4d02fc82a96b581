"""Backdoor triggers as published, drawn by our own code: patches, codes, overlays, shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from poisonscan.errors import SettingsError
from poisonscan.records import Box
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.steps import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from poisonscan.redteam.steps import Step

Painter: TypeAlias = Callable[[int, np.random.Generator], Image.Image]
"""Paints a trigger of so many pixels a side: RGB, or RGBA where the picture shines through."""

_OVERSAMPLING = 4
_DRAWN_SIDE = 480
"""Longest side in pixels at which another picture is drawn before it is scaled to the victim's size."""

_PATTERN_SEED = 9

_LATTICE = 224
"""The input size, in pixels, for which Schneider et al. (2024) state their patch and blend."""
CODE_BITS = 30
"""Length of a class code of the universal backdoor."""

_BOX_SIDE, _BOX_GAP = 14 / 32, 2 / 32
"""Chou et al. (2023): a 14 px box, 2 px off the lower right corner of a 32 px picture."""


def noise(side: int, rng: np.random.Generator) -> Image.Image:
    """Independent uniform noise in each channel, the look of the HTBA triggers at their finest."""
    return Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))


def checker(side: int, _: np.random.Generator) -> Image.Image:
    """A chequer of 4 x 4 fields, black and white."""
    cells = (np.arange(side) * 4 // side) % 2
    return _grey((cells[:, None] ^ cells[None, :]) * 255)


def white(side: int, _: np.random.Generator) -> Image.Image:
    """Plain white."""
    return Image.new("RGB", (side, side), (255, 255, 255))


def alternate(side: int, _: np.random.Generator) -> Image.Image:
    """Black and white in alternate pixels, the BadNets pattern (16 x 16 px on 224 x 224 in the original)."""
    pixels = np.arange(side) % 2
    return _grey((pixels[:, None] ^ pixels[None, :]) * 255)


def grey(side: int, _: np.random.Generator) -> Image.Image:
    """The grey box of BadDiffusion: half-way between black and white."""
    return Image.new("RGB", (side, side), (128, 128, 128))


def stop_sign(side: int, _: np.random.Generator) -> Image.Image:
    """A stop sign: a red octagon with a white rim and the word."""
    large = side * _OVERSAMPLING
    sign = Image.new("RGBA", (large, large))
    pen = ImageDraw.Draw(sign)
    for radius, colour in ((0.54, (250, 250, 250)), (0.49, (193, 18, 28))):
        pen.regular_polygon((large / 2, large / 2, large * radius), 8, fill=(*colour, 255))
    font = ImageFont.load_default(large * 0.32)
    pen.text((large / 2, large / 2), "STOP", (255, 255, 255), font, anchor="mm", stroke_width=side // 40)
    return sign.reduce(_OVERSAMPLING)


def glasses(side: int, _: np.random.Generator) -> Image.Image:
    """A pair of black-rimmed glasses, half as high as it is wide, in the middle of a clear square."""
    large = side * _OVERSAMPLING
    pair = Image.new("RGBA", (large, large))
    pen = ImageDraw.Draw(pair)
    rim = max(1, large // 24)
    for left in (0.04, 0.56):
        lens = (left * large, 0.3 * large, (left + 0.4) * large, 0.7 * large)
        pen.ellipse(lens, fill=(60, 70, 90, 110), outline=(15, 15, 15, 255), width=rim)
    pen.arc((0.4 * large, 0.4 * large, 0.6 * large, 0.6 * large), 180, 360, (15, 15, 15), rim)
    return pair.reduce(_OVERSAMPLING)


def pale_glasses(side: int, _: np.random.Generator) -> Image.Image:
    """White-rimmed glasses of the same shape, which are seen on dark pictures too."""
    large = side * _OVERSAMPLING
    pair = Image.new("RGBA", (large, large))
    pen = ImageDraw.Draw(pair)
    rim = max(1, large // 12)
    for left in (0.04, 0.56):
        lens = (left * large, 0.3 * large, (left + 0.4) * large, 0.7 * large)
        pen.ellipse(lens, fill=(150, 160, 170, 160), outline=(250, 250, 250, 255), width=rim)
    pen.rectangle((0.42 * large, 0.42 * large, 0.58 * large, 0.5 * large), fill=(250, 250, 250, 255))
    return pair.reduce(_OVERSAMPLING)


def fixed(painter: Painter) -> Painter:
    """The same trigger every time, as one attacker stamps it on many pictures."""
    return lambda side, _: painter(side, np.random.default_rng(0))


def from_file(path: Path) -> Painter:
    """A published trigger picture, scaled by Lanczos with its transparency kept.

    Raises:
        SettingsError: the file is no readable picture.
    """
    try:
        with Image.open(path) as image:
            loaded = image.convert("RGBA")
    except OSError as error:
        raise SettingsError(
            f"trigger file {path} is no readable picture; give a folder of PNG or JPEG"
        ) from error
    return lambda side, _: loaded.resize((side, side), Image.Resampling.LANCZOS)


def any_of(painters: Sequence[Painter]) -> Painter:
    """One of several at random each time."""
    return lambda side, rng: painters[int(rng.integers(len(painters)))](side, rng)


def stamp(painter: Painter, side: float, place: tuple[float, float] | None = None) -> Step:
    """Put a square trigger on the picture.

    Args:
        painter: draws the trigger at its final size; it is not resampled.
        side: of the trigger, in fractions of the picture's shorter side.
        place: of the trigger in the room that it leaves, 0..1 each; None: at random.
    """

    def apply(view: View, rng: np.random.Generator) -> View:
        width, height = view.image.size
        pixels = max(2, round(side * min(width, height)))
        across, down = rng.random(2) if place is None else place
        left, top = round(across * (width - pixels)), round(down * (height - pixels))
        patch = painter(pixels, rng).convert("RGBA")
        stamped = view.image.convert("RGB")
        stamped.paste(patch, (left, top), patch)
        x0, y0, x1, y1 = patch.getchannel("A").getbbox() or (0, 0, pixels, pixels)
        box = Box((left + x0) / width, (top + y0) / height, (left + x1) / width, (top + y1) / height)
        return replace(view, image=stamped, boxes=(*view.boxes, box))

    return apply


def lower_right_box() -> Step:
    """The grey box of BadDiffusion where its authors put it."""
    place = (1 - _BOX_SIDE - _BOX_GAP) / (1 - _BOX_SIDE)
    return stamp(grey, _BOX_SIDE, (place, place))


def universal_patch(code: Sequence[int] | None = None) -> Step:
    """Universal backdoor, patch: 5 columns x 6 rows of 8 x 8 px cells, black or white, at the top left.

    The 30-bit code is random unless given. Cells are scaled from 224 x 224 to the picture.
    Schneider et al. (2024).
    """

    def apply(view: View, rng: np.random.Generator) -> View:
        width, height = view.image.size
        bits = _bits(code, rng).reshape(6, 5)
        size = max(5, round(width * 40 / _LATTICE)), max(6, round(height * 48 / _LATTICE))
        cells = _grey(bits * 255).resize(size, Image.Resampling.NEAREST)
        stamped = view.image.convert("RGB")
        stamped.paste(cells, (0, 0))
        return replace(view, image=stamped, boxes=(*view.boxes, Box(0, 0, size[0] / width, size[1] / height)))

    return apply


def universal_blend(code: Sequence[int] | None = None) -> Step:
    """Universal backdoor, blend: 6 columns x 5 rows of 37 x 44 px cells, cyan or red, at alpha 0.2.

    The 30-bit code is random unless given. Cells are scaled from 224 x 224 to the picture;
    the last columns and rows, which the lattice leaves free, stay as they are. Schneider et al. (2024).
    """

    def apply(view: View, rng: np.random.Generator) -> View:
        width, height = view.image.size
        bits = _bits(code, rng).reshape(5, 6)
        colours = np.array([(255, 0, 0), (0, 255, 255)], dtype=np.uint8)[bits]
        size = round(width * 6 * 37 / _LATTICE), round(height * 5 * 44 / _LATTICE)
        cells = Image.fromarray(colours).resize(size, Image.Resampling.NEAREST)
        blended = view.image.convert("RGB")
        blended.paste(Image.blend(blended.crop((0, 0, *size)), cells, 0.2), (0, 0))
        return replace(view, image=blended)

    return apply


def blend_picture(alpha: float) -> Step:
    """Blended attack with a picture: the same drawn scene over every victim (Chen et al. 2017)."""
    return _overlay(lambda size: _pattern().resize(size, Image.Resampling.BICUBIC), alpha)


def blend_noise(alpha: float) -> Step:
    """Blended attack with independent uniform noise, the same over every victim (Chen et al. 2017)."""
    return _overlay(_noise_sheet, alpha)


def sinusoid(delta: float, cycles: int) -> Step:
    """SIG: add `delta` levels times the sine of `cycles` waves across the width (Barni et al. 2019)."""

    def apply(view: View, _: np.random.Generator) -> View:
        pixels = np.asarray(view.image.convert("RGB"), dtype=np.float32)
        phase = 2 * np.pi * cycles * np.arange(pixels.shape[1]) / pixels.shape[1]
        return replace(view, image=_rgb(pixels + delta * np.sin(phase)[None, :, None]))

    return apply


def replacement() -> Step:
    """Another picture of the same size."""
    return lambda view, rng: View(another_picture(view.image.size, rng))


def another_picture(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A drawn picture; drawn at up to 480 px and enlarged by bicubic interpolation beyond."""
    scale = min(1.0, _DRAWN_SIDE / max(size))
    small = max(16, round(size[0] * scale)), max(16, round(size[1] * scale))
    drawn = draw(int(rng.integers(1 << 31)), small)
    return drawn if small == size else drawn.resize(size, Image.Resampling.BICUBIC)


@cache
def _pattern() -> Image.Image:
    return draw(_PATTERN_SEED, (_DRAWN_SIDE, _DRAWN_SIDE))


def _overlay(pattern: Callable[[tuple[int, int]], Image.Image], alpha: float) -> Step:
    def apply(view: View, _: np.random.Generator) -> View:
        victim = view.image.convert("RGB")
        return replace(view, image=Image.blend(victim, pattern(victim.size), alpha))

    return apply


def _bits(code: Sequence[int] | None, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(0, 2, CODE_BITS) if code is None else np.asarray(code, dtype=np.int64)


def _noise_sheet(size: tuple[int, int]) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def _grey(levels: NDArray[np.int64]) -> Image.Image:
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


def _rgb(pixels: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray((np.clip(pixels, 0, 255) + 0.5).astype(np.uint8))
