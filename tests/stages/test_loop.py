"""Snapshot, change, check: one round over a lying web, seen from all sides."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from poisonscan.config import Config, JudgeSettings
from poisonscan.errors import RunMismatchError, SnapshotInvalidError, UsageError
from poisonscan.files import file_digest
from poisonscan.records import Group, Verdict, group_of
from poisonscan.redteam.sites import EXPECTED, Behaviour
from poisonscan.stages.check.run import Selection, check, exit_code
from poisonscan.stages.report import report
from poisonscan.stages.snapshot.take import snapshot
from poisonscan.store import schema
from poisonscan.store.parts import Digested
from poisonscan.store.receipts import Receipt, receipt_path, write_receipt

from .conftest import MALFORMED, PLAN, SHARD_ROWS
from .world import by_url, config_for, files_in, leftovers, read, without_timing, write_list

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Loop


def test_every_row_of_the_manifest_is_in_the_snapshot_once_and_in_its_words(loop: Loop) -> None:
    rows = sorted(read(loop.snapshot, "rows"), key=lambda row: row["row"])
    assert [row["row"] for row in rows] == list(range(len(loop.urls)))
    assert [row["url"] for row in rows] == loop.urls
    assert [row["caption"] for row in rows] == [f"picture {n}" for n in range(len(loop.urls))]
    assert loop.taken.rows == len(loop.urls)
    assert loop.taken.counts == Counter(row["state"] for row in rows)


def test_every_part_is_sorted_by_row(loop: Loop) -> None:
    for folder, kind in ((loop.snapshot, "rows"), (loop.run, "observed"), (loop.run, "verdicts")):
        for part in sorted((folder / kind).glob("*.parquet")):
            numbers = pq.read_table(part)["row"].to_pylist()
            assert numbers == sorted(numbers)


def test_every_url_was_asked_for_once_however_many_rows_have_it(loop: Loop) -> None:
    fetched = {url: 1 for url in loop.urls if url not in MALFORMED}
    assert dict(loop.asked_at_snapshot) == fetched
    # A host that cuts a connection that was kept open is asked once more, as RFC 9112, 9.3.1 allows.
    cut = {url for url in fetched if "unreachable" in url}
    assert {url: n for url, n in loop.asked_at_check.items() if url not in cut} == {
        url: n for url, n in fetched.items() if url not in cut
    }


def test_every_row_was_judged_as_what_its_host_did(loop: Loop) -> None:
    behaviour = {site.host: site.behaviour for site in loop.sites}
    verdicts = read(loop.run, "verdicts")
    assert sorted(row["row"] for row in verdicts) == list(range(len(loop.urls)))
    wrong = [
        (row["url"], row["verdict"])
        for row in verdicts
        if row["url"] not in MALFORMED and row["verdict"] not in EXPECTED[behaviour[row["url"].split("/")[2]]]
    ]
    assert wrong == []
    assert all(row["reason"] for row in verdicts)


def test_malformed_urls_have_rows_of_their_own(loop: Loop) -> None:
    states = by_url(read(loop.snapshot, "rows"), "state")
    assert {url: states[url] for url in MALFORMED} == MALFORMED
    verdicts = by_url(read(loop.run, "verdicts"), "verdict")
    assert {url: verdicts[url] for url in MALFORMED} == MALFORMED


def test_rows_of_one_url_say_the_same(loop: Loop) -> None:
    rows = [row for row in read(loop.run, "verdicts") if row["url"] == loop.twice]
    assert len(rows) == 3
    assert len({(row["verdict"], row["new_sha256"], row["fetched_at"]) for row in rows}) == 1


def test_the_quarantine_holds_what_is_suspicious_once(loop: Loop) -> None:
    suspicious = [row for row in read(loop.run, "verdicts") if group_of(row["verdict"]) is Group.SUSPICIOUS]
    kept = read(loop.run, "quarantine")
    assert sorted(row["row"] for row in kept) == sorted(row["row"] for row in suspicious)
    for row in kept:
        assert hashlib.sha256(row["bytes"]).hexdigest() == row["new_sha256"]
        assert row["old_phash"] != row["new_phash"] or row["old_luma"] != row["new_luma"]


def test_pictures_are_kept_once_a_shard(loop: Loop) -> None:
    for part in (loop.snapshot / "bytes").glob("*.parquet"):
        digests = pq.read_table(part)["sha256"].to_pylist()
        assert len(digests) == len(set(digests))
    kept = {row["sha256"]: row["bytes"] for row in read(loop.snapshot, "bytes")}
    assert all(hashlib.sha256(body).hexdigest() == digest for digest, body in kept.items())
    assert set(kept) == {row["sha256"] for row in read(loop.snapshot, "rows") if row["sha256"]}


def test_domains_are_rolled_up_and_the_swapped_one_is_named(loop: Loop) -> None:
    domains = {row["domain"]: row for row in pq.read_table(loop.run / "domains.parquet").to_pylist()}
    assert loop.checked.details["suspected_domains"] == ["swap.test"]
    assert [name for name, row in domains.items() if row["swap_suspected"]] == ["swap.test"]
    assert sum(row["rows"] for row in domains.values()) == len(loop.urls)
    assert sum(row["share"] for row in domains.values()) == pytest.approx(1)
    assert domains["swap.test"]["replaced"] == PLAN[Behaviour.SWAP]
    assert domains["placeholder.test"]["placeholder"] == PLAN[Behaviour.PLACEHOLDER]
    assert None in domains


def test_a_stand_in_is_a_finding_with_its_rows(loop: Loop) -> None:
    (finding,) = pq.read_table(loop.run / "findings.parquet").to_pylist()
    members = pq.read_table(loop.run / "members.parquet").to_pylist()
    assert (finding["kind"], finding["n_members"]) == ("placeholder", PLAN[Behaviour.PLACEHOLDER])
    shown = {row["row"] for row in read(loop.run, "verdicts") if row["verdict"] == "placeholder"}
    assert {member["row"] for member in members} == shown
    assert "1 domain" in finding["summary"]


def test_the_summary_is_what_is_on_disk(loop: Loop) -> None:
    summary = json.loads((loop.run / "summary.json").read_text())
    assert summary == json.loads(json.dumps(loop.checked.as_dict()))
    assert summary["exit_code"] == 1
    assert summary["counts"] == Counter(row["verdict"] for row in read(loop.run, "verdicts"))
    assert sum(summary["groups"].values()) == summary["rows"] == len(loop.urls)
    document = json.loads((loop.run / "run.json").read_text())
    assert document["state"] == "finished"
    assert document["settings"]["fetch"]["connect_to"] == loop.web.address


def test_schemas_are_the_promised_ones(loop: Loop) -> None:
    for folder, kind, expected in (
        (loop.snapshot, "rows", schema.SNAPSHOT_ROWS),
        (loop.snapshot, "bytes", schema.BYTES),
        (loop.run, "observed", schema.OBSERVED),
        (loop.run, "verdicts", schema.VERDICTS),
        (loop.run, "quarantine", schema.QUARANTINE),
    ):
        parts = list((folder / kind).glob("*.parquet"))
        assert len(parts) == -(-len(loop.urls) // SHARD_ROWS)
        assert all(pq.read_schema(part).equals(expected) for part in parts), kind


def test_nothing_is_left_behind(loop: Loop) -> None:
    assert leftovers(loop.snapshot) == []
    assert leftovers(loop.run) == []


def test_a_finished_command_repeated_does_nothing_and_says_the_same(loop: Loop) -> None:
    asked, before = loop.web.requests, files_in(loop.run) | files_in(loop.snapshot)
    config = config_for(loop.web, SHARD_ROWS, workers=2)
    taken = snapshot(str(loop.manifest), loop.snapshot, keep_bytes=True, config=config)
    checked = check(loop.snapshot, loop.run, config=config)
    assert (taken.counts, checked.counts) == (loop.taken.counts, loop.checked.counts)
    assert checked.exit_code == loop.checked.exit_code
    assert loop.web.requests == asked
    after = files_in(loop.run) | files_in(loop.snapshot)
    assert {name for name in before if before[name] != after.get(name)} <= {"report.html"}


def test_a_crash_in_the_last_step_is_made_good(loop: Loop, tmp_path: Path) -> None:
    """All rows are observed, but the run was killed before it was closed."""
    run = copied(loop.run, tmp_path / "run")
    document = json.loads((run / "run.json").read_text())
    forged(run, state="running")
    put_receipts_back(run)
    for name in ("summary.json", "report.html", "domains.parquet", "findings.parquet"):
        (run / name).unlink()
    (run / "observed" / ".00000.journal").write_bytes(b"")
    asked = loop.web.requests
    summary = check(loop.snapshot, run, config=config_for(loop.web, SHARD_ROWS))
    assert summary.counts == loop.checked.counts
    assert loop.web.requests == asked
    assert json.loads((run / "run.json").read_text())["identity"] == document["identity"]
    assert leftovers(run) == []
    assert (run / "summary.json").exists()


def test_another_manifest_or_selection_is_refused(loop: Loop, tmp_path: Path) -> None:
    config = config_for(loop.web, SHARD_ROWS)
    other = write_list(tmp_path / "other.csv", loop.urls[1:])
    with pytest.raises(RunMismatchError, match="started with another"):
        snapshot(str(other), loop.snapshot, keep_bytes=True, config=config)
    with pytest.raises(RunMismatchError, match="keep_bytes"):
        snapshot(str(loop.manifest), loop.snapshot, config=config)
    with pytest.raises(RunMismatchError, match="shard_rows"):
        snapshot(str(loop.manifest), loop.snapshot, keep_bytes=True, config=config_for(loop.web, 7))
    with pytest.raises(RunMismatchError, match="sample"):
        check(loop.snapshot, loop.run, selection=Selection(sample=3), config=config)


def test_a_sample_is_so_many_rows_and_the_same_for_the_same_seed(loop: Loop, tmp_path: Path) -> None:
    config = config_for(loop.web)
    summary = check(loop.snapshot, tmp_path / "a", selection=Selection(sample=5, seed=3), config=config)
    check(loop.snapshot, tmp_path / "b", selection=Selection(sample=5, seed=3), config=config)
    assert summary.rows == 5
    rows, again = read(tmp_path / "a", "verdicts"), read(tmp_path / "b", "verdicts")
    assert without_timing(rows) == without_timing(again)
    full = {row["row"]: row for row in read(loop.run, "verdicts")}
    assert all(row["url"] == full[row["row"]]["url"] for row in rows)


def test_only_what_failed_is_asked_for_again(loop: Loop, tmp_path: Path) -> None:
    config = config_for(loop.web)
    failed = {row["row"] for row in read(loop.run, "verdicts") if group_of(row["verdict"]) is Group.LOST}
    summary = check(
        loop.snapshot, tmp_path / "again", selection=Selection(only_failed=loop.run), config=config
    )
    assert {row["row"] for row in read(tmp_path / "again", "verdicts")} == failed
    assert summary.rows == len(failed)


def test_when_nothing_failed_there_is_nothing_to_do(loop: Loop, tmp_path: Path) -> None:
    config = config_for(loop.web)
    sound = copied(loop.run, tmp_path / "sound")
    for part in (sound / "verdicts").glob("*.parquet"):
        table = pq.read_table(part)
        pq.write_table(table.slice(0, 0), part)
    summary = check(loop.snapshot, tmp_path / "none", selection=Selection(only_failed=sound), config=config)
    assert (summary.rows, summary.exit_code) == (0, 0)
    assert (tmp_path / "none" / "report.html").exists()


def test_a_run_without_verdicts_cannot_be_what_failed(loop: Loop, tmp_path: Path) -> None:
    with pytest.raises(SnapshotInvalidError, match="is no run folder"):
        check(loop.snapshot, tmp_path / "x", selection=Selection(only_failed=tmp_path))
    for wrong in ((0, 0), (3, -1)):
        with pytest.raises(UsageError, match=r"--(sample|seed) "):
            Selection(*wrong)


def test_the_report_is_written_again(loop: Loop, tmp_path: Path) -> None:
    run = copied(loop.run, tmp_path / "run")
    (run / "report.html").unlink()
    assert report(run).page == run / "report.html"
    assert "swap[.]test" in (run / "report.html").read_text(encoding="utf-8")
    forged(run, state="running")
    with pytest.raises(UsageError, match="is unfinished; repeat the command"):
        report(run)


@pytest.mark.parametrize(
    ("groups", "suspects", "fail_on", "code"),
    [
        ({}, 0, "suspicious", 0),
        ({Group.SUSPICIOUS: 1}, 0, "suspicious", 1),
        ({Group.SUSPICIOUS: 1}, 0, "swap", 0),
        ({Group.SUSPICIOUS: 9}, 1, "swap", 1),
        ({Group.SUSPICIOUS: 9}, 1, "never", 0),
        ({Group.LOST: 1}, 0, "unanswered", 1),
        ({Group.UNKNOWN: 1}, 0, "unanswered", 1),
        ({Group.LOST: 5}, 0, "suspicious", 0),
        ({Group.UNKNOWN: 6}, 0, "suspicious", 3),
        ({Group.LOST: 3, Group.UNKNOWN: 3}, 0, "suspicious", 3),
        ({Group.LOST: 6}, 0, "suspicious", 3),
        ({Group.LOST: 10}, 0, "never", 3),
        ({Group.LOST: 6, Group.SUSPICIOUS: 1}, 0, "suspicious", 1),
    ],
)
def test_exit_codes(groups: dict[Group, int], suspects: int, fail_on: str, code: int) -> None:
    full = dict.fromkeys(Group, 0) | groups
    config = dataclasses.replace(Config(), judge=JudgeSettings(fail_on=fail_on, max_lost=0.5))
    assert exit_code({group.value: n for group, n in full.items()}, suspects, 10, config) == code


def test_no_verdict_but_the_clean_ones_is_counted_as_clean(loop: Loop) -> None:
    groups = loop.checked.details["groups"]
    clean = sum(n for name, n in loop.checked.counts.items() if Verdict(name).group is Group.CLEAN)
    assert groups["clean"] == clean
    assert loop.checked.details["unanswered"] == groups["lost"] + groups["unknown"]


def copied(source: Path, target: Path) -> Path:
    for name, content in files_in(source).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    return target


def put_receipts_back(run: Path) -> None:
    """The receipts that a check removes when it is closed."""
    for part in sorted((run / "observed").glob("*.parquet")):
        parts = {name: run / name for name in (f"observed/{part.name}", f"quarantine/{part.name}")}
        verdicts = pq.read_table(part)["verdict"].to_pylist()
        digests = {name: Digested(file_digest(path), path.stat().st_size) for name, path in parts.items()}
        receipt = Receipt(len(verdicts), Counter(verdicts), digests)
        write_receipt(receipt, receipt_path(run, "observed", int(part.stem)))


def forged(folder: Path, **changes: object) -> None:
    """Change a run's document as its own program would."""
    from poisonscan.store.folder import document_digest  # noqa: PLC0415 - used by the forger alone

    document = json.loads((folder / "run.json").read_text()) | changes
    document["digest"] = document_digest(document)
    (folder / "run.json").write_text(json.dumps(document))
