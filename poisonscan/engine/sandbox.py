"""Calls that may crash, hang or eat all memory, each in a worker process that can be lost.

`pebble` provides what the standard pool does not: a worker that dies or overruns takes only its own
task along.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import warnings
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from pebble import CONSTS, ProcessExpired, ProcessFuture, ProcessPool

from poisonscan.engine.collector import search_seldom
from poisonscan.engine.lifeline import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_ATTEMPTS = 3
_QUEUED = 1  # calls handed over while the workers are busy, so that none has to wait for its next one
_START_S = 30.0  # a worker's start on a machine under load
CONSTS.term_timeout = 0.5  # workers ignore SIGTERM: what does not leave by itself in this time is killed


@dataclass(frozen=True, slots=True)
class Crash:
    """A sandboxed call that gave no answer; `reason` says how it ended, in words."""

    reason: str


class _DisturbedError(Exception):
    """Something outside ended the worker, so the call says nothing about its arguments yet."""


class Sandbox:
    """A few worker processes under a memory limit.

    Args:
        workers: how many.
        timeout_s: longest time one call may take; the worker is killed then.
        memory_mib: address space that calls may add to what a worker starts with, MiB (RLIMIT_AS).
        preload: a function that will be called; its module is imported before the limit is set.
    """

    def __init__(
        self, workers: int, timeout_s: float, memory_mib: int, preload: Callable[..., object] | None = None
    ) -> None:
        self._workers = workers
        self._timeout_s = timeout_s
        self._limits = memory_mib << 20, preload
        self._turns = asyncio.Semaphore(workers + _QUEUED)
        self._pool = self._new_pool()
        self._in_flight: set[ProcessFuture[Any]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        """Nothing to do yet: workers start with the first call."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the workers, also those in the middle of a call; nothing starts new ones."""
        self._closed = True
        self._end_pool()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Crash:
        """Run a module-level function in a worker; a `Crash` says why there is no answer."""
        async with self._turns:
            for _ in range(_ATTEMPTS):
                # A pool made now would have nobody to end it, and this process would wait for it for ever.
                if self._closed:
                    return Crash("the decoders were closed before it was done")
                try:
                    return await self._attempt(function, *args, **kwargs)
                except _DisturbedError:
                    continue
        return Crash("the decoder was ended from outside again and again")

    async def _attempt(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Crash:
        pool = self._working_pool()
        future = pool.schedule(function, args=args, kwargs=kwargs, timeout=self._timeout_s)
        self._in_flight.add(future)
        try:
            return await self._answer(pool, asyncio.wrap_future(future))
        except BrokenExecutor as error:  # a worker died between two calls, and pebble gave up
            raise _DisturbedError from error
        except ProcessExpired as error:
            return Crash(f"the decoder died ({_exit_words(error.exitcode)})")
        except TimeoutError:
            return Crash(f"the decoder took longer than {self._timeout_s:g} s")
        except MemoryError:
            return Crash("the decoder ran out of its memory limit")
        except Exception as error:  # noqa: BLE001 - the door: what a decoder raises on hostile bytes is unbounded
            return Crash(f"{type(error).__name__}: {error}"[:300])
        finally:
            self._in_flight.discard(future)

    async def _answer(self, pool: ProcessPool, answer: asyncio.Future[T]) -> T:
        """Wait for an answer, but not for ever: pebble loses a call whose worker dies while it is read."""
        answer.add_done_callback(_hear)
        try:
            return await asyncio.wait_for(answer, self._timeout_s * (1 + _QUEUED) + _START_S)
        except TimeoutError:
            if not answer.cancelled():  # the call's own, from pebble
                raise
        if pool is self._pool and not self._closed:
            self._replace_pool()
        raise _DisturbedError

    def _working_pool(self) -> ProcessPool:
        if not self._pool.active:
            self._replace_pool()
        return self._pool

    def _replace_pool(self) -> None:
        self._end_pool()
        self._pool = self._new_pool()

    def _end_pool(self) -> None:
        """End the workers and answer the calls they had; a pebble pool that is stopped answers only some."""
        self._pool.stop()  # type: ignore[no-untyped-call]  # pebble leaves it unannotated
        self._pool.join()
        for future in self._in_flight:
            if not future.done():
                future.set_exception(BrokenExecutor("its pool was ended"))
        self._in_flight.clear()

    def _new_pool(self) -> ProcessPool:
        # One thread a worker: set here, since a worker may import numpy before `_enter` runs in it.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        return ProcessPool(
            max_workers=self._workers,
            initializer=_enter,
            initargs=self._limits,
            context=multiprocessing.get_context("spawn"),
        )


def _hear(answer: asyncio.Future[T]) -> None:
    """Take note of an answer that nobody waits for any more, or asyncio complains about its exception."""
    if not answer.cancelled():
        answer.exception()


def _enter(memory: int, _preload: Callable[..., object] | None) -> None:
    die_with_parent()
    search_seldom()
    # A terminal and a service manager signal the whole group, but the parent decides when to stop; and
    # pebble loses the call of a worker that dies while it reads one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    address_space = _address_space() + memory
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # a decoder's doubts about metadata are no failure


def _address_space() -> int:
    """What this process has mapped, bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def _exit_words(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"signal {signal.Signals(-exitcode).name}"
    return f"exit status {exitcode}"
