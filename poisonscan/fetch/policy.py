"""Decisions about one URL, apart from any network: what to ask for, and what to do with an answer.

Nothing here opens a socket, reads a clock or rolls dice of its own; `client` does what is decided here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urljoin

from yarl import URL

from poisonscan.fetch import encoding, guard, robots
from poisonscan.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from random import Random

    from multidict import MultiMapping

REDIRECTS = frozenset({301, 302, 303, 307, 308})
WITH_BODY = frozenset({200, 203})
GONE = frozenset({404, 410})
BLOCKED = frozenset({401, 402, 403, 407, 429, 451})
TOO_MANY_REQUESTS = 429

_PARTS = re.compile(r"([a-z][a-z0-9+.-]*):(?://([^/?#\\]*))?([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HIGHEST_PORT = 65_535
# What a browser sends as it stands. "%" is among them: what the list's author escaped stays so, byte for
# byte, since signed URLs break when they are escaped anew.
_SAFE = "!$%&'()*+,/:;=@[]"


class Rules(Protocol):
    """The part of `config.FetchSettings` that decisions depend on."""

    @property
    def max_bytes(self) -> int: ...  # noqa: D102 - described where it is set
    @property
    def max_redirects(self) -> int: ...  # noqa: D102 - described where it is set
    @property
    def retries(self) -> int: ...  # noqa: D102 - described where it is set
    @property
    def backoff_s(self) -> float: ...  # noqa: D102 - described where it is set
    @property
    def user_agent(self) -> str: ...  # noqa: D102 - described where it is set
    @property
    def ignore_robots_tag(self) -> bool: ...  # noqa: D102 - described where it is set
    @property
    def allow_private(self) -> bool: ...  # noqa: D102 - described where it is set


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that can be asked for.

    Attributes:
        origin: scheme and authority; both in lower case, the host in ASCII.
        path: path and query, quoted, without a fragment.
        host: ASCII, lower case, no trailing dot; brackets around IPv6.
        port: TCP port.
        literal: the canonical IP address when the host is one, None when it is a name.
    """

    origin: str
    path: str
    host: str
    port: int
    literal: str | None

    @property
    def url(self) -> str:
        """As it will be sent."""
        return self.origin + self.path

    @property
    def tls(self) -> bool:
        """Whether it is https."""
        return self.origin.startswith("https:")

    @property
    def authority(self) -> str:
        """The host, and the port unless it is the scheme's own: what a Host header says."""
        return self.origin.partition("://")[2]

    @property
    def server_name(self) -> str:
        """What a certificate is held against: the host, without brackets."""
        return self.literal or self.host


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no body.

    Attributes:
        outcome: any but FETCHED.
        reason: in words, ASCII.
        transient: whether another attempt may fare better.
        retry_after_s: seconds the server asks to wait, None when it does not say.
    """

    outcome: Outcome
    reason: str
    transient: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Follow:
    """Ask for this one instead."""

    target: Target


@dataclass(frozen=True, slots=True)
class TakeBody:
    """Read the body and undo this content coding ("" for none)."""

    coding: str = ""


def parse_url(text: str) -> Target | Failure:
    """Read a URL as it stands in a list or a Location header.

    Spaces and letters beyond ASCII in path and query are quoted and international host names encoded,
    as browsers do. User names and passwords are refused: they are nobody's business in a public list.

    Returns:
        A target, or a failure MALFORMED_URL or BAD_SCHEME that says what is wrong.
    """
    try:
        return _target(text.strip())
    except ValueError as error:
        return Failure(Outcome.MALFORMED_URL, f"malformed URL: {printable(str(error))}")


def admit(text: str, *, allow_private: bool) -> Target | Failure:
    """`parse_url`, and refuse hosts that are private IP literals as PRIVATE_ADDRESS."""
    target = parse_url(text)
    if isinstance(target, Failure) or target.literal is None or allow_private:
        return target
    reason = guard.why_refused(target.literal)
    return target if reason is None else Failure(Outcome.PRIVATE_ADDRESS, reason)


def next_step(
    status: int,
    headers: MultiMapping[str],
    at: Target,
    passed: Sequence[str],
    rules: Rules,
    now: datetime,
) -> TakeBody | Follow | Failure:
    """What to do with a response, judged by its status and headers.

    Args:
        status: HTTP status.
        headers: response headers, names in any case.
        at: what was asked for.
        passed: URLs that redirected here, oldest first.
        rules: limits and permissions.
        now: aware time, for a Retry-After that is a date.
    """
    if status in WITH_BODY:
        return _body_wanted(headers, rules)
    if status in REDIRECTS:
        return _redirected(status, headers, at, passed, rules)
    return _failed(status, headers, now)


def pause_before_retry(
    failure: Failure, attempts: int, remaining_s: float, rules: Rules, rng: Random
) -> float | None:
    """Seconds to wait before the next attempt; None to give up.

    The server's Retry-After wins over our own backoff, which doubles from `backoff_s`, times 0.5 to 1.5
    so that rows that failed together do not return together. A pause that would outlast the deadline is
    not begun.

    Args:
        failure: how the last attempt ended.
        attempts: how many were made, 1 or more.
        remaining_s: seconds left until the deadline.
        rules: limits.
        rng: source of the jitter.
    """
    if not failure.transient or attempts > rules.retries:
        return None
    pause = failure.retry_after_s
    if pause is None:
        pause = rules.backoff_s * 2.0 ** min(attempts - 1, 30) * (0.5 + rng.random())
    return pause if pause < remaining_s else None


def too_large(rules: Rules, said: str) -> Failure:
    """The failure for a body above the cap; `said` tells how that is known."""
    return Failure(Outcome.TOO_LARGE, f"{said}, the limit is {rules.max_bytes:,}")


def printable(text: str, limit: int = 200) -> str:
    """Foreign text made fit for a reason: one line, ASCII, cut."""
    return " ".join(ascii(text)[1:-1].replace("\\n", " ").split())[:limit]


def _target(text: str) -> Target | Failure:
    if _CONTROL.search(text):
        raise ValueError("a control character in it")
    parts = _PARTS.match(text)
    if parts is None:
        raise ValueError("it does not begin with http:// or https://" if text else "it is empty")
    scheme, authority, path, query = parts.groups()
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        return Failure(Outcome.BAD_SCHEME, f"scheme {printable(scheme)} is not http or https")
    if path.startswith("\\"):
        raise ValueError("a backslash after the host")
    host, literal, port = _authority(authority or "", _DEFAULT_PORTS[scheme])
    suffix = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    wanted = _quoted(path) or "/"
    if query is not None:
        wanted += f"?{_quoted(query, '?')}"
    return Target(f"{scheme}://{host}{suffix}", wanted, host, port, literal)


def _quoted(text: str, also_safe: str = "") -> str:
    # Bytes that were no UTF-8 come as surrogates (PEP 383) and leave as the bytes they were.
    return quote(text, safe=_SAFE + also_safe, errors="surrogateescape")


@lru_cache(maxsize=65_536)
def _authority(text: str, default_port: int) -> tuple[str, str | None, int]:
    """Host, its canonical address if it is a literal, and port."""
    if "@" in text:
        raise ValueError("a user name or password before the host, which is never sent")
    parts = _HOST_AND_PORT.fullmatch(text)
    if parts is None:
        raise ValueError(f"host {text!a} cannot be read")
    host, literal = _host(parts[1])
    port = int(parts[2][:6]) if parts[2] else default_port
    if not 0 < port <= _HIGHEST_PORT:
        raise ValueError(f"port {parts[2][:20]} is not between 1 and {_HIGHEST_PORT}")
    return host, literal, port


def _host(text: str) -> tuple[str, str | None]:
    host = _ascii_host(text).lower().removesuffix(".")
    if not host:
        raise ValueError("no host")
    literal = guard.literal(host)
    if literal is not None:
        return (f"[{literal}]" if ":" in literal else literal), literal
    if not _NAME.fullmatch(host):
        raise ValueError(f"host {text!a} is not a host name")
    return host, None


def _ascii_host(text: str) -> str:
    if text.isascii():
        return text
    encoded = URL.build(scheme="http", host=text).raw_host
    if encoded is None:
        raise ValueError(f"host {text!a} is not a host name")
    return encoded


def _body_wanted(headers: MultiMapping[str], rules: Rules) -> TakeBody | Failure:
    if "X-Robots-Tag" in headers and not rules.ignore_robots_tag:
        directive = robots.forbidden_by(headers.getall("X-Robots-Tag"), rules.user_agent)
        if directive is not None:
            return Failure(Outcome.ROBOTS_TAG, f"X-Robots-Tag says {directive}")
    length = headers.get("Content-Length", "")
    if length.isdecimal() and (len(length) > len(str(rules.max_bytes)) or int(length) > rules.max_bytes):
        return too_large(rules, f"{length[:20]} bytes by Content-Length")
    if "Content-Encoding" not in headers:
        return TakeBody()
    coding = ", ".join(headers.getall("Content-Encoding")).strip().lower()
    if coding not in encoding.SUPPORTED:
        return Failure(
            Outcome.PROTOCOL_ERROR, f"Content-Encoding {printable(coding)}, which was not asked for"
        )
    return TakeBody(coding)


def _redirected(
    status: int, headers: MultiMapping[str], at: Target, passed: Sequence[str], rules: Rules
) -> Follow | Failure:
    location = headers.get("Location", "").strip()
    if not location:
        return Failure(Outcome.HTTP_ERROR, f"HTTP {status} without a Location")
    if len(passed) >= rules.max_redirects:
        return Failure(Outcome.TOO_MANY_REDIRECTS, f"more than {rules.max_redirects} redirects")
    try:
        target = admit(urljoin(at.url, location), allow_private=rules.allow_private)
    except ValueError as error:
        target = Failure(Outcome.MALFORMED_URL, f"malformed URL: {printable(str(error))}")
    if isinstance(target, Failure):
        return Failure(target.outcome, f"redirected: {target.reason}")
    if target.url in {at.url, *passed}:
        return Failure(Outcome.TOO_MANY_REDIRECTS, "redirects go round in a circle")
    return Follow(target)


def _failed(status: int, headers: MultiMapping[str], now: datetime) -> Failure:
    reason = f"HTTP {status}"
    if status in GONE:
        return Failure(Outcome.HTTP_GONE, reason)
    outcome = Outcome.HTTP_BLOCKED if status in BLOCKED else Outcome.HTTP_ERROR
    if status < 500 and status != TOO_MANY_REQUESTS:  # noqa: PLR2004 - HTTP's class of server errors
        return Failure(outcome, reason)
    wait = _retry_after_s(headers.get("Retry-After", "").strip(), now)
    if wait is not None:
        reason += f", asked to wait {wait:.0f} s"
    return Failure(outcome, reason, transient=True, retry_after_s=wait)


def _retry_after_s(value: str, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header (RFC 9110, 10.2.3); None when it is absent or unreadable."""
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max((moment - now).total_seconds(), 0.0)
    except (ValueError, OverflowError):
        return None
