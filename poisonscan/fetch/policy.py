"""Decisions about one URL, apart from any network: what to ask for, and what to do with an answer.

Nothing here opens a socket, reads a clock or rolls dice of its own; `client` does what is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urljoin

from poisonscan.fetch import encoding, guard, robots
from poisonscan.fetch.url import SchemeError, Target, parse
from poisonscan.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from random import Random

    from multidict import MultiMapping

REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})
"""curl follows a 300, too."""
WITH_BODY = frozenset(range(200, 300)) - {204, 205}
"""Any success is a picture to urllib and curl: 201 and 206 as well, whatever part it says it is."""
GONE = frozenset({404, 410})
BLOCKED = frozenset({401, 402, 403, 407, 429, 451})
TOO_MANY_REQUESTS = 429


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
    @property
    def allow_addresses(self) -> str: ...  # noqa: D102 - described where it is set


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
    """Read the body and undo these codings, of `encoding.CODINGS`, in the order they were applied."""

    codings: tuple[str, ...] = ()


def parse_url(text: str) -> Target | Failure:
    """`url.parse`, with what is wrong as a failure MALFORMED_URL or BAD_SCHEME."""
    try:
        return parse(text)
    except SchemeError as error:
        return Failure(Outcome.BAD_SCHEME, printable(str(error)))
    except ValueError as error:
        return Failure(Outcome.MALFORMED_URL, f"malformed URL: {printable(str(error))}")


def admit(text: str, rules: Rules) -> Target | Failure:
    """`parse_url`, and refuse hosts that are IP literals without a permit as PRIVATE_ADDRESS."""
    target = parse_url(text)
    if isinstance(target, Failure):
        return target
    permit = guard.permit(rules.allow_private, rules.allow_addresses)
    literal = target.literal
    reason = permit.why_refused(literal) if literal else permit.why_name_refused(target.host)
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


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header (RFC 9110, 10.2.3); None when it is absent or unreadable.

    Args:
        value: of the header.
        now: aware time, for a header that is a date.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max((moment - now).total_seconds(), 0.0)
    except (ValueError, OverflowError):
        return None


def too_large(rules: Rules, said: str) -> Failure:
    """The failure for a body above the cap; `said` tells how that is known."""
    return Failure(Outcome.TOO_LARGE, f"{said}, the limit is {rules.max_bytes:,}")


def printable(text: str, limit: int = 200) -> str:
    """Foreign text made fit for a reason: one line, ASCII, cut."""
    return " ".join(ascii(text)[1:-1].replace("\\n", " ").split())[:limit]


def _body_wanted(headers: MultiMapping[str], rules: Rules) -> TakeBody | Failure:
    if "X-Robots-Tag" in headers and not rules.ignore_robots_tag:
        directive = robots.forbidden_by(headers.getall("X-Robots-Tag"), rules.user_agent)
        if directive is not None:
            return Failure(Outcome.ROBOTS_TAG, f"X-Robots-Tag says {directive}")
    length = headers.get("Content-Length", "")
    if length.isdecimal() and (len(length) > len(str(rules.max_bytes)) or int(length) > rules.max_bytes):
        return too_large(rules, f"{length[:20]} bytes by Content-Length")
    return TakeBody(_codings(headers))


def _codings(headers: MultiMapping[str]) -> tuple[str, ...]:
    """The codings of a body, those of the content first; a gzip that is a transfer coding is one as well."""
    lines = [
        line
        for name in ("Content-Encoding", "Transfer-Encoding")
        if name in headers
        for line in headers.getall(name)
    ]
    codings = (coding.strip().lower() for line in lines for coding in line.split(","))
    return tuple(coding for coding in codings if coding in encoding.CODINGS)


def _redirected(
    status: int, headers: MultiMapping[str], at: Target, passed: Sequence[str], rules: Rules
) -> Follow | Failure:
    location = headers.get("Location", "").strip()
    if not location:
        return Failure(Outcome.HTTP_ERROR, f"HTTP {status} without a Location")
    if len(passed) >= rules.max_redirects:
        return Failure(Outcome.TOO_MANY_REDIRECTS, f"more than {rules.max_redirects} redirects")
    try:
        target = admit(urljoin(at.url, location), rules)
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
    wait = retry_after_s(headers.get("Retry-After"), now)
    if wait is not None:
        reason += f", asked to wait {wait:.0f} s"
    return Failure(outcome, reason, transient=True, retry_after_s=wait)
