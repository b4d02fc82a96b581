"""The face of this package: `Fetcher`, one pool of connections and one resolver a process.

Addresses are checked three times, since each check alone can be walked around: literals in the URL and
in every redirect (`policy.admit`), names when they are resolved (`resolver`), and the address right before
it is connected to (`dial`), which is the last door and the one that counts.
"""

from __future__ import annotations

import asyncio
import resource
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, Self

from poisonscan.errors import SettingsError
from poisonscan.fetch import policy
from poisonscan.fetch.dial import Dialer
from poisonscan.fetch.policy import Failure, Target
from poisonscan.fetch.pool import Pool
from poisonscan.fetch.pursuit import Pursuit
from poisonscan.fetch.resolver import Door, Endpoint, Resolver, endpoint
from poisonscan.fetch.schedule import Schedule
from poisonscan.records import FetchResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from types import TracebackType

    from poisonscan.config import FetchSettings

NAP_S = 1.0
"""Longest sleep between two looks at `stopping`."""


def never() -> bool:
    """The answer of somebody who does not wish to stop."""
    return False


class Fetcher:
    """Asks the web for pictures: one pool of connections and one resolver, to be made once a process.

    An async context manager. Entering it raises the process's soft limit of open files to the hard one,
    as the Go runtime does, since thousands of hosts mean thousands of sockets.

    Args:
        settings: limits and permissions.

    Raises:
        SettingsError: `connect_to`, `proxy`, `nameserver` or `user_agent` cannot be used.
    """

    def __init__(self, settings: FetchSettings) -> None:
        if not settings.user_agent.isprintable():
            raise SettingsError(
                f"setting user_agent is {settings.user_agent!r}, but must be one printable line"
            )
        self._settings = settings
        only = _way_out(settings)
        self._door = Door(settings.allow_private, only)
        self._nameserver = endpoint("nameserver", settings.nameserver) if settings.nameserver else None
        self._rng = Random()  # noqa: S311 - jitter, no secret
        self._pool: Pool
        self._resolver: Resolver

    async def __aenter__(self) -> Self:
        """Open the resolver and the pool."""
        _raise_file_limit()
        self._resolver = Resolver(self._door, self._nameserver)
        self._pool = Pool(self._settings, Dialer(self._settings, self._door, self._resolver))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections and the resolver."""
        self._pool.close()
        await self._resolver.close()

    async def fetch(self, url: str) -> FetchResult:
        """Ask for one URL; what the web does is in the result and never raised.

        Raises:
            IncompleteError: this machine has no file descriptors or memory left.
        """
        target = self._admit(url)
        if isinstance(target, Failure):
            return _refused(url, target)
        return await self._pursue(url, target, last=False)

    async def fetch_all(
        self,
        urls: Iterable[str],
        handle: Callable[[FetchResult], Awaitable[None]],
        stopping: Callable[[], bool] = never,
    ) -> None:
        """Ask for many URLs, in any order, each once; duplicates are asked for again.

        Hosts take turns; `concurrency`, `per_host` and `per_host_rate` hold within one call, by the host
        written in the URL. Redirects and retries run within their URL's turn.

        Args:
            urls: read at once; meant for some ten thousand at a time.
            handle: awaited with each result inside the turn, so that a body is held until it is dealt
                with and a slow handler slows down the fetching.
            stopping: looked at before each new URL; once true, only those in flight are finished.

        Raises:
            IncompleteError: this machine has no file descriptors or memory left.
            Exception: whatever `handle` raises; the URLs in flight are cancelled.
        """
        settings = self._settings
        schedule: Schedule[tuple[str, Target]] = Schedule(settings.per_host, settings.per_host_rate)
        refused: list[FetchResult] = []
        for url in urls:
            target = self._admit(url)
            if isinstance(target, Failure):
                refused.append(_refused(url, target))
            else:
                schedule.add(target.host, (url, target))
        n_workers = min(settings.concurrency, len(schedule))
        workers = [self._work(schedule, handle, stopping) for _ in range(n_workers)]
        await together([_hand_over(refused, handle, stopping), *workers])

    async def _work(
        self,
        schedule: Schedule[tuple[str, Target]],
        handle: Callable[[FetchResult], Awaitable[None]],
        stopping: Callable[[], bool],
    ) -> None:
        """Take turns until nothing is left that this worker could ever begin.

        A release frees at most one turn, and the worker that released takes it itself; so a worker that
        finds every host full may go home, and none has to wait for another.
        """
        clock = asyncio.get_running_loop().time
        while not stopping():
            turn = schedule.take(clock())
            if turn is None:
                ready_at = schedule.ready_at()
                if ready_at is None:
                    return
                await asyncio.sleep(min(ready_at - clock(), NAP_S))
                continue
            url, target = turn.item
            await handle(await self._pursue(url, target, last=not turn.more))
            schedule.release(turn.host)

    def _admit(self, url: str) -> Target | Failure:
        return policy.admit(url, allow_private=self._settings.allow_private)

    async def _pursue(self, url: str, target: Target, *, last: bool) -> FetchResult:
        return await Pursuit(self._pool, self._settings, self._rng, last=last).run(url, target)


def _way_out(settings: FetchSettings) -> Endpoint | None:
    """The one address to connect to, when there is only one: a proxy's or that of `connect_to`."""
    if settings.proxy is not None:
        if settings.connect_to is not None:
            raise SettingsError("settings proxy and connect_to both say where to connect; give one of them")
        if "@" in settings.proxy:  # not repeated: terminals and logs keep what they are shown
            raise SettingsError("setting proxy holds a user name or password; only proxies without are asked")
        if not settings.proxy.startswith("http://"):
            raise SettingsError(f"setting proxy is {settings.proxy!r}, but must be http://HOST:PORT")
        return endpoint("proxy", settings.proxy.removeprefix("http://").rstrip("/"))
    return endpoint("connect_to", settings.connect_to) if settings.connect_to else None


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _refused(url: str, failure: Failure) -> FetchResult:
    return FetchResult(url, failure.outcome, failure.reason, datetime.now(UTC))


async def _hand_over(
    results: Iterable[FetchResult],
    handle: Callable[[FetchResult], Awaitable[None]],
    stopping: Callable[[], bool],
) -> None:
    for result in results:
        if stopping():
            return
        await handle(result)


async def together(jobs: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all; at the first error cancel the rest and raise it bare, as one awaited call would.

    Raises:
        Exception: whatever a job raises.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
