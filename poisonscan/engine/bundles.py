"""Questions to a sandboxed function, handed over several at a time.

Passing one call to another process and its answer back costs half as much as decoding a small picture, and
numpy takes many small arrays for hardly more than one. Questions that come while the sandbox is busy
therefore travel together, to a function that answers many. One that crashes the worker, hangs or raises
spoils its bundle; each question of it is then asked once more, alone, so every answer is the one that the
question would have had by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from poisonscan.engine.sandbox import IN_FLIGHT, Crash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poisonscan.engine.sandbox import Sandbox

Q = TypeVar("Q")
A = TypeVar("A")

MOST_QUESTIONS = 16
"""Questions a bundle: 8 to 32 measure alike, and few are asked again when one of them fails."""
MOST_BYTES = 4 << 20
"""Bytes of questions a bundle, where their size is known: each is copied twice on its way."""


@dataclass(frozen=True, slots=True)
class _Asked(Generic[Q, A]):
    """A question and where its answer goes."""

    question: Q
    answer: asyncio.Future[A | Crash] = field(compare=False)


class Bundles(Generic[Q, A]):
    """Bundles the questions to a function in a sandbox. Belongs to one event loop.

    Args:
        sandbox: makes the calls.
        function: at module level and pure, since a question may come twice; as many answers as questions.
        workers: how many the sandbox has.
        size_of: bytes that a question takes; no bundle of several takes more than `MOST_BYTES`.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        function: Callable[[Sequence[Q]], Sequence[A]],
        workers: int = 1,
        size_of: Callable[[Q], int] = lambda _: 0,
    ) -> None:
        self._sandbox = sandbox
        self._function = function
        self._most = workers * IN_FLIGHT
        self._size_of = size_of
        self._waiting: deque[_Asked[Q, A]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> A | Crash:
        """The answer; a `Crash` says why there is none."""
        answer: asyncio.Future[A | Crash] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(question, answer))
        self._hand_over()
        return await answer

    def _hand_over(self) -> None:
        while self._waiting and len(self._running) < self._most:
            bundle = self._bundle()
            task = asyncio.create_task(self._run([asked for asked in bundle if not asked.answer.done()]))
            self._running.add(task)
            task.add_done_callback(partial(self._ended, bundle))

    def _bundle(self) -> list[_Asked[Q, A]]:
        bundle = [self._waiting.popleft()]
        size = self._size_of(bundle[0].question)
        while self._waiting and len(bundle) < MOST_QUESTIONS:
            size += self._size_of(self._waiting[0].question)
            if size > MOST_BYTES:
                break
            bundle.append(self._waiting.popleft())
        return bundle

    async def _run(self, bundle: Sequence[_Asked[Q, A]]) -> None:
        answers = await self._call(bundle)
        if not isinstance(answers, Crash):
            for asked, answer in zip(bundle, answers, strict=True):
                _settle(asked, answer)
            return
        for asked in bundle:
            alone = answers if len(bundle) == 1 else await self._call([asked])
            _settle(asked, alone if isinstance(alone, Crash) else alone[0])

    async def _call(self, bundle: Sequence[_Asked[Q, A]]) -> Sequence[A] | Crash:
        return await self._sandbox.call(self._function, [asked.question for asked in bundle])

    def _ended(self, bundle: Sequence[_Asked[Q, A]], task: asyncio.Task[None]) -> None:
        """Make room for the next bundle; an error of the sandbox itself is everybody's."""
        self._running.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        for asked in bundle:
            if error is not None and not asked.answer.done():
                asked.answer.set_exception(error)
        self._hand_over()


def _settle(asked: _Asked[Q, A], answer: A | Crash) -> None:
    if not asked.answer.done():  # whoever asked may have been cancelled
        asked.answer.set_result(answer)
