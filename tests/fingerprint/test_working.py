from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from poisonscan.fingerprint.decode import fingerprint
from poisonscan.fingerprint.grids import Grids, unpack
from poisonscan.fingerprint.working import WORKING_SIDE, ask_for, reduction, working_picture
from poisonscan.records import Fingerprint, Published
from poisonscan.redteam.pictures import draw
from tests.grids import grids_of

from .files import encoded, exif

SIDES = st.integers(1, 6_000)


@given(SIDES, SIDES)
def test_the_working_size_is_as_small_as_it_may_be(width: int, height: int) -> None:
    factor, shorter = reduction(width, height), min(width, height)
    assert factor & (factor - 1) == 0
    assert factor == 1 or shorter / factor >= WORKING_SIDE
    assert shorter / factor < 2 * WORKING_SIDE


def grids(body: bytes) -> Grids:
    found = fingerprint(body, Published(), 10**9)
    assert isinstance(found, Fingerprint)
    return unpack(found)


def scene(seed: int, size: tuple[int, int]) -> Image.Image:
    return draw(seed, (640, 480)).resize(size)


def alike(one: Grids, other: Grids) -> bool:
    """Whether cells agree but for rounding, and for the few that a sharp edge crosses."""
    differences = np.abs(
        np.concatenate([(one.luma - other.luma).ravel(), (one.chroma - other.chroma).ravel()])
    )
    return bool(np.quantile(differences, 0.98) <= 1 and differences.max() <= 5)


@pytest.mark.parametrize("size", [(255, 255), (256, 300), (301, 517), (640, 480), (1023, 769), (2051, 3000)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=str)
def test_a_jpeg_decoded_small_has_the_grids_of_all_its_pixels(
    size: tuple[int, int], options: dict[str, bool]
) -> None:
    body = encoded(scene(7, size), "JPEG", quality=90, **options)
    with Image.open(io.BytesIO(body)) as image:
        whole = grids_of(np.asarray(image))
    assert alike(grids(body), whole)


@pytest.mark.parametrize("size", [(301, 517), (2051, 3000)])
def test_a_png_made_small_has_the_grids_of_all_its_pixels(size: tuple[int, int]) -> None:
    picture = scene(7, size)
    assert alike(grids(encoded(picture, "PNG")), grids_of(np.asarray(picture)))


def test_a_published_phash_does_not_change_the_grids() -> None:
    body = encoded(scene(3, (777, 555)), "JPEG", quality=90)
    exact = fingerprint(body, Published(phash="0" * 16), 10**9)
    assert isinstance(exact, Fingerprint)
    assert alike(grids(body), unpack(exact))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_does_not_divide_evenly_is_turned_about_its_own_middle(orientation: int) -> None:
    stored = scene(5, (383, 301))
    turned = encoded(stored, "JPEG", quality=95, exif=exif(orientation))
    with Image.open(io.BytesIO(turned)) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
    assert alike(grids(turned), grids_of(np.asarray(upright)))


def test_what_a_decoder_cannot_make_small_is_averaged() -> None:
    picture = scene(1, (515, 1030))
    ask_for(picture, 4)
    working, extent = working_picture(picture, *picture.size)
    assert working.size == (129, 258)
    assert extent == (257.5, 128.75)
