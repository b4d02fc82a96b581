"""WHOIS on port 43 (RFC 3912), for registries without RDAP."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from poisonscan.fetch.resolver import endpoint
from poisonscan.registry.answers import WHOIS, failed, read_whois
from poisonscan.registry.tables import whois_server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poisonscan.config import DomainSettings
    from poisonscan.domains.evidence import Registration

_PORT = 43
_MAX_BYTES = 1 << 18
_QUESTIONS = {"whois.denic.de": "-T dn,ace {}"}
"""DENIC answers with the full record only to this form of the question."""


class Servers:
    """The WHOIS servers of registries.

    Args:
        servers: host by suffix.
        settings: deadline, and the one server to ask instead.

    Raises:
        SettingsError: `whois` cannot be used.
    """

    def __init__(self, servers: Mapping[str, str], settings: DomainSettings) -> None:
        self._servers = servers
        self._settings = settings
        self._only = endpoint("whois", settings.whois) if settings.whois else None

    def server(self, domain: str) -> str | None:
        """Host of the server for a domain, None if none is known."""
        return self._only.address if self._only else whois_server(self._servers, domain)

    async def ask(self, server: str, domain: str) -> Registration:
        """Ask one question. Failures are states, never raised."""
        host, port = self._only or (server, _PORT)
        if not domain.isascii():
            return failed(WHOIS, "no name that a registry could hold")
        question = _QUESTIONS.get(server, "{}").format(domain)
        try:
            async with asyncio.timeout(self._settings.registry_timeout_s):
                return read_whois(await _exchange(host, port, question))
        except TimeoutError:
            return failed(WHOIS, f"no answer within {self._settings.registry_timeout_s:g} s")
        except OSError as error:
            return failed(WHOIS, f"{server}: {error}"[:200])


async def _exchange(host: str, port: int, question: str) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"{question}\r\n".encode("ascii"))
        await writer.drain()
        body = b""
        while len(body) < _MAX_BYTES and (more := await reader.read(_MAX_BYTES)):
            body += more
    finally:
        writer.close()
        with contextlib.suppress(OSError):  # the answer is read; how the server hangs up is of no matter
            await writer.wait_closed()
    return body.decode("utf-8", errors="replace")
