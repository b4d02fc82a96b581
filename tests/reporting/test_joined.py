"""One page about several things: each part is told, alone and beside the others."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from poisonscan.errors import SnapshotInvalidError, StorageError, UsageError
from poisonscan.reporting.html import write_report
from poisonscan.stages.report import report
from poisonscan.store import schema

from . import neighbours
from .inspecting import Checker, read_page, squeezed
from .synthetic import Run, seal, write_one

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A check, the one before, a hunt, a table of domains and a history; nothing changes them."""
    folder = tmp_path_factory.mktemp("world")
    run = neighbours.check(folder)
    old = neighbours.earlier(run, folder / "before")
    neighbours.hunt(folder)
    neighbours.domains(folder)
    neighbours.history(folder / "history", [old, run])
    return folder


@pytest.fixture(scope="module")
def joined(world: Path) -> Checker:
    others = [world / "hunt", world / "owners.parquet", world / "history"]
    out = world / "joined.html"
    told = report(world / "run", join=others, since=world / "before", out=out)
    assert told.page == out
    assert told.answer.startswith("2 domains now serve other pictures; 18 of 120 rows are suspicious;")
    return read_page(out)


def test_the_answer_comes_first(joined: Checker) -> None:
    text = squeezed(joined.text)
    assert "The hunt raises 1 alarm over 2 of 12 pictures; 3 rows showed another picture for a while" in text
    assert "2 domains are in new hands and anybody can buy 40 domains with 5.2% of the rows for $440" in text
    assert text.index("now serve other pictures") < text.index("Since the last run") < text.index("Verdicts")


def test_what_changed_since_the_last_run(joined: Checker) -> None:
    text = squeezed(joined.text)
    assert "Compared with before of 2026-03-03 02:00 UTC: 120 rows in both." in text
    assert (
        "9 newly suspicious 0 no longer suspicious 0 newly without an answer 1 with an answer again" in text
    )
    assert "4 suspicious in both, with yet another picture" in text
    assert "Newly suspected domains: bought-yesterday[.]com, parked[.]example" in text
    assert "No longer suspected: former[.]example" in text
    assert "Newly suspicious rows by domain: bought-yesterday[.]com 9" in text


def test_a_suspected_domain_has_its_story(joined: Checker) -> None:
    assert (
        "2009-05-06 registered by whoever held it then 2025-11-01 remembered in the snapshot"
        " 2026-02-27 registered anew 2026-03-03 last look that saw the old pictures only"
        " 2026-03-04 first seen with other pictures"
    ) in squeezed(joined.text)


def test_findings_are_shown_with_what_recurs_and_who_carries_it(joined: Checker) -> None:
    text = squeezed(joined.text)
    assert "far from all" in text
    assert "raises no alarm" in text
    assert "The same small patch on pictures that have nothing else in common." in text
    assert "Seen by the check" in text
    assert "3 more rows: poisonscan query RUN \"FROM members WHERE finding_id = 'f1'\"" in text
    assert (
        joined.elements["img"] == 18 * 3 - 2 + 2 + 3 + 1 + 4
    )  # changed rows, outliers, patch, exhibit, footprint
    assert text.index("outlier") < text.index("recurring patch"), "what raises the alarm comes first"
    assert "these pictures are from flowers[.]example" in text, "the domain of all is told once"


def test_exposure_and_history_are_told(joined: Checker) -> None:
    text = squeezed(joined.text)
    assert "nxdomain DNS does not know it and no registry was heard: most likely free. 40 165 5.2%" in text
    assert "$100 a year buys" in text
    assert "0.01% of the rows costs $11 a year" in text
    assert "flapping[.]example flap 3 1 2026-03-02 02:30 UTC 2026-03-03 02:30 UTC" in text
    assert joined.elements["polyline"] == 1


def test_nothing_without_an_answer_is_left_out(joined: Checker) -> None:
    text = squeezed(joined.text)
    assert "16 of 120 rows (13.3%) could not be judged. None of them counts as clean." in text
    assert "The hunt could not look at 1 of 13 pictures (7.7%)" in text
    assert "captions needs texts" in text
    assert "DNS or a registry gave no usable answer for 1" in text


def test_each_part_alone_is_a_page(world: Path) -> None:
    hunt = read_page(write_report(world / "hunt"))
    assert squeezed(hunt.text).startswith("poisonscan report")
    assert "The hunt raises 1 alarm over 2 of 12 pictures." in hunt.text
    assert hunt.elements["img"] == 6
    table = report(world / "owners.parquet")
    assert table.page == world / "owners.report.html"
    assert "What an attacker could buy" in read_page(table.page).text
    flaps = report(world / "history")
    assert flaps.answer == "3 rows showed another picture for a while and then the old one again."
    assert "Went away and came back" in read_page(flaps.page).text


def test_hostile_members_stay_text(joined: Checker) -> None:
    assert "<script>document.title='owned'</script> U+202Ecat" in squeezed(joined.text)


def test_a_table_of_domains_that_nobody_was_asked_about_says_so(tmp_path: Path) -> None:
    line = {"domain": "a.example", "rows": 3, "share": 1.0, "reasons": [], "warnings": []}
    write_one(tmp_path / "list.parquet", [line], schema.DOMAINS)
    write_one(tmp_path / "list.curve.parquet", [], schema.COST_CURVE)
    told = report(tmp_path / "list.parquet")
    assert told.answer == "Nobody was asked who holds the domains."
    assert "who holds them is not known" in read_page(told.page).text


