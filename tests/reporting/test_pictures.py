from __future__ import annotations

import base64
import io
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from poisonscan.records import LUMA_SIDE
from poisonscan.reporting import pictures
from poisonscan.reporting.cards import drawable
from tests.grids import grids_of, stored

from .synthetic import jpeg, photo


def decoded(picture: pictures.Picture) -> Image.Image:
    head, data = picture.uri.split(",", 1)
    assert head in {"data:image/jpeg;base64", "data:image/png;base64"}
    image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    image.load()
    return image


def test_a_thumbnail_carries_nothing_of_the_served_bytes_but_the_picture() -> None:
    original = photo(1, 640, 400)
    stream = io.BytesIO()
    original.save(
        stream, "JPEG", comment=b"<script>alert(1)</script>", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"
    )
    body = stream.getvalue() + b"<script>polyglot</script>"
    small = pictures.thumbnail(body, 10**6)
    assert b"script" not in small
    image = Image.open(io.BytesIO(small))
    assert image.size == (192, 120)
    assert "exif" not in image.info
    expected = np.asarray(original.resize((192, 120), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(np.asarray(image).astype(int) - expected).mean() < 6


def test_a_picture_beyond_the_pixel_limit_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(pictures.TooLargeError, match="exceed the limit of 100"):
        pictures.thumbnail(jpeg(photo(1, 20, 10)), 100)


def test_transparency_lies_over_white() -> None:
    stream = io.BytesIO()
    Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(stream, "PNG")
    image = Image.open(io.BytesIO(pictures.thumbnail(stream.getvalue(), 10**6)))
    assert np.asarray(image).min() > 250


def test_the_stored_grids_give_the_picture_back_small_and_smooth() -> None:
    original = photo(3, 400, 300)
    luma, chroma, _ = stored(np.asarray(original))
    image = decoded(pictures.grid_picture(luma, chroma, 400, 300))
    assert image.size == (192, 144)
    again = grids_of(np.asarray(image)).luma
    assert np.abs(again - grids_of(np.asarray(original)).luma).mean() < 6


def test_the_residual_is_dark_where_nothing_changed_and_bright_where_it_did() -> None:
    old = np.full((LUMA_SIDE, LUMA_SIDE), 60, np.uint8)
    new = old.copy()
    new[:, LUMA_SIDE // 2 :] = 250
    pixels = np.asarray(
        decoded(pictures.residual_picture(old.tobytes(), new.tobytes(), 300, 150)).convert("RGB")
    )
    assert pixels.shape == (96, 192, 3)
    assert tuple(pixels[0, 0]) == pictures.RAMP[0]
    assert tuple(pixels[0, -1]) == pictures.RAMP[-1]


def test_the_ramp_grows_lighter_all_the_way() -> None:
    luma = [np.dot(colour, (0.299, 0.587, 0.114)) for colour in pictures.RAMP]
    assert luma == sorted(luma)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_drawn_sizes_fit_and_are_never_a_mere_line(width: int, height: int) -> None:
    size = pictures.drawn_size(width, height)
    assert max(size) == pictures.SIDE
    assert min(size) >= 8


@given(st.lists(st.lists(st.floats(width=32), min_size=4, max_size=4), max_size=40))
def test_only_boxes_inside_the_picture_are_drawn(boxes: list[list[float]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for box in drawable(boxes):
            assert 0 <= box.x0 < box.x1 <= 1
            assert 0 <= box.y0 < box.y1 <= 1
