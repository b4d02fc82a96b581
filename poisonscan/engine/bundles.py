"""Sandboxed calls, handed over several at a time.

Passing one call to another process and its answer back costs half as much as decoding a small picture.
Calls that arrive while the sandbox is busy therefore travel together. One that crashes the worker, hangs
or raises spoils its bundle; each call of it is then made once more, alone, so every answer is the one
that the call would have had by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from poisonscan.engine.sandbox import IN_FLIGHT, Crash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poisonscan.engine.sandbox import Sandbox

P = ParamSpec("P")
T = TypeVar("T")

MOST_CALLS = 16
"""Calls a bundle: 8 to 32 measure alike, and few are made again when one of them fails."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A call and where its answer goes."""

    function: Callable[[], Any]
    answer: asyncio.Future[Any] = field(compare=False)


class Bundles:
    """Bundles the calls to a sandbox. Belongs to one event loop.

    Args:
        sandbox: makes the calls.
        workers: how many it has.
    """

    def __init__(self, sandbox: Sandbox, workers: int = 1) -> None:
        self._sandbox = sandbox
        self._most = workers * IN_FLIGHT
        self._waiting: deque[_Call] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Crash:
        """As `Sandbox.call`, for pure functions, since one may be called twice."""
        answer: asyncio.Future[T | Crash] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(partial(function, *args, **kwargs), answer))
        self._hand_over()
        return await answer

    def _hand_over(self) -> None:
        while self._waiting and len(self._running) < self._most:
            bundle = [self._waiting.popleft() for _ in range(min(MOST_CALLS, len(self._waiting)))]
            task = asyncio.create_task(self._run([call for call in bundle if not call.answer.done()]))
            self._running.add(task)
            task.add_done_callback(partial(self._ended, bundle))

    async def _run(self, bundle: Sequence[_Call]) -> None:
        answers = await self._sandbox.call(_call_all, [call.function for call in bundle])
        if not isinstance(answers, Crash):
            for call, answer in zip(bundle, answers, strict=True):
                _settle(call, answer)
            return
        for call in bundle:
            _settle(call, answers if len(bundle) == 1 else await self._sandbox.call(call.function))

    def _ended(self, bundle: Sequence[_Call], task: asyncio.Task[None]) -> None:
        """Make room for the next bundle; an error of the sandbox itself is everybody's."""
        self._running.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        for call in bundle:
            if error is not None and not call.answer.done():
                call.answer.set_exception(error)
        self._hand_over()


def _settle(call: _Call, answer: object) -> None:
    if not call.answer.done():  # whoever asked may have been cancelled
        call.answer.set_result(answer)


def _call_all(functions: Sequence[Callable[[], Any]]) -> list[Any]:
    return [function() for function in functions]
