"""Marks that changes leave, and which of them are one footprint."""

from __future__ import annotations

import dataclasses
import io
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from poisonscan.compare.footprint import Stamp, Veil, marks_of
from poisonscan.compare.recurring import Bond, footprints
from poisonscan.config import CompareSettings, JudgeSettings
from poisonscan.redteam import steps, triggers
from poisonscan.redteam.edits import Edit, Kind
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.steps import jpeg

from .pairs import seen

if TYPE_CHECKING:
    from poisonscan.compare.footprint import Mark
    from poisonscan.records import Box
    from poisonscan.redteam.steps import Step
    from poisonscan.redteam.triggers import Painter

SIZES = ((320, 240), (240, 320), (360, 240), (300, 300))
SETTINGS = JudgeSettings()
ROWS = 8

EDITS: dict[str, tuple[Step, ...]] = {
    "watermark": (steps.watermark("picture archive"),),
    "moving stamp": (triggers.stamp(triggers.fixed(triggers.noise), 0.14),),
    "anchored stamp": (triggers.lower_right_box(),),
    "universal patch": (triggers.universal_patch(),),
    "universal blend": (triggers.universal_blend(),),
    "blended picture": (triggers.blend_picture(0.2),),
    "sinusoid": (triggers.sinusoid(20, 6),),
    "mirrored stamp": (triggers.stamp(triggers.white, 0.2, (0.1, 0.2)), steps.mirror()),
    "framed stamp": (triggers.stamp(triggers.white, 0.2, (0.1, 0.2)), steps.frame((0, 0, 0), margin=0.06)),
}


def _random_block(seed: int) -> Step:
    rng = np.random.default_rng(seed)
    colour = tuple(rng.integers(0, 256, 3).tolist())

    def paint(side: int, _: np.random.Generator) -> Image.Image:
        return Image.new("RGB", (side, side), colour)

    painter: Painter = paint
    return triggers.stamp(painter, float(rng.uniform(0.07, 0.3)))


def _marks(seed: int, *changes: Step) -> tuple[tuple[Mark, ...], tuple[Box, ...]]:
    picture = draw(seed, SIZES[seed % len(SIZES)])
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=92)
    edit = Edit("test", Kind.MALICIOUS, changes, jpeg(85))
    edited = edit.apply(picture, np.random.default_rng(seed))
    return marks_of(seen(stream.getvalue()), seen(edited.data), CompareSettings()), edited.boxes


@cache
def marked(name: str) -> tuple[tuple[Mark, ...], ...]:
    """The marks of an edit on some pictures, no two edits on the same ones."""
    first = 1000 * (1 + list(EDITS).index(name))
    return tuple(_marks(seed, *EDITS[name])[0] for seed in range(first, first + ROWS))


def _flat(rows: tuple[tuple[Mark, ...], ...]) -> tuple[list[Mark], list[int]]:
    pairs = [(mark, row) for row, marks in enumerate(rows) for mark in marks]
    return [mark for mark, _ in pairs], [row for _, row in pairs]


@pytest.mark.parametrize(
    ("name", "bond", "anchored", "least"),
    [
        ("watermark", Bond.PLACE, True, 6),
        ("moving stamp", Bond.LOOK, False, 6),
        ("anchored stamp", Bond.LOOK, True, 7),
        ("universal patch", Bond.PLACE, True, 7),
        ("universal blend", Bond.TILES, True, 6),
        ("blended picture", Bond.SHEET, True, 6),
        ("sinusoid", Bond.SHEET, True, 7),
    ],
)
def test_an_edit_on_many_pictures_is_one_footprint(
    name: str, bond: Bond, *, anchored: bool, least: int
) -> None:
    marks, rows = _flat(marked(name))
    first = footprints(marks, rows, SETTINGS)[0]
    assert len({rows[member] for member in first.members}) >= least
    assert (first.bond, first.anchored) == (bond, anchored)
    assert first.model in first.members


