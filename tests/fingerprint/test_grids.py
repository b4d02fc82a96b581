from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonscan.fingerprint.grids import Grids, area_means, turn
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE, TEXTURE_SIDE
from tests.grids import grids_of, stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIDES = st.integers(1, 70)


def pixels_of(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def covered(length: int, side: int, cell: int) -> list[tuple[int, Fraction]]:
    """The pixels under a cell and the covered length of each, in exact arithmetic."""
    start, stop = Fraction(cell * length, side), Fraction((cell + 1) * length, side)
    return [
        (pixel, share)
        for pixel in range(length)
        if (share := min(stop, Fraction(pixel + 1)) - max(start, Fraction(pixel))) > 0
    ]


def exact_mean(pixels: NDArray[np.uint8], side: int, row: int, column: int, channel: int) -> Fraction:
    height, width, _ = pixels.shape
    total = sum(
        int(pixels[y, x, channel]) * share_y * share_x
        for y, share_y in covered(height, side, row)
        for x, share_x in covered(width, side, column)
    )
    return Fraction(total * side * side, height * width)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.sampled_from([1, 2, 3, 16, 32]), st.integers(0, 1000))
def test_area_means_are_exact(height: int, width: int, side: int, seed: int) -> None:
    pixels = pixels_of(height, width, seed)
    means = area_means(pixels, side)
    assert means.shape == (3, side, side)
    cells = np.random.default_rng(seed).integers(0, side, (4, 2)).tolist()
    for row, column in [*cells, (0, 0), (side - 1, side - 1)]:
        for channel in range(3):
            expected = float(exact_mean(pixels, side, row, column, channel))
            assert means[channel, row, column] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (50, 1), (31, 33), (640, 480), (1001, 777)])
def test_the_mean_of_the_cells_is_the_mean_of_the_picture(height: int, width: int) -> None:
    pixels = pixels_of(height, width, seed=height)
    assert area_means(pixels, 32).mean() == pytest.approx(pixels.mean(), abs=1e-2)


@given(st.integers(0, 255), SIDES, SIDES)
def test_a_flat_picture_has_flat_grids(value: int, height: int, width: int) -> None:
    luma, chroma, texture = stored(np.full((height, width, 3), value, np.uint8))
    assert luma == bytes([value]) * LUMA_SIDE**2
    assert chroma == bytes([128]) * (2 * CHROMA_SIDE**2)
    assert texture == bytes(TEXTURE_SIDE**2)


@given(SIDES, SIDES, st.integers(0, 1000))
def test_turning_the_picture_turns_the_grids(height: int, width: int, seed: int) -> None:
    pixels = pixels_of(height, width, seed)
    upright, mirrored = grids_of(pixels), grids_of(pixels[:, ::-1])
    assert np.allclose(mirrored.luma, upright.luma[:, ::-1], atol=1e-2)
    # Squares, since the root of a variance that should be 0 magnifies what rounding left of it.
    assert np.allclose(mirrored.texture**2, upright.texture[:, ::-1] ** 2, atol=0.5)
    assert np.allclose(mirrored.chroma, upright.chroma[:, :, ::-1], atol=1e-2)
    turned = grids_of(np.rot90(pixels))
    assert np.allclose(turned.luma, np.rot90(upright.luma), atol=1e-2)


TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: np.swapaxes(pixels, 0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(np.swapaxes(pixels, 0, 1), 2),
    8: np.rot90,
}
"""What shows a stored picture upright, by its EXIF orientation."""


@given(SIDES, SIDES, st.sampled_from(sorted(TURNS)), st.integers(0, 1000))
def test_turned_grids_are_those_of_the_turned_picture(
    height: int, width: int, orientation: int, seed: int
) -> None:
    pixels = pixels_of(height, width, seed)
    mine = Grids(*(turn(grid, orientation) for grid in grids_of(pixels)))
    theirs = grids_of(TURNS[orientation](pixels))
    assert np.allclose(mine.luma, theirs.luma, atol=1e-2)
    assert np.allclose(mine.chroma, theirs.chroma, atol=1e-2)
    assert np.allclose(mine.texture**2, theirs.texture**2, atol=0.5)


@given(SIDES, SIDES, st.integers(1, 32), st.integers(1, 4), st.integers(0, 1000))
def test_a_last_pixel_that_is_filled_in_part_counts_in_part(
    height: int, width: int, side: int, factor: int, seed: int
) -> None:
    """Pixels repeated `factor` times, all but the last: its extent says that it stands for less."""
    pixels = pixels_of(height, width, seed)
    larger = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    cut = larger[: (height - 1) * factor + 1, : (width - 1) * factor + 1]
    extent = len(cut) / factor, cut.shape[1] / factor
    assert np.allclose(area_means(pixels, side, extent), area_means(cut, side), atol=1e-2)


@given(SIDES, SIDES, st.integers(1, 4))
def test_enlarging_by_whole_pixels_changes_nothing(height: int, width: int, factor: int) -> None:
    pixels = pixels_of(height, width, seed=factor)
    larger = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    assert np.allclose(grids_of(larger).luma, grids_of(pixels).luma, atol=1e-2)


def test_a_picture_is_not_altered() -> None:
    pixels = pixels_of(40, 50, seed=1)
    pixels.flags.writeable = False
    grids_of(pixels)


@given(st.integers(0, 255), st.integers(0, 255))
def test_texture_is_the_rms_deviation_within_a_cell(dark: int, light: int) -> None:
    fine = np.full((128, 128, 3), dark, np.uint8)
    fine[::2, ::2] = fine[1::2, 1::2] = light
    assert np.allclose(grids_of(fine).texture, abs(light - dark) / 2, atol=0.1)
