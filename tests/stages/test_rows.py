"""Resuming after random harm, without processes or pictures: what ends up in the parts is what was meant."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from poisonscan.config import RunSettings
from poisonscan.engine.shards import ShardDone, interrupted
from poisonscan.errors import IncompleteError, InterruptedRunError
from poisonscan.stages import rows as working
from poisonscan.stages.recorder import Recorder
from poisonscan.stages.rows import Work, work_through
from poisonscan.stages.watch import Silent
from poisonscan.store.folder import RUN_DOCUMENT, open_folder
from poisonscan.store.receipts import is_done

from .world import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from poisonscan.engine.shards import Context, Event, Task

ROWS = pa.schema([pa.field("row", pa.int64(), nullable=False), pa.field("verdict", pa.string())])
EXTRAS = pa.schema([pa.field("row", pa.int64(), nullable=False), pa.field("bytes", pa.binary())])
SHARDS, ROWS_A_SHARD = 4, 12
TRIES = 60


@dataclass(frozen=True)
class Shard:
    index: int

    @property
    def rows(self) -> range:
        return range(self.index * ROWS_A_SHARD, (self.index + 1) * ROWS_A_SHARD)


class Here:
    """An engine and its context: runs shards in this process, and stops after so many rows."""

    share = 1

    def __init__(self, stop_after: int) -> None:
        self.left = stop_after

    def run(self, task: Task[Shard], shards: Sequence[Shard]) -> Iterator[Event[Shard]]:
        for shard in shards:
            task(shard, self)
            yield ShardDone(shard)
            if self.stopping():
                raise interrupted()

    def advance(self, counts: Mapping[str, int]) -> None:
        self.left -= sum(counts.values())

    def stopping(self) -> bool:
        return self.left <= 0


def answered(row: int, lost: frozenset[int]) -> dict[str, object]:
    verdict = "unreachable" if row in lost else "replaced" if row % 3 == 0 else "identical"
    return {"row": row, "verdict": verdict}


def record(shard: Shard, context: Context, folder: Path, lost: frozenset[int], asked: list[int]) -> None:
    if is_done(folder, "observed", shard.index):
        return
    kinds = ("observed", ROWS), ("quarantine", EXTRAS)
    recorder = Recorder(folder, shard.index, *kinds, "verdict", context, shard.rows)
    for row in shard.rows:
        if row in recorder.done() or context.stopping():
            continue
        asked.append(row)
        line = answered(row, lost)
        picture = {"row": row, "bytes": bytes([row]) * 700} if line["verdict"] == "replaced" else None
        recorder.add(line, picture)
        if row % 2:
            recorder.flush()
    recorder.finish()


def run(
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_after: int = 10**9,
    lost: frozenset[int] = frozenset(),
    *,
    ask_again: bool = False,
) -> list[int]:
    """Work through all rows, or as many as may be; those that were asked for."""
    asked: list[int] = []
    monkeypatch.setattr(working, "_engine", lambda _: Here(stop_after))
    with open_folder(out, RUN_DOCUMENT, {}) as folder:
        task = partial(record, folder=out, lost=lost, asked=asked)
        shards = [Shard(number) for number in range(SHARDS)]
        work = Work("check", "observed", "verdict", task, shards, SHARDS * ROWS_A_SHARD, ("quarantine",))
        work_through(folder, work, RunSettings(workers=1), Silent(), ask_again=ask_again)
    return asked


def assert_right(out: Path, lost: frozenset[int] = frozenset()) -> None:
    everything = range(SHARDS * ROWS_A_SHARD)
    assert read(out, "observed") == [answered(row, lost) for row in everything]
    pictures = [row for row in everything if answered(row, lost)["verdict"] == "replaced"]
    kept = sorted(read(out, "quarantine"), key=lambda row: int(row["row"]))
    assert kept == [{"row": row, "bytes": bytes([row]) * 700} for row in pictures]


def harmed(content: bytes, chance: random.Random) -> bytes:
    """Content with a bit flipped, a stretch of zeros, its end cut, or two stretches swapped."""
    place, other = sorted(chance.randrange(len(content)) for _ in range(2))
    length = chance.choice([1, 64, 512])
    return chance.choice(
        [
            content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :],
            content[:place] + bytes(len(content[place : place + length])) + content[place + length :],
            content[:place],
            content[other:] + content[place:other] + content[:place],
        ]
    )


@pytest.mark.parametrize("seed", range(TRIES))
def test_no_harm_to_an_interrupted_run_makes_a_wrong_row(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, out = random.Random(seed), tmp_path / "run"
    for _ in range(chance.randrange(1, 4)):
        with pytest.raises(InterruptedRunError):
            run(out, monkeypatch, chance.randrange(1, 20))
        files = [path for path in out.glob("*/*") if path.is_file() and path.stat().st_size]
        victim = chance.choice(sorted(files))
        if chance.random() < 0.15:
            victim.unlink()
        else:
            victim.write_bytes(harmed(victim.read_bytes(), chance))
    run(out, monkeypatch)
    assert_right(out)


@pytest.mark.parametrize("seed", range(40))
def test_rows_without_an_answer_are_asked_again_whatever_interrupts_it(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, out = random.Random(seed), tmp_path / "run"
    everything = range(SHARDS * ROWS_A_SHARD)
    lost = frozenset(row for row in everything if chance.random() < 0.4)
    run(out, monkeypatch, lost=lost)
    assert_right(out, lost)
    asked: list[int] = []
    again = True
    for _ in range(chance.randrange(3)):
        try:
            asked += run(out, monkeypatch, chance.randrange(1, 10), ask_again=again)
        except IncompleteError:
            again = False
    run(out, monkeypatch, ask_again=again)
    assert_right(out)


def test_only_lost_rows_are_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = frozenset({1, 3, 30})
    assert len(run(tmp_path / "run", monkeypatch, lost=lost)) == SHARDS * ROWS_A_SHARD
    assert run(tmp_path / "run", monkeypatch) == []
    assert run(tmp_path / "run", monkeypatch, ask_again=True) == sorted(lost)
    assert_right(tmp_path / "run")


def test_rows_that_do_not_come_leave_the_shard_unfinished(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 0, ("observed", ROWS), None, "verdict", Here(9), [1, 2])
    recorder.add({"row": 1, "verdict": "identical"})
    with pytest.raises(ValueError, match="came twice"):
        recorder.add({"row": 1, "verdict": "identical"})
    with pytest.raises(ValueError, match="none of shard 0"):
        recorder.add({"row": 7, "verdict": "identical"})
    with pytest.raises(IncompleteError, match=r"1 of 2 rows of shard 0 .* did not come"):
        recorder.finish()
    assert not is_done(tmp_path, "observed", 0)


def test_counts_are_compared_with_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: Any = SHARDS * ROWS_A_SHARD + 1
    monkeypatch.setattr(working, "_engine", lambda _: Here(10**9))
    with open_folder(tmp_path / "run", RUN_DOCUMENT, {}) as folder:
        task = partial(record, folder=folder.path, lost=frozenset(), asked=[])
        shards = [Shard(number) for number in range(SHARDS)]
        work = Work("check", "observed", "verdict", task, shards, planned, ("quarantine",))
        with pytest.raises(IncompleteError, match="holds 48 rows, 49 were planned"):
            work_through(folder, work, RunSettings(workers=1), Silent())
