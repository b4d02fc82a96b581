"""What is known of a domain at one moment: closed sets and frozen values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class DnsState(StrEnum):
    """What DNS says of a name. Only `NOT_ASKED` means that nobody was asked."""

    RESOLVES = "resolves"
    PARKED = "parked"
    """It resolves, to name servers or addresses of a parking service."""
    NO_ADDRESS = "no_address"
    """The name exists and has neither A nor AAAA record."""
    NXDOMAIN = "nxdomain"
    SERVFAIL = "servfail"
    """The name server failed (or answered with nonsense), and no delegation is known."""
    LAME = "lame"
    """Delegated to servers that refuse, or fail to answer, for it (RFC 1912 section 2.8)."""
    TIMEOUT = "timeout"
    INVALID = "invalid"
    """No name that DNS could hold: an empty or overlong label, a character that is not allowed."""
    NOT_ASKED = "not_asked"


class RegistryState(StrEnum):
    """What a registry says of a domain. Only `FOUND` and `NOT_FOUND` are answers."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    UNSUPPORTED = "unsupported"
    """Neither an RDAP nor a WHOIS server is known for the top-level domain."""
    RATE_LIMITED = "rate_limited"
    FAILED = "failed"
    """No usable answer: a timeout, an error, a refusal or an answer that cannot be read."""
    NOT_SOLD = "not_sold"
    """No registry sells it: an IP address, a bare public suffix, a name below a private suffix, or one that
    the registry keeps for itself."""
    NOT_ASKED = "not_asked"


class Status(StrEnum):
    """In one word, for exposure: who could serve the domain's URLs."""

    REGISTERED = "registered"
    """A registry says so, it has not expired, and DNS, if asked, leads somewhere."""
    UNREGISTERED = "unregistered"
    """A registry says that nobody has it."""
    NXDOMAIN = "nxdomain"
    """DNS does not know it and no registry answered: most likely free, but not proven."""
    EXPIRED = "expired"
    """Past its date, or in a redemption or deletion period: about to be free."""
    PARKED = "parked"
    UNRESOLVABLE = "unresolvable"
    """DNS fails for it although it exists: errors, silence, lame delegation, no address."""
    UNKNOWN = "unknown"
    """Nothing bad is known, and no registry has vouched for it. Never to be read as fine."""


@dataclass(frozen=True, slots=True)
class DnsFacts:
    """What DNS says of one name; of a host only state and addresses are asked for.

    Attributes:
        name: lower case, ASCII.
        state: in one word.
        addresses: IPv4 and IPv6 addresses, sorted.
        nameservers: host names, sorted, without trailing dots.
        mx: mail exchangers, sorted.
        soa: primary server and mailbox of the zone, with a space between.
        parked_by: the parking service, if it is one's.
        reason: of a failure, in words.
    """

    name: str
    state: DnsState
    addresses: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()
    soa: str | None = None
    parked_by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registry says of one domain.

    Attributes:
        state: whether there is an answer, and which.
        source: "rdap" or "whois"; None if nobody was asked.
        registered_at: the latest registration that the registry tells of.
        expires_at: end of the period that is paid for.
        registrar: as named by the registry.
        statuses: in RDAP's words (RFC 8056), lower case, sorted.
        nameservers: host names as the registry has them, sorted.
        reason: of a failure, in words.
    """

    state: RegistryState
    source: str | None = None
    registered_at: datetime | None = None
    expires_at: datetime | None = None
    registrar: str | None = None
    statuses: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a domain at one moment.

    Attributes:
        domain: registrable domain.
        dns: what DNS says.
        registration: what the registry says.
        tls_issuer: organisation that issued its certificate, or why there is none to trust.
    """

    domain: str
    dns: DnsFacts
    registration: Registration = field(default_factory=lambda: Registration(RegistryState.NOT_ASKED))
    tls_issuer: str | None = None

    @property
    def nameservers(self) -> tuple[str, ...]:
        """As DNS has them, else as the registry has them."""
        return self.dns.nameservers or self.registration.nameservers


EXPIRING = frozenset({"redemption period", "pending delete", "pending restore"})
"""RDAP statuses of a domain that its owner did not renew (RFC 3915 through RFC 8056). `auto renew period`
is none: every domain passes through it in the weeks after its date."""

_DEAD = frozenset(
    {DnsState.SERVFAIL, DnsState.LAME, DnsState.TIMEOUT, DnsState.NO_ADDRESS, DnsState.NXDOMAIN}
)


def status_of(dns: DnsFacts, registration: Registration, now: datetime) -> Status:
    """The state of a domain in one word; a registry's answer counts for more than DNS.

    Args:
        dns: what DNS says.
        registration: what the registry says.
        now: to tell whether it has expired.
    """
    if registration.state is RegistryState.NOT_FOUND:
        return Status.UNREGISTERED
    found = registration.state is RegistryState.FOUND
    if found and _expired(registration, now):
        return Status.EXPIRED
    if dns.state is DnsState.PARKED:
        return Status.PARKED
    if dns.state is DnsState.NXDOMAIN and not found and registration.state is not RegistryState.NOT_SOLD:
        return Status.NXDOMAIN
    if dns.state in _DEAD:
        return Status.UNRESOLVABLE
    return Status.REGISTERED if found and dns.state is not DnsState.INVALID else Status.UNKNOWN


def _expired(registration: Registration, now: datetime) -> bool:
    overdue = registration.expires_at is not None and registration.expires_at < now
    return overdue or not EXPIRING.isdisjoint(registration.statuses)
