"""Calls that may crash, hang or eat all memory, each in a worker process that can be lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar, cast

from poisonscan.engine.worker_process import CallResult, GoneError, UnbegunError, WorkerProcess, pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from poisonscan.engine.worker_process import Call

P = ParamSpec("P")
T = TypeVar("T")

IN_FLIGHT = 2
"""Calls a worker: the one it makes and one that is there already when it is done."""
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Crash:
    """A sandboxed call that gave no answer; `reason` says how it ended, in words."""

    reason: str


class Sandbox:
    """A few worker processes under a memory limit. Belongs to one event loop.

    A worker that dies or overruns takes only its own call along; the next call starts another.

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
        self._limits = timeout_s, memory_mib << 20, preload
        self._turns = asyncio.Semaphore(workers * IN_FLIGHT)
        self._processes: list[WorkerProcess] = []
        self._closed = False

    async def __aenter__(self) -> Self:
        """Nothing to do yet: workers start with the first call."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the workers, also those in the middle of a call; nothing starts new ones."""
        self._closed = True
        for process in self._processes:
            await process.close()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Crash:
        """Run a module-level function in a worker; a `Crash` says why there is no answer."""
        try:
            call = pack(function, args, kwargs)
        except Exception as error:  # noqa: BLE001 - what pickle raises is up to the arguments
            return Crash(f"{type(error).__name__}: {error}"[:300])
        async with self._turns:
            answer = await self._answer(call)
        return Crash(answer.reason) if answer.reason else cast("T", answer.value)

    async def _answer(self, call: Call) -> CallResult:
        attempts = 0
        while attempts < _ATTEMPTS:
            if self._closed:
                return CallResult(None, "the decoders were closed before it was done")
            try:
                return await self._least_busy().call(call)
            except GoneError:
                continue
            except UnbegunError:
                attempts += 1
        return CallResult(None, "the decoder was ended from outside again and again")

    def _least_busy(self) -> WorkerProcess:
        """The worker with the least to do, a new one if all have something and there may be more."""
        self._processes = [process for process in self._processes if not process.gone]
        least = min(self._processes, key=lambda process: process.in_flight, default=None)
        if least is None or (least.in_flight and len(self._processes) < self._workers):
            least = WorkerProcess(*self._limits)
            self._processes.append(least)
        return least
