"""Shards over Ray: on this machine, or on the cluster that the environment's RAY_ADDRESS names.

Workers write their parts themselves, so on a cluster the run's folder, the pictures and the settings must
lie on storage that every machine sees under the same path, with the same poisonscan installed.
"""

# ruff: noqa: PLC0415, ANN401 - Ray is loaded only by whoever asks for it, and its handles have no types of use

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections import Counter, deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from poisonscan.engine.collector import relax_gc
from poisonscan.engine.shards import (
    MAX_DEATHS,
    Event,
    Progress,
    S,
    ShardDone,
    Task,
    died_again_and_again,
    interrupted,
)
from poisonscan.engine.signals import stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_POLL_S = 0.2


class RayEngine(Generic[S]):
    """Runs a task over up to `workers` shards at once, each a Ray task that takes one processor.

    A `poisonscan.engine.shards.Engine`. Without RAY_ADDRESS, and where the calling program has not
    connected to Ray itself, a cluster of this machine alone lives as long as the run.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, task: Task[S], shards: Sequence[S]) -> Iterator[Event[S]]:
        """Yield progress and finished shards until all are done; raises as `Engine.run` says."""
        if not shards:
            return
        stop = ctypes.c_bool()
        # Connected before the signals are ours: Ray takes SIGTERM for itself.
        with _connected(self._workers), stop_on_signals(stop):
            yield from _ShardWorkers(task, shards, self._workers, stop).work()
            if stop.value:
                raise interrupted()


class _Desk:
    """An actor: where workers report, and ask whether to stop."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._stopping = False

    def report(self, counts: Mapping[str, int]) -> None:
        self._counts.update(counts)

    def collect(self) -> dict[str, int]:
        counts, self._counts = dict(self._counts), Counter()
        return counts

    def stop(self) -> None:
        self._stopping = True

    def stopping(self) -> bool:
        return self._stopping


class _DeskContext:
    """The `Context` of a task in a Ray worker."""

    def __init__(self, desk: Any, share: int) -> None:
        self._desk = desk
        self.share = share
        self._stopping = False
        self._asked: Any = None
        self._next_look = 0.0

    def advance(self, counts: Mapping[str, int]) -> None:
        self._desk.report.remote(dict(counts))

    def stopping(self) -> bool:
        """What the desk last said; it is asked now and then, and never waited for."""
        if not self._stopping and time.monotonic() >= self._next_look:
            import ray

            self._next_look = time.monotonic() + _POLL_S
            if self._asked is not None and ray.wait([self._asked], timeout=0)[0]:
                self._stopping = bool(ray.get(self._asked))
            self._asked = self._desk.stopping.remote()
        return self._stopping


class _ShardWorkers(Generic[S]):
    """The tasks of one run."""

    def __init__(self, task: Task[S], shards: Sequence[S], workers: int, stop: ctypes.c_bool) -> None:
        import ray

        self._ray: Any = ray
        self._shards = shards
        self._stop = stop
        self._at_once = min(workers, len(shards))
        share, folder = workers // self._at_once, str(Path.cwd())
        self._desk: Any = self._ray.remote(num_cpus=0)(_Desk).remote()
        # Ray itself runs a task again whose worker has died; an exception of the task is final.
        remote: Any = self._ray.remote(num_cpus=1, max_retries=MAX_DEATHS - 1)(_work)
        self._begin: Callable[[S], Any] = lambda shard: remote.remote(task, shard, self._desk, share, folder)

    def work(self) -> Iterator[Event[S]]:
        waiting = deque(range(len(self._shards)))
        running: dict[Any, int] = {}
        try:
            while running or (waiting and not self._stop.value):
                while waiting and len(running) < self._at_once and not self._stop.value:
                    number = waiting.popleft()
                    running[self._begin(self._shards[number])] = number
                done, _ = self._ray.wait(list(running), timeout=_POLL_S)
                if self._stop.value:
                    self._desk.stop.remote()
                yield from self._progress()
                for answer in done:
                    number = running.pop(answer)
                    self._check(answer, number)
                    yield ShardDone(self._shards[number])
            yield from self._progress()
        finally:
            self._desk.stop.remote()
            if running:
                self._ray.wait(list(running), num_returns=len(running))
            self._ray.kill(self._desk)

    def _progress(self) -> Iterator[Progress]:
        if counts := self._ray.get(self._desk.collect.remote()):
            yield Progress(counts)

    def _check(self, answer: Any, number: int) -> None:
        """See how a task ended.

        Raises:
            WorkerError: its workers died.
            Exception: what it raised.
        """
        failures = self._ray.exceptions
        try:
            self._ray.get(answer)
        except failures.RayTaskError as error:
            raise error.cause from None
        except (failures.WorkerCrashedError, failures.OutOfMemoryError, failures.NodeDiedError) as error:
            raise died_again_and_again(number) from error


def _work(task: Task[Any], shard: Any, desk: Any, share: int, folder: str) -> None:
    os.chdir(folder)
    # A process that this one starts would run its main module, Ray's own start script, once more.
    vars(sys.modules["__main__"]).pop("__file__", None)
    relax_gc()
    task(shard, _DeskContext(desk, share))


@contextmanager
def _connected(workers: int) -> Iterator[None]:
    """Connected to Ray, and no longer where nobody was before."""
    import ray

    if ray.is_initialized():
        yield
        return
    usual: dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**usual)
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of ours calls home
        os.environ.setdefault("RAY_worker_niceness", "0")  # with Ray's 15, whatever else runs here starves us
        ray.init(num_cpus=workers, include_dashboard=False, _node_ip_address="127.0.0.1", **usual)
    try:
        yield
    finally:
        ray.shutdown()
