"""Texture that the old picture cannot account for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from poisonscan.compare.align import refine
from poisonscan.compare.geometry import WHOLE, Window
from poisonscan.compare.texture import as_they_lie, excess, grain, in_common, of_old
from poisonscan.fingerprint.grids import Grids, unpack
from tests.compare.pairs import edited, original, seen

SEEDS = range(4)


def retextured(grids: Grids, texture: np.ndarray) -> Grids:
    return grids._replace(texture=texture)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("gain", [0.3, 0.7, 1.0, 1.4])
def test_texture_that_is_scaled_is_nothing_new(seed: int, gain: float) -> None:
    old = unpack(original(seed))
    common = as_they_lie(old, retextured(old, gain * old.texture))
    assert excess(common).max() < 0.01
    assert abs(grain(common)) < 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_over_everything_is_grain_and_no_stamp(seed: int) -> None:
    old = unpack(original(seed))
    common = as_they_lie(old, retextured(old, np.sqrt(old.texture**2 + 15**2)))
    assert grain(common) > 4
    assert excess(common).max() < 1


@pytest.mark.parametrize("seed", SEEDS)
def test_checks_in_one_cell_are_found_there(seed: int) -> None:
    old = unpack(original(seed))
    texture = old.texture.copy()
    texture[5, 9] = 127
    found = excess(as_they_lie(old, retextured(old, texture)))
    assert found.shape == (32, 32)
    assert set(zip(*map(np.ndarray.tolist, np.nonzero(found > 1.5)), strict=True)) == {
        (10, 18),
        (10, 19),
        (11, 18),
        (11, 19),
    }


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("edit", ["crop-3", "crop-10"])
def test_a_crop_brings_no_new_texture(seed: int, edit: str) -> None:
    old, new = unpack(original(seed)), unpack(seen(edited(seed, edit).data))
    fit = refine(old.luma, new.luma, WHOLE)
    common = in_common(fit, old, new)
    assert common.old.shape == common.new.shape == fit.seen.shape
    assert (common.most >= common.old).all()
    assert excess(common).max() < 1.5


def test_cells_that_did_not_move_may_hold_their_own_texture_and_no_more() -> None:
    old = unpack(original(0))
    common = in_common(refine(old.luma, old.luma, WHOLE), old, old)
    assert np.array_equal(common.most, common.old)
    assert np.allclose(common.new, common.old, atol=0.01)


def test_the_old_texture_of_a_framed_picture_comes_from_the_fine_grid() -> None:
    old = unpack(original(1))
    fit = refine(old.luma, old.luma, WHOLE)
    twice = retextured(old, 2 * old.texture)
    assert np.allclose(of_old(fit, old, twice, framed=True), of_old(fit, twice, old, framed=False), atol=1e-3)


def test_a_bar_beside_the_picture_is_no_stamp() -> None:
    """What a frame's edge leaves in the outermost cells says nothing, however much it is."""
    old = unpack(original(2))
    fit = refine(old.luma, old.luma, WHOLE)
    wider = dataclasses.replace(fit, window=Window(-0.004, 0.0, 1.004, 1.0))
    texture = old.texture.copy()
    texture[:, 0] = texture[:, -1] = 100
    framed = retextured(old, texture)
    assert excess(in_common(fit, old, framed)).max() > 1.5
    assert excess(in_common(wider, old, framed))[:, 3:-3].max() < 1.5
    assert excess(in_common(wider, old, framed))[:, [0, 1, -2, -1]].max() == 0
