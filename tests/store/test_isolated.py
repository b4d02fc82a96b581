from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from poisonscan.errors import SnapshotInvalidError, UsageError
from poisonscan.store.isolated import ask_isolated
from poisonscan.store.views import open_views
from tests.explorer import house

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return house.check(tmp_path_factory.mktemp("isolated"))[0]


def rows(run: Path, sql: str) -> list[dict[str, object]]:
    with ask_isolated(run, sql) as reader:
        found: list[dict[str, object]] = reader.read_all().to_pylist()
        return found


def test_an_answer_is_the_one_that_views_give(run: Path) -> None:
    sql = "SELECT row, verdict, boxes, fetched_at FROM verdicts ORDER BY row"
    with open_views(run) as views:
        assert rows(run, sql) == views.rows(sql)
    assert rows(run, "SELECT row FROM verdicts WHERE row < 0") == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT length(repeat('a', 4000000000))",
        "SELECT length(repeat('a', 3000000000) || repeat('b', 3000000000))",
        "SELECT list_sum(range(900000000))",
    ],
)
def test_a_question_that_takes_too_much_memory_is_killed_and_said(run: Path, sql: str) -> None:
    with pytest.raises((UsageError), match=r"memory"), ask_isolated(run, sql) as reader:
        reader.read_all()


def test_a_question_that_takes_too_long_is_killed(run: Path) -> None:
    sql = "SELECT count(*) FROM range(1000000) AS a, range(1000000) AS b WHERE a.range * b.range = 7"
    with pytest.raises(UsageError, match="longer than 1 s"), ask_isolated(run, sql, timeout_s=1) as reader:
        reader.read_all()


def test_an_answer_that_fails_half_way_is_no_short_answer(run: Path) -> None:
    sql = "SELECT CASE WHEN range < 900000 THEN 1 ELSE error('enough') END AS one FROM range(1000000)"
    with pytest.raises(UsageError, match="enough"), ask_isolated(run, sql) as reader:
        reader.read_all()


def test_errors_are_those_of_views(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no table embeddings"), ask_isolated(run, "FROM embeddings"):
        pass
    with pytest.raises(UsageError, match="one SELECT"), ask_isolated(run, "DROP TABLE verdicts"):
        pass
    with pytest.raises(SnapshotInvalidError), ask_isolated(tmp_path, "SELECT 1"):
        pass
