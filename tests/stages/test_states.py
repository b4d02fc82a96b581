"""Nothing unfinished is called done: outages, interruptions and what the same command makes of them."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING

import pytest

from poisonscan.cli import main
from poisonscan.config import Config, FetchSettings, JudgeSettings, RunSettings
from poisonscan.errors import InterruptedRunError, RunMismatchError, SnapshotInvalidError, UsageError
from poisonscan.records import Group, group_of
from poisonscan.redteam.sites import Behaviour
from poisonscan.redteam.web import LyingWeb
from poisonscan.stages.check.run import Selection, check
from poisonscan.stages.snapshot.take import snapshot, snapshot_hashes
from poisonscan.stages.verify import verify
from poisonscan.stages.watch import Silent

from .world import config_for, leftovers, read, sites_of, urls_of, without_timing, write_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from poisonscan.redteam.answers import Answer
    from poisonscan.redteam.sites import Site

PLAN = {Behaviour.STABLE: 6, Behaviour.SWAP: 4, Behaviour.REENCODE: 2}
ROWS = sum(PLAN.values())


class PartlyDown(LyingWeb):
    """A lying web of which some hosts give no usable answer until they come back."""

    down: frozenset[str] = frozenset()

    async def _look_up(self, url: str) -> Answer | None:
        return None if url.split("/")[2] in self.down else await super()._look_up(url)


@pytest.fixture(scope="module")
def sites(pictures: list[Path]) -> list[Site]:
    return sites_of(PLAN, pictures)


@pytest.fixture
def web(sites: Sequence[Site]) -> Iterator[PartlyDown]:
    with PartlyDown(sites) as web:
        yield web


@pytest.fixture
def manifest(sites: Sequence[Site], tmp_path: Path) -> str:
    return str(write_list(tmp_path / "list.csv", urls_of(sites)))


def settings(web: LyingWeb, max_lost: float = 0.3) -> Config:
    return dataclasses.replace(config_for(web, shard_rows=5), judge=JudgeSettings(max_lost=max_lost))


def nothing_there(max_lost: float = 0.3) -> Config:
    """Settings under which every connection is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    fetch = FetchSettings(connect_to=address, timeout_s=15, retries=0)
    run = RunSettings(workers=1, shard_rows=5)
    return Config(fetch=fetch, run=run, judge=JudgeSettings(max_lost=max_lost))


def state_of(folder: Path) -> str:
    name = "snapshot.json" if (folder / "snapshot.json").exists() else "run.json"
    return str(json.loads((folder / name).read_text())["state"])


def test_a_snapshot_taken_in_an_outage_is_completed_by_the_same_command(
    web: PartlyDown, manifest: str, tmp_path: Path
) -> None:
    then = tmp_path / "then"
    taken = snapshot(manifest, then, keep_bytes=True, config=nothing_there())
    assert (taken.exit_code, taken.counts, state_of(then)) == (3, {"unreachable": ROWS}, "incomplete")
    for use in (lambda: verify(then), lambda: check(then, tmp_path / "now", config=settings(web))):
        with pytest.raises(
            SnapshotInvalidError, match=r"incomplete and not sealed.*repeat the command"
        ) as caught:
            use()
        assert caught.value.exit_code == 4
    taken = snapshot(manifest, then, keep_bytes=True, config=settings(web))
    assert (taken.exit_code, taken.counts, state_of(then)) == (0, {"fingerprinted": ROWS}, "finished")
    assert taken.details["asked_again"] == ROWS
    assert verify(then) == []
    assert leftovers(then) == []
    undisturbed = tmp_path / "undisturbed"
    snapshot(manifest, undisturbed, keep_bytes=True, config=settings(web))
    for kind, column in (("rows", "row"), ("bytes", "sha256")):
        key = itemgetter(column)  # the order of pictures is that of their arrival
        found, expected = (sorted(without_timing(read(out, kind)), key=key) for out in (then, undisturbed))
        assert found == expected


def test_only_the_rows_without_an_answer_are_asked_for_again(
    web: PartlyDown, manifest: str, tmp_path: Path
) -> None:
    then = tmp_path / "then"
    web.down = frozenset({"www.stable.test"})
    for _ in range(2):
        taken = snapshot(manifest, then, keep_bytes=True, config=settings(web))
        assert (taken.exit_code, taken.counts["unreachable"]) == (3, PLAN[Behaviour.STABLE])
    before, asked = {row["row"]: row for row in read(then, "rows")}, web.requests
    web.down = frozenset()
    taken = snapshot(manifest, then, keep_bytes=True, config=settings(web))
    assert (taken.exit_code, taken.details["asked_again"]) == (0, PLAN[Behaviour.STABLE])
    again = web.requests - asked
    assert set(again) == {row["url"] for row in before.values() if row["state"] == "unreachable"}
    assert set(again.values()) == {1}
    for row in read(then, "rows"):
        old = before[row["row"]]
        assert row["state"] == "fingerprinted"
        assert old == row or old["state"] == "unreachable"
    assert {row["sha256"] for row in read(then, "bytes")} == {row["sha256"] for row in read(then, "rows")}
    assert verify(then) == []


