"""What loaders show differently: transparency, deep grey, animations. Pictures are drawn, edges are soft."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from poisonscan.compare.ladder import Baseline, judge
from poisonscan.compare.renderings import NOT_REMEMBERED, SHOWN_BY
from poisonscan.config import CompareSettings
from poisonscan.fingerprint.decode import Decoded, decoded
from poisonscan.records import Group, Published, Rendering, Verdict
from poisonscan.redteam.pictures import draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from poisonscan.records import Comparison

SETTINGS = CompareSettings()
NOTHING = Published()
SIZE = (480, 360)


def file(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401 - passed on
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def jpeg(image: Image.Image) -> bytes:
    return file(image.convert("RGB"), "JPEG", quality=88)


def seen(body: bytes) -> Decoded:
    found = decoded(body, NOTHING, 10**9)
    assert isinstance(found, Decoded)
    return found


def compared(old: bytes, new: bytes) -> Comparison:
    picture = seen(new)
    return judge(Baseline(seen(old).fingerprint, NOTHING), picture.fingerprint, SETTINGS, picture.looks)


def photo(seed: int) -> Image.Image:
    return draw(seed).convert("RGB").resize(SIZE)


def cut(image: Image.Image) -> Image.Image:
    """A soft mask over the middle."""
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse((90, 50, 390, 310), fill=255)
    return mask.filter(ImageFilter.GaussianBlur(2))


def cut_out(image: Image.Image, ground: Image.Image | str) -> Image.Image:
    """The middle of a picture, and what is hidden around it."""
    mask = cut(image)
    below = ground if isinstance(ground, Image.Image) else Image.new("RGB", image.size, ground)
    shown = Image.composite(image, below, mask.point(lambda value: 255 if value else 0))
    shown.putalpha(mask)
    return shown


def over(image: Image.Image, ground: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, ground), image.convert("RGBA")).convert("RGB")


def grey(image: Image.Image) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(image.convert("L")).astype(np.float64)


GROUNDS: list[Image.Image | str] = ["black", "white", "orange", photo(0)]
COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "webp": lambda image: file(image, "WEBP", quality=80),
    "webp-lossless": lambda image: file(image, "WEBP", lossless=True),
    "avif": lambda image: file(image, "AVIF", quality=80),
    "smaller": lambda image: file(image.resize((300, 225), Image.Resampling.LANCZOS)),
    "tiff": lambda image: file(image, "TIFF"),
    "jpeg on white": lambda image: jpeg(over(image, "white")),
    "jpeg on black": lambda image: jpeg(over(image, "black")),
    "jpeg without alpha": jpeg,
}


@pytest.mark.parametrize("ground", GROUNDS, ids=["black", "white", "orange", "photo"])
@pytest.mark.parametrize("copy", COPIES)
def test_honest_copies_of_a_cut_out_are_clean(copy: str, ground: Image.Image | str) -> None:
    image = cut_out(photo(0), ground)
    found = compared(file(image), COPIES[copy](image))
    assert found.verdict.group is Group.CLEAN, found.reason


HIDING: dict[str, Callable[[Image.Image], bytes]] = {
    "png": file,
    "webp": lambda image: file(image, "WEBP", lossless=True, exact=True),
    "tiff": lambda image: file(image, "TIFF"),
}


@pytest.mark.parametrize("ground", GROUNDS, ids=["black", "white", "orange", "photo"])
@pytest.mark.parametrize("image_format", HIDING)
def test_another_picture_beneath_the_transparency_is_found(
    image_format: str, ground: Image.Image | str
) -> None:
    old, new = cut_out(photo(0), ground), cut_out(photo(0), photo(1))
    found = compared(file(old), HIDING[image_format](new))
    assert found.verdict.group is Group.SUSPICIOUS
    assert found.rendering is Rendering.ALPHA_DROPPED
    assert found.reason.startswith(SHOWN_BY[Rendering.ALPHA_DROPPED])


def test_a_stamp_beneath_the_transparency_is_found() -> None:
    old = cut_out(photo(0), "white")
    tiles = np.random.default_rng(1).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    new = old.copy()
    new.paste(Image.fromarray(tiles).resize((48, 48), Image.Resampling.NEAREST), (4, 4))
    new.putalpha(old.getchannel("A"))
    found = compared(file(old), file(new))
    assert (found.verdict, found.rendering) == (Verdict.EDITED, Rendering.ALPHA_DROPPED)


def flat_and_cut(mask: Image.Image, ground: str) -> tuple[bytes, bytes]:
    """A photo on white as JPEG, and as PNG with alpha and a hidden ground."""
    hidden = Image.composite(photo(0), Image.new("RGB", SIZE, ground), mask.point(lambda v: 255 if v else 0))
    hidden.putalpha(mask)
    return jpeg(over(hidden, "white")), file(hidden)


@pytest.mark.parametrize("ground", ["black", "white", "orange"])
def test_a_picture_on_white_that_becomes_a_cut_out_is_the_same(ground: str) -> None:
    found = compared(*flat_and_cut(cut(photo(0)), ground))
    assert found.verdict.group is Group.CLEAN, found.reason
    assert SHOWN_BY[Rendering.OVER_BLACK] in found.reason


def test_a_product_on_a_transparent_colour_is_the_same_and_the_loader_is_named() -> None:
    shown = Image.new("RGB", SIZE, "white")
    keyed = Image.new("RGB", SIZE, (255, 0, 200))
    for ground in (shown, keyed):
        ground.paste(photo(2).resize((240, 180)), (120, 90))
    few = keyed.quantize(255)
    key = few.getpixel((0, 0))
    for new in (
        file(keyed, transparency=(255, 0, 200)),
        file(few, transparency=key),
        file(few, "GIF", transparency=key),
    ):
        found = compared(jpeg(shown), new)
        assert found.verdict.group is Group.CLEAN, found.reason
        assert SHOWN_BY[Rendering.ON_ONE_COLOUR] in found.reason


def white_signs(mask: Image.Image) -> Image.Image:
    """Letters' worth of opaque white beside the object: they are seen on a dark ground only."""
    signs = mask.copy()
    for x in (10, 40, 420, 450):
        signs.paste(255, (x, 20, x + 18, 60))
    return signs


