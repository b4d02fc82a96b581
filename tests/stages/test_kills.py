"""Whatever kills a run and however often: the same command finishes it, and nobody can tell."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from poisonscan.config import Config
from poisonscan.redteam.sites import Behaviour, Site
from poisonscan.redteam.web import LyingWeb
from poisonscan.stages.check import recheck
from poisonscan.stages.check.run import check
from poisonscan.stages.recorder import Recorder
from poisonscan.stages.sealed import SealedPart
from poisonscan.stages.snapshot.take import snapshot, snapshot_images
from poisonscan.stages.verify import verify
from poisonscan.store import schema
from poisonscan.store.folder import journal_path, part_path
from poisonscan.store.journal import rows_in_journal
from poisonscan.store.receipts import Receipt, receipt_path, write_receipt

from .world import (
    SlowWeb,
    config_for,
    draw_pictures,
    leftovers,
    offline,
    read,
    urls_of,
    without_timing,
    write_list,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ROWS, SHARD_ROWS, KILLS = 240, 24, 5
DELAY_S = 0.08
PATIENCE_S = 60.0
PLAN = {
    Behaviour.STABLE: 90,
    Behaviour.SWAP: 50,
    Behaviour.REENCODE: 50,
    Behaviour.NOT_FOUND: 25,
    Behaviour.PLACEHOLDER: 25,
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    """A few hundred rows on few pictures: what matters here is how many there are."""
    pictures = draw_pictures(tmp_path_factory.mktemp("small"), 12, (96, 72))
    return [
        Site(
            f"www.{kind.replace('_', '-')}.test",
            kind,
            {f"/{number}.jpg": pictures[number % len(pictures)] for number in range(count)},
        )
        for kind, count in PLAN.items()
    ]


@pytest.fixture(scope="module")
def taken(sites: list[Site], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    urls = urls_of(sites)
    random.Random(1).shuffle(urls)
    with LyingWeb(sites) as web:
        snapshot(
            str(write_list(folder / "list.csv", urls)), folder / "then", config=config_for(web, SHARD_ROWS)
        )
    return folder / "then"


@pytest.fixture(scope="module")
def slow(sites: list[Site]) -> Iterator[SlowWeb]:
    with SlowWeb(sites, DELAY_S) as web:
        web.change()
        yield web


@pytest.fixture(scope="module")
def undisturbed(taken: Path, slow: SlowWeb, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    check(taken, run, config=config_for(slow, workers=2))
    return run


def command(taken: Path, run: Path, web: LyingWeb, *flags: str) -> list[str]:
    check_it = [sys.executable, "-m", "poisonscan", "check", str(taken), "--out", str(run)]
    polite = ["--connect-to", web.address, "--concurrency", "8", "--per-host", "8", "--retries", "0"]
    return [*check_it, "--workers", "2", *polite, *flags]


def begin(arguments: list[str]) -> subprocess.Popen[str]:
    # Its own session: a test may signal the whole group.
    return subprocess.Popen(  # noqa: S603 - our own program
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    return process.returncode, out, err


def rows_on_disk(run: Path) -> int:
    """Rows observed so far, in parts and journals."""
    journals = [*(run / recheck.OBSERVED).glob(".*.journal")]
    in_journals: int = sum(batch.num_rows for journal in journals for batch in rows_in_journal(journal))
    return in_journals + len(read(run, recheck.OBSERVED))


def wait_for_rows(run: Path, n: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while rows_on_disk(run) < n and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def kill_all(process: subprocess.Popen[str]) -> None:
    """SIGKILL the process; those it started must end by themselves."""
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_S / 2)
    assert alive == []


def engine_workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def contents(run: Path) -> dict[str, list[dict[str, Any]]]:
    """All that a run says, timing left out, in an order that does not depend on chance."""
    return {
        kind: sorted(without_timing(read(run, kind)), key=lambda row: int(row["row"]))
        for kind in (recheck.OBSERVED, "verdicts", recheck.QUARANTINE)
    }


def assert_as_if_undisturbed(run: Path, undisturbed: Path) -> None:
    found, expected = contents(run), contents(undisturbed)
    assert [row["row"] for row in found["verdicts"]] == list(range(ROWS))
    for kind, rows in expected.items():
        assert [row["row"] for row in found[kind]] == [row["row"] for row in rows], kind
        assert found[kind] == rows, kind
    assert leftovers(run) == []
    assert (run / "summary.json").exists()
    assert (run / "report.html").exists()


def test_killed_again_and_again(taken: Path, slow: SlowWeb, undisturbed: Path, tmp_path: Path) -> None:
    """SIGKILL at seeded random moments: some once rows arrive, some whenever, also while starting.

    The last attempt may go on, but one of its workers is killed.
    """
    chance, run = random.Random(20_231), tmp_path / "run"
    seen = [0]
    for number in range(KILLS):
        process = begin(command(taken, run, slow))
        if number % 3 < 2:
            wait_for_rows(run, seen[-1] + chance.randrange(1, 30), process)
        time.sleep(chance.uniform(0, 0.4))
        kill_all(process)
        seen.append(rows_on_disk(run))
    assert seen == sorted(seen), "rows once on disk stay there"
    assert 0 < seen[-1] < ROWS, "the kills came too early or too late to show anything"
    process = begin(command(taken, run, slow))
    wait_for_rows(run, seen[-1] + 10, process)
    engine_workers(process)[0].kill()  # this time the run outlives it
    code, out, err = end(process)
    assert code == 1, err
    assert out.count("\n") == 1
    assert_as_if_undisturbed(run, undisturbed)


@pytest.mark.parametrize("whole_group", [False, True])
def test_sigterm_finishes_what_is_in_flight_and_can_be_resumed(
    taken: Path, slow: SlowWeb, undisturbed: Path, tmp_path: Path, *, whole_group: bool
) -> None:
    """To the process alone, and to all of its group, as systemd and docker do."""
    run = tmp_path / "run"
    # Alone it is to be at work for as long as a second process takes to be turned away.
    process = begin(command(taken, run, slow, *([] if whole_group else ["--concurrency", "1"])))
    wait_for_rows(run, 30, process)
    if whole_group:
        os.killpg(process.pid, signal.SIGTERM)
    else:
        assert_keeps_out(command(taken, run, slow))
        process.terminate()
    code, out, err = end(process)
    assert (code, out) == (3, "")
    assert err.splitlines()[-1] == "poisonscan: stopped by a signal; repeat the same command to continue"
    assert "Traceback" not in err
    assert 30 <= rows_on_disk(run) < ROWS
    if not whole_group:
        return  # resuming is the same for both
    code, _, err = end(begin(command(taken, run, slow)))
    assert code == 1, err
    assert_as_if_undisturbed(run, undisturbed)


def assert_keeps_out(arguments: list[str]) -> None:
    """A second process is told that the folder is in use."""
    code, out, err = end(begin(arguments))
    assert (code, out) == (2, "")
    assert "another process is working in" in err


def test_a_full_disk_stops_with_3_and_the_same_command_goes_on(
    taken: Path, sites: list[Site], undisturbed: Path, tmp_path: Path
) -> None:
    """RLIMIT_FSIZE stands in for the full disk: the journal of the first shard hits it."""
    run = tmp_path / "run"
    with LyingWeb(sites) as web:
        web.change()
        arguments = command(taken, run, web)
        # Blocks of 512 bytes. Without coverage, whose own file would hit the limit first.
        limited = ["sh", "-c", 'unset COVERAGE_PROCESS_CONFIG; ulimit -f 24; exec "$@"', "sh", *arguments]
        code, out, err = end(begin(limited))
        assert (code, out) == (3, ""), err
        assert "free space or fix it, then repeat" in err.splitlines()[-1]
        assert "Traceback" not in err, err
        code, _, err = end(begin(arguments))
    assert code == 1, err
    assert_as_if_undisturbed(run, undisturbed)


class Listener:
    """The context of a task that nobody runs."""

    share = 1

    def advance(self, counts: Mapping[str, int]) -> None:
        """Hear it."""

    def stopping(self) -> bool:
        return False


def observed(number: int) -> dict[str, Any]:
    return {"row": number, "key": str(number), "verdict": "replaced", "reason": "another picture"}


def quarantined(number: int, body: bytes) -> dict[str, Any]:
    return {"row": number, "key": str(number), "verdict": "replaced", "bytes": body}


KINDS = (recheck.OBSERVED, schema.OBSERVED), (recheck.QUARANTINE, schema.QUARANTINE)


def recorder(folder: Path, *rows: int) -> Recorder:
    return Recorder(folder, 0, *KINDS, "verdict", Listener(), rows)


def test_a_picture_whose_row_was_lost_is_not_kept_twice(tmp_path: Path) -> None:
    """Killed between the two writes of a flush: the picture is on disk, its row is not."""
    first = recorder(tmp_path, 1, 2)
    first.add(observed(1), quarantined(1, b"one"))
    first.flush()
    first.add(observed(2), quarantined(2, b"two"))
    first.flush()
    rows = journal_path(tmp_path, recheck.OBSERVED, 0)
    rows.write_bytes(rows.read_bytes()[: -rows.stat().st_size // 3])
    second = recorder(tmp_path, 1, 2)
    assert second.done() == {1}
    second.add(observed(2), quarantined(2, b"two, as served now"))
    assert second.finish()
    kept = {row["row"]: row["bytes"] for row in read(tmp_path, recheck.QUARANTINE)}
    assert kept == {1: b"one", 2: b"two, as served now"}
    assert len(read(tmp_path, recheck.QUARANTINE)) == len(read(tmp_path, recheck.OBSERVED)) == 2
    assert leftovers(tmp_path) == ["observed/.00000.done"]


class Orphan(Listener):
    """The context of a worker whose parent was killed: nobody is left to hear it."""

    def advance(self, counts: Mapping[str, int]) -> None:
        raise BrokenPipeError(sum(counts.values()))


def test_rows_that_nobody_hears_of_any_more_are_not_written_twice(tmp_path: Path) -> None:
    """The parent dies between a row's way to disk and the word of it; the worker flushes once more."""
    orphan = Recorder(tmp_path, 0, *KINDS, "verdict", Orphan(), [1])
    orphan.add(observed(1))
    with pytest.raises(BrokenPipeError):
        orphan.flush()
    orphan.flush()
    heir = recorder(tmp_path, 1)
    assert heir.done() == {1}
    assert heir.finish()
    assert [row["row"] for row in read(tmp_path, recheck.OBSERVED)] == [1]


