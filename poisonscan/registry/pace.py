"""Patience with one registry: when the next question may be asked. Pure: `now` is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """Turns at one registry's server.

    Attributes:
        rate: questions per second; 0 for no limit.
        free_at: moment from which the next question may be asked, seconds of the caller's clock.
        closed: whether the server asked for a pause that is longer than anybody will wait.
    """

    rate: float
    free_at: float = 0.0
    closed: bool = False

    def book(self, now: float) -> float:
        """Take the next turn; the moment of it, not before `now`."""
        turn = max(now, self.free_at)
        self.free_at = turn + (1.0 / self.rate if self.rate else 0.0)
        return turn

    def pause(self, until: float) -> None:
        """Give no turn before a moment, as the server asked."""
        self.free_at = max(self.free_at, until)


def backoff(attempt: int, first: float = 1.0) -> float:
    """Seconds to wait before attempt number `attempt` (from 1): 1, 2, 4, ..."""
    return first * 2.0 ** (attempt - 1)
