"""What the page says of audits and vantages where the run's files are thin or wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from poisonscan.errors import StorageError, UsageError
from poisonscan.records import Sight
from poisonscan.reporting import words
from poisonscan.reporting.audited import why_short
from poisonscan.reporting.html import write_report
from poisonscan.store import schema
from poisonscan.store.views import open_views

from . import neighbours
from .inspecting import reported, squeezed
from .synthetic import FETCHED_AT, full_run, seal, write_one, write_parts

if TYPE_CHECKING:
    from pathlib import Path

PHONE = {"name": "phone", "user_agent": "iPhone", "proxy": None, "nameserver": None, "connect_to": None}
AUDITED = {"domain": None, "rows": 2, "risk": 0, "drawn": 1, "confidence": 0.5}


@pytest.mark.parametrize(
    ("needed", "drawn", "answered", "why"),
    [
        (None, 0, 0, "too few rows to show such a share"),
        (13, 0, 0, "the budget ended before it"),
        (1300, 5, 5, "the budget ended at it: 5 of 1,300 rows drawn"),
        (13, 13, 12, "1 of 13 drawn rows gave no picture"),
    ],
)
def test_why_a_domain_falls_short(needed: int | None, drawn: int, answered: int, why: str) -> None:
    assert why_short(needed, drawn, answered) == why


def test_every_sight_is_explained() -> None:
    assert set(words.SIGHT_SENTENCES) == set(Sight)


def test_an_audit_without_its_numbers_is_an_error(tmp_path: Path) -> None:
    run, _ = full_run().write(tmp_path)
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"audit": {"confidence": 0.9, "share": 0.3}}))
    with pytest.raises(StorageError, match="lacks a value of its audit"):
        write_report(run)


def with_vantages(folder: Path, told: object, sight: str = Sight.SAME) -> Path:
    """A run that was asked to look from somewhere else, and one row seen from there."""
    run, _ = full_run().write(folder)
    document = json.loads((run / "run.json").read_text())
    document["identity"] |= {"vantages": told}
    seal(run / "run.json", document)
    ref = {"row": 3, "key": "3", "url": "http://a.example/3", "domain": "a.example", "caption": None}
    seen = {"vantage": "phone", "sight": sight, "reason": "seen", "here_fetched_at": FETCHED_AT}
    write_parts(run / "vantages", [ref | seen], schema.VANTAGES)
    return run


def test_a_vantage_that_saw_nothing_is_said_to(tmp_path: Path) -> None:
    office = PHONE | {"name": "office", "user_agent": None, "proxy": "http://127.0.0.1:3128"}
    page = squeezed(reported(with_vantages(tmp_path, [PHONE, office, 200])).text)
    assert "phone 1 0 0 0 0 user-agent iPhone" in page
    assert "office 0 0 0 0 0 proxy hxxp://127.0.0.1:3128" in page
    assert "office was served no picture to compare with ours" in page
    assert "phone was served no picture" not in page
    assert "No row was served differently to others, of those asked for." in page


def test_what_the_page_leaves_out_can_be_queried(tmp_path: Path) -> None:
    run = with_vantages(tmp_path, [PHONE, 200])
    write_one(run / "audit.parquet", [AUDITED], schema.AUDIT)
    with open_views(run) as views:
        assert views.rows("SELECT vantage, sight FROM vantages") == [{"vantage": "phone", "sight": "same"}]
        assert views.rows("SELECT domain, confidence FROM audit") == [{"domain": None, "confidence": 0.5}]
        with pytest.raises(UsageError, match="no table unseen: only `poisonscan hunt` writes it"):
            views.require("unseen")
    with open_views(neighbours.hunt(tmp_path)) as views:
        assert views.rows("SELECT key, reason FROM unseen") == [
            {"key": "sub/012.jpg", "reason": "OSError: cut off"}
        ]


@pytest.mark.parametrize(
    ("told", "sight"),
    [([PHONE, 200], "seen"), ([PHONE | {"name": "desk"}, 200], "same"), ([{}, 200], "same")],
)
def test_vantages_that_do_not_fit_their_run_are_an_error(tmp_path: Path, told: object, sight: str) -> None:
    with pytest.raises(StorageError, match="vantages"):
        write_report(with_vantages(tmp_path, told, sight))
