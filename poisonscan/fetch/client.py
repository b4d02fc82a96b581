"""The face of this package: `Fetcher`, one pool of connections and one resolver a process.

Addresses are checked three times, since each check alone can be walked around: literals in the URL and
in every redirect (`policy.admit`), names when they are resolved (`resolver`), and the address right before
it is connected to (`dial`), which is the check that counts.
"""

from __future__ import annotations

import resource
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, NamedTuple, Self

from poisonscan.config.model import MEBIBYTE
from poisonscan.errors import SettingsError
from poisonscan.fetch import policy
from poisonscan.fetch.budget import Budget
from poisonscan.fetch.dial import Dialer
from poisonscan.fetch.hosts import HostTurns
from poisonscan.fetch.job import FetchJob, Tools
from poisonscan.fetch.policy import Failure
from poisonscan.fetch.pool import Pool
from poisonscan.fetch.resolver import Egress, Endpoint, Resolver, endpoint, permit_of
from poisonscan.fetch.schedule import Schedule
from poisonscan.fetch.scheduler import QueuedUrl, Scheduler, together
from poisonscan.fetch.stalls import Stalls
from poisonscan.records import FetchResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from types import TracebackType

    from poisonscan.config import FetchSettings
    from poisonscan.fetch.url import Target


def never() -> bool:
    """The default of `stopping`."""
    return False


class Shared(NamedTuple):
    """What all fetchers of a process count together.

    Attributes:
        budget: the bytes of bodies in flight.
        stalls: of the loop.
        turns: of single requests at each host.
    """

    budget: Budget
    stalls: Stalls
    turns: HostTurns


class Fetcher:
    """Asks the web for pictures: one pool of connections and one resolver, to be made once a process.

    An async context manager. Entering it raises the process's soft limit of open files to the hard one,
    as the Go runtime does, since thousands of hosts mean thousands of sockets.

    Args:
        settings: limits and permissions.
        shared: of another one of this process, which is open; the two then count bytes and turns together.

    Attributes:
        shared: what it counts, once it is open.

    Raises:
        SettingsError: `connect_to`, `proxy`, `nameserver`, `allow_addresses` or `user_agent` cannot be used.
    """

    def __init__(self, settings: FetchSettings, shared: Shared | None = None) -> None:
        if not settings.user_agent.isprintable():
            raise SettingsError(
                f"setting user_agent is {settings.user_agent!r}, but must be one printable line"
            )
        self._settings = settings
        only = _way_out(settings)
        self._egress = Egress(permit_of(settings), only)
        self._nameserver = endpoint("nameserver", settings.nameserver) if settings.nameserver else None
        self._rng = Random()  # noqa: S311 - jitter, no secret
        self._given = shared
        self.shared: Shared
        self._resolver: Resolver
        self._tools: Tools

    async def __aenter__(self) -> Self:
        """Open the resolver and the pool."""
        _raise_file_limit()
        settings = self._settings
        self.shared = self._given or Shared(
            Budget(settings.body_memory_mib * MEBIBYTE),
            Stalls(),
            HostTurns(settings.per_host, settings.per_host_rate),
        )
        stalls = self.shared.stalls
        self._resolver = Resolver(self._egress, self._nameserver, stalls)
        pool = Pool(settings, Dialer(settings, self._egress, self._resolver, stalls))
        self._tools = Tools(pool, self.shared.budget, stalls, self._rng)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections and the resolver."""
        self._tools.pool.close()
        await self._resolver.close()

    async def fetch(self, url: str) -> FetchResult:
        """`fetched`, where the body is small or the caller holds few: it is not counted any more.

        Raises:
            IncompleteError: this machine has no file descriptors or memory left.
        """
        async with self.fetched(url) as result:
            return result

    @asynccontextmanager
    async def fetched(self, url: str) -> AsyncIterator[FetchResult]:
        """Ask for one URL; what the web does is in the result and never raised.

        Each of its requests, also one that a redirect leads to, takes a turn at its host among those of all
        single requests. The body counts among those in flight until the block ends; within it, none is to be
        waited for that is asked for in this way, too.

        Raises:
            IncompleteError: this machine has no file descriptors or memory left.
        """
        target = self._admit(url)
        if isinstance(target, Failure):
            yield _refused(url, target)
            return
        job_so_far = FetchJob(url, target, self._settings, self._tools, nested=True)
        async with self.shared.stalls.watched():
            result = None
            while result is None:
                async with self.shared.turns.turn(job_so_far.target.host):
                    result = await job_so_far.advance(last=False)
        try:
            yield result
        finally:
            job_so_far.release()

    async def fetch_all(
        self,
        urls: Iterable[str],
        handle: Callable[[FetchResult], Awaitable[None]],
        stopping: Callable[[], bool] = never,
    ) -> None:
        """Ask for many URLs, in any order, each once; duplicates are asked for again.

        Hosts take turns; `concurrency`, `per_host` and `per_host_rate` hold within one call, by the host that
        a request goes to, a redirect's target as well. Retries and redirects at the same host, if it is not
        paced, run within their URL's turn; a name that takes long is looked up before it.

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
        schedule: Schedule[QueuedUrl] = Schedule(settings.per_host, settings.per_host_rate)
        refused: list[FetchResult] = []
        for url in urls:
            target = self._admit(url)
            if isinstance(target, Failure):
                refused.append(_refused(url, target))
            else:
                schedule.add(target.host, QueuedUrl(url, target))
        scheduler = Scheduler(schedule, self._resolver, self._begin, handle, stopping)
        async with self.shared.stalls.watched():
            await together([_hand_over(refused, handle, stopping), scheduler.work(settings.concurrency)])

    def _admit(self, url: str) -> Target | Failure:
        return policy.admit(url, self._settings)

    def _begin(self, job: QueuedUrl) -> FetchJob:
        return FetchJob(job.url, job.target, self._settings, self._tools, nested=False)


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
