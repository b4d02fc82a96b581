# ruff: noqa: INP001 - a script beside the pages, not a package
"""Draws a picture under some edits, each with its verdict and boxes, and the strongest that stays clean.

Writes docs/img/verdicts.png, and docs/img/adversary.png: the strongest changes that a search found.

python docs/draw_verdicts.py
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from poisonscan.compare.ladder import Baseline
from poisonscan.config import CompareSettings, DecodeSettings
from poisonscan.fingerprint.decode import fingerprint
from poisonscan.records import Comparison, DecodeFailure, Group, Published
from poisonscan.redteam.edits import named
from poisonscan.redteam.optimise import Aim, Found, strongest
from poisonscan.redteam.pictures import draw
from poisonscan.stages.examine import Examined, Question, examine

TARGET = Path(__file__).parent / "img" / "verdicts.png"
ADVERSARY = TARGET.with_name("adversary.png")
CALLS = 200
MAX_PIXELS = DecodeSettings().max_pixels
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
    """Draw the sheets."""
    stream = io.BytesIO()
    draw(SEED, SIZE).save(stream, "JPEG", quality=92)
    old = stream.getvalue()
    _sheet([_tile(old, "the baseline", None), *(_edited(old, name) for name in EDITS)], TARGET)
    attacks = [
        (aim, strongest(draw(SEED, SIZE), aim, lambda new: _is_clean(old, new), calls=CALLS)) for aim in Aim
    ]
    _sheet([_tile(old, "the baseline", None), *(_attacked(old, *attack) for attack in attacks)], ADVERSARY)


def _sheet(tiles: list[Image.Image], target: Path) -> None:
    width, height = TILE[0] + GAP, TILE[1] + CAPTION + GAP
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (min(COLUMNS, len(tiles)) * width + GAP, rows * height + GAP), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (GAP + number % COLUMNS * width, GAP + number // COLUMNS * height))
    target.parent.mkdir(exist_ok=True)
    sheet.quantize(256).save(target, optimize=True)  # a third of the bytes


def _edited(old: bytes, name: str) -> Image.Image:
    with Image.open(io.BytesIO(old)) as image:
        new = named(name).apply(image, np.random.default_rng(SEED)).data
    return _tile(new, name, _judged(old, new))


def _attacked(old: bytes, aim: Aim, found: Found) -> Image.Image:
    if not found.body:
        return _tile(old, f"{aim}: none was clean", None)
    title = f"{aim}, {found.contrast.channel:.0f} levels rms"
    return _tile(found.body, title, _judged(old, found.body))


def _is_clean(old: bytes, new: bytes) -> bool:
    return _judged(old, new).verdict.group is Group.CLEAN


def _judged(old: bytes, new: bytes) -> Comparison:
    """What `check` says of it."""
    then = fingerprint(old, Published(), MAX_PIXELS)
    if isinstance(then, DecodeFailure):
        raise TypeError(f"a drawn picture cannot be decoded: {then.reason}")
    baseline = Baseline(then, Published())
    (found,) = examine([Question(new, Published(), (baseline,), MAX_PIXELS, CompareSettings())])
    if not isinstance(found, Examined):
        raise TypeError(f"a drawn picture cannot be decoded: {found.reason}")
    return found.comparisons[0]


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
