"""What lies around an old picture, and how straightened and tiny ones are read."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from poisonscan.compare.align import refine
from poisonscan.compare.geometry import Window
from poisonscan.compare.pictures import compare_pictures
from poisonscan.config import CompareSettings
from poisonscan.fingerprint.decode import Decoded, decoded
from poisonscan.records import Group, Published, Verdict
from poisonscan.redteam.edits import named
from poisonscan.redteam.pictures import draw
from tests.compare.pairs import MANY, original

if TYPE_CHECKING:
    from poisonscan.records import Comparison

SEEDS = range(4)
MUTED = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128), "beige": (200, 180, 150)}
LOUD = {"magenta": (255, 0, 200), "green": (0, 255, 0), "red": (255, 0, 0)}


def judged(seed: int, image: Image.Image) -> Comparison:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    picture = decoded(stream.getvalue(), Published(), MANY)
    assert isinstance(picture, Decoded)
    return compare_pictures(original(seed), picture.fingerprint, CompareSettings(), picture.detail)


def framed(image: Image.Image, share: float, colour: tuple[int, int, int]) -> Image.Image:
    return ImageOps.expand(image, round(share * min(image.size)), colour)


def chequered(image: Image.Image, share: float) -> Image.Image:
    rim = round(share * min(image.size))
    rows, columns = np.indices((image.height + 2 * rim, image.width + 2 * rim)) // 12
    odd = ((rows + columns) % 2).astype(bool)[..., None]
    pattern = Image.fromarray(np.where(odd, (255, 255, 255), (0, 0, 0)).astype(np.uint8))
    pattern.paste(image, (rim, rim))
    return pattern


def inset(image: Image.Image, share: float, ground: Image.Image) -> Image.Image:
    small = image.resize((round(image.width * share), round(image.height * share)))
    within = ground.resize(image.size)
    within.paste(small, ((image.width - small.width) // 2, (image.height - small.height) // 3))
    return within


def filled(image: Image.Image) -> Image.Image:
    width = round(image.height * 16 / 9)
    ground = image.resize((width, round(image.height * width / image.width)))
    top = (ground.height - image.height) // 2
    ground = ground.crop((0, top, width, top + image.height)).filter(ImageFilter.GaussianBlur(width / 25))
    ground.paste(image, ((width - image.width) // 2, 0))
    return ground


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("colour", MUTED)
@pytest.mark.parametrize("share", [0.06, 0.2])
def test_a_plain_muted_frame_is_a_frame(seed: int, colour: str, share: float) -> None:
    found = judged(seed, framed(draw(seed), share, MUTED[colour]))
    assert found.verdict is Verdict.CROPPED
    assert "frame" in found.reason


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fill_of_its_own_blur_is_a_frame(seed: int) -> None:
    found = judged(seed, filled(draw(seed)))
    assert found.verdict is Verdict.CROPPED


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("colour", LOUD)
def test_a_coloured_frame_is_edited_with_boxes_around(seed: int, colour: str) -> None:
    found = judged(seed, framed(draw(seed), 0.1, LOUD[colour]))
    assert found.verdict is Verdict.EDITED
    assert len(found.boxes) >= 4
    assert any(box.y1 < 0.2 for box in found.boxes)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [0.06, 0.2])
def test_a_chequered_frame_is_edited(seed: int, share: float) -> None:
    assert judged(seed, chequered(draw(seed), share)).verdict.group is Group.SUSPICIOUS


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("share", "verdict"), [(0.5, Verdict.REPLACED), (0.85, Verdict.EDITED)])
def test_an_inset_in_another_picture_goes_by_its_area(seed: int, share: float, verdict: Verdict) -> None:
    found = judged(seed, inset(draw(seed), share, draw(seed + 100)))
    assert found.verdict is verdict


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("degrees", [-4.0, 1.5])
def test_a_straightened_picture_is_a_crop(seed: int, degrees: float) -> None:
    found = judged(seed, straightened(draw(seed), degrees))
    assert found.verdict is Verdict.CROPPED
    assert f"turned by {abs(degrees):.1f} degrees" in found.reason


@pytest.mark.parametrize("seed", SEEDS)
def test_straightening_hides_no_stamp(seed: int) -> None:
    stamped = draw(seed).convert("RGB")
    side = round(0.14 * min(stamped.size))
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)
    stamped.paste(Image.fromarray(noise), (stamped.width // 2, stamped.height // 3))
    assert judged(seed, straightened(stamped, 3.0)).verdict.group is Group.SUSPICIOUS


def straightened(image: Image.Image, degrees: float) -> Image.Image:
    """Turned, and cut to the largest picture of its shape that has no corner of the ground."""
    width, height = image.size
    sine, cosine = math.sin(abs(math.radians(degrees))), math.cos(math.radians(degrees))
    share = min(width / (width * cosine + height * sine), height / (width * sine + height * cosine))
    wide, tall = int(width * share) - 2, int(height * share) - 2
    left, top = (width - wide) // 2, (height - tall) // 2
    turned = image.convert("RGB").rotate(degrees, Image.Resampling.BICUBIC)
    return turned.crop((left, top, left + wide, top + tall))


@pytest.mark.parametrize("seed", range(12))
def test_a_gradient_is_no_part_of_a_picture(seed: int) -> None:
    corners = np.random.default_rng(seed).integers(0, 256, (2, 2, 3)).astype(np.uint8)
    plain = Image.fromarray(corners).resize((320, 240), Image.Resampling.BILINEAR)
    assert judged(seed, plain).verdict is Verdict.REPLACED


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("colour", ["white", "black"])
@pytest.mark.parametrize(("radius", "words"), [(0.1, "rounded corners"), (0.5, "ellipse")])
def test_plain_corners_outside_a_rounded_shape_are_a_frame(
    seed: int, colour: str, radius: float, words: str
) -> None:
    found = judged(seed, rounded(draw(seed), radius, MUTED[colour]))
    assert found.verdict is Verdict.CROPPED
    assert words in found.reason


@pytest.mark.parametrize("seed", SEEDS)
def test_a_circle_cut_from_the_middle_is_found_without_its_corners(seed: int) -> None:
    picture = draw(seed).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    found = judged(seed, rounded(square, 0.5, MUTED["white"]))
    assert found.verdict is Verdict.CROPPED
    assert found.window is not None
    truth = left / picture.width, top / picture.height
    assert found.window[:2] == pytest.approx(truth, abs=0.01)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stamp_within_rounded_corners_is_found(seed: int) -> None:
    stamped = draw(seed).convert("RGB")
    side = round(0.14 * min(stamped.size))
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)
    stamped.paste(Image.fromarray(noise), (stamped.width // 2, stamped.height // 2))
    assert judged(seed, rounded(stamped, 0.1, MUTED["white"])).verdict.group is Group.SUSPICIOUS


@pytest.mark.parametrize("seed", SEEDS)
def test_one_coloured_corner_is_no_mask(seed: int) -> None:
    stuck = draw(seed).convert("RGB")
    side = round(0.2 * min(stuck.size))
    ImageDraw.Draw(stuck).polygon([(0, 0), (side, 0), (0, side)], fill=LOUD["red"])
    assert judged(seed, stuck).verdict is Verdict.EDITED


def rounded(image: Image.Image, radius: float, colour: tuple[int, int, int]) -> Image.Image:
    """Corners of a radius in shares of the shorter side cut off; an ellipse where it is half of it."""
    size = 2 * image.width, 2 * image.height
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    if radius >= 0.5:
        pen.ellipse((0, 0, size[0] - 1, size[1] - 1), fill=255)
    else:
        pen.rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), round(radius * min(size)), fill=255)
    shown = Image.new("RGB", image.size, colour)
    shown.paste(image.convert("RGB"), mask=mask.resize(image.size, Image.Resampling.BOX))
    return shown


@pytest.mark.parametrize("seed", SEEDS)
def test_a_warped_picture_is_blended(seed: int) -> None:
    edit = named("warp")
    found = edit.apply(draw(seed), np.random.default_rng(seed))
    with Image.open(io.BytesIO(found.data)) as image:
        assert judged(seed, image.convert("RGB")).verdict is Verdict.BLENDED


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [0.12, 0.2])
def test_a_window_of_little_of_the_area_is_found(seed: int, share: float) -> None:
    picture = draw(seed).convert("RGB")
    wide, tall = (round(side * math.sqrt(share)) for side in picture.size)
    left, top = (picture.width - wide) // 2, (picture.height - tall) // 2
    found = judged(seed, picture.crop((left, top, left + wide, top + tall)))
    assert found.verdict is Verdict.CROPPED
    assert found.window is not None
    assert found.window.x1 - found.window.x0 == pytest.approx(math.sqrt(share), abs=0.02)


def test_a_picture_that_leaves_no_cells_is_replaced() -> None:
    """A plain gradient draws the window of a frame off the picture, where there is nothing to compare."""
    luma = np.linspace(0, 255, 32)[:, None] + np.zeros(32)
    fine = np.random.default_rng(1).uniform(0, 255, (32, 32))
    for window in (Window(2.0, 0.0, 3.0, 1.0), Window(-1.0, -1.0, -0.2, -0.1), Window(0.9, 0.9, 1.6, 1.7)):
        fit = refine(luma, fine, window)
        assert fit.empty
        assert math.isinf(fit.misfit)
        assert (fit.correlation, fit.gain, fit.evidence) == (0.0, 0.0, 0.0)
