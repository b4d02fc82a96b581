"""A web of any number of hosts behind one loopback port, plain and TLS, answering from a function."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trustme
from aiohttp import web

from poisonscan.redteam.loopback import LOOPBACK, LoopbackServer, asked_for, response_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from poisonscan.redteam.answers import Answer

_TLS_RECORD = b"\x16"
_BACKLOG = 4_096


class LoopbackWeb(LoopbackServer):
    """Serves whatever a function answers, on one port of 127.0.0.1, by a thread with its own event loop.

    Clients reach it with `connect_to`. A connection whose first byte opens a TLS handshake is served over
    TLS with a certificate of its own making, so clients must accept invalid ones (`insecure`).

    Args:
        answer: what to say to a URL without its scheme, "host/path?query"; None closes the connection.
            Called in the serving thread, so it must be quick.
    """

    def __init__(self, answer: Callable[[str], Answer | None]) -> None:
        super().__init__()
        self._answer = answer

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[int]:
        server = web.Server(self._respond)
        with socket.create_server((LOOPBACK, 0), backlog=_BACKLOG) as listener:
            listener.settimeout(0)
            accepting = asyncio.create_task(self._accept(listener, server))
            try:
                yield listener.getsockname()[1]
            finally:
                accepting.cancel()
                await server.shutdown(0.5)

    async def _accept(self, listener: socket.socket, server: web.Server) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("benchmark.invalid").configure_cert(context)
        async with asyncio.TaskGroup() as group:
            while True:
                connection, _ = await self._loop.sock_accept(listener)
                group.create_task(self._greet(connection, server, context))

    async def _greet(self, connection: socket.socket, server: web.Server, context: ssl.SSLContext) -> None:
        try:
            first = await self._first_byte(connection)
            tls = context if first == _TLS_RECORD else None
            await self._loop.connect_accepted_socket(server, connection, ssl=tls)
        except OSError:
            connection.close()  # the client has left

    async def _first_byte(self, connection: socket.socket) -> bytes:
        """The first byte that the client sends, left where it is."""
        readable = asyncio.Event()
        self._loop.add_reader(connection, readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(connection)
        return connection.recv(1, socket.MSG_PEEK)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        return response_to(request, self._answer(asked_for(request)))
