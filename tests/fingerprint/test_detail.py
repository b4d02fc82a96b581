"""Detail: the same means as the stored grids, in finer cells."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import ExifTags, Image

from poisonscan.fingerprint.decode import Decoded, decoded
from poisonscan.fingerprint.detail import DETAIL_SIDE, detail_of
from poisonscan.fingerprint.grids import unpack
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE, TEXTURE_SIDE, Published
from poisonscan.redteam.pictures import draw
from tests.grids import grids_of

pictures = st.tuples(st.integers(1, 70), st.integers(1, 70)).flatmap(
    lambda size: arrays(np.uint8, (*size, 3), elements=st.integers(0, 255))
)


def pooled(grid: np.ndarray, side: int) -> np.ndarray:
    ratio = grid.shape[-1] // side
    means: np.ndarray = grid.reshape(*grid.shape[:-2], side, ratio, side, ratio).mean(axis=(-3, -1))
    return means


@given(pictures)
def test_its_cells_together_are_those_that_are_stored(pixels: np.ndarray) -> None:
    detail, stored = detail_of(pixels), grids_of(pixels)
    assert np.allclose(pooled(detail.luma, LUMA_SIDE), stored.luma, atol=0.02)
    assert np.allclose(pooled(detail.chroma, CHROMA_SIDE), stored.chroma, atol=0.02)
    means, squares = pooled(detail.green, LUMA_SIDE), pooled(detail.square, LUMA_SIDE)
    texture = np.sqrt(pooled(np.maximum(squares - means**2, 0), TEXTURE_SIDE))
    assert np.allclose(texture, stored.texture, atol=0.2)


def test_a_picture_is_not_altered() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    before = pixels.copy()
    detail_of(pixels)
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_decoded_picture_is_upright_in_detail_too(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stream = io.BytesIO()
    draw(3, (90, 140)).save(stream, "PNG", exif=exif)
    picture = decoded(stream.getvalue(), Published(), 10**6)
    assert isinstance(picture, Decoded)
    assert picture.detail().luma.shape == (DETAIL_SIDE, DETAIL_SIDE)
    assert np.allclose(pooled(picture.detail().luma, LUMA_SIDE), unpack(picture.fingerprint).luma, atol=0.6)
