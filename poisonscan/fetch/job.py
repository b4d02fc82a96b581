"""One URL on its way to a result: `pool` doing what `policy` decides."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from poisonscan.fetch import encoding, policy
from poisonscan.fetch.failures import translate
from poisonscan.fetch.policy import Failure, Follow, TakeBody
from poisonscan.fetch.stalls import Deadline
from poisonscan.records import FetchResult, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from poisonscan.config import FetchSettings
    from poisonscan.fetch.budget import Budget, Hold
    from poisonscan.fetch.connection import Connection
    from poisonscan.fetch.pool import Pool
    from poisonscan.fetch.stalls import Stalls
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


class Tools(NamedTuple):
    """What the pursuits of one process share.

    Attributes:
        pool: asks servers.
        budget: counts the bytes of bodies.
        stalls: of the loop, which deadlines do not count.
        rng: source of jitter.
    """

    pool: Pool
    budget: Budget
    stalls: Stalls
    rng: Random


class FetchJob:
    """One URL on its way to a result: attempts, and the redirects within each.

    It goes from turn to turn: what needs a turn at another host, or at one that is paced, is left for the
    next `advance`. Waiting for a turn does not count against the deadline.

    Args:
        url: as it is written in the list.
        target: where it leads.
        settings: limits and permissions.
        tools: what it works with.
        nested: whether its body is asked for while another one is dealt with; see `Budget.hold`.

    Attributes:
        target: of the next request.
    """

    __slots__ = (
        "_attempts",
        "_began_s",
        "_deadline",
        "_failed",
        "_first",
        "_hold",
        "_n_bytes",
        "_nested",
        "_passed",
        "_seen",
        "_settings",
        "_tools",
        "_url",
        "target",
    )

    def __init__(
        self, url: str, target: Target, settings: FetchSettings, tools: Tools, *, nested: bool
    ) -> None:
        self._url = url
        self._first = self.target = target
        self._settings = settings
        self._tools = tools
        self._nested = nested
        self._deadline = Deadline(settings.timeout_s, tools.stalls)
        self._passed: list[str] = []
        self._attempts = 1
        self._began_s = 0.0
        self._n_bytes = 0
        self._hold: Hold | None = None
        self._seen = _Seen()
        self._failed: Failure | None = None

    async def advance(self, *, last: bool) -> FetchResult | None:
        """Go as far as a turn at the target's host leads.

        Args:
            last: whether this host will not be asked again soon.

        Returns:
            The result, or None if there is to be a request at `target` in another turn.
        """
        try:
            async with self._deadline:
                ending = await self._requests(last=last)
        except TimeoutError:
            ending = self._too_late()
        except BaseException:
            self.release()
            raise
        return None if ending is None else self._result(ending)

    def release(self) -> None:
        """Let go of the body, when it has been dealt with."""
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    async def _requests(self, *, last: bool) -> bytes | Failure | None:
        host, paced = self.target.host, self._settings.per_host_rate > 0
        while True:
            step = await self._exchange(last=last)
            if isinstance(step, bytes):
                return step
            if isinstance(step, Follow):
                self._passed.append(self.target.url)
                self.target = step.target
            elif not await self._begin_again(step):
                return step
            if paced or self.target.host != host:
                return None

    async def _begin_again(self, failure: Failure) -> bool:
        """Wait and begin another attempt; False if that is of no use."""
        left, rng = self._deadline.left_s, self._tools.rng
        pause = policy.pause_before_retry(failure, self._attempts, left, self._settings, rng)
        if pause is None:
            return False
        self._failed = failure
        await asyncio.sleep(pause)
        self._attempts += 1
        self._passed = []
        self.target = self._first
        self._began_s = self._deadline.used_s
        return True

    async def _exchange(self, *, last: bool) -> bytes | Follow | Failure:
        """One request and its response."""
        self._n_bytes = 0
        hold = self._hold = self._tools.budget.hold(nested=self._nested)
        step: bytes | Follow | Failure | None = None
        try:
            connection = await self._tools.pool.ask(self.target, hold, last=last)
            step = await self._answered(connection, hold)
        except OSError as error:
            step = translate(error)
        finally:
            if not isinstance(step, bytes):
                self.release()
        return step

    async def _answered(self, connection: Connection, hold: Hold) -> bytes | Follow | Failure:
        answer = connection.answer
        try:
            self._note(connection)
            now = datetime.now(UTC)
            step = policy.next_step(
                answer.status, answer.headers, self.target, self._passed, self._settings, now
            )
            return await self._receive(connection, step.codings, hold) if isinstance(step, TakeBody) else step
        finally:
            self._n_bytes = answer.n_bytes
            self._tools.pool.give_back(self.target, connection)

    async def _receive(self, connection: Connection, codings: Sequence[str], hold: Hold) -> bytes | Failure:
        await connection.finish(self._room)
        answer, limit = connection.answer, self._settings.max_bytes
        if answer.n_bytes > limit:
            return policy.too_large(self._settings, f"at least {answer.n_bytes:,} bytes")
        try:
            body = await self._plain(answer.take_body(), codings, hold)
        except encoding.EncodingError as error:
            return Failure(Outcome.PROTOCOL_ERROR, str(error))
        except encoding.InflatedTooLargeError as error:
            return Failure(Outcome.TOO_LARGE, str(error))
        hold.set(len(body))
        hold.settle()
        return body

    async def _plain(self, body: bytes, codings: Sequence[str], hold: Hold) -> bytes:
        """A body without its codings; the loop turns between two steps."""
        steps = encoding.undone(body, codings, self._settings.max_bytes)
        del body  # the steps let go of it as soon as they can
        while True:
            if codings:
                await self._room()
            try:
                hold.set(next(steps))
            except StopIteration as done:
                return bytes(done.value)
            await asyncio.sleep(0)

    async def _room(self) -> None:
        """Wait for memory, which is no fault of a server's."""
        if self._hold is not None:
            with self._deadline.paused():
                await self._hold.room()

    def _note(self, connection: Connection) -> None:
        headers = connection.answer.headers
        self._seen = _Seen(
            connection.answer.status,
            self.target.url,
            tuple(self._passed),
            connection.address,
            _kept(headers.get("Content-Type")),
            _kept(headers.get("ETag")),
            _kept(headers.get("Last-Modified")),
            _kept(headers.get("Server")),
            self._deadline.used_s - self._began_s,
        )

    def _too_late(self) -> Failure:
        reason = f"no complete answer within {self._settings.timeout_s:g} s"
        if self._failed is not None:
            reason += f"; an attempt before ended so: {self._failed.reason}"
        return Failure(Outcome.TIMEOUT, reason)

    def _result(self, ending: bytes | Failure) -> FetchResult:
        seen = self._seen
        body = None if isinstance(ending, Failure) else ending
        return FetchResult(
            url=self._url,
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
            total_s=self._deadline.used_s,
            attempts=self._attempts,
        )


def _kept(header: str | None) -> str | None:
    """A header fit to be stored: bytes that are no UTF-8, which come as surrogates, replaced."""
    if header is None:
        return None
    if not header.isascii():
        header = header.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return header[:HEADER_CHARS]
