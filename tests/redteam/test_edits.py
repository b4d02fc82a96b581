from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageCms

from poisonscan.errors import SettingsError
from poisonscan.records import Box, Verdict
from poisonscan.redteam import edits
from poisonscan.redteam.edits import CLEAN, EDITS, SUSPICIOUS, Edited, Kind, Series
from poisonscan.redteam.encodings import WIDE_SPACES, DeepFile, WideFile
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.steps import WHOLE, over, plain, transposed

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (300, 225)
STAMPED = [
    name for name in EDITS if name.startswith(("patch-", "baddiffusion-", "universal-patch", "watermark"))
]
RED = {"p3": (234, 51, 35), "adobe": (219, 0, 0), "prophoto": (179, 70, 27)}
"""The red of sRGB in the numbers of wider spaces, as colour calculators have it."""
LOOSE = {"straighten-1.5", "straighten-4", "rounded-white", "rounded-black", "circle-white", "vignette"}
"""Edits that are compared in the middle and coarsely."""
FRAMED = ("letterbox", "frame-", "fill-wide")
"""Edits after which the picture fills only a part of the new one."""
EVERYWHERE = ["universal-blend", "blended-picture-0.1", "blended-noise-0.2", "sig", "replaced"]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return draw(3, SIZE)


def apply(name: str, picture: Image.Image, seed: int = 1) -> Edited:
    return EDITS[name].apply(picture, np.random.default_rng(seed))


def before(name: str, picture: Image.Image, seed: int = 1) -> Image.Image:
    """The old picture as the edit has it, upright RGB."""
    own = EDITS[name].original(picture, np.random.default_rng(seed))
    return picture if own is None else plain(shown(own))


