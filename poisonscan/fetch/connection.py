"""One connection to a server: bytes between an event loop and an `Answer`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from poisonscan.fetch.answer import Answer
from poisonscan.fetch.failures import LostError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poisonscan.fetch.budget import Hold


class Connection(asyncio.Protocol):
    """A connection that is asked one thing at a time.

    Args:
        limit: most bytes of body to keep of an answer.

    Attributes:
        transport: of the event loop.
        address: the peer's IP address, None when the system does not say.
        answer: to the request that was sent last, or will be sent first.
        idle: the timer that closes it while nobody asks, None while somebody does.
        closed: whether it can be asked no more.
        hold: what counts the bytes of the body; None where they are not counted.
    """

    __slots__ = ("_full", "_limit", "_waiter", "address", "answer", "closed", "hold", "idle", "transport")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiter: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport
        self.address: str | None = None
        self.answer = Answer(limit)
        self.idle: asyncio.TimerHandle | None = None
        self.closed = False
        self.hold: Hold | None = None
        self._full = False  # whether nothing is read until there is room

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait until the head of its answer is there, or never will be.

        Args:
            request: without a body.

        Raises:
            OSError: as `finish`.
        """
        self.transport.write(request)
        answer = self.answer
        while not (answer.has_head or answer.ended):
            await self._more()
        if answer.error is not None and not answer.has_head:
            raise answer.error
        return answer

    async def finish(self, room: Callable[[], Awaitable[None]]) -> None:
        """Wait for the rest of the answer, or until it is larger than the limit.

        Args:
            room: awaited before more is read, when `hold` is full.

        Raises:
            OSError: there will be no whole body; a `WebError`, one of TLS or one of the system.
        """
        answer = self.answer
        while not answer.ended:
            if self._full:
                await room()
                self._read_on()
            else:
                await self._more()
        if answer.error is not None:
            raise answer.error

    def rest(self, timer: asyncio.TimerHandle) -> None:
        """Do nothing until it is asked again or the timer rings, which has to close it."""
        self.hold = None
        self._read_on()
        self.idle = timer

    def wake(self) -> bool:
        """End the rest; whether it can be asked again."""
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None
        self.answer = Answer(self._limit)
        return not self.closed

    def close(self) -> None:
        """Close it; nothing more is read."""
        self.closed = True
        self.transport.abort()

    def _read_on(self) -> None:
        if self._full and not self.closed:
            self.transport.resume_reading()
        self._full = False

    def _count(self) -> None:
        """Count what came, and read no more for now where that is too much."""
        if self.hold is None or self.hold.set(self.answer.n_bytes) or self._full or self.answer.ended:
            return
        if not self.answer.has_head:
            return  # who waits for a head does not wait for room, and a head is small
        self._full = True
        self.transport.pause_reading()

    async def _more(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open, its TLS handshake done."""
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else None

    def data_received(self, data: bytes) -> None:
        """Bytes came; when nobody asked for any, the connection is of no use."""
        if self.idle is not None:
            self.close()
            return
        had_head = self.answer.has_head
        self.answer.feed(data)
        self._count()
        if self.answer.ended or self._full or not had_head:
            self._notify()
        if self.answer.ended and not self.answer.complete:
            self.close()  # broken or too large: the rest is not even read

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended."""
        self.closed = True
        self.answer.feed_eof(exc if exc is None or isinstance(exc, OSError) else LostError(str(exc)))
        self._notify()
