"""Thresholds go by what the pixels show: few colours, pure colours, plain corners."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw

from poisonscan.compare.pictures import compare_pictures
from poisonscan.config import CompareSettings
from poisonscan.fingerprint.decode import few_colours
from poisonscan.records import Group, Verdict
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.steps import View
from poisonscan.redteam.subtle import smooth_noise
from tests.compare.pairs import original, seen

if TYPE_CHECKING:
    from poisonscan.records import Comparison

SEEDS = range(3)
SETTINGS = CompareSettings()


def body(image: Image.Image, image_format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format)
    return stream.getvalue()


def stamped(image: Image.Image, seed: int, share: float) -> Image.Image:
    """Noise over a square of a share of the shorter side, below and right of the middle."""
    side = round(share * min(image.size))
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)
    new = image.convert("RGB")
    new.paste(Image.fromarray(noise), (new.width // 2, new.height // 2))
    return new


def judged(old: Image.Image, new: Image.Image) -> Comparison:
    return compare_pictures(seen(body(old)), seen(body(new)), SETTINGS)


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_colours_are_counted_whatever_the_container(image_format: str) -> None:
    reduced = draw(0).convert("RGB").quantize(48)
    used = len(np.unique(np.asarray(reduced.convert("RGB")).reshape(-1, 3), axis=0))
    assert used <= 48
    assert seen(body(reduced, image_format)).colours == used
    assert seen(body(reduced.convert("RGB"))).colours == used
    with Image.open(io.BytesIO(body(draw(0).convert("RGB")))) as whole:
        assert few_colours(whole) is None


def test_a_jpeg_says_how_coarse_it_is() -> None:
    image = draw(0).convert("RGB")
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=10)
    assert seen(stream.getvalue()).quantum == 80
    assert seen(body(image)).quantum is None


@pytest.mark.parametrize("seed", SEEDS)
def test_a_file_that_claims_to_be_coarser_than_any_is_not_believed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edited = smooth_noise(40)(View(draw(seed).convert("RGB")), rng).image
    old, new = seen(body(draw(seed).convert("RGB"))), seen(body(edited))
    claims = [compare_pictures(old, replace(new, quantum=claimed), SETTINGS) for claimed in (80, 65535)]
    assert claims[0] == claims[1]
    assert claims[0].verdict.group is Group.SUSPICIOUS


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_shades_of_grey_are_no_palette(mode: str) -> None:
    assert seen(body(draw(1).convert("L").convert(mode))).colours is None


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reduced_picture_is_re_encoded_and_so_is_its_original(seed: int) -> None:
    whole = draw(seed).convert("RGB")
    reduced = whole.quantize(256, Image.Quantize.MEDIANCUT)
    assert judged(whole, reduced).verdict is Verdict.REENCODED
    assert judged(reduced, whole).verdict is Verdict.REENCODED


@pytest.mark.parametrize("seed", SEEDS)
def test_the_container_alone_moves_no_score(seed: int) -> None:
    """The very pixels of a JPEG, as PNG."""
    stream = io.BytesIO()
    stamped(draw(seed), seed, 0.07).save(stream, "JPEG", quality=92)
    as_jpeg = seen(stream.getvalue())
    with Image.open(stream) as image:
        as_png = seen(body(image.copy()))
    assert as_png.format == "PNG"
    assert (as_png.luma, as_png.chroma, as_png.texture) == (as_jpeg.luma, as_jpeg.chroma, as_jpeg.texture)
    one, other = (compare_pictures(original(seed), new, SETTINGS) for new in (as_jpeg, as_png))
    assert (one.verdict, one.score, one.boxes) == (other.verdict, other.score, other.boxes)


@pytest.mark.parametrize("seed", SEEDS)
def test_saturated_lettering_hides_no_stamp(seed: int) -> None:
    old = draw(seed).convert("RGB").resize((480, 360))
    pen = ImageDraw.Draw(old)
    for row, colour in enumerate([(255, 0, 0), (255, 255, 0), (0, 0, 255), (255, 0, 255)] * 3):
        for column in range(12):
            pen.rectangle((column * 40, row * 30, column * 40 + 24, row * 30 + 20), fill=colour)
    new = stamped(old, seed, 0.15)
    assert judged(old, new).verdict.group is Group.SUSPICIOUS


@pytest.mark.parametrize("seed", SEEDS)
def test_plain_corners_of_its_own_hide_no_stamp(seed: int) -> None:
    """An object on plain white, with a stamp: nothing was masked, for the corners were white before."""
    old = Image.new("RGB", (400, 300), "white")
    old.paste(draw(seed).convert("RGB").resize((240, 180)), (80, 60))
    new = old.copy()
    side = 12
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)
    new.paste(Image.fromarray(noise), (100, 285))
    assert judged(old, new).verdict.group is Group.SUSPICIOUS
