from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poisonscan.fingerprint.decode import Decoded, decoded
from poisonscan.fingerprint.fine import (
    TRAINED_SIZES,
    Sampler,
    Sampling,
    energy_of,
    fine_of,
    pack_energy,
    taps,
    unpack_energy,
)
from poisonscan.fingerprint.grids import turn
from poisonscan.records import FINE_SIDE, Published

from .files import exif

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISE = np.random.default_rng(7).integers(0, 256, (300, 420), dtype=np.uint8)
ALIKE = 0.98  # where a place falls on the border of two pixels, other arithmetic may round the other way


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int], sampler: Sampler) -> NDArray[np.float64]:
    """What our taps make of a picture at (width, height)."""
    down, across = taps(pixels.shape[0], size[1], sampler), taps(pixels.shape[1], size[0], sampler)
    looked_at = pixels.astype(np.float64)[down[0][:, :, None, None], across[0][None, None]]
    seen: NDArray[np.float64] = np.einsum("iajb,ia,jb->ij", looked_at, down[1], across[1])
    return seen


@pytest.mark.parametrize("size", [(224, 224), (256, 256), (300, 213), (150, 299)])
def test_samplers_look_where_opencv_does(size: tuple[int, int]) -> None:
    seen = cv2.resize(NOISE.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    assert np.abs(_resized(NOISE, size, Sampler.LINEAR) - seen).max() < 0.01
    nearest = cv2.resize(NOISE, size, interpolation=cv2.INTER_NEAREST)
    assert np.mean(_resized(NOISE, size, Sampler.NEAREST) == nearest) > ALIKE


@pytest.mark.parametrize("size", [(224, 224), (300, 213)])
def test_the_centred_sampler_looks_where_pillow_does(size: tuple[int, int]) -> None:
    seen = np.asarray(Image.fromarray(NOISE).resize(size, Image.Resampling.NEAREST))
    assert np.mean(_resized(NOISE, size, Sampler.CENTRED) == seen) > ALIKE


def _shown(pixels: NDArray[np.uint8], size: int, sampler: Sampler, *, whole: bool) -> Sampling:
    found = fine_of(Image.fromarray(pixels), 1).samplings
    (one,) = [one for one in found if (one.size, one.sampler, one.whole) == (size, sampler, whole)]
    return one


@pytest.mark.parametrize("sampler", list(Sampler))
@pytest.mark.parametrize("upright", [False, True])
def test_what_a_sampling_shows_is_the_mean_of_its_cells(sampler: Sampler, *, upright: bool) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (512, 700), dtype=np.uint8)
    pixels = pixels.T.copy() if upright else pixels
    seen = _resized(pixels, (224, 224), sampler)
    cells = seen.reshape(FINE_SIDE, 14, FINE_SIDE, 14).mean(axis=(1, 3))
    assert np.abs(_shown(pixels, 224, sampler, whole=True).shown - cells).max() < 0.01


def test_no_sampling_of_a_small_or_plain_picture_can_show_another() -> None:
    assert fine_of(Image.fromarray(NOISE[:200, :200]), 1).samplings == ()
    assert fine_of(Image.new("L", (2000, 1000), 77), 4).samplings == ()


def test_every_size_is_looked_at_in_both_shapes() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (900, 1300), dtype=np.uint8)
    found = {(one.size, one.sampler, one.whole) for one in fine_of(Image.fromarray(pixels), 4).samplings}
    assert found >= {(size, Sampler.NEAREST, whole) for size in TRAINED_SIZES for whole in (True, False)}


@settings(max_examples=20)
@given(st.integers(0, 100), st.sampled_from([2, 4]))
def test_energy_is_what_working_pixels_average_away(swing: int, factor: int) -> None:
    rows, columns = np.indices((256, 512)) // (factor // 2)
    chequer = np.where((rows + columns) % 2, 120 + swing, 120 - swing).astype(np.uint8)
    energy = energy_of(Image.fromarray(chequer), factor)
    assert np.abs(energy - swing**2).max() < 0.2
    assert not energy_of(Image.fromarray(chequer), 1).any()


@settings(max_examples=20)
@given(st.integers(0, 100), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]))
def test_energy_of_colour_is_told_by_octave(swing: int, factor: int, width: int) -> None:
    _, columns = np.indices((256, 512)) // (factor * width)
    stripes = Image.fromarray(np.where(columns % 2, 120 + swing, 120 - swing).astype(np.uint8))
    grey, plain = Image.new("L", stripes.size, 90), Image.new("L", stripes.size, 128)
    fine, coarse = fine_of(grey, factor, [plain, stripes]).colour
    found, nothing = (fine, coarse) if width == 1 else (coarse, fine)
    assert np.abs(found - swing**2).max() < 0.5
    assert np.abs(nothing).max() < 0.5


def test_the_coarser_octaves_of_luma_are_told_from_the_next() -> None:
    _, columns = np.indices((256, 512)) // 4
    fine = fine_of(Image.fromarray(np.where(columns % 2, 170, 70).astype(np.uint8)), 2)
    assert np.abs(fine.coarser - 50**2).max() < 1
    assert fine.octave.max() < 1


@given(st.integers(0, 127))
def test_energy_is_stored_as_twice_its_rms(rms: int) -> None:
    energy = np.full((FINE_SIDE, FINE_SIDE), float(rms) ** 2)
    assert (unpack_energy(pack_energy(energy).tobytes()) == energy).all()


def _decoded(body: bytes) -> Decoded:
    found = decoded(body, Published(), 10**9)
    assert isinstance(found, Decoded)
    return found


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_measured_upright(orientation: int) -> None:
    image = Image.fromarray(NOISE).convert("RGB")
    stored, marked = io.BytesIO(), io.BytesIO()
    image.save(stored, "JPEG", quality=90)
    image.save(marked, "JPEG", quality=90, exif=exif(orientation))
    plain, turned = _decoded(stored.getvalue()).fine()[0], _decoded(marked.getvalue()).fine()[0]
    assert np.abs(turn(plain.energy, orientation) - turned.energy).max() < 40
    assert np.abs(turn(plain.mean, orientation) - turned.mean).max() < 0.01


@pytest.mark.parametrize("coded_in_rgb", [False, True])
def test_colours_of_a_jpeg_are_measured_however_it_is_coded(*, coded_in_rgb: bool) -> None:
    pixels = np.full((300, 420, 3), 120, np.uint8)
    pixels[:, ::2] = 200, 120, 40
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "JPEG", quality=95, subsampling=0, keep_rgb=coded_in_rgb)
    assert (Image.open(stored).info.get("adobe_transform") == 0) is coded_in_rgb
    assert _decoded(stored.getvalue()).fine()[0].colour[0].min() > 20**2


def test_a_grey_picture_has_no_energy_of_colour() -> None:
    stored = io.BytesIO()
    Image.fromarray(NOISE).save(stored, "JPEG", quality=95)
    assert not _decoded(stored.getvalue()).fine()[0].colour.any()


def test_a_jpeg_is_measured_at_its_full_size() -> None:
    pixels = np.zeros((512, 512), np.uint8)
    pixels[:, ::2] = 200
    stored = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(stored, "JPEG", quality=95)
    found = _decoded(stored.getvalue())
    assert found.main.pixels.shape[0] == 128
    assert found.fine()[0].energy.min() > 90**2
