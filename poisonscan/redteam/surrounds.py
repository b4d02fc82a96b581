"""Steps that put the old picture into something larger: other photos, loud frames, collages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from poisonscan.redteam.reshaping import placed
from poisonscan.redteam.steps import transposed

if TYPE_CHECKING:
    from poisonscan.redteam.reshaping import Colour
    from poisonscan.redteam.steps import Step, View

_FIELDS = 24
"""Fields of a chequered frame along the shorter side."""


def inset(other: Image.Image, share: float, orientation: int = 1) -> Step:
    """The old picture, `share` of its width and height, at a random place in another of the old one's size.

    Args:
        other: what it is put into.
        share: 0..1 of each side.
        orientation: as an EXIF orientation, by which the old picture is turned before.
    """

    def apply(view: View, rng: np.random.Generator) -> View:
        width, height = view.image.size
        whole = ImageOps.fit(other.convert("RGB"), (width, height))
        size = max(1, round(width * share)), max(1, round(height * share))
        small = transposed(view.image.convert("RGB").resize(size, Image.Resampling.LANCZOS), orientation)
        small.thumbnail((width, height))
        room = width - small.width, height - small.height
        whole.paste(small, (int(rng.integers(0, room[0] + 1)), int(rng.integers(0, room[1] + 1))))
        return replace(view, image=whole)

    return apply


def collage(other: Image.Image, *, below: bool = False) -> Step:
    """Another picture of the same size beside the old one, or below it."""

    def apply(view: View, _: np.random.Generator) -> View:
        width, height = view.image.size
        more = ImageOps.fit(other.convert("RGB"), (width, height))
        both = Image.new("RGB", (width, 2 * height) if below else (2 * width, height))
        both.paste(view.image, (0, 0))
        both.paste(more, (0, height) if below else (width, 0))
        return replace(view, image=both)

    return apply


def chequered_frame(margin: float, colours: tuple[Colour, Colour]) -> Step:
    """A frame of two colours in turn, as wide as `margin` of the shorter side."""

    def apply(view: View, _: np.random.Generator) -> View:
        size, field = _around(view, margin)
        y, x = np.mgrid[: size[1], : size[0]] // field
        fields = np.array(colours, dtype=np.uint8)[(x + y) % 2]
        return placed(view, Image.fromarray(fields))

    return apply


def plain_frame(margin: float, colour: Colour) -> Step:
    """A frame of one colour, as wide as `margin` of the shorter side."""
    return lambda view, _: placed(view, Image.new("RGB", _around(view, margin)[0], colour))


def bar(share: float, colour: Colour) -> Step:
    """A bar below the picture, `share` of its height."""

    def apply(view: View, _: np.random.Generator) -> View:
        width, height = view.image.size
        whole = Image.new("RGB", (width, height + max(1, round(height * share))), colour)
        whole.paste(view.image, (0, 0))
        return replace(view, image=whole)

    return apply


def _around(view: View, margin: float) -> tuple[tuple[int, int], int]:
    """The size with a margin on all sides, and the width of a chequer's field."""
    width, height = view.image.size
    shorter = min(width, height)
    rim = max(1, round(margin * shorter))
    return (width + 2 * rim, height + 2 * rim), max(1, shorter // _FIELDS)
