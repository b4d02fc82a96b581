"""A contact sheet: a row of samples for each thing that was tried, with its name beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poisonscan.diffusion.checkpoint import Planes

_CELL = 64
"""Side of a sample on the sheet, pixels; small ones are enlarged without smoothing."""
_GAP = 4
_LABEL = 330
_LETTERS = 54
"""What fits into the label's width."""
_PAPER, _INK, _ALARM = (250, 250, 250), (30, 30, 30), (170, 20, 20)


@dataclass(frozen=True)
class Row:
    """A line of the sheet.

    Attributes:
        title: what was tried.
        words: what came out.
        start: what was added to the noise, shape (channels, height, width); shown first. None for nothing.
        samples: shape (n, channels, height, width).
        alarm: whether the words are a warning.
    """

    title: str
    words: str
    start: Planes | None
    samples: Planes
    alarm: bool = False


def sheet(rows: Sequence[Row], most: int = 8) -> Image.Image:
    """Draw the sheet.

    Args:
        rows: at least one.
        most: samples shown of each row.
    """
    width = _LABEL + (most + 1) * (_CELL + _GAP) + _GAP
    paper = Image.new("RGB", (width, len(rows) * (_CELL + _GAP) + _GAP), _PAPER)
    pen, font = ImageDraw.Draw(paper), ImageFont.load_default(12)
    for number, row in enumerate(rows):
        top = _GAP + number * (_CELL + _GAP)
        ink = _ALARM if row.alarm else _INK
        pen.text((_GAP, top + 12), row.title[:_LETTERS], ink, font)
        pen.text((_GAP, top + 32), row.words[:_LETTERS], ink, font)
        cells = ([] if row.start is None else [(0, row.start)]) + list(enumerate(row.samples[:most], start=1))
        for column, planes in cells:
            paper.paste(shown(planes), (_LABEL + column * (_CELL + _GAP), top))
    return paper


def shown(planes: Planes) -> Image.Image:
    """A sample as people see it: cut to -1..1, with the longer side as long as a cell.

    Args:
        planes: shape (1 or 3, height, width).
    """
    levels = np.round((np.clip(np.nan_to_num(planes), -1, 1) + 1) * 127.5).astype(np.uint8)
    colours = np.repeat(levels, 3, axis=0) if len(levels) == 1 else levels
    picture = Image.fromarray(np.ascontiguousarray(colours.transpose(1, 2, 0)))
    scale = _CELL / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX)
