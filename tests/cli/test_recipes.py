from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import poisonscan
from poisonscan import Summary
from poisonscan.errors import SnapshotInvalidError

if TYPE_CHECKING:
    import pytest

NOTHING = Summary(verb="check", out="run", rows=0, counts={}, seconds=0.0, rows_per_s=0.0, exit_code=0)


def test_findings_win_over_incompleteness() -> None:
    def worst(*codes: int) -> int:
        return poisonscan.worst_exit_code(replace(NOTHING, exit_code=code) for code in codes)

    assert (worst(), worst(0, 0), worst(0, 3), worst(3, 1, 0)) == (0, 0, 3, 1)


def test_an_error_of_ours_is_one_line_and_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise SnapshotInvalidError("then/: no snapshot")

    assert poisonscan.exit_code_of("nightly", work) == 4
    assert capsys.readouterr().err == "nightly: then/: no snapshot\n"


def test_any_other_error_is_no_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert poisonscan.exit_code_of("nightly", lambda: 1 // 0) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err
