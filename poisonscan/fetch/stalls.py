"""How long our own event loop stood still, and deadlines that it does not count against.

A process that is stopped, swapped out or busy hears a server's answer late, and all timers that were due
in the meantime ring at once. Rows would be lost that their servers answered in time. `StallMeter` is
arithmetic with the clock as an argument; `Stalls` and `Deadline` belong to a running loop.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

TICK_S = 0.1
"""How often a loop looks at its clock."""
TOLERANCE_S = 0.05
"""A tick that is later than this shows a stall; less is the ordinary work of a busy loop."""
SAID_S = 1.0
"""Stalls that sum up to more are said."""


class StallMeter:
    """Sums up how late the ticks of a loop are. Pure: moments are arguments, seconds of one steady clock.

    Args:
        now: the first moment.
    """

    def __init__(self, now: float) -> None:
        self._due = now + TICK_S
        self._total = 0.0

    def tick(self, now: float) -> None:
        """Take the moment of a tick; the next is due `TICK_S` later."""
        self._total += self._late(now)
        self._due = now + TICK_S

    def rest(self, now: float) -> None:
        """Begin anew after a time without ticks, which was no stall."""
        self._due = now + TICK_S

    def total(self, now: float) -> float:
        """Seconds that the loop stood still until now, the stall that is just over included."""
        return self._total + self._late(now)

    def _late(self, now: float) -> float:
        late = now - self._due
        return late if late > TOLERANCE_S else 0.0


class Stalls:
    """The meter of a running loop. It ticks while the loop is watched, and between counts nothing."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._meter = StallMeter(self._clock())
        self._timer: asyncio.TimerHandle | None = None
        self._watching = 0

    def total(self) -> float:
        """Seconds that this loop stood still while it was watched."""
        now = self._clock()
        if not self._watching:
            self._meter.rest(now)
        return self._meter.total(now)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Run the meter, and say on stderr if the loop stood still for long."""
        before = self.total()
        self._watching += 1
        if self._timer is None:
            self._tick()
        try:
            yield
        finally:
            stood = self.total() - before
            self._stop()
            if stood > SAID_S:
                words = f"this process stood still for {stood:.1f} s; deadlines were put off by as much\n"
                sys.stderr.write(words)

    def _stop(self) -> None:
        self._watching -= 1
        if not self._watching and self._timer is not None:
            self._meter.tick(self._clock())
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._meter.tick(self._clock())
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)


class Deadline:
    """A time limit on work, which stalls of our own and waits that are none of a server's fault do not spend.

    A context manager that may be entered again while time is left.

    Args:
        seconds: the limit.
        stalls: of the loop.

    Raises:
        TimeoutError: from the block that overran it.
    """

    __slots__ = ("_clock", "_left", "_mark", "_stalls", "_timeout", "_timer", "seconds")

    def __init__(self, seconds: float, stalls: Stalls) -> None:
        self.seconds = seconds
        self._left = seconds
        self._stalls = stalls
        self._clock = asyncio.get_running_loop().time
        self._mark: float | None = None  # while it runs: the moment up to which it is spent, stalls taken off
        self._timeout: asyncio.Timeout
        self._timer: asyncio.TimerHandle

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self._left if self._mark is None else self._left - (self._now() - self._mark)

    @property
    def used_s(self) -> float:
        """Seconds that were spent."""
        return self.seconds - self.left_s

    async def __aenter__(self) -> Self:
        """Let it run."""
        self._timeout = asyncio.timeout(None)
        await self._timeout.__aenter__()
        self._run()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._halt()
        await self._timeout.__aexit__(kind, error, trace)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Wait within the block without spending it."""
        self._halt()
        try:
            yield
        finally:
            self._run()

    def _run(self) -> None:
        self._mark = self._now()
        self._arm()

    def _halt(self) -> None:
        self._timer.cancel()
        self._left = self.left_s
        self._mark = None

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(self.left_s, 0.0), self._ring)

    def _ring(self) -> None:
        if self.left_s > 0:  # the loop stood still in the meantime
            self._arm()
        else:
            self._timeout.reschedule(self._clock())

    def _now(self) -> float:
        return self._clock() - self._stalls.total()
