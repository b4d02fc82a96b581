"""What registries answer, read into a `Registration`: RDAP's JSON (RFC 9083) and WHOIS's text. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from poisonscan.domains.evidence import Registration, RegistryState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

RDAP, WHOIS = "rdap", "whois"

_REGISTERED = ("registration", "reregistration")
_EXPIRES = "expiration"
_DEEPEST = 4  # entities within entities


def read_rdap(document: object, domain: str) -> Registration:
    """Read an RDAP domain object; whatever is missing or malformed in it is None, not an error.

    The latest `registration` or `reregistration` event counts (RFC 9083 section 10.2.3).

    Args:
        document: the parsed JSON.
        domain: that was asked for; an answer about another name is a failure.
    """
    if not isinstance(document, dict) or document.get("objectClassName") != "domain":
        return failed(RDAP, "the answer is no RDAP domain object")
    name = document.get("ldhName")
    if isinstance(name, str) and name.rstrip(".").lower() != domain:
        return failed(RDAP, f"the answer is about {name[:80]}")
    events = [event for event in _list(document.get("events")) if isinstance(event, dict)]
    dates = [(event.get("eventAction"), read_date(event.get("eventDate"))) for event in events]
    hosts = (
        server.get("ldhName") for server in _list(document.get("nameservers")) if isinstance(server, dict)
    )
    return Registration(
        RegistryState.FOUND,
        RDAP,
        max((date for action, date in dates if action in _REGISTERED and date), default=None),
        max((date for action, date in dates if action == _EXPIRES and date), default=None),
        _registrar(document),
        tuple(sorted({text.lower() for text in _list(document.get("status")) if isinstance(text, str)})),
        tuple(sorted({text.rstrip(".").lower() for text in hosts if isinstance(text, str)})),
    )


def read_denial(document: object) -> Registration:
    """Read the error object (RFC 9083, section 6) with which an RDAP server denies a domain.

    Registries deny the names that they keep for themselves in the same way, and say so in its words.
    """
    error = document if isinstance(document, dict) else {}
    words = " ".join(text for text in (error.get("title"), *_list(error.get("description"))) if _text(text))
    if _RESERVED.search(words):
        return Registration(RegistryState.NOT_SOLD, RDAP, reason=f"reserved by the registry: {_text(words)}")
    return Registration(RegistryState.NOT_FOUND, RDAP)


def read_whois(text: str) -> Registration:
    """Read the answer of a WHOIS server, whose form no standard fixes.

    What it tells of the domain counts for more than any denial, since terms of use hold all sorts of
    words. Text that neither tells anything nor denies the domain is a failure: it is never read as "not
    registered".
    """
    fields = _fields(text)
    registered, expires = _first_date(fields, _WHOIS_REGISTERED), _first_date(fields, _WHOIS_EXPIRES)
    registrar = next((fields[name][0] for name in _WHOIS_REGISTRAR if name in fields), None)
    statuses = {_status(value) for name in _WHOIS_STATUS for value in fields.get(name, [])}
    servers = {value.split()[0] for name in _WHOIS_SERVERS for value in fields.get(name, [])}
    if registered or expires or registrar or servers:
        nameservers = tuple(sorted({host.rstrip(".").lower() for host in servers}))
        words = tuple(sorted(statuses))
        return Registration(RegistryState.FOUND, WHOIS, registered, expires, registrar, words, nameservers)
    if _BUSY.search(text):
        return Registration(RegistryState.RATE_LIMITED, WHOIS, reason="the server limits questions")
    if reserved := _RESERVED.search(text):
        return Registration(
            RegistryState.NOT_SOLD, WHOIS, reason=f"reserved by the registry: {_text(reserved[0])}"
        )
    if _FREE.search(text):
        return Registration(RegistryState.NOT_FOUND, WHOIS)
    return failed(WHOIS, "the answer cannot be read")


def failed(source: str, reason: str) -> Registration:
    """A registration of which no usable answer came."""
    return Registration(RegistryState.FAILED, source, reason=reason)


def read_date(value: object) -> datetime | None:
    """A date in one of the forms that registries use, UTC where they name no zone; None for any other."""
    if not isinstance(value, str):
        return None
    text = value.strip().rstrip(".")
    for read in (datetime.fromisoformat, *_DATE_READERS):
        try:
            moment = read(text)
        except (ValueError, OverflowError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _reader(form: str) -> Callable[[str], datetime]:
    return lambda text: datetime.strptime(text, form)  # noqa: DTZ007 - `read_date` adds the zone


_DATE_READERS = tuple(
    _reader(form)
    for form in (
        "%Y-%m-%d %H:%M:%S %Z",
        "%d-%b-%Y",
        "%d.%m.%Y",
        "%Y.%m.%d",
        "%Y/%m/%d",
        "%d/%m/%Y",
        "%d.%m.%Y %H:%M:%S",
    )
)


def _registrar(document: Mapping[str, Any]) -> str | None:
    for entity in _entities(document, 0):
        if "registrar" in _list(entity.get("roles")):
            return _full_name(entity) or _text(entity.get("handle"))
    return None


def _entities(parent: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    for entity in _list(parent.get("entities")):
        if isinstance(entity, dict):
            yield entity
            if depth < _DEEPEST:
                yield from _entities(entity, depth + 1)


def _full_name(entity: Mapping[str, Any]) -> str | None:
    """`fn` of a jCard: ["vcard", [["fn", {}, "text", "Name"], ...]] (RFC 7095)."""
    card = _list(entity.get("vcardArray"))
    for entry in _list(card[1]) if len(card) > 1 else []:
        if isinstance(entry, list) and len(entry) > 3 and entry[0] == "fn":  # noqa: PLR2004 - RFC 7095
            return _text(entry[3])
    return None


def _text(value: object) -> str | None:
    return " ".join(value.split())[:200] or None if isinstance(value, str) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


_FREE = re.compile(
    r"^[\s%#>*]*(?:no match|not found|no entries found|no data found|no object found|nothing found"
    r"|domain not found|object does not exist|the queried object does not exist"
    r"|status:\s*(?:free|available|not registered)\b"
    r"|domain status:\s*(?:available|no object found)\b"
    r"|(?:domain\s+)?\S+\.\S+\s+(?:is available|is free|no match|not found|was not found)\b)",
    re.IGNORECASE | re.MULTILINE,
)
"""How registries deny a domain, at the beginning of a line, after signs of a comment."""
_RESERVED = re.compile(
    r"\b(?:registry[- ]reserved|reserved (?:by|for) the registry|reserved (?:domain|name)\b"
    r"|(?:domain|name)\b[^:\n]{0,80}\bis (?:reserved|blocked|restricted)\b|status:\s*reserved\b"
    r"|not available for registration|(?:cannot|can not) be registered)",
    re.IGNORECASE,
)
"""How they say that it cannot be registered, unlike "all rights reserved" or "may not be available"."""
_BUSY = re.compile(
    r"(?:limit exceeded|exceeded .{0,40}(?:limit|quota|rate)|too many (?:requests|queries)|quota exceeded"
    r"|try again later|access control limit)",
    re.IGNORECASE,
)
_LINE = re.compile(
    r"^[ \t]*\[?([A-Za-z][A-Za-z /()-]{1,40}?)\]?[ \t]*(?:\.*:|\][ \t])[ \t]*(\S.*?)[ \t\r]*$", re.MULTILINE
)
_WHOIS_REGISTERED = (
    "creation date", "created", "created on", "registered", "registered on", "registered date",
    "registration date", "registration time", "domain registered", "domain record activated",
)  # fmt: skip
_WHOIS_EXPIRES = (
    "registry expiry date", "registrar registration expiration date", "expiry date", "expiration date",
    "expires", "expires on", "expire", "expire date", "expiration time", "paid-till", "renewal date",
)  # fmt: skip
_WHOIS_REGISTRAR = ("registrar", "registrar name", "sponsoring registrar", "registrar organization")
_WHOIS_STATUS = ("domain status", "status", "state", "eppstatus")
_WHOIS_SERVERS = ("name server", "nameserver", "name servers", "nserver", "nameservers")


def _fields(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in _LINE.findall(text):
        found.setdefault(name.strip().lower(), []).append(value)
    return found


def _first_date(fields: Mapping[str, list[str]], names: tuple[str, ...]) -> datetime | None:
    dates = (read_date(value) for name in names for value in fields.get(name, []))
    return next((date for date in dates if date), None)


def _status(value: str) -> str:
    """An EPP status, such as "pendingDelete https://...", in the words of RDAP (RFC 8056)."""
    word = value.split(maxsplit=1)[0]
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", word).lower() if word.isalpha() else value.lower()
