"""Shards on this machine, one worker process a core."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, Generic

from poisonscan.engine.collector import relax_gc
from poisonscan.engine.lifeline import die_with_parent
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
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection


_POLL_S = 0.2
_spawn = multiprocessing.get_context("spawn")
_context: _WorkerContext | None = None


class _WorkerContext:
    """The `Context` of a task in a worker process.

    What workers share must outlive one of them being killed at any instruction, so there is no lock in
    it: `stop` is a byte of shared memory, and a report is one write of less than PIPE_BUF bytes, which
    the kernel neither tears nor mixes with another.
    """

    def __init__(self, reports: Connection, stop: ctypes.c_bool, share: int) -> None:
        self._reports = reports
        self._stop = stop
        self.share = share

    def advance(self, counts: Mapping[str, int]) -> None:
        self._reports.send(dict(counts))

    def stopping(self) -> bool:
        return self._stop.value


class LocalEngine(Generic[S]):
    """Runs a task over shards in up to `workers` processes, one a shard.

    A worker that dies takes nobody along: its shard is run again by a new one, and a task resumes what
    it finds half done. SIGINT and SIGTERM let rows in flight finish.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, task: Task[S], shards: Sequence[S]) -> Iterator[Event[S]]:
        """Yield progress and finished shards until all are done.

        Raises:
            InterruptedRunError: SIGINT or SIGTERM arrived; what was in flight has been written.
            WorkerError: workers died `MAX_DEATHS` times on one shard.
        """
        stop = _spawn.RawValue(ctypes.c_bool)
        with stop_on_signals(stop):
            workers = _ShardWorkers(task, shards, self._workers, stop)
            try:
                yield from workers.work()
                if stop.value:
                    raise interrupted()
            finally:
                workers.shutdown()


class _ShardWorkers(Generic[S]):
    """The workers of one run. Each is a pool of one process, so that pools break one at a time."""

    def __init__(self, task: Task[S], shards: Sequence[S], workers: int, stop: ctypes.c_bool) -> None:
        self._task = task
        self._shards = shards
        self._stop = stop
        n_started = min(workers, max(len(shards), 1))
        self._share = workers // n_started
        self._reports, self._reporter = _spawn.Pipe(duplex=False)
        self._waiting = deque(range(len(shards)))
        self._deaths: Counter[int] = Counter()
        self._idle = [self._spawn_worker() for _ in range(n_started)]
        self._running: dict[Future[None], tuple[int, ProcessPoolExecutor]] = {}

    def work(self) -> Iterator[Event[S]]:
        while self._running or (self._waiting and not self._stop.value):
            while self._waiting and self._idle and not self._stop.value:
                self._begin(self._waiting.popleft(), self._idle.pop())
            done, _ = wait(self._running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            yield from self._progress()
            for future in done:
                number, pool = self._running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    self._replace_dead_worker(number, pool)
                else:
                    self._idle.append(pool)
                    future.result()
                    yield ShardDone(self._shards[number])

    def shutdown(self) -> None:
        """End all workers; those at work after an error or an abandoned run finish their rows in flight."""
        self._stop.value = True
        while self._running:
            done, _ = wait(self._running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for _ in self._progress():
                pass  # nobody listens any more, but a full pipe would hold the workers up
            self._idle.extend(self._running.pop(future)[1] for future in done)
        for pool in self._idle:
            pool.shutdown(wait=True)
        self._reports.close()
        self._reporter.close()

    def _spawn_worker(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1, mp_context=_spawn, initializer=_enter, initargs=(self._reporter, self._stop, self._share)
        )

    def _begin(self, number: int, pool: ProcessPoolExecutor) -> None:
        try:
            future = pool.submit(_call, self._task, self._shards[number])
        except BrokenProcessPool:  # its process died while it had nothing to do
            pool.shutdown(wait=True)
            pool = self._spawn_worker()
            future = pool.submit(_call, self._task, self._shards[number])
        self._running[future] = number, pool

    def _replace_dead_worker(self, number: int, pool: ProcessPoolExecutor) -> None:
        """Replace a worker that died on a shard and put the shard back.

        Raises:
            WorkerError: it was the last death allowed on that shard.
        """
        pool.shutdown(wait=True)
        self._deaths[number] += 1
        if self._deaths[number] >= MAX_DEATHS and not self._stop.value:
            raise died_again_and_again(number)
        self._waiting.appendleft(number)
        self._idle.append(self._spawn_worker())

    def _progress(self) -> Iterator[Progress]:
        while self._reports.poll():
            yield Progress(self._reports.recv())


def _enter(reports: Connection, stop: ctypes.c_bool, share: int) -> None:
    global _context  # noqa: PLW0603 - the one value a pool's initializer can hand to its tasks
    die_with_parent()
    relax_gc()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent passes the word on through `stop`
    _context = _WorkerContext(reports, stop, share)


def _call(task: Task[Any], shard: Any) -> None:  # noqa: ANN401 - the engine does not know what a shard is
    if _context is None:
        raise RuntimeError("a task ran outside a worker")
    task(shard, _context)
