"""Whose turn it is: a queue of work by host, without a clock of its own.

Hosts take turns, so that a host with a million URLs or a slow one never holds up the others; no host
has more than its share in flight; and a host may be paced.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Turn(NamedTuple, Generic[T]):
    """One item to work on now; give its host back with `Schedule.release`."""

    host: str
    item: T
    more: bool
    """Whether this host has further items waiting."""


class _Host(Generic[T]):
    """What is known of one host."""

    __slots__ = ("in_flight", "name", "not_before", "queue")

    def __init__(self, name: str) -> None:
        self.name = name
        self.queue: deque[T] = deque()
        self.in_flight = 0
        self.not_before = float("-inf")


class Schedule(Generic[T]):
    """Items waiting, in flight, or done.

    Args:
        per_host: most items of one host in flight.
        rate: items begun per second and host; 0 for no limit.
    """

    def __init__(self, per_host: int, rate: float = 0.0) -> None:
        self._per_host = per_host
        self._gap = 1 / rate if rate else 0.0
        self._hosts: dict[str, _Host[T]] = {}
        # A host with work and a free place is in exactly one of these two, any other in neither.
        self._ready: deque[_Host[T]] = deque()
        self._paced: list[tuple[float, int, _Host[T]]] = []
        self._pushes = 0
        self._waiting = 0

    def __len__(self) -> int:
        """How many items wait; those in flight are not counted."""
        return self._waiting

    def add(self, host: str, item: T, *, first: bool = False) -> None:
        """Queue an item behind the others of its host, or before them if it has waited already."""
        state = self._hosts.get(host)
        if state is None:
            state = self._hosts[host] = _Host(host)
        if first:
            state.queue.appendleft(item)
        else:
            state.queue.append(item)
        self._waiting += 1
        if len(state.queue) == 1:
            self._line_up(state)

    def take(self, now: float) -> Turn[T] | None:
        """The next item that may begin, or None when every host is full, paced or out of work.

        Args:
            now: seconds on any steady clock, never less than at the last call.
        """
        while self._paced and self._paced[0][0] <= now:
            self._ready.append(heapq.heappop(self._paced)[2])
        if not self._ready:
            return None
        state = self._ready.popleft()
        item = state.queue.popleft()
        state.in_flight += 1
        state.not_before = now + self._gap
        self._waiting -= 1
        self._line_up(state)
        return Turn(state.name, item, bool(state.queue))

    def ready_at(self) -> float | None:
        """When a paced host becomes free, if `take` just gave None; None when only a release can help."""
        return self._paced[0][0] if self._paced else None

    def release(self, host: str) -> None:
        """Give back the place of an item taken before.

        Raises:
            ValueError: nothing of this host is in flight.
        """
        state = self._hosts.get(host)
        if state is None or not state.in_flight:
            raise ValueError(f"nothing of host {host!a} is in flight")
        was_full = state.in_flight == self._per_host
        state.in_flight -= 1
        if was_full:
            self._line_up(state)

    def _line_up(self, state: _Host[T]) -> None:
        """Queue a host for its next turn, unless it has no work or no free place."""
        if not state.queue or state.in_flight >= self._per_host:
            return
        if self._gap and state.not_before > float("-inf"):
            self._pushes += 1  # keeps hosts of equal time in order, and the heap from comparing hosts
            heapq.heappush(self._paced, (state.not_before, self._pushes, state))
        else:
            self._ready.append(state)
