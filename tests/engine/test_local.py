from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from poisonscan.engine.local import MAX_DEATHS, LocalEngine
from poisonscan.engine.shards import Progress, ShardDone
from poisonscan.errors import InterruptedRunError, WorkerError

from . import tasks
from .tasks import Shard

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.engine.shards import Event, Task


def shards(folder: Path, n: int) -> list[Shard]:
    return [Shard(index, folder) for index in range(n)]


def run(task: Task[Shard], folder: Path, n: int = 2) -> list[Event[Shard]]:
    return list(LocalEngine[Shard](2).run(task, shards(folder, n)))


def done(events: list[Event[Shard]]) -> list[int]:
    return [event.shard.index for event in events if isinstance(event, ShardDone)]


def test_runs_every_shard_once_and_reports_the_progress(tmp_path: Path) -> None:
    events = run(tasks.succeed, tmp_path, n=5)
    assert sorted(done(events)) == [0, 1, 2, 3, 4]
    progress: Counter[str] = Counter()
    for event in events:
        if isinstance(event, Progress):
            progress.update(event.counts)
    assert progress == {"identical": 30, "gone": 15}
    assert all(len(tasks.pids(tmp_path, "done", index)) == 1 for index in range(5))


@pytest.mark.parametrize(("workers", "n", "share"), [(5, 2, 2), (4, 1, 4), (2, 3, 1)])
def test_few_shards_have_more_processes_each(tmp_path: Path, workers: int, n: int, share: int) -> None:
    events = list(LocalEngine[Shard](workers).run(tasks.tell_share, shards(tmp_path, n)))
    told = [event.counts["share"] for event in events if isinstance(event, Progress)]
    assert told == [share] * n


def test_no_shards_is_no_work(tmp_path: Path) -> None:
    assert run(tasks.succeed, tmp_path, n=0) == []


def test_an_exception_in_a_task_arrives_as_itself(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="shard one is bad"):
        run(tasks.fail_on_second, tmp_path, n=3)


def test_after_an_exception_the_others_finish_even_if_nobody_reads_their_reports(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="shard zero is bad"):
        run(tasks.chatter, tmp_path)
    assert (tmp_path / "done-1").exists()


def test_a_killed_worker_is_replaced_and_takes_nobody_along(tmp_path: Path) -> None:
    events = run(tasks.die_once, tmp_path)
    assert sorted(done(events)) == [0, 1]
    first, second = tasks.pids(tmp_path, "begun", 0)
    assert first != second
    assert len(tasks.pids(tmp_path, "begun", 1)) == 1


def test_gives_up_on_a_shard_that_kills_every_worker(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=f"died {MAX_DEATHS} times on shard 0.*repeat the command"):
        run(tasks.die_always, tmp_path)
    assert len(tasks.pids(tmp_path, "begun", 0)) == MAX_DEATHS


def test_sigterm_lets_the_rows_in_flight_finish(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedRunError, match="repeat the same command"):
        run(tasks.signal_parent, tmp_path, n=4)
    assert sorted(path.name for path in tmp_path.glob("finished-*")) == ["finished-0", "finished-1"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_is_abandoned_stops_its_workers(tmp_path: Path) -> None:
    events = LocalEngine[Shard](2).run(tasks.until_stopped, shards(tmp_path, 2))
    assert isinstance(next(events), Progress)
    events.close()  # type: ignore[attr-defined]  # a generator, though it is declared as an iterator
    begun = {path.name.removeprefix("begun-") for path in tmp_path.glob("begun-*")}
    assert begun
    assert {path.name.removeprefix("finished-") for path in tmp_path.glob("finished-*")} == begun


def test_workers_die_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        f"import sys; from pathlib import Path; from {tasks.__package__} import tasks\n"
        "from poisonscan.engine.local import LocalEngine\n"
        "if __name__ == '__main__':\n"
        "    shards = [tasks.Shard(index, Path(sys.argv[1])) for index in range(2)]\n"
        "    list(LocalEngine(2).run(tasks.until_stopped, shards))\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment)  # noqa: S603 - our own script
    try:
        for index in range(2):
            tasks.wait_for(tmp_path / f"begun-{index}")
        children = psutil.Process(parent.pid).children(recursive=True)
    finally:
        parent.kill()
        parent.wait()
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=tasks.PATIENCE_S / 3)
    assert alive == []
    assert not (tmp_path / "finished-0").exists()
