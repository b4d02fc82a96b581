from __future__ import annotations

import numpy as np
import pytest

from poisonscan.compare.geometry import resample
from poisonscan.compare.search import LEAST_CELLS, SIDE, candidates, in_a_frame
from poisonscan.fingerprint.grids import unpack
from tests.compare.pairs import edited, original, seen


def enlarged(grid: np.ndarray, row: int, column: int, side: int) -> np.ndarray:
    """(32, 32): a square of the grid, each cell as four."""
    return grid[row : row + side, column : column + side].repeat(2, 0).repeat(2, 1)


def test_no_candidate_repeats_another_of_its_orientation() -> None:
    old, new = original(0), seen(edited(0, "crop-25").data)
    found = candidates(unpack(old).luma, unpack(new).luma, 1.0)
    assert [one.evidence for one in found] == sorted((one.evidence for one in found), reverse=True)
    for place, one in enumerate(found):
        others = [other.window for other in found[:place] if other.mirrored is one.mirrored]
        assert all(np.abs(np.subtract(one.window, other)).max() > 1 / 16 for other in others)


def test_windows_keep_the_shape_they_must_have() -> None:
    luma = unpack(original(2)).luma
    for one in candidates(luma, enlarged(luma, 8, 8, 16), 1.0):
        assert np.isclose(one.window.x1 - one.window.x0, one.window.y1 - one.window.y0, atol=1 / 32)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (4, 10), (16, 16)])
def test_the_first_lies_where_the_part_was_taken(row: int, column: int) -> None:
    luma = unpack(original(2)).luma
    part = enlarged(luma, row, column, 16)
    expected = np.array([column, row, column + 16, row + 16]) / 32
    for mirrored, shown in enumerate((part, part[:, ::-1])):
        best = candidates(luma, shown, 1.0)[0]
        assert best.mirrored is bool(mirrored)
        assert np.allclose(best.window, expected, atol=1 / 32)


def test_correlations_are_those_of_the_definition() -> None:
    """Against numpy, place by place: the same best place, and Fisher's z of the same correlation."""
    rng = np.random.default_rng(3)
    luma = unpack(original(1)).luma
    part = enlarged(luma, 6, 2, 16) + rng.normal(0, 12, (32, 32))
    best = candidates(luma, part, 1.0)[0]
    width = round((best.window.x1 - best.window.x0) * SIDE)
    small, template = resample(luma, SIDE, SIDE), resample(part, width, width)
    x, y = round(best.window.x0 * SIDE), round(best.window.y0 * SIDE)
    place = small[y : y + width, x : x + width]
    correlation = np.corrcoef(place.ravel(), template.ravel())[0, 1]
    assert np.isclose(best.evidence, np.arctanh(correlation) * np.sqrt(width**2 - 3), rtol=1e-6)


def test_a_shape_that_fits_nowhere_has_no_candidates() -> None:
    luma = unpack(original(2)).luma
    assert candidates(luma, luma, (LEAST_CELLS - 2) / SIDE / 2) == []


@pytest.mark.parametrize("aspect", [2.6, 2.88, 1 / 2.6, 1 / 2.88])
def test_windows_of_narrow_panoramas_are_tried(aspect: float) -> None:
    luma = unpack(original(2)).luma
    height, width = (32, round(32 / aspect)) if aspect > 1 else (round(32 * aspect), 32)
    part = resample(luma[:height, :width], 32, 32)
    (best, *_) = candidates(luma, part, aspect)
    assert np.allclose(best.window, (0, 0, width / 32, height / 32), atol=1.5 / 32)


@pytest.mark.parametrize("level", [0.0, 255.0])
@pytest.mark.parametrize(("top", "left", "height", "width"), [(8, 0, 16, 32), (0, 5, 32, 22), (4, 4, 24, 24)])
def test_plain_bars_are_a_frame(level: float, top: int, left: int, height: int, width: int) -> None:
    luma = unpack(original(3)).luma
    framed = np.full((32, 32), level)
    framed[top : top + height, left : left + width] = resample(luma, height, width)
    expected = np.array([left, top, left + width, top + height]) / 32
    found = in_a_frame(framed, luma)
    assert found is not None
    assert np.allclose(found, expected, atol=1 / 32)
    # What the other picture has as well is no frame, nor is one that leaves hardly anything.
    assert in_a_frame(framed, framed) is None
    assert in_a_frame(luma, framed) is None


def test_a_plain_picture_has_no_frame() -> None:
    assert in_a_frame(np.full((32, 32), 9.0), unpack(original(3)).luma) is None
