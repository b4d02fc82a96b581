from __future__ import annotations

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageOps

from poisonscan.errors import SettingsError
from poisonscan.records import Group
from poisonscan.redteam import containers
from poisonscan.redteam.forgeries import FORGERIES, named
from poisonscan.redteam.forgery import Family, Pair, Photo
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.steps import jpeg, over

SIZE = (320, 240)
WHITE = (255, 255, 255)
LOSSY = {"alpha-avif", "ground-avif"}


@cache
def photo() -> Photo:
    image = draw(3, SIZE)
    return Photo(jpeg(92).encode(image), image, draw(10, SIZE))


@cache
def pair(name: str) -> Pair:
    return FORGERIES[name].make(photo(), np.random.default_rng(5))


def names(*families: Family) -> list[str]:
    return [name for name, forgery in FORGERIES.items() if forgery.family in families]


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def dropped(image: Image.Image) -> np.ndarray:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns otherwise
    return np.asarray(image.convert("RGB"), dtype=float)


def over_white(image: Image.Image) -> np.ndarray:
    return np.asarray(over(image.convert("RGBA"), WHITE), dtype=float)


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.mean(axis=2).ravel(), second.mean(axis=2).ravel())[0, 1])


def other() -> np.ndarray:
    return np.asarray(ImageOps.fit(photo().other, SIZE), dtype=float)


@pytest.mark.parametrize("name", FORGERIES)
def test_every_forgery_is_deterministic_and_another_file(name: str) -> None:
    before = photo().image.tobytes(), photo().other.tobytes()
    assert FORGERIES[name].make(photo(), np.random.default_rng(5)) == pair(name)
    assert (photo().image.tobytes(), photo().other.tobytes()) == before
    assert pair(name).old != pair(name).new
    opened(pair(name).old)


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forgery_is_rightly_called_unchanged(name: str) -> None:
    clean = {verdict.value for verdict in FORGERIES[name].right if verdict.group is Group.CLEAN}
    assert not clean & {"identical", "same_pixels"}
    assert clean <= {"reencoded", "cropped"}


def test_tiny_photos_can_be_forged() -> None:
    tiny = Photo(jpeg(92).encode(draw(4, (24, 16))), draw(4, (24, 16)), draw(5, (24, 16)))
    for name in (*names(Family.SURROUND, Family.ALPHA, Family.TONE, Family.STAMP, Family.MIXTURE), "flat"):
        assert FORGERIES[name].make(tiny, np.random.default_rng(0)).new, name


def test_an_unknown_forgery_is_an_error_that_names_the_nearest() -> None:
    assert named("inset-60") is FORGERIES["inset-60"]
    with pytest.raises(SettingsError, match="did you mean inset-60"):
        named("inset-6O")


@pytest.mark.parametrize("name", [name for name in names(Family.ALPHA) if name != "ground-key-gif"])
def test_over_white_the_old_picture_shows_and_another_without_alpha(name: str) -> None:
    old, new = (opened(body) for body in pair(name))
    truth = dropped(photo().image.convert(old.mode)) if name.startswith("alpha-") else dropped(old)
    off = np.abs(over_white(new) - truth)
    if name.startswith("alpha-") and name not in LOSSY:
        assert off.max() <= 1
    assert off.mean() < (6 if name == "ground-palette" else 4)
    assert np.abs(dropped(new) - dropped(old)).mean() > (3 if name == "alpha-stamp" else 20)


@pytest.mark.parametrize("name", ["alpha-png", "alpha-webp", "alpha-tiff", "alpha-avif", "alpha-grey"])
def test_what_alpha_hides_looks_like_the_other_picture(name: str) -> None:
    old, new = (dropped(opened(body)) for body in pair(name))
    assert likeness(new, other()) > likeness(old, other()) + 0.3


@pytest.mark.parametrize(
    "name", ["ground-png", "ground-webp", "ground-tiff", "ground-avif", "ground-palette"]
)
def test_the_ground_of_a_cut_out_is_the_other_picture(name: str) -> None:
    new = opened(pair(name).new).convert("RGBA")
    hidden = np.asarray(new.getchannel("A")) == 0
    assert 0.4 < hidden.mean() < 0.75
    assert np.abs(dropped(new)[hidden] - other()[hidden]).mean() < 15


