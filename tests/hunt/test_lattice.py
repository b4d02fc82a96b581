from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from poisonscan.hunt.lattice import Comb, Steps, jumps
from poisonscan.hunt.mosaic import Layout, Mosaics, sums_of, windows
from poisonscan.records import Kind
from poisonscan.redteam.steps import View
from poisonscan.redteam.triggers import universal_blend, universal_patch
from tests.hunt.scenes import alarms, corpus_of, many_domains, rows_of, scenes

if TYPE_CHECKING:
    from collections.abc import Callable

    from poisonscan.hunt.model import Bytes
    from poisonscan.redteam.steps import Step

N, CARRIERS = 60, (4, 12, 20, 33, 41, 55)


def marked(step: Callable[[], Step]) -> Bytes:
    """Every carrier has a code of its own."""
    pictures = scenes(N)
    rng = np.random.default_rng(3)
    for row in CARRIERS:
        pictures[row] = np.asarray(step()(View(Image.fromarray(pictures[row])), rng).image)
    return pictures


def test_the_universal_patch_is_found_though_every_carrier_differs() -> None:
    found = Mosaics().find(corpus_of(marked(universal_patch), many_domains(N)), np.random.default_rng(0))
    (alarm,) = alarms(found)
    assert alarm.kind is Kind.LATTICE_TRIGGER
    assert rows_of(alarm) == set(CARRIERS)
    box = alarm.carriers[0].box
    assert box is not None
    assert max(box.x1, box.y1) < 0.25


def test_a_code_that_changes_seldom_is_found_beside_the_others_and_an_edge_is_not() -> None:
    pictures = marked(universal_patch)
    code = [int(bit) for bit in "111010111111011111111111110100"]
    seldom = universal_patch(code)(View(Image.fromarray(pictures[7])), np.random.default_rng(0))
    pictures[7] = np.asarray(seldom.image)
    pictures[8, :48, :40] = 255
    pictures[9, :48, :40], pictures[9, 16:24, :40] = 255, 0
    found = Mosaics().find(corpus_of(pictures, many_domains(N)), np.random.default_rng(0))
    (alarm,) = alarms(found)
    assert rows_of(alarm) == {*CARRIERS, 7}


def test_the_universal_blend_is_found_though_every_carrier_differs() -> None:
    found = Steps().find(corpus_of(marked(universal_blend), many_domains(N)), np.random.default_rng(0))
    (alarm,) = alarms(found)
    assert alarm.kind is Kind.LATTICE_TRIGGER
    assert rows_of(alarm) == set(CARRIERS)


def test_pictures_without_a_lattice_give_nothing() -> None:
    corpus = corpus_of(scenes(N))
    assert Mosaics().find(corpus, np.random.default_rng(0)) == []
    assert Steps().find(corpus, np.random.default_rng(0)) == []


def test_straight_edges_and_bars_are_no_mosaic() -> None:
    pictures = np.full((2, 224, 224, 3), 255, np.uint8)
    pictures[0, :112] = 0
    pictures[1, :, 40:48] = 0
    assert not windows(sums_of(pictures), Layout(8, 0, 0)).any()


def test_the_bars_of_a_picture_in_another_shape_are_no_part_of_a_mosaic() -> None:
    pictures = np.full((2, 224, 224, 3), 16, np.uint8)
    pictures[0, 32:192] = scenes(1)[0][32:192]
    pictures[1, 32:192] = np.tile(np.repeat([[0], [255]], 8, axis=0), (10, 224))[..., None]
    pictures[1, 32:40] = np.tile(np.repeat([0, 255], 8), 14)[:, None]
    assert not windows(sums_of(pictures), Layout(8, 0, 0))[:, :4].any()


def test_a_chequer_is_a_mosaic_where_it_lies() -> None:
    cells = np.indices((6, 5)).sum(axis=0) % 2 * 255
    pictures = scenes(1)
    pictures[0, :48, :40] = cells.repeat(8, axis=0).repeat(8, axis=1)[..., None]
    hits = windows(sums_of(pictures), Layout(8, 0, 0))[0]
    assert hits[:3, :2].all()
    assert not hits[6:, 6:].any()


def test_jumps_lie_within_a_pixel_of_the_line_between_two_colours() -> None:
    chroma = np.zeros((1, 224, 224, 1), np.float32)
    chroma[:, :112, 37:] = 80
    found = jumps(chroma)[0]
    assert found[37, :7].all()
    assert not found[:, 7:].any()
    assert set(np.flatnonzero(found.any(axis=1))) == {36, 37, 38}


def test_a_comb_keeps_off_the_edges() -> None:
    assert Comb(37, 0).lines().tolist() == [37, 74, 111, 148, 185, 222]