def test_one_frame_around_many_pictures_is_one_footprint() -> None:
    rows = tuple(_marks(seed, _magenta())[0] for seed in range(2000, 2000 + ROWS))
    marks, owners = _flat(rows)
    first = footprints(marks, owners, SETTINGS)[0]
    assert len({owners[member] for member in first.members}) >= ROWS - 2
    assert first.bond is Bond.LOOK


def _magenta() -> Step:
    return steps.frame((255, 0, 200), margin=0.15)


def test_edits_are_kept_apart() -> None:
    names = ("watermark", "moving stamp", "universal patch", "universal blend", "blended picture", "sinusoid")
    every = [(mark, name) for name in names for marks in marked(name) for mark in marks]
    found = footprints([mark for mark, _ in every], range(len(every)), SETTINGS)
    assert len(found) >= len(names)
    for footprint in found:
        assert len({every[member][1] for member in footprint.members}) == 1


def test_unrelated_edits_form_no_footprint() -> None:
    rows = tuple(_marks(seed, _random_block(seed))[0] for seed in range(30))
    marks, owners = _flat(rows)
    assert len(marks) >= 25
    assert footprints(marks, owners, SETTINGS) == []


def test_nothing_has_no_footprint() -> None:
    assert footprints([], [], SETTINGS) == []


def test_innocent_changes_leave_no_stamp() -> None:
    found = [_marks(seed, steps.resize(0.5))[0] for seed in range(6)]
    assert found == [()] * 6


def test_another_picture_has_no_marks() -> None:
    assert _marks(3, triggers.replacement())[0] == ()


def test_a_row_counts_once() -> None:
    marks, _ = _flat(marked("moving stamp"))
    assert footprints(marks, [7] * len(marks), SETTINGS) == []


def test_the_order_of_rows_is_of_no_matter() -> None:
    names = ("watermark", "moving stamp", "universal blend")
    every = [mark for name in names for marks in marked(name) for mark in marks]
    shuffled = np.random.default_rng(5).permutation(len(every)).tolist()
    straight = footprints(every, range(len(every)), SETTINGS)
    mixed = footprints([every[at] for at in shuffled], range(len(every)), SETTINGS)
    assert {frozenset(found.members) for found in straight} == {
        frozenset(shuffled[member] for member in found.members) for found in mixed
    }


def test_marks_stay_as_they_are() -> None:
    marks, rows = _flat(marked("watermark") + marked("universal blend"))
    before = [_arrays(mark) for mark in marks]
    footprints(marks, rows, SETTINGS)
    assert [_arrays(mark) for mark in marks] == before


def _arrays(mark: Mark) -> list[bytes]:
    values = [getattr(mark, field.name) for field in dataclasses.fields(mark)]
    return [value.tobytes() for value in values if isinstance(value, np.ndarray)]


@pytest.mark.parametrize(
    ("name", "least"),
    # in some frames another place stands out more
    [("moving stamp", 4), ("anchored stamp", 4), ("mirrored stamp", 4), ("framed stamp", 2)],
)
def test_a_stamp_lies_where_it_was_put(name: str, least: int) -> None:
    first = 1000 * (1 + list(EDITS).index(name))
    found = [_marks(seed, *EDITS[name]) for seed in range(first, first + 4)]
    errors = [
        np.abs(np.subtract(marks[0].box, boxes[0])).max()
        for marks, boxes in found
        if marks and isinstance(marks[0], Stamp)
    ]
    assert sum(error < 1.7 / 32 for error in errors) >= least


def test_a_stamp_shows_its_colour() -> None:
    (stamp, *_), _ = _marks(11, triggers.stamp(triggers.white, 0.3, (0.4, 0.6)))
    assert isinstance(stamp, Stamp)
    assert stamp.look[14:16].min() > 240
    assert stamp.change[:36].mean() > 0


def test_a_pattern_over_everything_is_a_veil() -> None:
    marks = [mark for marks in marked("sinusoid") for mark in marks]
    assert len(marks) == ROWS
    assert all(isinstance(mark, Veil) for mark in marks)