def white_patch(mask: Image.Image) -> Image.Image:
    """Opaque white of 7% of the side, grown out of the object."""
    patched = mask.copy()
    patched.paste(255, (385, 165, 411, 191))
    return patched


def hole(mask: Image.Image) -> Image.Image:
    """A square within the object that is transparent."""
    holed = mask.copy()
    holed.paste(0, (210, 150, 270, 210))
    return holed


def veil(mask: Image.Image) -> Image.Image:
    """A small square within the object that is half transparent."""
    veiled = mask.copy()
    veiled.paste(128, (220, 160, 265, 205))
    return veiled


@pytest.mark.parametrize("ground", ["black", "white"])
@pytest.mark.parametrize("pattern", [white_signs, white_patch, hole, veil])
def test_a_pattern_of_transparency_is_no_cut_out(
    pattern: Callable[[Image.Image], Image.Image], ground: str
) -> None:
    white = photo(0).copy()
    plain = Image.new("RGB", SIZE, "white")
    mask = cut(white)
    white = Image.composite(white, plain, mask)
    if pattern is hole:
        white.paste("white", (200, 140, 280, 220))
    alpha = pattern(mask)
    new = Image.composite(white, Image.new("RGB", SIZE, ground), alpha.point(lambda v: 255 if v else 0))
    new.putalpha(alpha)
    found = compared(jpeg(over(new, "white")), file(new))
    assert found.verdict.group is Group.SUSPICIOUS, found.reason
    assert found.rendering is Rendering.OVER_BLACK


