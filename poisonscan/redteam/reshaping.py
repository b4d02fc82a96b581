"""Steps that give a picture another shape: windows, slight turns, masks, grounds, stripes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from poisonscan.records import Box
from poisonscan.redteam.steps import View, cut_out, filtered, over, within

if TYPE_CHECKING:
    from poisonscan.redteam.steps import Step

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
_SMOOTH = 4
"""Masks are drawn so many times larger and reduced, so that their edges are soft."""
_BLUR = 0.04


def shaped(aspect: float) -> Step:
    """The largest window of an aspect (width over height), at a random place along what is cut."""

    def apply(view: View, rng: np.random.Generator) -> View:
        width, height = view.image.size
        kept = max(1, min(width, round(height * aspect))), max(1, min(height, round(width / aspect)))
        left, top = (
            int(rng.integers(0, most - size + 1)) for most, size in zip((width, height), kept, strict=True)
        )
        return cut_out(view, (left, top, left + kept[0], top + kept[1]))

    return apply


def straightened(degrees: float) -> Step:
    """Turn by an angle to either side and cut to the largest upright window of the same aspect.

    The window is that of the unturned picture; boxes are left where they were, which small angles allow.
    """

    def apply(view: View, rng: np.random.Generator) -> View:
        width, height = view.image.size
        angle = degrees if rng.random() < 0.5 else -degrees  # noqa: PLR2004 - a fair coin
        turned = replace(view, image=view.image.rotate(angle, Image.Resampling.BICUBIC))
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        scale = min(width / (width * cos + height * sin), height / (width * sin + height * cos))
        kept = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
        left, top = (width - kept[0]) // 2, (height - kept[1]) // 2
        return cut_out(turned, (left, top, left + kept[0], top + kept[1]))

    return apply


def rounded(colour: Colour, share: float = 0.12) -> Step:
    """Corners rounded by a radius of `share` of the shorter side, on a plain ground."""

    def apply(view: View, _: np.random.Generator) -> View:
        width, height = view.image.size
        mask = Image.new("L", (width * _SMOOTH, height * _SMOOTH))
        radius = share * min(mask.size)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), radius, fill=255)
        return _on_ground(view, mask.reduce(_SMOOTH), colour)

    return apply


def circled(colour: Colour) -> Step:
    """An ellipse that touches all four sides, on a plain ground; a circle where the picture is square."""

    def apply(view: View, _: np.random.Generator) -> View:
        width, height = view.image.size
        mask = Image.new("L", (width * _SMOOTH, height * _SMOOTH))
        ImageDraw.Draw(mask).ellipse((0, 0, mask.width - 1, mask.height - 1), fill=255)
        return _on_ground(view, mask.reduce(_SMOOTH), colour)

    return apply


def blurred_fill(aspect: float) -> Step:
    """The whole picture on a ground of an aspect that is the picture itself, enlarged and blurred."""

    def apply(view: View, _: np.random.Generator) -> View:
        width, height = view.image.size
        size = max(width, round(height * aspect)), max(height, round(width / aspect))
        scale = max(size[0] / width, size[1] / height)
        large = view.image.convert("RGB").resize(
            (max(size[0], round(width * scale)), max(size[1], round(height * scale))),
            Image.Resampling.BICUBIC,
        )
        off = (large.width - size[0]) // 2, (large.height - size[1]) // 2
        ground = large.crop((*off, off[0] + size[0], off[1] + size[1]))
        ground = ground.filter(ImageFilter.GaussianBlur(_BLUR * max(size)))
        return placed(view, ground)

    return apply


def placed(view: View, ground: Image.Image) -> View:
    """The picture in the middle of a larger ground."""
    width, height = view.image.size
    left, top = (ground.width - width) // 2, (ground.height - height) // 2
    whole = ground.copy()
    whole.paste(view.image, (left, top))
    part = Box(-left / width, -top / height, (ground.width - left) / width, (ground.height - top) / height)
    return replace(view, image=whole, boxes=tuple(within(box, part) for box in view.boxes))


def stripes(pixels: int, share: float = 0.6) -> Step:
    """Upright stripes so many pixels wide, black and white, over the middle: a striped shirt."""

    def apply(view: View, _: np.random.Generator) -> View:
        width, height = view.image.size
        across = (np.arange(max(1, round(width * share))) // pixels % 2 * 255).astype(np.uint8)
        sheet = Image.fromarray(np.tile(across, (max(1, round(height * share)), 1))).convert("RGB")
        striped = view.image.convert("RGB")
        striped.paste(sheet, ((width - sheet.width) // 2, (height - sheet.height) // 2))
        return replace(view, image=striped)

    return apply


def cut_out_object(ground: Colour | None) -> Step:
    """A round object of the picture as RGBA, transparent around it; shops show goods so.

    Args:
        ground: the colour that lies hidden where the picture is transparent; None: the rest of the photo.
    """

    def apply(view: View, rng: np.random.Generator) -> View:
        mask = object_mask(view.image.size, rng)
        shown = view.image.convert("RGB")
        if ground is not None:
            shown = Image.composite(shown, Image.new("RGB", shown.size, ground), mask)
        shown.putalpha(mask)
        return replace(view, image=shown)

    return apply


def flattened(colour: Colour) -> Step:
    """A picture with alpha laid over a plain ground; any other stays as it is."""
    return filtered(lambda image: over(image, colour))


def object_mask(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """The outline of a round object in the middle, mode L, with soft edges."""
    width, height = size
    around = np.linspace(0, 2 * math.pi, 180, endpoint=False)
    waves = sum(rng.uniform(-0.07, 0.07) * np.sin(n * around + rng.uniform(0, 6)) for n in (2, 3, 5))
    radius = (0.36 + waves) * _SMOOTH
    x, y = width * (_SMOOTH / 2 + radius * np.cos(around)), height * (_SMOOTH / 2 + radius * np.sin(around))
    mask = Image.new("L", (width * _SMOOTH, height * _SMOOTH))
    ImageDraw.Draw(mask).polygon([(float(a), float(b)) for a, b in zip(x, y, strict=True)], fill=255)
    return mask.reduce(_SMOOTH)


def _on_ground(view: View, mask: Image.Image, colour: Colour) -> View:
    shown = view.image.convert("RGB")
    return replace(view, image=Image.composite(shown, Image.new("RGB", shown.size, colour), mask))