def test_a_picture_that_is_gone_costs_its_place_only(tmp_path: Path) -> None:
    run = neighbours.hunt(tmp_path)
    (tmp_path / "pictures" / "sub" / "002.jpg").unlink()
    (tmp_path / "pictures" / "sub" / "003.jpg").write_bytes(b"\xff\xd8\xff broken")
    (run / "exhibits" / "recurring_patch-0001.png").write_bytes(b"no picture")
    page = read_page(write_report(run))
    assert page.elements["img"] == 6 - 3
    assert "the picture is not where the hunt found it" in page.text
    assert "cannot be drawn (UnidentifiedImageError" in page.text


def test_an_exhibit_elsewhere_is_not_read(tmp_path: Path) -> None:
    run = neighbours.hunt(tmp_path)
    findings = neighbours.lines_of(run / "findings.parquet")
    findings[1]["exhibit"] = "../pictures/sub/002.jpg"
    write_one(run / "findings.parquet", findings, schema.HUNTED)
    assert "the table names a file outside of exhibits" in read_page(write_report(run)).text


def test_what_cannot_be_joined_is_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is a run of check, and .* is one already"):
        report(world / "run", join=[world / "before"])
    with pytest.raises(UsageError, match="belongs to a run of check, and none is named"):
        report(world / "hunt", since=world / "before")
    with pytest.raises(UsageError, match="is no run of check; name an earlier check"):
        report(world / "run", since=world / "hunt")
    with pytest.raises(UsageError, match="was not written by `poisonscan domains`"):
        report(world / "run" / "members.parquet")
    with pytest.raises(SnapshotInvalidError, match=r"it has no run\.json"):
        report(tmp_path)


def test_a_run_of_another_list_is_no_last_run(world: Path, tmp_path: Path) -> None:
    other, _ = Run().write(tmp_path)
    document = json.loads((other / "run.json").read_text())
    document["identity"] |= {"snapshot_digest": "another"}
    seal(other / "run.json", document | {"manifest": {"source": "other.csv", "sha256": "cd" * 32}})
    with pytest.raises(UsageError, match="is a run of another list"):
        report(world / "run", since=other)


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    run = neighbours.hunt(tmp_path)
    seal(run / "run.json", {"state": "running", "identity": {"command": "hunt"}})
    with pytest.raises(UsageError, match="is unfinished; repeat the command that started it"):
        report(run)


@pytest.mark.parametrize("name", ["owners.curve.parquet", "owners.parquet"])
def test_a_damaged_table_of_domains_is_an_error(tmp_path: Path, name: str) -> None:
    table = neighbours.domains(tmp_path)
    lines = "status" if name == "owners.parquet" else ""
    if lines:
        write_one(table, [neighbours.lines_of(table)[0] | {"status": "haunted"}], schema.DOMAINS)
    else:
        (tmp_path / name).unlink()
    with pytest.raises(StorageError, match=re.escape("haunted" if lines else name)):
        report(table)


@pytest.mark.parametrize("content", ["{}", '{"rows": 3, "counts": []}'])
def test_a_damaged_summary_of_a_hunt_is_an_error(tmp_path: Path, content: str) -> None:
    run = neighbours.hunt(tmp_path)
    (run / "summary.json").write_text(content)
    with pytest.raises(StorageError, match=r"summary\.json lacks a value"):
        write_report(run)


def test_files_that_contradict_each_other_are_said_loudly(tmp_path: Path) -> None:
    run = neighbours.check(tmp_path)
    path = run / "summary.json"
    summary = json.loads(path.read_text())
    summary["counts"] |= {"edited": summary["counts"]["edited"] + 1, "gone": summary["counts"]["gone"] - 1}
    path.write_text(json.dumps(summary | {"suspected_domains": []}))
    text = squeezed(read_page(report(run).page).text)
    assert "summary.json counts other verdicts than the verdict files hold" in text
    assert "summary.json names 0 suspected domains, domains.parquet 2" in text


def test_a_damaged_history_is_an_error(tmp_path: Path) -> None:
    folder = neighbours.history(tmp_path / "history", [])
    line = neighbours.lines_of(folder / "history.parquet")[0]
    write_one(folder / "history.parquet", [line | {"kind": "haunted"}], schema.HISTORY)
    with pytest.raises(StorageError, match="'haunted' is not a valid FlapKind"):
        report(folder)
    seal(folder / "history.json", {"identity": {"command": "history"}})
    with pytest.raises(StorageError, match="names no looks"):
        report(folder)


def test_what_has_no_page_is_refused(tmp_path: Path) -> None:
    seal(tmp_path / "run.json", {"identity": {"command": "divine"}})
    with pytest.raises(UsageError, match="was written by divine, of which there is no page"):
        report(tmp_path)


def test_a_missing_exhibit_costs_its_place_only(tmp_path: Path) -> None:
    run = neighbours.hunt(tmp_path)
    (run / "exhibits" / "recurring_patch-0001.png").unlink()
    page = read_page(write_report(run))
    assert "No such file or directory" in page.text
    assert page.elements["img"] == 5
