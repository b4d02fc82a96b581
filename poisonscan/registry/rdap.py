"""RDAP over HTTPS (RFC 7480 to 9083): who registered a domain, when and where.

A client of our own of a hundred lines, because the kept library (whoisit 4.1) keeps its table of servers
in module state, retries by itself, keeps Retry-After to itself, cannot be pointed at one server, and would
bring two more HTTP clients (httpx, requests) into the base install.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from poisonscan.domains.evidence import Registration, RegistryState
from poisonscan.errors import SettingsError
from poisonscan.fetch.policy import retry_after_s
from poisonscan.fetch.resolver import Egress, PrivateAddressError, Resolver, endpoint, permit_of
from poisonscan.registry import whois
from poisonscan.registry.answers import RDAP, WHOIS, failed, read_denial, read_rdap
from poisonscan.registry.pace import Pace, backoff
from poisonscan.registry.tables import bootstrap, whois_servers

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp.connector import AddrInfoType

    from poisonscan.config import DomainSettings

_MAX_BYTES = 1 << 20
_MAX_REDIRECTS = 5
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Too Many Requests (RFC 7480 section 5.5) and Service Unavailable; both may carry Retry-After."""


class Registries:
    """Asks the registry of each domain, by RDAP and where it has none by WHOIS.

    Each server has its own pace. To be entered inside a running loop.

    Raises:
        SettingsError: `rdap`, `whois`, `rdap_bootstrap` or `allow_addresses` cannot be used.
    """

    def __init__(self, settings: DomainSettings) -> None:
        self._settings = settings
        self._permit = permit_of(settings)
        self._only = _base_url(settings.rdap) if settings.rdap else None
        self._servers = bootstrap(settings.rdap_bootstrap)
        self._whois = whois.Servers(whois_servers(), settings)
        self._paces: dict[str, Pace] = {}

    async def __aenter__(self) -> Self:
        """Open the session."""
        private = self._only is not None and _is_private(self._only)
        egress = Egress(replace(self._permit, private=self._permit.private or private))
        nameserver = self._settings.nameserver
        self._resolver = Resolver(egress, endpoint("nameserver", nameserver) if nameserver else None)
        self._session = _open_session(egress, self._resolver, self._settings.user_agent)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._session.close()
        await self._resolver.close()

    async def registration(self, domain: str) -> Registration:
        """What the registry of a domain says. Failures are states, never raised."""
        base = self._only or self._servers.server(domain)
        if base is not None:
            return await self._patiently(base, domain)
        server = self._whois.server(domain)
        if server is None:
            return Registration(RegistryState.UNSUPPORTED, reason="no RDAP or WHOIS server is known for it")
        return await self._patiently(server, domain)

    async def _patiently(self, server: str, domain: str) -> Registration:
        """Ask, and ask again after failures, at the server's pace."""
        pace = self._paces.setdefault(server, Pace(self._settings.registry_rate))
        attempt = 0
        while not pace.closed:
            await asyncio.sleep(pace.book(time.monotonic()) - time.monotonic())
            answer, wish = await self._once(server, domain)
            attempt += 1
            if wish is None:
                return answer
            pause = max(wish, backoff(attempt, self._settings.registry_backoff_s))
            if answer.state is RegistryState.RATE_LIMITED:
                pace.closed = pause > self._settings.registry_wait_s
                pace.pause(time.monotonic() + pause)
            elif attempt <= self._settings.registry_retries:
                await asyncio.sleep(pause)
            if pace.closed or attempt > self._settings.registry_retries:
                return answer
        words = f"{server} asked for a longer pause than registry_wait_s allows"
        return Registration(RegistryState.RATE_LIMITED, RDAP if "://" in server else WHOIS, reason=words)

    async def _once(self, server: str, domain: str) -> tuple[Registration, float | None]:
        """One answer, and the seconds to wait before asking again: None if there is no use in it."""
        if "://" not in server:
            return await self._whois.ask(server, domain), 0.0
        url = f"{server}domain/{quote(domain)}"
        deadline = aiohttp.ClientTimeout(total=self._settings.registry_timeout_s)
        try:
            async with self._session.get(url, timeout=deadline, max_redirects=_MAX_REDIRECTS) as response:
                return await _read(response, domain)
        except TimeoutError:
            return failed(RDAP, f"no answer within {self._settings.registry_timeout_s:g} s"), 0.0
        except (aiohttp.ClientError, OSError) as error:
            cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            return failed(RDAP, f"{type(cause).__name__}: {cause}"[:200]), 0.0


async def _read(response: aiohttp.ClientResponse, domain: str) -> tuple[Registration, float | None]:
    if response.status in _BUSY:
        wait = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
        words = f"HTTP {response.status}" + (f", to be asked again after {wait:g} s" if wait else "")
        return Registration(RegistryState.RATE_LIMITED, RDAP, reason=words), wait or 0.0
    if response.status == HTTPStatus.OK:
        return await _read_body(response, domain), None
    if response.status != HTTPStatus.NOT_FOUND:
        again = 0.0 if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
        return failed(RDAP, f"HTTP {response.status}"), again
    if response.content_type == "text/html":  # a web server that has never heard of RDAP
        return failed(RDAP, "HTTP 404 with a page instead of an RDAP answer; is this an RDAP server?"), None
    return await _read_denial(response), None  # RFC 7480 section 5.3


async def _body(response: aiohttp.ClientResponse) -> bytearray | None:
    """The whole body, None if it is too large."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > _MAX_BYTES:
            return None
    return body


async def _read_denial(response: aiohttp.ClientResponse) -> Registration:
    try:
        return read_denial(json.loads(await _body(response) or b"{}"))
    except (ValueError, RecursionError):  # the status denies the domain, whatever the words
        return read_denial(None)


async def _read_body(response: aiohttp.ClientResponse, domain: str) -> Registration:
    body = await _body(response)
    if body is None:
        return failed(RDAP, f"more than {_MAX_BYTES:,} bytes")
    try:
        return read_rdap(json.loads(body), domain)
    except (ValueError, RecursionError) as error:
        return failed(RDAP, f"no JSON: {error}"[:200])


class _Names(AbstractResolver):
    """Our resolver in aiohttp's form."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - a session as ours asks for any
    ) -> list[ResolveResult]:
        return [_entry(host, address, port) for address, port in await self._resolver.endpoints(host, port)]

    async def close(self) -> None:
        """Nothing to do: whoever made the resolver closes it."""


def _entry(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )


def _open_session(egress: Egress, resolver: Resolver, user_agent: str) -> aiohttp.ClientSession:
    """A session that connects only where the guard allows, also after redirects."""

    def guarded_socket(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        reason = egress.rejection_reason(str(address[0]), int(address[1]))
        if reason is not None:
            raise PrivateAddressError(reason)
        return socket.socket(family, kind, protocol)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=_Names(resolver), use_dns_cache=False, socket_factory=guarded_socket
        ),
        headers={"User-Agent": user_agent, "Accept": "application/rdap+json, application/json"},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(f"setting rdap is {text!r}, but must be a base URL such as https://rdap.example/")
    return text.rstrip("/") + "/"


def _is_private(url: str) -> bool:
    """Whether a URL that the caller chose names a private address itself, which then is allowed."""
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost"
