"""Whether a domain changed hands since a moment: the evidence, each piece with its dates. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING

from poisonscan.domains.evidence import RegistryState
from poisonscan.fetch.url import registrable_domain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from poisonscan.domains.evidence import Evidence


class Kind(StrEnum):
    """What about a domain changed. The words of a `Change` begin with the kind's value."""

    REGISTRATION = "registered"
    REGISTRAR = "registrar"
    NAMESERVERS = "name servers"
    NETWORK = "address network"
    TLS_ISSUER = "TLS issuer"


WEIGHTS = {
    Kind.REGISTRATION: 0.9,
    Kind.REGISTRAR: 0.5,
    Kind.NAMESERVERS: 0.5,
    Kind.NETWORK: 0.1,
    Kind.TLS_ISSUER: 0.1,
}
"""How far each change alone supports new hands, 0..1. Chosen, not measured: a new registration proves a
lapse; registrars and name servers change in a sale and, less often, without one; hosts and certificate
authorities change all the time."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was.

    Attributes:
        kind: what.
        words: a clause with names and dates, such as "registered 2026-02-11, after 2025-01-03".
    """

    kind: Kind
    words: str


class Hands(StrEnum):
    """Who holds a domain, compared with a moment before."""

    NEW = "new"
    """Registered anew since, or both registrar and name servers are others."""
    SAME = "same"
    """Registered before, with the registrar and the name servers of then."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Owner:
    """The judgement on a domain's owner.

    Attributes:
        hands: in one word.
        changes: what is not as it was.
        registered_at: the registration that it rests on, if known.
    """

    hands: Hands = Hands.UNKNOWN
    changes: tuple[Change, ...] = ()
    registered_at: datetime | None = None

    @property
    def reregistered(self) -> bool:
        """Whether it was registered anew."""
        return any(change.kind is Kind.REGISTRATION for change in self.changes)

    @property
    def weight(self) -> float:
        """Support for new hands, 0..1: the noisy-or (Pearl 1988, section 4.3.2) of the changes' weights."""
        doubt = 1.0
        for change in self.changes:
            doubt *= 1.0 - WEIGHTS[change.kind]
        return 1.0 - doubt


def reregistration(registered_at: datetime | None, since: datetime | None) -> bool | None:
    """Whether a domain was registered after a moment; None when either is not known."""
    if registered_at is None or since is None:
        return None
    return registered_at > since


def registration_change(
    registered_at: datetime | None, formerly: datetime | None, since: datetime | None
) -> Change | None:
    """The change that a registration's date tells of, None if it tells of none.

    Args:
        registered_at: as the registry says now.
        formerly: as it said before, if that was kept.
        since: a snapshot's date, or a list's.
    """
    if registered_at is None:
        return None
    if since is not None and registered_at > since:
        return Change(Kind.REGISTRATION, f"registered {day(registered_at)}, after {day(since)}")
    if formerly is not None and registered_at.date() > formerly.date():
        return Change(Kind.REGISTRATION, f"registered {day(registered_at)}, formerly {day(formerly)}")
    return None


def kind_of(words: str) -> Kind:
    """The kind of a change from its words.

    Raises:
        ValueError: no change has these words.
    """
    for kind in Kind:
        if words.startswith(f"{kind} "):
            return kind
    raise ValueError(f"{words!r} describes no change of a domain")


def changes_between(now: Evidence, then: Evidence | None, since: datetime | None) -> tuple[Change, ...]:
    """What about a domain is not as it was, strongest first.

    A side that is not known changes nothing. Sets of name servers count as changed when they share no
    operator (registrable domain), addresses when they share no network (/24, /48).

    Args:
        now: the evidence of today.
        then: the evidence of the moment before, if it was kept.
        since: that moment, also if no evidence of it was kept: a snapshot's date, or a list's.
    """
    formerly = then.registration.registered_at if then is not None else None
    found = [registration_change(now.registration.registered_at, formerly, since)]
    if then is not None:
        found += [_registrar(now, then), _nameservers(now, then), _network(now, then), _issuer(now, then)]
    return tuple(change for change in found if change is not None)


