"""Requests and the connections they go over, which are kept alive where the settings want it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from poisonscan.fetch.failures import LostError

if TYPE_CHECKING:
    from poisonscan.config import FetchSettings
    from poisonscan.fetch.budget import Hold
    from poisonscan.fetch.connection import Connection
    from poisonscan.fetch.dial import Dialer
    from poisonscan.fetch.url import Target

IDLE_S = 5.0
"""How long an idle connection is kept; Apache's KeepAliveTimeout, and few files open over many hosts."""


class Pool:
    """Asks servers over connections of its own.

    Args:
        settings: what is sent, and whether connections are kept.
        dialer: opens connections.
    """

    def __init__(self, settings: FetchSettings, dialer: Dialer) -> None:
        self._dialer = dialer
        self._proxied = settings.proxy is not None
        self._keep_alive = settings.keep_alive
        self._resting: defaultdict[str, list[Connection]] = defaultdict(list)
        fields = f"User-Agent: {settings.user_agent}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        self._fields = fields.encode("utf-8")

    async def ask(self, target: Target, hold: Hold, *, last: bool) -> Connection:
        """Send a request for this target and wait for the head of its answer.

        A connection that was kept alive and ends without an answer is replaced without a word, as RFC 9110
        (9.2.2) allows: the server may have closed it before it saw the request.

        Args:
            target: what to ask for.
            hold: counts the bytes of the body.
            last: whether this host will not be asked again soon.

        Returns:
            The connection, to be given back.

        Raises:
            OSError: there is no answer; a `WebError`, one of TLS or one of the system.
        """
        request = self._request(target, close=last or not self._keep_alive)
        while (kept := self._take(target.origin)) is not None:
            try:
                return await _asked(kept, request, hold)
            except (LostError, ConnectionError):
                continue
        return await _asked(await self._dialer.open(target), request, hold)

    def give_back(self, target: Target, connection: Connection) -> None:
        """Keep a connection for the next who asks, or close it if its answer was not read to the end."""
        if self._keep_alive and connection.answer.reusable and not connection.closed:
            timer = asyncio.get_running_loop().call_later(IDLE_S, self._expire, target.origin, connection)
            connection.rest(timer)
            self._resting[target.origin].append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close what rests."""
        for resting in self._resting.values():
            for connection in resting:
                connection.wake()
                connection.close()
        self._resting.clear()

    def _take(self, origin: str) -> Connection | None:
        while resting := self._resting.get(origin):
            connection = resting.pop()
            if connection.wake():
                return connection
        self._resting.pop(origin, None)
        return None

    def _expire(self, origin: str, connection: Connection) -> None:
        connection.close()
        self._resting[origin].remove(connection)
        if not self._resting[origin]:
            del self._resting[origin]

    def _request(self, target: Target, *, close: bool) -> bytes:
        what = target.url if self._proxied and not target.tls else target.path
        head = f"GET {what} HTTP/1.1\r\nHost: {target.authority}\r\n".encode("ascii")
        return head + self._fields + (b"Connection: close\r\n\r\n" if close else b"\r\n")


async def _asked(connection: Connection, request: bytes, hold: Hold) -> Connection:
    connection.hold = hold
    try:
        await connection.ask(request)
    except BaseException:  # also when the deadline ends it
        connection.close()
        raise
    return connection