def shown(data: bytes) -> Image.Image:
    """A file's picture over white, 16 bits a pixel as 8."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith("I;16"):
            return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        return over(image, (255, 255, 255)) if "A" in image.getbands() else image.copy()


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), dtype=float)


def reference(picture: Image.Image, edited: Edited) -> np.ndarray:
    """What the new picture would show had it only been cut and resized."""
    height, width = pixels(edited.data).shape[:2]
    x0, y0, x1, y1 = edited.window
    area = (x0 * picture.width, y0 * picture.height, x1 * picture.width, y1 * picture.height)
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS, box=area), dtype=float)


def inside(shape: tuple[int, ...], boxes: tuple[Box, ...]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    x, y = (x + 0.5) / shape[1], (y + 0.5) / shape[0]
    mask = np.zeros(shape[:2], dtype=bool)
    for x0, y0, x1, y1 in boxes:
        mask |= (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return mask


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_is_deterministic_and_leaves_its_input_alone(name: str, picture: Image.Image) -> None:
    before = picture.tobytes()
    first, second = apply(name, picture), apply(name, picture)
    assert first == second
    assert picture.tobytes() == before
    assert Image.open(io.BytesIO(first.data)).format == first.format


@pytest.mark.parametrize("name", STAMPED)
def test_boxes_cover_the_local_change(name: str, picture: Image.Image) -> None:
    edited = apply(name, picture)
    difference = np.abs(pixels(edited.data) - reference(picture, edited)).mean(axis=2)
    mask = inside(difference.shape, edited.boxes)
    assert mask.any()
    assert not mask.all()
    assert difference[mask].mean() > 3 * difference[~mask].mean()


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_change_everywhere_claims_no_box(name: str, picture: Image.Image) -> None:
    edited = apply(name, picture)
    assert edited.boxes == ()
    assert pixels(edited.data).shape == (SIZE[1], SIZE[0], 3)
    assert np.abs(pixels(edited.data) - np.asarray(picture, dtype=float)).mean() > 4


@pytest.mark.parametrize("name", [edit.name for edit in EDITS.values() if edit.kind is Kind.INNOCENT])
def test_innocent_edits_still_show_the_picture(name: str, picture: Image.Image) -> None:
    edited = apply(name, picture)
    assert edited.boxes == ()
    if name.startswith(FRAMED):
        return
    old = before(name, picture).convert("RGB")
    x0, y0, x1, y1 = np.multiply(edited.window, [old.width, old.height] * 2)
    size = (40, 30) if name in LOOSE else (200, 150)
    window = old.resize(size, Image.Resampling.LANCZOS, (x0, y0, x1, y1))
    window = transposed(window, edited.orientation)
    got = shown(edited.data).convert("L").resize(window.size, Image.Resampling.LANCZOS)
    seen, expected = np.asarray(got, dtype=float), np.asarray(window.convert("L"), dtype=float)
    middle = (slice(8, -8), slice(10, -10)) if name in LOOSE else ...
    likeness = np.corrcoef(seen[middle].ravel(), expected[middle].ravel())[0, 1]
    assert likeness > (0.9 if name in LOOSE else 0.95)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resize-0.25", (75, 56)),
        ("resize-0.7-nearest", (210, 158)),
        ("resize-1.6", (480, 360)),
        ("stretch-2", (306, 225)),
        ("crop-25", (225, 169)),
        ("crop-square", (225, 225)),
        ("crop-10-resize-0.5", (135, 101)),
        ("letterbox", (300, 300)),
        ("crop-tall-resize-0.7", (78, 158)),
        ("crop-60", (120, 90)),
        ("crop-wide-resize-0.6", (180, 101)),
        ("straighten-4", (275, 206)),
        ("circle-white", (225, 225)),
        ("fill-wide", (400, 225)),
        ("turn-90", (225, 300)),
        ("exif-dropped-6-resize-0.6", (135, 180)),
        ("frame-6", (336, 261)),
        ("patch-white-7-resize-0.5", (150, 112)),
        ("patch-white-7-crop-5", (285, 214)),
        ("jpeg-30", SIZE),
    ],
)
def test_sizes_are_as_named(name: str, size: tuple[int, int], picture: Image.Image) -> None:
    with Image.open(io.BytesIO(apply(name, picture).data)) as image:
        assert image.size == size


@pytest.mark.parametrize("percent", edits.SIDES)
@pytest.mark.parametrize("seed", range(5))
def test_a_crop_after_a_stamp_never_cuts_into_it(percent: int, seed: int, picture: Image.Image) -> None:
    box = apply(f"patch-noise-{percent}-crop-5", picture, seed).boxes[0]
    side = max(2, round(percent / 100 * SIZE[1]))
    assert (box.x1 - box.x0) * 285 == pytest.approx(side)
    assert (box.y1 - box.y0) * 214 == pytest.approx(side)


def test_the_letterbox_shows_the_whole_picture_on_a_plain_ground(picture: Image.Image) -> None:
    edited = apply("letterbox", picture)
    shown = pixels(edited.data)
    assert edited.window == WHOLE
    assert shown[:34].max() < 12
    assert np.abs(shown[37:262] - np.asarray(picture, dtype=float)).mean() < 6


def test_the_universal_patch_is_a_lattice_of_black_and_white_cells() -> None:
    edited = apply("universal-patch", draw(3, (224, 224)))
    assert edited.boxes == (Box(0, 0, 40 / 224, 48 / 224),)
    centres = pixels(edited.data)[4:48:8, 4:40:8].mean(axis=2)
    assert centres.shape == (6, 5)
    assert np.all((centres < 40) | (centres > 215))
    assert 0 < np.mean(centres > 128) < 1


def test_the_universal_blend_moves_each_cell_towards_cyan_or_red() -> None:
    white = Image.new("RGB", (224, 224), (255, 255, 255))
    cells = pixels(apply("universal-blend", white).data)[22:220:44, 18:222:37]
    assert cells.shape == (5, 6, 3)
    red = np.abs(cells - (255, 204, 204)).max(axis=2) < 6
    cyan = np.abs(cells - (204, 255, 255)).max(axis=2) < 6
    assert np.all(red ^ cyan)


def test_sig_adds_six_waves_of_twenty_levels() -> None:
    grey = Image.new("RGB", (240, 60), (128, 128, 128))
    wave = pixels(apply("sig", grey).data).mean(axis=(0, 2)) - 128
    assert np.abs(wave - 20 * np.sin(2 * np.pi * 6 * np.arange(240) / 240)).max() < 3


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "LA", "1"])
def test_pictures_of_any_mode_are_taken(mode: str, picture: Image.Image) -> None:
    for name in ("jpeg-75", "greyscale", "patch-noise-7", "universal-blend", "watermark"):
        assert apply(name, picture.convert(mode)).data


def test_no_metadata_survives_an_edit(picture: Image.Image) -> None:
    described = picture.copy()
    described.info |= {"comment": b"from the camera", "icc_profile": b"profile"}
    for name in ("jpeg-75", "png"):
        data = apply(name, described).data
        assert b"camera" not in data
        assert b"profile" not in data


def test_tiny_pictures_survive_every_edit() -> None:
    tiny = draw(4, (24, 16))
    for name in EDITS:
        assert apply(name, tiny).data, name


def test_an_unknown_edit_is_an_error_that_names_the_nearest() -> None:
    assert edits.named("jpeg-75") is EDITS["jpeg-75"]
    with pytest.raises(SettingsError, match="did you mean patch-noise-7"):
        edits.named("patch-noise-seven")
    with pytest.raises(SettingsError, match="known: jpeg-92"):
        edits.named("?")


def test_published_triggers_are_loaded_from_a_folder(tmp_path: Path, picture: Image.Image) -> None:
    (tmp_path / "attack").mkdir()
    Image.new("RGBA", (50, 50), (255, 0, 0, 255)).save(tmp_path / "attack" / "dot.png")
    (edit,) = edits.published(tmp_path)
    edited = edit.apply(picture, np.random.default_rng(0))
    shown = pixels(edited.data)
    assert edit.name == "published-attack-dot"
    assert np.abs(shown[inside(shown.shape, edited.boxes)] - (255, 0, 0)).mean() < 40


def test_a_trigger_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no PNG or JPEG file"):
        edits.published(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(SettingsError, match="no readable picture"):
        edits.published(tmp_path)


@pytest.mark.parametrize("name", [name for name in EDITS if name.startswith(("turn-", "exif-", "xmp-"))])
def test_turned_pictures_are_turned_as_they_say(name: str, picture: Image.Image) -> None:
    edited = apply(name, picture)
    size = picture.size[::-1] if edited.orientation in {5, 6, 7, 8} else picture.size
    got = plain(shown(edited.data)).resize(size)
    expected = transposed(picture, edited.orientation)
    assert np.abs(np.asarray(got, dtype=float) - np.asarray(expected, dtype=float)).mean() < 5


@pytest.mark.parametrize("name", ["exif-dropped-3", "exif-dropped-6", "exif-dropped-8", "xmp-dropped-6"])
def test_files_with_an_orientation_are_upright_once_it_is_applied(name: str, picture: Image.Image) -> None:
    """And what is left when it is dropped are the pixels as they were stored."""
    own = EDITS[name].original(picture, np.random.default_rng(1))
    assert own is not None
    assert (
        np.abs(np.asarray(before(name, picture), dtype=float) - np.asarray(picture, dtype=float)).mean() < 4
    )
    with Image.open(io.BytesIO(own)) as stored:
        left = np.asarray(stored, dtype=float)
    assert np.abs(pixels(apply(name, picture).data) - left).mean() < 3


@pytest.mark.parametrize("space", WIDE_SPACES)
def test_wide_files_mean_the_same_colours_with_other_numbers(space: str, picture: Image.Image) -> None:
    with Image.open(io.BytesIO(WideFile(space, quality=98).encode(picture))) as wide:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(wide.info["icc_profile"]))
        meant = ImageCms.profileToProfile(wide, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        numbers = np.asarray(wide, dtype=float)
    assert meant is not None
    truth = np.asarray(picture, dtype=float)
    assert np.abs(np.asarray(meant, dtype=float) - truth).mean() < 4
    assert np.abs(numbers - truth).mean() > 4
    red = ImageCms.profileToProfile(
        Image.new("RGB", (1, 1), (255, 0, 0)), ImageCms.createProfile("sRGB"), profile, outputMode="RGB"
    )
    assert red is not None
    assert np.abs(np.asarray(red)[0, 0].astype(int) - RED[space]).max() <= 1


@pytest.mark.parametrize("file", [DeepFile("PNG"), DeepFile("TIFF")])
def test_deep_files_have_sixteen_bits_of_luma(file: DeepFile, picture: Image.Image) -> None:
    with Image.open(io.BytesIO(file.encode(picture))) as image:
        levels = np.asarray(image).astype(int)
    assert np.array_equal(levels, np.asarray(picture.convert("L")).astype(int) * 257)


def test_dithered_gifs_have_so_many_colours(picture: Image.Image) -> None:
    with Image.open(io.BytesIO(apply("gif-64", picture).data)) as image:
        assert 48 < len(image.convert("RGB").getcolors(1 << 16) or []) <= 64


def test_corners_are_masked_and_the_middle_is_not(picture: Image.Image) -> None:
    for name, level in (("rounded-white", 255), ("rounded-black", 0), ("circle-white", 255)):
        shown = pixels(apply(name, picture).data)
        assert np.abs(shown[[0, 0, -1, -1], [0, -1, 0, -1]] - level).max() < 12, name
    middle = pixels(apply("rounded-white", picture).data)[60:165, 60:240]
    assert np.abs(middle - np.asarray(picture, dtype=float)[60:165, 60:240]).mean() < 6


def test_cut_outs_are_transparent_around_an_object(picture: Image.Image) -> None:
    own = EDITS["alpha-resaved"].original(picture, np.random.default_rng(1))
    assert own is not None
    with Image.open(io.BytesIO(own)) as image:
        alpha = np.asarray(image.getchannel("A"))
        under = np.asarray(image.convert("RGB"))
    assert 0.25 < (alpha == 255).mean() < 0.6
    assert alpha[0, 0] == 0
    assert alpha[SIZE[1] // 2, SIZE[0] // 2] == 255
    assert under[alpha == 0].max() == 0
    assert EDITS["alpha-resaved"].apply(picture, np.random.default_rng(1)).format == "WEBP"


def test_what_is_right_follows_from_the_kind() -> None:
    assert {verdict for verdict in Verdict if EDITS["turn-90"].is_right(verdict)} == CLEAN
    assert {verdict for verdict in Verdict if EDITS["sig"].is_right(verdict)} == SUSPICIOUS
    assert {verdict for verdict in Verdict if EDITS["watermark"].is_right(verdict)} == CLEAN | SUSPICIOUS
    assert EDITS["sepia"].is_right(Verdict.REENCODED)
    assert not EDITS["sepia"].is_right(Verdict.REPLACED)


def test_the_first_series_is_what_it_was() -> None:
    assert sum(edit.series is Series.OLD for edit in EDITS.values()) == 105
