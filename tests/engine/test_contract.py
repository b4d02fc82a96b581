"""What every engine promises, on this machine and over Ray."""

from __future__ import annotations

import gc
import importlib.util
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import pytest

from poisonscan.engine.local import LocalEngine
from poisonscan.engine.ray import RayEngine
from poisonscan.engine.shards import MAX_DEATHS, Engine, Progress, ShardDone
from poisonscan.errors import InterruptedRunError, WorkerError

from . import tasks
from .tasks import Shard

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.engine.shards import Event, Task

Make: TypeAlias = Callable[[int], Engine[Shard]]
"""An engine of so many workers."""

_RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on this machine, once for all tests here."""
    import ray  # noqa: PLC0415 - an extra that may be absent

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    yield
    ray.shutdown()


@pytest.fixture(params=[LocalEngine, pytest.param(RayEngine, marks=_RAY)])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param is RayEngine:
        request.getfixturevalue("cluster")
    kind: Make = request.param
    return kind


def shards(folder: Path, n: int) -> list[Shard]:
    return [Shard(index, folder) for index in range(n)]


def run(engine: Engine[Shard], task: Task[Shard], folder: Path, n: int = 2) -> list[Event[Shard]]:
    return list(engine.run(task, shards(folder, n)))


def done(events: list[Event[Shard]]) -> list[int]:
    return [event.shard.index for event in events if isinstance(event, ShardDone)]


def progress_of(events: list[Event[Shard]]) -> Counter[str]:
    """All progress together: an engine may tell of several reports at once."""
    progress: Counter[str] = Counter()
    for event in events:
        if isinstance(event, Progress):
            progress.update(event.counts)
    return progress


def test_runs_every_shard_once_and_reports_the_progress(make: Make, tmp_path: Path) -> None:
    events = run(make(2), tasks.succeed, tmp_path, n=5)
    assert sorted(done(events)) == [0, 1, 2, 3, 4]
    assert progress_of(events) == {"identical": 30, "gone": 15}
    assert all(len(tasks.pids(tmp_path, "done", index)) == 1 for index in range(5))


@pytest.mark.parametrize(("workers", "n", "share"), [(5, 2, 2), (4, 1, 4), (2, 3, 1)])
def test_few_shards_have_more_processes_each(
    make: Make, tmp_path: Path, workers: int, n: int, share: int
) -> None:
    events = list(make(workers).run(tasks.tell_share, shards(tmp_path, n)))
    assert progress_of(events) == {"share": share * n}


def test_workers_search_for_cycles_seldom(make: Make, tmp_path: Path) -> None:
    before = gc.get_threshold()
    events = list(make(1).run(tasks.tell_collector, shards(tmp_path, 1)))
    told = progress_of(events)
    assert told["young"] > before[0]
    assert told["frozen"] > 1_000
    assert gc.get_threshold() == before  # this process is somebody's own


def test_no_shards_is_no_work(make: Make, tmp_path: Path) -> None:
    assert run(make(2), tasks.succeed, tmp_path, n=0) == []


def test_an_exception_in_a_task_arrives_as_itself(make: Make, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="shard one is bad"):
        run(make(2), tasks.fail_on_second, tmp_path, n=3)


def test_a_killed_worker_is_replaced_and_takes_nobody_along(make: Make, tmp_path: Path) -> None:
    events = run(make(2), tasks.die_once, tmp_path)
    assert sorted(done(events)) == [0, 1]
    first, second = tasks.pids(tmp_path, "begun", 0)
    assert first != second
    assert len(tasks.pids(tmp_path, "begun", 1)) == 1


def test_gives_up_on_a_shard_that_kills_every_worker(make: Make, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=f"died {MAX_DEATHS} times on shard 0.*repeat the command"):
        run(make(2), tasks.die_always, tmp_path)
    assert len(tasks.pids(tmp_path, "begun", 0)) == MAX_DEATHS


def test_sigterm_lets_the_rows_in_flight_finish(make: Make, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedRunError, match="repeat the same command"):
        run(make(2), tasks.signal_parent, tmp_path, n=4)
    assert sorted(path.name for path in tmp_path.glob("finished-*")) == ["finished-0", "finished-1"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_is_abandoned_stops_its_workers(make: Make, tmp_path: Path) -> None:
    events = make(2).run(tasks.until_stopped, shards(tmp_path, 2))
    assert isinstance(next(events), Progress)
    events.close()  # type: ignore[attr-defined]  # a generator, though it is declared as an iterator
    begun = {path.name.removeprefix("begun-") for path in tmp_path.glob("begun-*")}
    assert begun
    assert {path.name.removeprefix("finished-") for path in tmp_path.glob("finished-*")} == begun
