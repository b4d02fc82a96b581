from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonscan.errors import SnapshotInvalidError
from poisonscan.store.marks import MARKS_FILE, Mark, put_marks, read_marks
from poisonscan.store.schema import MARKS

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def lines(*numbers: int) -> pa.Table:
    keys = [f"k{number}" for number in numbers]
    return pa.table({"row": pa.array(numbers, pa.int64()), "key": pa.array(keys, pa.string())})


def marked(run: Path) -> dict[int, str]:
    return {line["row"]: line["mark"] for line in read_marks(run).to_pylist()}


def test_a_run_without_marks_has_none(tmp_path: Path) -> None:
    assert read_marks(tmp_path).schema.equals(MARKS)
    assert marked(tmp_path) == {}


def test_marks_are_kept_replaced_and_taken_away(tmp_path: Path) -> None:
    assert put_marks(tmp_path, lines(3, 1, 2), Mark.KEEP, "fine", NOW) == 3
    assert put_marks(tmp_path, lines(2, 9), Mark.DROP, None, NOW) == 4
    assert put_marks(tmp_path, lines(1, 7), None, None, NOW) == 3
    assert marked(tmp_path) == {2: "drop", 3: "keep", 9: "drop"}
    [kept] = [line for line in read_marks(tmp_path).to_pylist() if line["row"] == 3]
    assert (kept["key"], kept["note"], kept["marked_at"]) == ("k3", "fine", NOW)
    assert read_marks(tmp_path).schema.equals(MARKS)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sets(st.integers(0, 9)), st.sampled_from([*Mark, None])), max_size=6))
def test_marks_are_what_a_dictionary_would_hold(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[set[int], Mark | None]]
) -> None:
    run, expected = tmp_path_factory.mktemp("run"), dict[int, str]()
    for numbers, mark in steps:
        put_marks(run, lines(*numbers), mark, None, NOW)
        expected = {number: name for number, name in expected.items() if number not in numbers}
        expected |= dict.fromkeys(numbers, mark.value) if mark else {}
    assert marked(run) == expected


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: put_marks(tmp_path, lines(number), Mark.WATCH, None, NOW), range(24)))
    assert sorted(marked(tmp_path)) == list(range(24))
    assert {path.name for path in tmp_path.iterdir()} == {MARKS_FILE, ".marks.lock"}


def test_damaged_marks_are_never_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / MARKS_FILE).write_bytes(b"PAR1")
    with pytest.raises(SnapshotInvalidError):
        read_marks(tmp_path)
    with pytest.raises(SnapshotInvalidError):
        put_marks(tmp_path, lines(1), Mark.KEEP, None, NOW)