def half_transparent(shown: Image.Image, dropped: Image.Image) -> Image.Image:
    """Shows one picture over white, and a dark one where alpha is dropped."""
    white, dark = np.asarray(shown).astype(float), np.asarray(dropped) * 0.4
    alpha = np.clip(((255 - white) / (255 - dark)).max(axis=2), 1 / 255, 1)
    colours = np.clip(255 - (255 - white) / alpha[..., None], 0, 255)
    return Image.fromarray(np.dstack([colours.round(), 255 * alpha]).astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_a_picture_that_white_makes_of_another_is_found(image_format: str, mode: str) -> None:
    trick = half_transparent(photo(0).convert("L").convert("RGB"), photo(1)).convert(mode)
    options: dict[str, dict[str, Any]] = {
        "PNG": {},
        "TIFF": {},
        "WEBP": {"lossless": True, "exact": True},
        "AVIF": {"quality": 95},
    }
    image = trick if image_format in {"PNG", "TIFF"} else trick.convert("RGBA")
    found = compared(jpeg(photo(0).convert("L")), file(image, image_format, **options[image_format]))
    assert found.verdict.group is Group.SUSPICIOUS
    assert found.rendering is not Rendering.MAIN


def product() -> tuple[Image.Image, Image.Image]:
    """A small picture on white, and the same with a pattern beside it in a colour of its own."""
    small = photo(2).resize((240, 180))
    shown = Image.new("RGB", SIZE, "white")
    shown.paste(small, (120, 90))
    keyed = shown.copy()
    tiles = np.random.default_rng(5).integers(0, 2, (6, 6), dtype=np.uint8) * 255
    pattern = Image.fromarray(tiles).resize((72, 72), Image.Resampling.NEAREST)
    keyed.paste((255, 0, 200), (20, 20), pattern)
    return shown, keyed


def test_a_transparent_colour_shows_where_it_is_ignored() -> None:
    shown, keyed = product()
    found = compared(jpeg(shown), file(keyed, transparency=(255, 0, 200)))
    assert found.verdict.group is Group.SUSPICIOUS, found.reason
    assert found.rendering in {Rendering.ALPHA_DROPPED, Rendering.OVER_BLACK}


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_a_transparent_palette_entry_shows_where_it_is_ignored(image_format: str) -> None:
    shown, keyed = product()
    few = keyed.quantize(255)
    key = int(np.argmin(np.abs(np.asarray(few.convert("RGB")).astype(int) - (255, 0, 200)).sum(axis=2)))
    found = compared(jpeg(shown), file(few, image_format, transparency=int(np.asarray(few).ravel()[key])))
    assert found.verdict.group is Group.SUSPICIOUS, found.reason


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_a_transparent_palette_equals_itself(image_format: str) -> None:
    _, keyed = product()
    few = keyed.quantize(200)
    body = file(few, image_format, transparency=few.getpixel((240, 20)))
    with Image.open(io.BytesIO(body)) as image:
        again = file(image.convert("RGBA"), "WEBP", lossless=True)
    assert compared(body, again).verdict.group is Group.CLEAN


def deep(values: np.ndarray[Any, Any], kind: type = np.uint16) -> Image.Image:
    return Image.fromarray(values.astype(kind))


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_honest_copies_of_deep_grey_are_clean(image_format: str) -> None:
    values = grey(photo(0)) * 257
    old = file(deep(values), image_format)
    small = deep(values).convert("I").resize((300, 225), Image.Resampling.BOX)
    for new in (
        jpeg(photo(0).convert("L")),
        file(deep(np.asarray(small)), "PNG"),
        file(deep(values), "TIFF"),
    ):
        found = compared(old, new)
        assert found.verdict.group is Group.CLEAN, found.reason


def test_deep_grey_that_some_loaders_cut_off_is_not_the_same_picture() -> None:
    found = compared(jpeg(photo(0).convert("L")), file(deep(grey(photo(0)) * 257)))
    assert found.verdict is Verdict.REPLACED
    assert found.rendering is Rendering.CLIPPED
    assert "values above 255 cut off" in found.reason


@pytest.mark.parametrize(("kind", "scale"), [(np.float32, 1 / 255), (np.float32, 1.0), (np.int32, 257)])
def test_honest_jpegs_of_float_and_int32_are_clean(kind: type, scale: float) -> None:
    found = compared(file(deep(grey(photo(0)) * scale, kind), "TIFF"), jpeg(photo(0).convert("L")))
    assert found.verdict.group is Group.CLEAN, found.reason


@pytest.mark.parametrize(
    ("kind", "scale", "offset"), [(np.float32, 1 / 255, 0), (np.float32, 1.0, 0), (np.int32, 65793, 10**6)]
)
def test_another_picture_in_float_or_int32_is_replaced(kind: type, scale: float, offset: int) -> None:
    old, new = (file(deep(grey(photo(seed)) * scale + offset, kind), "TIFF") for seed in (0, 1))
    assert compared(old, new).verdict.group is Group.SUSPICIOUS
    assert compared(jpeg(photo(0).convert("L")), new).verdict.group is Group.SUSPICIOUS


def test_an_animation_that_leaves_its_default_image_out_is_looked_at_as_browsers_do() -> None:
    still, other = photo(0).resize((240, 180)), photo(1).resize((240, 180))
    moving = file(still, save_all=True, append_images=[other, still], default_image=True, duration=100)
    found = compared(file(still), moving)
    assert (found.verdict.group, found.rendering) == (Group.SUSPICIOUS, Rendering.FIRST_FRAME)


def test_what_all_loaders_agree_on_is_remembered_once() -> None:
    opaque = photo(0).convert("RGBA")
    for body in (jpeg(photo(0)), file(photo(0)), file(opaque), file(opaque, "WEBP")):
        assert seen(body).fingerprint.renderings == b""


def test_of_a_snapshot_of_an_earlier_version_the_main_rendering_is_compared() -> None:
    image = cut_out(photo(0), photo(0))
    old = dataclasses.replace(seen(file(image)).fingerprint, renderings=None)
    new = seen(COPIES["smaller"](image))
    found = judge(Baseline(old, NOTHING), new.fingerprint, SETTINGS, new.looks)
    assert found.verdict.group is Group.CLEAN
    assert found.reason.endswith(NOT_REMEMBERED)
    then = dataclasses.replace(seen(jpeg(over(image, "white"))).fingerprint, renderings=None)
    found = judge(Baseline(then, NOTHING), seen(file(image)).fingerprint, SETTINGS)
    assert found.verdict.group is Group.SUSPICIOUS, "a JPEG never had another rendering"