def owner_of(now: Evidence, then: Evidence | None, since: datetime | None) -> Owner:
    """Judge who holds a domain; arguments as of `changes_between`."""
    changes = changes_between(now, then, since)
    return judge_hands(changes, now.registration.registered_at, since, known=_known_twice(now, then))


def judge_hands(
    changes: tuple[Change, ...], registered_at: datetime | None, since: datetime | None, *, known: bool
) -> Owner:
    """Judge who holds a domain from what changed.

    Args:
        changes: what is not as it was.
        registered_at: as the registry says now.
        since: the moment compared with.
        known: whether registrar and name servers are known of both moments, so that the absence of a
            change means something.
    """
    kinds = {change.kind for change in changes}
    moved = {Kind.REGISTRAR, Kind.NAMESERVERS}
    if Kind.REGISTRATION in kinds or moved <= kinds:
        return Owner(Hands.NEW, changes, registered_at)
    before = reregistration(registered_at, since) is False
    same = known and before and kinds.isdisjoint(moved)
    return Owner(Hands.SAME if same else Hands.UNKNOWN, changes, registered_at)


def networks(addresses: Iterable[str]) -> frozenset[str]:
    """The /24 (IPv4) and /48 (IPv6) networks of addresses, which is what is routed at the least."""
    found = set()
    for text in addresses:
        address = ipaddress.ip_address(text)
        length = 24 if address.version == 4 else 48  # noqa: PLR2004 - IPv4
        found.add(str(ipaddress.ip_network((address, length), strict=False)))
    return frozenset(found)


def day(moment: datetime) -> str:
    """A date as it is written in reasons, UTC."""
    return moment.astimezone(UTC).date().isoformat()


def _known_twice(now: Evidence, then: Evidence | None) -> bool:
    if then is None:
        return False
    sides = (now, then)
    found = all(side.registration.state is RegistryState.FOUND for side in sides)
    return found and all(side.registration.registrar and side.nameservers for side in sides)


def _registrar(now: Evidence, then: Evidence) -> Change | None:
    old, new = then.registration.registrar, now.registration.registrar
    if not old or not new or _plain(old) == _plain(new):
        return None
    return Change(Kind.REGISTRAR, f"registrar changed from {old} to {new}")


def _nameservers(now: Evidence, then: Evidence) -> Change | None:
    return _disjoint(Kind.NAMESERVERS, _operators(then.nameservers), _operators(now.nameservers))


def _network(now: Evidence, then: Evidence) -> Change | None:
    return _disjoint(Kind.NETWORK, networks(then.dns.addresses), networks(now.dns.addresses))


def _issuer(now: Evidence, then: Evidence) -> Change | None:
    if not now.tls_issuer or not then.tls_issuer or now.tls_issuer == then.tls_issuer:
        return None
    return Change(Kind.TLS_ISSUER, f"TLS issuer changed from {then.tls_issuer} to {now.tls_issuer}")


def _disjoint(kind: Kind, old: frozenset[str], new: frozenset[str]) -> Change | None:
    if not old or not new or not old.isdisjoint(new):
        return None
    return Change(kind, f"{kind} changed from {_some(old)} to {_some(new)}")


def _operators(hosts: Iterable[str]) -> frozenset[str]:
    return frozenset(registrable_domain(host) for host in hosts)


def _some(names: frozenset[str], limit: int = 3) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more


def _plain(name: str) -> str:
    """A registrar's name without case, punctuation and legal form, as RDAP and WHOIS differ in them."""
    words = re.findall(r"[a-z0-9]+", name.casefold())
    return " ".join(word for word in words if word not in _LEGAL_FORMS)


_LEGAL_FORMS = frozenset(
    {"inc", "llc", "ltd", "limited", "gmbh", "co", "corp", "sa", "sas", "bv", "ag", "kg"}
)
