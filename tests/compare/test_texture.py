"""Texture that the old picture cannot account for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from poisonscan.compare.align import refine
from poisonscan.compare.cells import highest_around
from poisonscan.compare.geometry import WHOLE, Window
from poisonscan.compare.texture import as_they_lie, excess, gain, grain, in_common, of_old, surplus
from poisonscan.fingerprint.decode import Decoded, decoded
from poisonscan.fingerprint.grids import Grids, unpack
from poisonscan.records import Published
from tests.compare.pairs import MANY, edited, original, original_body, seen

if TYPE_CHECKING:
    from poisonscan.fingerprint.detail import Detail

SEEDS = range(4)


def detail(seed: int) -> Detail:
    found = decoded(original_body(seed), Published(), MANY)
    assert isinstance(found, Decoded)
    return found.detail()


def retextured(grids: Grids, texture: np.ndarray) -> Grids:
    return grids._replace(texture=texture)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("factor", [0.3, 0.7, 1.0, 1.4])
def test_texture_that_is_scaled_is_nothing_new(seed: int, factor: float) -> None:
    old = unpack(original(seed))
    common = as_they_lie(old, retextured(old, factor * old.texture))
    assert gain(common) == pytest.approx(factor**2, abs=0.02)
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
    assert found.shape == (16, 16)
    assert np.argwhere(found > 1.5).tolist() == [[5, 9]]


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


def test_detail_is_summed_up_over_the_cells_that_are_remembered_together() -> None:
    """Of a picture that was not moved, texture of the detail is the stored one, to what rounding leaves."""
    old = unpack(original(0))
    fit = refine(old.luma, old.luma, WHOLE)
    common = in_common(dataclasses.replace(fit, window=WHOLE), old, detail(0))
    assert np.allclose(np.sqrt(common.new), np.sqrt(common.old), atol=0.6)
    assert common.most is common.calm


def test_cells_beside_a_frame_have_no_say_in_how_texture_was_scaled() -> None:
    old = unpack(original(2))
    fit = refine(old.luma, old.luma, WHOLE)
    wider = dataclasses.replace(fit, window=Window(-0.004, 0.0, 1.004, 1.0))
    cells = dataclasses.replace(wider, columns=slice(1, 31))
    common = in_common(cells, old, detail(2))
    loud = dataclasses.replace(common, new=np.where(np.isinf(common.calm), 1e4, common.new))
    assert np.isinf(common.calm).any()
    assert gain(loud) == gain(common)
    assert grain(loud) == grain(common)


@pytest.mark.parametrize("seed", SEEDS)
def test_faint_noise_in_one_quiet_cell_stands_out_of_the_noise_of_the_pair(seed: int) -> None:
    old = unpack(original(seed))
    shaken = np.random.default_rng(seed).normal(1, 0.01, old.texture.shape)
    assert surplus(as_they_lie(old, retextured(old, old.texture * shaken))).max() < 50
    texture = np.sqrt(old.texture**2 * shaken**2)
    row, column = np.unravel_index(highest_around(old.texture).argmin(), texture.shape)
    texture[row, column] = np.hypot(texture[row, column], 15)
    found = surplus(as_they_lie(old, retextured(old, texture)))
    assert found.max() == found[row, column] > 50


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_over_a_quarter_does_not_pass_for_the_noise_of_the_pair(seed: int) -> None:
    old = unpack(original(seed))
    texture = old.texture.copy()
    texture[::4] = np.hypot(texture[::4], 40)
    assert surplus(as_they_lie(old, retextured(old, texture)))[::4].max() > 50
