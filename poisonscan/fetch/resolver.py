"""Names to addresses: asynchronous, cached in both directions, and through the guard."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import aiodns
import pycares

from poisonscan.errors import SettingsError
from poisonscan.fetch.failures import WebError
from poisonscan.fetch.guard import Permit, permit
from poisonscan.records import Outcome

if TYPE_CHECKING:
    from poisonscan.fetch.stalls import Stalls
    from poisonscan.fetch.url import Target

TRY_S = 2.0
TRIES = 2
"""A silent name server is asked twice, after 2 s again: within the default deadline of 20 s a URL."""
RECONTACT_S = (0.05, 0.2, 1.0)
"""Pauses before a name server that could not be reached is asked again: long enough for one that restarts."""
LIFETIME_S = 600.0
"""How long an answer is believed; long enough to cost one lookup a shard, short enough for a moved CDN."""
FAILURE_LIFETIME_S = 60.0
"""How long a name server's failure is believed: a hiccup must not condemn a domain for the whole run."""
CACHE_NAMES = 65_536

_NOT_FOUND = frozenset(
    {pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA, pycares.errno.ARES_EBADNAME}
)
# A search list would turn a dead "example.com" into "example.com.our-own-network".
_FLAGS = pycares.ARES_FLAG_NOSEARCH | pycares.ARES_FLAG_NOALIASES
_HIGHEST_PORT = 65_535


class Permitting(Protocol):
    """Settings that say which addresses may be connected to."""

    @property
    def allow_private(self) -> bool: ...  # noqa: D102 - described where it is set
    @property
    def allow_addresses(self) -> str: ...  # noqa: D102 - described where it is set


class Endpoint(NamedTuple):
    """An IP address, without brackets, and a port."""

    address: str
    port: int


class ResolveError(WebError):
    """A name that leads nowhere; `outcome` says in which way."""

    outcome: ClassVar[Outcome] = Outcome.DNS_FAILURE


class NameNotFoundError(ResolveError):
    """The name does not exist, or has no address."""

    outcome: ClassVar[Outcome] = Outcome.DNS_NOT_FOUND


class NameServerError(ResolveError):
    """The name server failed or refused."""


class NameServerTimeoutError(ResolveError):
    """The name server did not answer."""


class PrivateAddressError(ResolveError):
    """Every address there is, is one the guard refuses."""

    outcome: ClassVar[Outcome] = Outcome.PRIVATE_ADDRESS


@dataclass(frozen=True, slots=True)
class Egress:
    """Where connections may go.

    Attributes:
        permit: which addresses may be connected to.
        only: the one address that is allowed (the setting `connect_to`), or None.
    """

    permit: Permit = field(default_factory=Permit)
    only: Endpoint | None = None

    def rejection_reason(self, address: str, port: int) -> str | None:
        """Why a connection may not go there, in words; None when it may."""
        if self.only is not None:
            return None if (address, port) == self.only else f"{address} is not the address of connect_to"
        return self.permit.why_refused(address)


def permit_of(settings: Permitting) -> Permit:
    """The permit that settings give.

    Raises:
        SettingsError: `allow_addresses` names no address.
    """
    try:
        return permit(settings.allow_private, settings.allow_addresses)
    except ValueError as error:
        raise SettingsError(f"setting allow_addresses: {error}") from error


def endpoint(setting: str, text: str) -> Endpoint:
    """Read HOST:PORT from a setting; a host name is looked up once, in the system's way.

    Raises:
        SettingsError: the text has another form, or the host has no address.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdecimal() and 0 < int(port[:6]) <= _HIGHEST_PORT):
        raise SettingsError(f"setting {setting} is {text!r}, but must be HOST:PORT, such as 127.0.0.1:8080")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"setting {setting} is {text!r}, but its host has no address: {error}") from error
    # As sockets report it: the canonical form, so that `Egress` can compare text.
    return Endpoint(str(ipaddress.ip_address(found[0][4][0])), int(port))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is known of a name until a moment on the loop's clock: addresses, or the error to raise."""

    until: float
    addresses: tuple[str, ...] = ()
    error: type[ResolveError] | None = None
    reason: str = ""