def test_a_check_made_in_an_outage_is_completed_by_the_same_command(
    web: PartlyDown, manifest: str, tmp_path: Path
) -> None:
    then, now, undisturbed = tmp_path / "then", tmp_path / "now", tmp_path / "undisturbed"
    snapshot(manifest, then, config=settings(web))
    web.change()
    seen = check(then, now, config=nothing_there())
    assert (seen.exit_code, seen.counts, state_of(now)) == (3, {"unreachable": ROWS}, "incomplete")
    web.down = frozenset({"www.stable.test", "www.reencode.test"})
    seen = check(then, now, config=settings(web))
    assert (seen.exit_code, state_of(now)) == (1, "incomplete")  # findings win, and are no end of it
    asked = web.requests
    web.down = frozenset()
    seen = check(then, now, config=settings(web))
    assert (seen.exit_code, state_of(now), seen.details["asked_again"]) == (1, "finished", 8)
    assert {url.split("/")[2] for url in web.requests - asked} == {"www.stable.test", "www.reencode.test"}
    whole = check(then, undisturbed, config=settings(web))
    assert seen.counts == whole.counts
    for kind in ("observed", "verdicts", "quarantine"):
        key = itemgetter("row")
        found, expected = (sorted(without_timing(read(run, kind)), key=key) for run in (now, undisturbed))
        assert found == expected, kind
    assert leftovers(now) == []


