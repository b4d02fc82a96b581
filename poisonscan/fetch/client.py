"""The face of this package: `Fetcher`, one pool of connections and one resolver a process.

Addresses are checked three times, since each check alone can be walked around: literals in the URL and
in every redirect (`policy.admit`), names when they are resolved (`resolver`), and the address right before
it is connected to (`dial`), which is the check that counts.
"""

from __future__ import annotations

import resource
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Self

from poisonscan.errors import SettingsError
from poisonscan.fetch import policy
from poisonscan.fetch.crew import Crew, Job, together
from poisonscan.fetch.dial import Dialer
from poisonscan.fetch.policy import Failure
from poisonscan.fetch.pool import Pool
from poisonscan.fetch.pursuit import Pursuit
from poisonscan.fetch.resolver import Egress, Endpoint, Resolver, endpoint, permit_of
from poisonscan.fetch.schedule import Schedule
from poisonscan.records import FetchResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType

    from poisonscan.config import FetchSettings
    from poisonscan.fetch.schedule import Turn
    from poisonscan.fetch.url import Target


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
        SettingsError: `connect_to`, `proxy`, `nameserver`, `allow_addresses` or `user_agent` cannot be used.
    """

    def __init__(self, settings: FetchSettings) -> None:
        if not settings.user_agent.isprintable():
            raise SettingsError(
                f"setting user_agent is {settings.user_agent!r}, but must be one printable line"
            )
        self._settings = settings
        only = _way_out(settings)
        self._egress = Egress(permit_of(settings), only)
        self._nameserver = endpoint("nameserver", settings.nameserver) if settings.nameserver else None
        self._rng = Random()  # noqa: S311 - jitter, no secret
        self._pool: Pool
        self._resolver: Resolver

    async def __aenter__(self) -> Self:
        """Open the resolver and the pool."""
        _raise_file_limit()
        self._resolver = Resolver(self._egress, self._nameserver)
        self._pool = Pool(self._settings, Dialer(self._settings, self._egress, self._resolver))
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
        return await self._pursuit(last=False).run(url, target)

    async def fetch_all(
        self,
        urls: Iterable[str],
        handle: Callable[[FetchResult], Awaitable[None]],
        stopping: Callable[[], bool] = never,
    ) -> None:
        """Ask for many URLs, in any order, each once; duplicates are asked for again.

        Hosts take turns; `concurrency`, `per_host` and `per_host_rate` hold within one call, by the host
        written in the URL. Redirects and retries run within their URL's turn; a name that takes long is
        looked up before it.

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
        schedule: Schedule[Job] = Schedule(settings.per_host, settings.per_host_rate)
        refused: list[FetchResult] = []
        for url in urls:
            target = self._admit(url)
            if isinstance(target, Failure):
                refused.append(_refused(url, target))
            else:
                schedule.add(target.host, Job(url, target))
        crew = Crew(schedule, self._resolver, self._pursue, handle, stopping)
        await together([_hand_over(refused, handle, stopping), crew.work(settings.concurrency)])

    def _admit(self, url: str) -> Target | Failure:
        return policy.admit(url, self._settings)

    async def _pursue(self, turn: Turn[Job]) -> FetchResult:
        return await self._pursuit(last=not turn.more).run(turn.item.url, turn.item.target)

    def _pursuit(self, *, last: bool) -> Pursuit:
        return Pursuit(self._pool, self._settings, self._rng, last=last)


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