def test_a_gif_with_a_key_is_chequered_without_it() -> None:
    new = opened(pair("ground-key-gif").new)
    assert "transparency" in new.info
    ground = dropped(new)[:15, :15].reshape(-1, 3)
    assert len(np.unique(ground, axis=0)) <= 2
    assert (np.asarray(new.convert("RGBA").getchannel("A")) == 0).mean() > 0.15


@pytest.mark.parametrize("name", ["deep-png", "deep-tiff", "deep-int32"])
def test_deep_grey_is_the_old_picture_shifted_and_white_clipped(name: str) -> None:
    levels = np.asarray(opened(pair(name).new)).astype(np.int64)
    grey = np.asarray(photo().image.convert("L")).astype(int)
    assert np.array_equal(levels >> 8, grey)
    assert (np.minimum(levels, 255)[grey > 0] == 255).all()


@pytest.mark.parametrize("name", ["float-other", "int32-other", "int16-other"])
def test_deep_files_may_show_another_picture(name: str) -> None:
    levels = np.asarray(opened(pair(name).new)).astype(float)
    assert np.corrcoef(levels.ravel(), np.asarray(photo().other.convert("L")).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name", ["png-shadowed", "png-framed"])
def test_pillow_takes_other_chunks_for_pixels(name: str) -> None:
    assert np.array_equal(dropped(opened(pair(name).new)), other())
    assert containers.png_stream(pair(name).new) == containers.png_stream(pair(name).old)


@pytest.mark.parametrize(
    "name", ["png-frame-control", "png-text-interlace", "jpeg-short-jfif", "jpeg-late-jfif", "jpeg-letters"]
)
def test_loaders_show_another_picture_for_a_few_bytes(name: str) -> None:
    old = dropped(opened(pair(name).old))
    try:
        new = dropped(opened(pair(name).new))
    except (OSError, SyntaxError, ValueError, TypeError):
        return
    assert np.abs(new - old).mean() > 10


@pytest.mark.parametrize("name", ["png-split", "png-text-bbox", "jpeg-cut"])
def test_loaders_show_a_part_of_the_picture_or_none(name: str) -> None:
    old = dropped(opened(pair(name).old))
    try:
        new = dropped(opened(pair(name).new))
    except (OSError, SyntaxError, ValueError, TypeError):
        return
    assert np.abs(new - old)[SIZE[1] // 2 :].mean() > 10


@pytest.mark.parametrize("name", ["png-turned", "jpeg-stale-xmp"])
def test_pillow_turns_what_a_forgotten_block_says(name: str) -> None:
    old, new = (ImageOps.exif_transpose(opened(body)) for body in pair(name))
    assert old.size == SIZE
    assert new.size == SIZE[::-1]


def test_an_exif_block_behind_the_scan_is_not_read() -> None:
    old, new = (opened(body) for body in pair("jpeg-late-exif"))
    assert (old.getexif()[0x112], new.getexif().get(0x112)) == (6, None)
    assert np.array_equal(dropped(old), dropped(new))


def test_a_flag_of_a_webp_is_cleared_and_the_block_is_there() -> None:
    old, new = pair("webp-exif-flag")
    assert len(old) == len(new)
    assert [chunk for _, chunk in containers.webp_chunks(new) if chunk[0] == b"EXIF"]
    assert sum(a != b for a, b in zip(old, new, strict=True)) == 1


def test_a_canvas_leaves_the_picture_in_a_corner() -> None:
    old, new = (opened(body) for body in pair("webp-canvas"))
    assert new.size == (3 * old.width, 3 * old.height)


def test_an_animation_shows_its_first_frame_to_those_who_know_it() -> None:
    new = opened(pair("png-apng-default").new)
    assert np.array_equal(dropped(new), dropped(photo().image))
    new.seek(1)
    assert np.array_equal(dropped(new), other())


@pytest.mark.parametrize("way", ["nearest", "linear"])
@pytest.mark.parametrize("side", [224, 256, 336])
def test_sampling_shows_the_other_picture_and_averaging_the_old_one(way: str, side: int) -> None:
    old, new = (dropped(opened(body)) for body in pair(f"scaling-{way}-{side}"))
    high, wide = new.shape[0] // 4, new.shape[1] // 4
    assert min(high, wide) == side
    blocks = new.reshape(high, 4, wide, 4, 3)
    taps = blocks[:, 0, :, 0] if way == "nearest" else blocks[:, 1:3, :, 1:3].mean(axis=(1, 3))
    hidden = np.asarray(ImageOps.fit(photo().other, (wide, high)), dtype=float)
    averaged = blocks.mean(axis=(1, 3))
    assert np.abs(averaged - old.reshape(high, 4, wide, 4, 3).mean(axis=(1, 3))).mean() < 2
    assert likeness(taps, hidden) > 0.85
    assert likeness(taps, hidden) > likeness(averaged, hidden) + 0.3


@pytest.mark.parametrize("share", [40, 60, 80])
def test_an_inset_is_the_old_picture_in_the_other(share: int) -> None:
    new = dropped(opened(pair(f"inset-{share}").new))
    untouched = np.abs(new - other()).max(axis=2) < 40
    assert untouched.mean() == pytest.approx(1 - (share / 100) ** 2, abs=0.12)


@pytest.mark.parametrize("name", ["collage-beside", "collage-below"])
def test_a_collage_shows_both_pictures(name: str) -> None:
    new = dropped(opened(pair(name).new))
    first = new[: SIZE[1], : SIZE[0]]
    second = new[: SIZE[1], SIZE[0] :] if name.endswith("beside") else new[SIZE[1] :, : SIZE[0]]
    assert np.abs(first - dropped(photo().image)).mean() < 5
    assert np.abs(second - other()).mean() < 5


@pytest.mark.parametrize(
    ("name", "area"),
    [("frame-magenta-20", 0.45), ("frame-magenta-30", 0.57), ("frame-green-30", 0.57), ("bar-red-40", 0.29)],
)
def test_frames_take_the_area_that_they_say(name: str, area: float) -> None:
    new = dropped(opened(pair(name).new))
    loud = np.abs(new - new[-2, 2]).max(axis=2) < 25
    assert loud.mean() == pytest.approx(area, abs=0.03)


@pytest.mark.parametrize("name", ["flat", "gradient"])
def test_flat_pictures_keep_the_mean_luma_and_nothing_else(name: str) -> None:
    new = opened(pair(name).new)
    old_luma, new_luma = (np.asarray(image.convert("L"), dtype=float) for image in (photo().image, new))
    assert new_luma.mean() == pytest.approx(old_luma.mean(), abs=4)
    assert np.abs(np.diff(new_luma, axis=0)).mean() < 0.5 * np.abs(np.diff(old_luma, axis=0)).mean()


@pytest.mark.parametrize("name", names(Family.TONE))
def test_strong_toning_moves_colours_and_keeps_the_scene(name: str) -> None:
    new = dropped(opened(pair(name).new))
    truth = dropped(photo().image)
    assert np.abs(new - truth).mean() > 15
    assert max(likeness(new[..., [k]], truth[..., [j]]) for k in range(3) for j in range(3)) > 0.95


@pytest.mark.parametrize("name", names(Family.STAMP))
def test_stamps_change_a_small_square(name: str) -> None:
    old = dropped(opened(pair(name).old))
    new = dropped(opened(pair(name).new))
    moved = np.abs(new - old).max(axis=2) > 60
    side = int(name.split("-")[-1 if name.startswith("lettering") else 2]) / 100
    assert 0.2 * side**2 * 0.75 < moved.mean() < 3 * side**2 + 0.03


@pytest.mark.parametrize("name", [name for name in names(Family.FINE) if "zero-mean" in name])
def test_a_fine_pattern_is_strong_and_averages_out(name: str) -> None:
    truth = dropped(photo().image)
    change = dropped(opened(pair(name).new)) - truth
    assert change.std() > 10
    blocks = change[:240, :320].reshape(60, 4, 80, 4, 3).mean(axis=(1, 3))
    assert blocks.std() < 0.25 * change.std()
