"""One URL on its way to a result: `pool` doing what `policy` decides."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from poisonscan.fetch import encoding, policy
from poisonscan.fetch.failures import translate
from poisonscan.fetch.policy import Failure, Follow, TakeBody
from poisonscan.records import FetchResult, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from poisonscan.config import FetchSettings
    from poisonscan.fetch.connection import Connection
    from poisonscan.fetch.pool import Pool
    from poisonscan.fetch.url import Target

HEADER_CHARS = 1_024
"""What is kept of a response header."""


@dataclass(slots=True)
class _Seen:
    """What the last response said, in `FetchResult`'s terms."""

    status: int | None = None
    final_url: str | None = None
    redirects: tuple[str, ...] = ()
    address: str | None = None
    content_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    server: str | None = None
    first_byte_s: float | None = None


class Pursuit:
    """One URL on its way to a result: attempts, and the redirects within each.

    Args:
        pool: asks servers.
        settings: limits and permissions.
        rng: source of jitter.
        last: whether nobody will ask this URL's host again soon.
    """

    __slots__ = (
        "_attempts",
        "_began",
        "_clock",
        "_failed",
        "_last",
        "_n_bytes",
        "_pool",
        "_rng",
        "_seen",
        "_settings",
    )

    def __init__(self, pool: Pool, settings: FetchSettings, rng: Random, *, last: bool) -> None:
        self._pool = pool
        self._settings = settings
        self._last = last
        self._rng = rng
        self._clock = asyncio.get_running_loop().time
        self._began = 0.0
        self._attempts = 0
        self._n_bytes = 0
        self._seen = _Seen()
        self._failed: Failure | None = None

    async def run(self, url: str, target: Target) -> FetchResult:
        """Attempts until there is a body, a failure that stays, or no time left."""
        started = self._clock()
        deadline = started + self._settings.timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                ending = await self._attempt_again_and_again(target, deadline)
        except TimeoutError:
            ending = self._too_late()
        return self._result(url, ending, self._clock() - started)

    async def _attempt_again_and_again(self, target: Target, deadline: float) -> bytes | Failure:
        while True:
            self._attempts += 1
            self._n_bytes = 0
            self._began = self._clock()
            ending = await self._attempt(target)
            if not isinstance(ending, Failure):
                return ending
            remaining = deadline - self._clock()
            pause = policy.pause_before_retry(ending, self._attempts, remaining, self._settings, self._rng)
            if pause is None:
                return ending
            self._failed = ending
            await asyncio.sleep(pause)

    async def _attempt(self, target: Target) -> bytes | Failure:
        passed: list[str] = []
        while True:
            step = await self._exchange(target, passed)
            if not isinstance(step, Follow):
                return step
            passed.append(target.url)
            target = step.target

    async def _exchange(self, target: Target, passed: Sequence[str]) -> bytes | Follow | Failure:
        """One request and its response."""
        try:
            connection = await self._pool.ask(target, last=self._last)
        except OSError as error:
            return translate(error)
        answer = connection.answer
        try:
            self._note(connection, target, passed)
            now = datetime.now(UTC)
            step = policy.next_step(answer.status, answer.headers, target, passed, self._settings, now)
            return await self._receive(connection, step.codings) if isinstance(step, TakeBody) else step
        except OSError as error:
            return translate(error)
        finally:
            self._n_bytes = answer.n_bytes
            self._pool.give_back(target, connection)

    async def _receive(self, connection: Connection, codings: Sequence[str]) -> bytes | Failure:
        await connection.finish()
        answer, limit = connection.answer, self._settings.max_bytes
        if answer.n_bytes > limit:
            return policy.too_large(self._settings, f"at least {answer.n_bytes:,} bytes")
        try:
            return encoding.decoded(answer.take_body(), codings, limit)
        except encoding.EncodingError as error:
            return Failure(Outcome.PROTOCOL_ERROR, str(error))
        except encoding.InflatedTooLargeError as error:
            return Failure(Outcome.TOO_LARGE, str(error))

    def _note(self, connection: Connection, target: Target, passed: Sequence[str]) -> None:
        headers = connection.answer.headers
        self._seen = _Seen(
            connection.answer.status,
            target.url,
            tuple(passed),
            connection.address,
            _kept(headers.get("Content-Type")),
            _kept(headers.get("ETag")),
            _kept(headers.get("Last-Modified")),
            _kept(headers.get("Server")),
            self._clock() - self._began,
        )

    def _too_late(self) -> Failure:
        reason = f"no complete answer within {self._settings.timeout_s:g} s"
        if self._failed is not None:
            reason += f"; an attempt before ended so: {self._failed.reason}"
        return Failure(Outcome.TIMEOUT, reason)

    def _result(self, url: str, ending: bytes | Failure, total_s: float) -> FetchResult:
        seen = self._seen
        body = None if isinstance(ending, Failure) else ending
        return FetchResult(
            url=url,
            outcome=ending.outcome if isinstance(ending, Failure) else Outcome.FETCHED,
            reason=ending.reason if isinstance(ending, Failure) else f"HTTP {seen.status}",
            fetched_at=datetime.now(UTC),
            body=body,
            status=seen.status,
            final_url=seen.final_url,
            redirects=seen.redirects,
            address=seen.address,
            content_type=seen.content_type,
            etag=seen.etag,
            last_modified=seen.last_modified,
            server=seen.server,
            n_bytes=self._n_bytes,
            first_byte_s=seen.first_byte_s,
            total_s=total_s,
            attempts=self._attempts,
        )


def _kept(header: str | None) -> str | None:
    """A header fit to be stored: bytes that are no UTF-8, which come as surrogates, replaced."""
    if header is None:
        return None
    if not header.isascii():
        header = header.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return header[:HEADER_CHARS]