def test_killed_between_the_two_parts_of_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures' part is written, the rows' part is not: the pictures must not be lost by resuming."""
    first = recorder(tmp_path, 1)
    first.add(observed(1), quarantined(1, b"one"))
    first.flush()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("poisonscan.store.journal._sorted", killed)
        with pytest.raises(KeyboardInterrupt):
            first.finish()
    assert part_path(tmp_path, recheck.QUARANTINE, 0).exists()
    assert not part_path(tmp_path, recheck.OBSERVED, 0).exists()
    second = recorder(tmp_path, 1)
    assert second.done() == {1}
    assert second.finish()
    assert [row["bytes"] for row in read(tmp_path, recheck.QUARANTINE)] == [b"one"]


def test_a_finished_shard_is_never_redone(tmp_path: Path) -> None:
    """Its worker was killed before it could say that it was done, so the engine runs the shard again."""
    write_receipt(Receipt(0, {}, {}), receipt_path(tmp_path, recheck.OBSERVED, 0))
    part = recheck.Part(SealedPart(0, tmp_path / "absent.parquet", "no digest"))
    recheck.recheck(part, Listener(), tmp_path, Config())
    assert not part_path(tmp_path, recheck.OBSERVED, 0).exists()


def test_images_are_remembered_after_a_kill_too(tmp_path: Path) -> None:
    """The same machinery under `snapshot`: killed once, then finished, then sealed."""
    draw_pictures(tmp_path / "images", 40, (64, 48))
    arguments = [sys.executable, "-m", "poisonscan", "snapshot", "--from-images", str(tmp_path / "images")]
    arguments += ["--out", str(tmp_path / "then"), "--keep-bytes", "--workers", "1", "--shard-rows", "10"]
    process = begin(arguments)
    deadline = time.monotonic() + PATIENCE_S
    while not list((tmp_path / "then").glob("rows/.*.journal")) and time.monotonic() < deadline:
        time.sleep(0.005)
    kill_all(process)
    summary = snapshot_images(
        tmp_path / "images", tmp_path / "then", keep_bytes=True, config=offline(shard_rows=10)
    )
    assert summary.rows == 40
    rows = read(tmp_path / "then", "rows")
    assert sorted(row["row"] for row in rows) == list(range(40))
    assert len(read(tmp_path / "then", "bytes")) == len({row["sha256"] for row in rows})
    assert leftovers(tmp_path / "then") == []
    assert verify(tmp_path / "then") == []