class Resolver:
    """Names to addresses over aiodns, to be made inside a running loop.

    Names are taken as they are, without search lists. Answers, good and bad, are kept; lookups of one
    name at the same time are one lookup.

    Args:
        egress: where connections may go; addresses it is closed to are dropped. With `egress.only` every
            name leads there, and DNS is never asked.
        nameserver: whom to ask; None for the system's name servers and /etc/hosts.
        stalls: of the loop, if it is watched; a lookup that a stall let run out of time is made again.
    """

    def __init__(
        self, egress: Egress, nameserver: Endpoint | None = None, stalls: Stalls | None = None
    ) -> None:
        self._egress = egress
        self._stalls = stalls
        self._loop = asyncio.get_running_loop()
        self._answers: dict[str, _Answer] = {}
        self._asking: dict[str, asyncio.Task[_Answer]] = {}
        self._dns = None if egress.only else _channel(nameserver)

    async def endpoints(self, host: str, port: int) -> list[Endpoint]:
        """Where to connect to for a host, in the name server's order.

        Raises:
            ResolveError: there is no address that may be used; a subclass says why.
        """
        if self._egress.only is not None:
            return [self._egress.only]
        answer = self._known(host) or await self._ask_once(host)
        if answer.error is not None:
            raise answer.error(answer.reason)
        return [Endpoint(address, port) for address in answer.addresses]

    def is_known(self, target: Target) -> bool:
        """Whether it is known where a target leads, without asking."""
        return (
            self._egress.only is not None
            or target.literal is not None
            or self._known(target.host) is not None
        )

    async def ask_about(self, target: Target, patience_s: float | None = None) -> bool:
        """Ask where a target leads, in vain or not, for so long; whether that has an answer then."""
        done, _ = await asyncio.wait([self._inquiry(target.host)], timeout=patience_s)
        return bool(done)

    def _known(self, host: str) -> _Answer | None:
        answer = self._answers.get(host)
        return answer if answer is not None and answer.until >= self._loop.time() else None

    async def close(self) -> None:
        """Stop asking."""
        for task in self._asking.values():
            task.cancel()
        if self._dns is not None:
            await self._dns.close()

    async def _ask_once(self, host: str) -> _Answer:
        # Shielded: the deadline of one URL must not take the answer from the others of its host.
        return await asyncio.shield(self._inquiry(host))

    def _inquiry(self, host: str) -> asyncio.Task[_Answer]:
        task = self._asking.get(host)
        if task is None:
            task = self._asking[host] = self._loop.create_task(self._ask(host))
            task.add_done_callback(lambda _: self._asking.pop(host))
        return task

    async def _ask(self, host: str) -> _Answer:
        answer = await self._look_up(host)
        self._answers.pop(host, None)
        while len(self._answers) >= CACHE_NAMES:
            del self._answers[next(iter(self._answers))]  # the one asked longest ago
        self._answers[host] = answer
        return answer

    async def _getaddrinfo(self, host: str) -> pycares.AddrInfoResult:
        """Ask the name server; again after pauses while it cannot be reached.

        On a busy machine c-ares says that, too, of a server which answers a moment later.
        """
        assert self._dns is not None  # noqa: S101 - `resolve` asks nobody when there is a single way out
        pauses = iter(RECONTACT_S)
        while True:
            stood = self._stood_s()
            try:
                return await self._dns.getaddrinfo(host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
            except aiodns.error.DNSError as error:
                code = error.args[0]
                if code == pycares.errno.ARES_ETIMEOUT and self._stood_s() - stood > TRY_S / 2:
                    continue  # the answers were there, and we were not
                pause = next(pauses, None)
                if code != pycares.errno.ARES_ECONNREFUSED or pause is None:
                    raise
            await asyncio.sleep(pause)

    def _stood_s(self) -> float:
        return self._stalls.total() if self._stalls is not None else 0.0

    async def _look_up(self, host: str) -> _Answer:
        try:
            found = await self._getaddrinfo(host)
        except aiodns.error.DNSError as error:
            return self._failed(host, error)
        addresses = [node.addr[0].decode("ascii") for node in found.nodes]
        return self._guarded(host, list(dict.fromkeys(addresses)))

    def _guarded(self, host: str, addresses: list[str]) -> _Answer:
        until = self._loop.time() + LIFETIME_S
        refusals = {address: self._egress.rejection_reason(address, 0) for address in addresses}
        allowed = tuple(address for address, reason in refusals.items() if reason is None)
        if allowed:
            return _Answer(until, allowed)
        reasons = ", ".join(reason for reason in refusals.values() if reason)
        return _Answer(until, error=PrivateAddressError, reason=f"{host} leads nowhere else: {reasons}")

    def _failed(self, host: str, error: aiodns.error.DNSError) -> _Answer:
        code, words = error.args[0], error.args[1]
        now = self._loop.time()
        if code in _NOT_FOUND:
            return _Answer(
                now + LIFETIME_S, error=NameNotFoundError, reason=f"no address for {host}: {words}"
            )
        kind = NameServerTimeoutError if code == pycares.errno.ARES_ETIMEOUT else NameServerError
        return _Answer(now + FAILURE_LIFETIME_S, error=kind, reason=f"lookup of {host} failed: {words}")


def _channel(nameserver: Endpoint | None) -> aiodns.DNSResolver:
    if nameserver is None:
        return aiodns.DNSResolver(timeout=TRY_S, tries=TRIES, flags=_FLAGS)
    address, port = nameserver
    server = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    # "b": DNS alone; whoever names a server wants its answers and not this machine's /etc/hosts.
    return aiodns.DNSResolver([server], timeout=TRY_S, tries=TRIES, flags=_FLAGS, lookups="b")
