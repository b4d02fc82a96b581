"""The way to a server: past the last check of its address, through a proxy if there is one, with TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

from aiohappyeyeballs import start_connection

from poisonscan.fetch.connection import Connection
from poisonscan.fetch.failures import ConnectError, WebError
from poisonscan.fetch.resolver import Endpoint, PrivateAddressError
from poisonscan.fetch.stalls import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohappyeyeballs import AddrInfoType

    from poisonscan.config import FetchSettings
    from poisonscan.fetch.resolver import Egress, Resolver
    from poisonscan.fetch.stalls import Stalls
    from poisonscan.fetch.url import Target

HEAD_START_S = 0.25
"""How long a host's first address has before its next is tried too (RFC 8305, section 8)."""

_OK = 200


class Dialer:
    """Opens connections, to be made inside a running loop.

    Args:
        settings: time limits, TLS and proxy.
        egress: asked right before every connection; the check that counts.
        resolver: turns names into addresses.
        stalls: of the loop, which deadlines do not count.
    """

    def __init__(self, settings: FetchSettings, egress: Egress, resolver: Resolver, stalls: Stalls) -> None:
        self._settings = settings
        self._egress = egress
        self._resolver = resolver
        self._stalls = stalls
        self._tls = tls_context(insecure=settings.insecure)

    async def open(self, target: Target) -> Connection:
        """A new connection over which this target can be asked for.

        Raises:
            OSError: there is none; a `WebError` or one of TLS.
        """
        tunnel = self._settings.proxy is not None and target.tls
        tls = self._tls if target.tls and not tunnel else None
        ways = await self._ways(target)
        try:
            async with Deadline(self._settings.connect_timeout_s, self._stalls):
                connection = await self._connect(ways, tls, target.server_name if tls else None)
                return await self._behind(connection, target) if tunnel else connection
        except (WebError, ssl.SSLError):
            raise
        except TimeoutError as error:
            words = error.args or (f"not within {self._settings.connect_timeout_s:g} s",)
            raise ConnectError(*words) from error
        except OSError as error:
            raise ConnectError(*error.args) from error

    async def _ways(self, target: Target) -> Sequence[Endpoint]:
        if self._egress.only is not None:
            return [self._egress.only]
        if target.literal is not None:
            return [Endpoint(target.literal, target.port)]
        return await self._resolver.endpoints(target.host, target.port)

    async def _connect(
        self, ways: Sequence[Endpoint], tls: ssl.SSLContext | None, server_name: str | None
    ) -> Connection:
        for way in ways:
            reason = self._egress.rejection_reason(*way)
            if reason is not None:
                raise PrivateAddressError(reason)
        loop = asyncio.get_running_loop()
        if len(ways) == 1:  # the event loop's own way is the faster one
            address, port = ways[0]
            _, connection = await loop.create_connection(
                self._connection, address, port, ssl=tls, server_hostname=server_name
            )
        else:
            infos = [_info(way) for way in ways]
            sock = await start_connection(infos, happy_eyeballs_delay=HEAD_START_S, interleave=1)
            _, connection = await loop.create_connection(
                self._connection, sock=sock, ssl=tls, server_hostname=server_name
            )
        return connection

    async def _behind(self, proxy: Connection, target: Target) -> Connection:
        """The connection to a server behind a proxy's tunnel (RFC 9110, section 9.3.6), with TLS."""
        try:
            return await self._tunnel(proxy, target)
        except BaseException:  # also when the deadline ends it: nothing else holds the connection by then
            proxy.close()
            raise

    async def _tunnel(self, proxy: Connection, target: Target) -> Connection:
        way = f"{target.host}:{target.port}"
        answer = await proxy.ask(f"CONNECT {way} HTTP/1.1\r\nHost: {way}\r\n\r\n".encode("ascii"))
        if answer.status != _OK:
            raise ConnectError(f"the proxy answers HTTP {answer.status}")
        behind = self._connection()
        transport = await asyncio.get_running_loop().start_tls(
            proxy.transport, behind, self._tls, server_hostname=target.server_name
        )
        if transport is None:
            raise ConnectError("the proxy closed the tunnel")
        behind.connection_made(transport)
        return behind

    def _connection(self) -> Connection:
        return Connection(self._settings.max_bytes)


def tls_context(*, insecure: bool) -> ssl.SSLContext:
    """TLS as the system trusts it, or trusting everybody."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _info(way: Endpoint) -> AddrInfoType:
    address, port = way
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
