# ruff: noqa: INP001 - a script beside the pages, not a package
"""Draws docs/img/verdicts.png: a drawn picture under some edits, each with its verdict and boxes.

python docs/draw_verdicts.py
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from poisonscan.compare.pictures import compare_pictures
from poisonscan.config import CompareSettings, DecodeSettings
from poisonscan.fingerprint.decode import Decoded, decoded
from poisonscan.records import Comparison, Group, Published
from poisonscan.redteam.edits import named
from poisonscan.redteam.pictures import draw

TARGET = Path(__file__).parent / "img" / "verdicts.png"
SEED = 3
SIZE = (320, 240)
EDITS = (
    "jpeg-30",
    "gamma-0.88",
    "crop-25",
    "letterbox",
    "mirror",
    "patch-noise-7",
    "patch-badnets-11-crop-5",
    "universal-patch",
    "universal-blend",
    "blended-noise-0.2",
    "replaced",
)
COLUMNS = 4
TILE, CAPTION, GAP = (240, 180), 40, 12
COLOURS = {Group.CLEAN: "#1a7f37", Group.SUSPICIOUS: "#b42318"}


def main() -> None:
    """Draw the sheet."""
    stream = io.BytesIO()
    draw(SEED, SIZE).save(stream, "JPEG", quality=92)
    old = stream.getvalue()
    tiles = [_tile(old, "the baseline", None), *(_edited(old, name) for name in EDITS)]
    width, height = TILE[0] + GAP, TILE[1] + CAPTION + GAP
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width + GAP, rows * height + GAP), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (GAP + number % COLUMNS * width, GAP + number // COLUMNS * height))
    TARGET.parent.mkdir(exist_ok=True)
    sheet.quantize(256).save(TARGET, optimize=True)  # a third of the bytes


def _edited(old: bytes, name: str) -> Image.Image:
    with Image.open(io.BytesIO(old)) as image:
        new = named(name).apply(image, np.random.default_rng(SEED)).data
    then, now = _seen(old), _seen(new)
    found = compare_pictures(then.fingerprint, now.fingerprint, CompareSettings(), now.detail)
    return _tile(new, name, found)


def _seen(body: bytes) -> Decoded:
    found = decoded(body, Published(), DecodeSettings().max_pixels)
    if not isinstance(found, Decoded):
        raise TypeError(f"a drawn picture cannot be decoded: {found.reason}")
    return found


def _tile(body: bytes, title: str, found: Comparison | None) -> Image.Image:
    """The picture in its own shape, its boxes, its name and its verdict."""
    tile = Image.new("RGB", (TILE[0], TILE[1] + CAPTION), "white")
    with Image.open(io.BytesIO(body)) as image:
        shown = image.convert("RGB")
    shown.thumbnail(TILE)
    pen = ImageDraw.Draw(shown)
    for box in found.boxes if found else ():
        pen.rectangle(
            [box.x0 * shown.width, box.y0 * shown.height, box.x1 * shown.width, box.y1 * shown.height],
            outline="red",
            width=2,
        )
    tile.paste(shown, ((TILE[0] - shown.width) // 2, (TILE[1] - shown.height) // 2))
    text, font = ImageDraw.Draw(tile), ImageFont.load_default(14)
    text.text((2, TILE[1] + 2), title, "black", font)
    if found:
        words = f"{found.verdict.value}, score {found.score:.2f}"
        text.text((2, TILE[1] + 20), words, COLOURS[found.verdict.group], font)
    return tile


if __name__ == "__main__":
    main()
