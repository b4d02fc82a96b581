from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from poisonscan.hunt.blocks import block_sums
from poisonscan.hunt.boxes import CELL, rectangles
from poisonscan.hunt.tiles import SIDE as TILE
from poisonscan.hunt.tiles import STRIDE, projection, tiles_of


@given(st.data(), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_sums_are_those_of_each_block(data: st.DataObject, side: int, rows: int, columns: int) -> None:
    shape = (2, rows * side, columns * side)
    planes = data.draw(arrays.arrays(np.int32, shape, elements=st.integers(0, 255)))
    before = planes.copy()
    sums = block_sums(planes, side)
    assert sums.dtype == np.int32
    assert np.array_equal(planes, before)
    for plane, y, x in np.ndindex(2, rows, columns):
        block = planes[plane, y * side : (y + 1) * side, x * side : (x + 1) * side]
        assert sums[plane, y, x] == block.sum()


def test_tiles_with_structure_are_those_whose_luma_spreads() -> None:
    rng = np.random.default_rng(0)
    pictures = (rng.integers(0, 256, (3, 224, 224, 3)) * rng.random((3, 224, 1, 1)) ** 3).astype(np.uint8)
    found = tiles_of(np.array([4, 7, 9]), pictures, projection(rng))
    per_line = (224 - TILE) // STRIDE + 1
    expected = {
        (row, place)
        for row, picture in zip((4, 7, 9), pictures, strict=True)
        for place in range(per_line**2)
        for top, left in [(STRIDE * (place // per_line), STRIDE * (place % per_line))]
        if picture[top : top + TILE, left : left + TILE].mean(axis=2).std() > 20
    }
    assert set(zip(found.rows.tolist(), found.places.tolist(), strict=True)) == expected
    assert 0 < len(expected) < 3 * per_line**2


def test_a_box_ends_where_cells_are_no_longer_plain() -> None:
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    ripple = np.resize([96, 104], 80).astype(np.uint8)  # 4 levels beside the mean: still plain
    pictures[0, 40:100, 60:140] = ripple[None, :, None]
    pictures[0, 160:200, 20:60, 1] = 77  # plain in one channel of three only
    found = rectangles(np.array([5]), pictures)
    assert found.rows.tolist() == [5]
    assert (found.edges * CELL).tolist() == [[40, 60, 100, 140]]
    assert found.colours.tolist() == [[100.0, 100.0, 100.0]]
