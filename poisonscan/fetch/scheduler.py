"""Many URLs at once: hosts take turns, and a turn whose name takes long to look up goes to another URL."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable

    from poisonscan.fetch.job import FetchJob
    from poisonscan.fetch.resolver import Resolver
    from poisonscan.fetch.schedule import Schedule, Turn
    from poisonscan.fetch.url import Target
    from poisonscan.records import FetchResult

NAP_S = 1.0
"""Longest sleep between two looks at `stopping`."""
PATIENCE_S = 0.25
"""How long a name may be looked up before its turn goes to another URL; most are known sooner."""
MOST_AWAITED = 1_024
"""URLs whose names are awaited without a turn; any more keep theirs while they wait."""


class QueuedUrl(NamedTuple):
    """A URL that is to be asked for.

    Attributes:
        url: as it is written in the list.
        target: where the next request goes.
        awaited: whether its name has been waited for without a turn.
        job_so_far: what was done about it before; None at first.
    """

    url: str
    target: Target
    awaited: bool = False
    job_so_far: FetchJob | None = None


class Scheduler:
    """Runs tasks that take turns until nothing is left.

    A silent name server takes seconds to give up on. So that a thousand such names do not hold up all
    others, a URL whose name is not known soon goes back to the queue, and comes up again when it is. A
    redirect to another host goes back to the queue as well, for a turn at that host.

    Args:
        schedule: whose turn it is.
        resolver: looks up names.
        begin: makes the job_so_far of one URL.
        handle: awaited with each result inside the turn.
        stopping: looked at before each new turn.
    """

    def __init__(
        self,
        schedule: Schedule[QueuedUrl],
        resolver: Resolver,
        begin: Callable[[QueuedUrl], FetchJob],
        handle: Callable[[FetchResult], Awaitable[None]],
        stopping: Callable[[], bool],
    ) -> None:
        self._schedule = schedule
        self._resolver = resolver
        self._begin = begin
        self._handle = handle
        self._stopping = stopping
        self._clock = asyncio.get_running_loop().time
        self._group: asyncio.TaskGroup
        self._vacant = 0
        self._n_awaited = 0

    async def work(self, turns: int) -> None:
        """Work with at most so many URLs in flight.

        Raises:
            Exception: whatever a job_so_far and `handle` raise; the URLs in flight are cancelled.
        """
        async with tasks() as self._group:
            self._vacant = min(turns, len(self._schedule))
            while self._vacant:
                self._start_one()

    def _start_one(self) -> None:
        if self._vacant:
            self._vacant -= 1
            self._group.create_task(self._take_turns())

    async def _take_turns(self) -> None:
        """Take turns until nothing is left that this task could ever begin.

        A release frees at most one turn, and the task that released takes it itself; so a task that finds
        every host full may end, and none has to wait for another.
        """
        while not self._stopping():
            turn = self._schedule.take(self._clock())
            if turn is not None:
                await self._take(turn)
                continue
            ready_at = self._schedule.ready_at()
            if ready_at is None:
                break
            await asyncio.sleep(min(ready_at - self._clock(), NAP_S))
        self._vacant += 1

    async def _take(self, turn: Turn[QueuedUrl]) -> None:
        job = turn.item
        if not await self._may_go_on(job):
            self._n_awaited += 1
            self._group.create_task(self._await_name(turn))
            return
        if job.job_so_far is None and self._stopping():  # since its name was asked for
            self._schedule.release(turn.host)
            return
        job_so_far = job.job_so_far or self._begin(job)
        result = await job_so_far.advance(last=not turn.more)
        if result is None:
            self._put_back(turn, QueuedUrl(job.url, job_so_far.target, job_so_far=job_so_far))
            return
        try:
            await self._handle(result)
        finally:
            job_so_far.release()
        self._schedule.release(turn.host)

    async def _may_go_on(self, job: QueuedUrl) -> bool:
        if job.awaited or self._resolver.is_known(job.target) or self._n_awaited >= MOST_AWAITED:
            return True
        return await self._resolver.ask_about(job.target, PATIENCE_S)

    async def _await_name(self, turn: Turn[QueuedUrl]) -> None:
        """Wait for a name without a turn, then put its URL back in the queue."""
        await self._resolver.ask_about(turn.item.target)
        self._n_awaited -= 1
        self._put_back(turn, turn.item._replace(awaited=True))

    def _put_back(self, turn: Turn[QueuedUrl], job: QueuedUrl) -> None:
        """Give a turn back and queue its URL again, before those that have not begun."""
        self._schedule.release(turn.host)
        self._schedule.add(job.target.host, job, first=job.job_so_far is not None)
        self._start_one()  # two turns may be free now, and all other tasks may have ended


@asynccontextmanager
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose first error is raised bare, as one awaited call would; the rest is cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def together(jobs: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all; at the first error cancel the rest and raise it bare.

    Raises:
        Exception: whatever a job raises.
    """
    async with tasks() as group:
        for job in jobs:
            group.create_task(job)