def test_a_finished_command_says_that_it_did_nothing(
    web: PartlyDown, manifest: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    then, now = tmp_path / "then", tmp_path / "now"
    polite = ["--connect-to", web.address, "--workers", "1"]
    for arguments in (["snapshot", manifest, "--out", str(then)], ["check", str(then), "--out", str(now)]):
        assert main([*arguments, *polite]) == 0
        first = capfd.readouterr()
        assert "nothing was asked again" not in first.err
        assert "already_finished" not in json.loads(first.out)
        asked = web.requests
        assert main([*arguments, *polite]) == 0
        again = capfd.readouterr()
        assert "was finished before; nothing was asked again" in again.err
        assert json.loads(again.out)["already_finished"] is True
        assert web.requests == asked


def test_an_incomplete_snapshot_is_sealed_only_on_request_and_its_check_is_not_clean(
    web: PartlyDown, manifest: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    then, now = tmp_path / "then", tmp_path / "now"
    web.down = frozenset({"www.stable.test"})
    command = ["snapshot", manifest, "--out", str(then), "--max-lost", "0.3", "--connect-to", web.address]
    command += ["--workers", "1", "--retries", "0"]
    assert main(command) == 3
    assert f"incomplete: 6 of {ROWS} rows were not" in capfd.readouterr().err
    assert main([*command, "--seal-incomplete"]) == 0
    assert verify(then) == []
    web.down = frozenset()
    for asked_again in (0, 0):  # asking again gives no row a baseline
        seen = check(then, now, config=settings(web))
        assert seen.counts == {"identical": 6, "no_baseline": 6}
        assert (seen.exit_code, state_of(now)) == (3, "incomplete")
        assert seen.details["asked_again"] == asked_again
    assert check(then, tmp_path / "lenient", config=settings(web, 0.5)).exit_code == 0


def test_hashes_that_are_mostly_missing_are_no_baseline(tmp_path: Path) -> None:
    columns = {"md5": ["0" * 32, "", ""]}
    table = write_list(tmp_path / "list.csv", [f"http://a.test/{n}.jpg" for n in range(3)], **columns)
    config = Config(run=RunSettings(workers=1))
    from poisonscan.records import Algorithm  # noqa: PLC0415 - beside its only use

    hashes = {"md5": Algorithm.MD5}
    taken = snapshot_hashes(str(table), tmp_path / "then", hashes, config=config)
    assert (taken.exit_code, state_of(tmp_path / "then")) == (3, "incomplete")
    taken = snapshot_hashes(str(table), tmp_path / "then", hashes, seal_incomplete=True, config=config)
    assert (taken.exit_code, state_of(tmp_path / "then")) == (0, "finished")


class StopAfter(Silent):
    """Sends the signal of Ctrl-C's kind once so many rows are done."""

    def __init__(self, rows: int) -> None:
        self._left = rows
        self.notes: list[str] = []

    def advance(self, counts: Mapping[str, int]) -> None:
        before, self._left = self._left, self._left - sum(counts.values())
        if before > 0 >= self._left:  # once: a second signal ends the process
            os.kill(os.getpid(), signal.SIGTERM)

    def note(self, words: str) -> None:
        self.notes.append(words)


def test_an_interrupted_run_is_neither_incomplete_nor_finished(
    web: PartlyDown, manifest: str, tmp_path: Path
) -> None:
    then = tmp_path / "then"
    with pytest.raises(InterruptedRunError):
        snapshot(manifest, then, config=settings(web), watch=StopAfter(1))
    assert state_of(then) == "interrupted"
    with pytest.raises(SnapshotInvalidError, match="is unfinished"):
        verify(then)
    assert snapshot(manifest, then, config=settings(web)).exit_code == 0
    assert state_of(then) == "finished"
    assert set(Counter(web.requests).values()) == {1}


def test_rows_asked_again_may_be_interrupted_too(web: PartlyDown, manifest: str, tmp_path: Path) -> None:
    then = tmp_path / "then"
    web.down = frozenset({"www.stable.test"})
    snapshot(manifest, then, config=settings(web))
    web.down = frozenset()
    asked = web.requests
    with pytest.raises(InterruptedRunError):
        snapshot(manifest, then, config=settings(web), watch=StopAfter(1))
    assert state_of(then) == "interrupted"
    assert snapshot(manifest, then, config=settings(web)).counts == {"fingerprinted": ROWS}
    assert set((web.requests - asked).values()) == {1}
    assert {url.split("/")[2] for url in web.requests - asked} == {"www.stable.test"}
    assert verify(then) == []


def test_what_is_finished_is_not_called_so_by_a_stricter_share(
    web: PartlyDown, manifest: str, tmp_path: Path
) -> None:
    then, now, sealed = tmp_path / "then", tmp_path / "now", tmp_path / "sealed"
    snapshot(manifest, then, config=settings(web))
    web.down = frozenset({"www.reencode.test"})
    lost = PLAN[Behaviour.REENCODE] / ROWS
    check(then, now, config=settings(web))
    snapshot(manifest, sealed, config=settings(web))
    kept = [(now / "run.json").read_bytes(), (sealed / "snapshot.json").read_bytes()]
    for accepted in (settings(web), settings(web, lost)):
        assert check(then, now, config=accepted).details["already_finished"]
        assert snapshot(manifest, sealed, config=accepted).details["already_finished"]
    stricter = settings(web, lost - 0.01)
    words = (
        f"although 2 of its {ROWS} rows lack an answer.*more than --max-lost 0.15.* repeat the old command"
    )
    with pytest.raises(RunMismatchError, match=words) as caught:
        check(then, now, config=stricter)
    assert caught.value.exit_code == 2
    with pytest.raises(RunMismatchError, match=words) as caught:
        snapshot(manifest, sealed, config=stricter)
    assert caught.value.exit_code == 2
    assert snapshot(manifest, sealed, seal_incomplete=True, config=stricter).exit_code == 0
    assert [(now / "run.json").read_bytes(), (sealed / "snapshot.json").read_bytes()] == kept


def test_only_failed_takes_a_run_of_the_same_snapshot(web: PartlyDown, manifest: str, tmp_path: Path) -> None:
    for name in ("one", "other"):
        snapshot(manifest, tmp_path / name, config=settings(web))
        check(tmp_path / name, tmp_path / f"run-{name}", config=nothing_there())
    failed = Selection(only_failed=tmp_path / "run-other")
    with pytest.raises(UsageError, match="of another snapshot; name a run of this one") as caught:
        check(tmp_path / "one", tmp_path / "again", selection=failed, config=settings(web))
    assert caught.value.exit_code == 2
    assert check(tmp_path / "other", tmp_path / "again", selection=failed, config=settings(web)).rows == ROWS


def test_a_seed_is_drawn_recorded_kept_and_repeated(web: PartlyDown, manifest: str, tmp_path: Path) -> None:
    then = tmp_path / "then"
    snapshot(manifest, then, config=settings(web))
    drawn = {
        check(then, tmp_path / f"run{n}", selection=Selection(sample=4), config=settings(web)).details["seed"]
        for n in range(3)
    }
    assert len(drawn) == 3, "nobody can foresee it"
    with pytest.raises(InterruptedRunError):
        check(then, tmp_path / "run", selection=Selection(sample=4), config=settings(web), watch=StopAfter(1))
    seed = json.loads((tmp_path / "run" / "run.json").read_text())["identity"]["seed"]
    resumed = check(then, tmp_path / "run", selection=Selection(sample=4), config=settings(web))
    assert resumed.details["seed"] == seed
    same = Selection(sample=4, seed=seed)
    check(then, tmp_path / "same", selection=same, config=settings(web))
    rows, again = ([row["row"] for row in read(tmp_path / name, "verdicts")] for name in ("run", "same"))
    assert rows == again


def test_what_counts_as_answered_is_the_same_everywhere(
    web: PartlyDown, manifest: str, tmp_path: Path
) -> None:
    then = tmp_path / "then"
    snapshot(manifest, then, config=settings(web))
    web.down = frozenset({"www.swap.test"})
    seen = check(then, tmp_path / "now", config=settings(web))
    lost = [row for row in read(tmp_path / "now", "verdicts") if group_of(row["verdict"]) is Group.LOST]
    assert seen.details["unanswered"] == len(lost) == 4
