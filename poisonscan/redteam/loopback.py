"""What webs on loopback share: a free port, the thread that serves it, and answers as aiohttp sends them."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from aiohttp import web

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from poisonscan.redteam.answers import Answer

LOOPBACK = "127.0.0.1"


class LoopbackServer(ABC):
    """A server on a free port of 127.0.0.1, run by a thread with an event loop of its own.

    Use it as a context manager, once.
    """

    def __init__(self) -> None:
        self._port: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name=type(self).__name__, daemon=True
        )

    def __enter__(self) -> Self:
        """Start serving; returns when the port is open."""
        self._thread.start()
        self._port.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving; returns when the port is closed."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def address(self) -> str:
        """Where it listens, as "127.0.0.1:PORT"."""
        return f"{LOOPBACK}:{self._port.result()}"

    @abstractmethod
    def _listening(self) -> AbstractAsyncContextManager[int]:
        """Listen and answer for the length of an `async with` block; gives the port."""

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self._listening() as port:
                self._port.set_result(port)
                await self._stop.wait()
        except OSError as error:
            if self._port.done():
                raise
            self._port.set_exception(error)


def asked_for(request: web.BaseRequest) -> str:
    """The URL of a request without scheme and port, "host/path?query", the host in lower case."""
    return f"{request.host.partition(':')[0].lower()}{request.raw_path}"


def response_to(request: web.BaseRequest, answer: Answer | None) -> web.Response:
    """An answer as aiohttp sends it; None breaks the connection off."""
    if answer is None:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    headers = {"Content-Type": answer.content_type, **answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)
