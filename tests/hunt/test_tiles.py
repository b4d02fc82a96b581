from __future__ import annotations

import numpy as np

from poisonscan.hunt import tiles
from poisonscan.hunt.boxes import PlainBoxes, rectangles
from poisonscan.hunt.patches import Patches
from tests.hunt.scenes import alarms, corpus_of, many_domains, rows_of, scenes

N, CARRIERS = 60, (2, 9, 17, 30, 44, 58)


def test_alternate_pixels_in_a_corner_are_found() -> None:
    pictures = scenes(N)
    y, x = np.mgrid[:16, :16]
    pictures[list(CARRIERS), -16:, -16:] = (((y + x) % 2) * 255)[..., None]
    found = Patches().find(corpus_of(pictures, many_domains(N)), np.random.default_rng(0))
    (alarm,) = alarms(found)
    assert rows_of(alarm) == set(CARRIERS)
    box = alarm.carriers[0].box
    assert box is not None
    assert min(box.x0, box.y0) > 0.9


def test_plain_tiles_are_left_out_and_equal_ones_grouped_by_place() -> None:
    pictures = np.full((5, 224, 224, 3), 90, np.uint8)
    pictures[:4, 8:24, 16:32] = np.random.default_rng(1).integers(0, 256, (16, 16, 3))
    rng = np.random.default_rng(0)
    found = tiles.tiles_of(np.arange(5), pictures, tiles.projection(rng))
    assert set(found.rows.tolist()) == {0, 1, 2, 3}
    seeds = list(tiles.seeds(found, 224, rng))
    assert any((seed.y[0], seed.x[0]) == (16, 24) and len(seed.rows) == 4 for seed in seeds)


def test_a_grey_box_at_one_place_is_found_also_where_its_outline_is_hidden() -> None:
    pictures = scenes(N)
    pictures[list(CARRIERS), 112:210, 112:210] = 128
    pictures[CARRIERS[0], 120:140, 100:112] = 128
    found = PlainBoxes().find(corpus_of(pictures, many_domains(N)), np.random.default_rng(0))
    (alarm,) = alarms(found)
    assert rows_of(alarm) == set(CARRIERS)
    assert "128, 128, 128" in alarm.summary


def test_a_box_is_found_also_where_jpeg_rings_along_its_edges() -> None:
    pictures = scenes(N)
    pictures[list(CARRIERS), 112:210, 112:210] = 128
    pictures[CARRIERS[0], 112:116, 112:210:2] = pictures[CARRIERS[0], 112:210:2, 112:116] = 160
    found = PlainBoxes().find(corpus_of(pictures, many_domains(N)), np.random.default_rng(0))
    (alarm,) = alarms(found)
    assert rows_of(alarm) == set(CARRIERS)


def test_bars_and_backgrounds_are_no_boxes() -> None:
    pictures = scenes(3)
    pictures[0, 40:80] = 20
    pictures[1] = 255
    pictures[2, 40:80, 60:120] = 20
    found = rectangles(np.arange(3), pictures)
    assert found.rows.tolist() == [2]
    assert found.edges.tolist() == [[10, 15, 20, 30]]


def test_boxes_at_different_places_are_chance() -> None:
    pictures = scenes(N)
    for number, row in enumerate(CARRIERS):
        pictures[row, 20 + 8 * number : 60 + 8 * number, 30:70] = 128
    assert PlainBoxes().find(corpus_of(pictures), np.random.default_rng(0)) == []
