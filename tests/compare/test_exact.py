"""A new picture that is at hand, measured on the cells of the old one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from poisonscan.compare.ladder import Baseline
from poisonscan.compare.pictures import Measurement, compare_pictures, measure
from poisonscan.config import CompareSettings, DecodeSettings
from poisonscan.fingerprint.decode import Decoded, decoded
from poisonscan.records import Box, Comparison, Group, Published, Verdict
from poisonscan.redteam import steps, triggers
from poisonscan.redteam.edits import EDITS, Edit, Kind, Series
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.steps import jpeg
from poisonscan.stages.examine import Examined, Question, examine
from tests.compare.pairs import HIDDEN, MANY, edited, original, verdict

if TYPE_CHECKING:
    from poisonscan.fingerprint.detail import Detail

SETTINGS = CompareSettings()
SEEDS = range(8)
INNOCENT = [name for name, edit in EDITS.items() if edit.kind is Kind.INNOCENT and edit.series is Series.OLD]


@cache
def at_hand(seed: int, edit: str) -> Decoded:
    found = decoded(edited(seed, edit).data, Published(), MANY)
    assert isinstance(found, Decoded)
    return found


def exact(seed: int, edit: str) -> Comparison:
    picture = at_hand(seed, edit)
    return compare_pictures(original(seed), picture.fingerprint, SETTINGS, picture.detail)


def measured(seed: int, edit: str) -> Measurement:
    picture = at_hand(seed, edit)
    return measure(original(seed), picture.fingerprint, SETTINGS, picture.detail)


@pytest.mark.parametrize("edit", INNOCENT)
def test_innocent_edits_stay_innocent(edit: str) -> None:
    found = [exact(seed, edit).verdict for seed in SEEDS]
    toned = [verdict for verdict in found if verdict is Verdict.TONED]
    assert len(toned) <= (4 if edit == "autocontrast" else 0)  # which takes a cast off, or flatness
    assert len([verdict for verdict in found if verdict.group is not Group.CLEAN]) - len(toned) <= 1


@pytest.mark.parametrize(("seed", "edit"), HIDDEN.items())
def test_a_small_stamp_in_a_cropped_picture_shows(seed: int, edit: str) -> None:
    assert verdict(seed, edit).verdict is Verdict.CROPPED
    found = exact(seed, edit)
    assert found.verdict is Verdict.EDITED
    x0, y0, x1, y1 = edited(seed, edit).boxes[0]
    assert any(_inside(box, (x0 + x1) / 2, (y0 + y1) / 2) for box in found.boxes)


def _inside(box: Box, x: float, y: float) -> bool:
    return box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1


@pytest.mark.parametrize(("seed", "edit"), HIDDEN.items())
def test_a_check_has_the_picture_at_hand(seed: int, edit: str) -> None:
    """The stages hand on what the decoder saw."""
    baseline = Baseline(original(seed), Published())
    limit = DecodeSettings().max_pixels
    (found,) = examine([Question(edited(seed, edit).data, Published(), (baseline,), limit, SETTINGS)])
    assert isinstance(found, Examined)
    assert [one.verdict for one in found.comparisons] == [Verdict.EDITED]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("edit", ["crop-3", "crop-10", "crop-25", "crop-10-resize-0.5"])
def test_a_window_is_placed_within_half_a_pixel(seed: int, edit: str) -> None:
    found = measured(seed, edit).reading
    assert found.exact
    width, height = draw(seed).size
    off = np.subtract(found.fit.window, edited(seed, edit).window) * [width, height, width, height]
    assert np.abs(off).max() < 0.5


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("edit", ["letterbox", "frame-6"])
def test_of_a_framed_picture_the_old_cells_are_compared(seed: int, edit: str) -> None:
    found = measured(seed, edit)
    if not found.reading.exact:  # agrees as it is: there were no bars to add
        assert edit == "letterbox"
        return
    assert found.reading.shows_more
    assert not found.reading.framed
    rows, columns = found.reading.fit.seen.shape
    assert min(rows, columns) >= 30
    said = exact(seed, edit)
    assert said.verdict is Verdict.CROPPED
    assert "inside a plain" in said.reason
    assert said.reason.endswith("frame")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stamp_in_a_frame_is_boxed_where_it_is(seed: int) -> None:
    stamped = Edit(
        "framed stamp",
        Kind.MALICIOUS,
        (triggers.stamp(triggers.noise, 0.14), steps.frame((255, 255, 255), margin=0.06)),
        jpeg(85),
    )
    made = stamped.apply(draw(seed), np.random.default_rng(seed))
    picture = decoded(made.data, Published(), MANY)
    assert isinstance(picture, Decoded)
    found = compare_pictures(original(seed), picture.fingerprint, SETTINGS, picture.detail)
    assert found.verdict is Verdict.EDITED
    truth = made.boxes[0]
    x, y = (truth.x0 + truth.x1) / 2, (truth.y0 + truth.y1) / 2
    assert any(_inside(box, x, y) for box in found.boxes)


def test_the_detail_is_not_asked_for_where_it_changes_nothing() -> None:
    def never(_: int) -> Detail:
        raise AssertionError("nobody needs it")

    for edit in ("jpeg-75", "replaced"):
        picture = at_hand(0, edit)
        compare_pictures(original(0), picture.fingerprint, SETTINGS, never)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mark_in_some_places_is_no_pattern_over_everything(seed: int) -> None:
    """However much of the whole it disturbs."""
    assert not measured(seed, "watermark").scores.everywhere
    for pattern in ("sig", "blended-picture-0.2"):
        assert measured(seed, pattern).scores.everywhere
