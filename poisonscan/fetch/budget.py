"""Memory for bodies in flight: received, decoded, or handed over and not yet dealt with.

Bodies wait for one another instead of being refused. So that they never wait for each other in a circle,
the eldest of those that still grow may always go on, also beyond the limit; it ends by its deadline at the
latest. The memory held is therefore at most the limit, one body of the largest size, and what each connection
reads at a time. No clock and no IO.
"""

from __future__ import annotations

import asyncio


class Budget:
    """Bytes that bodies of this process may hold together.

    Args:
        limit: in bytes.

    Attributes:
        held: bytes held now.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._growing: dict[Hold, None] = {}  # a set, eldest first
        self._waiting: dict[Hold, asyncio.Event] = {}
        self.held = 0

    def hold(self) -> Hold:
        """A body that begins, with no bytes yet."""
        hold = Hold(self)
        self._growing[hold] = None
        return hold

    def may_grow(self, hold: Hold) -> bool:
        """Whether a body may take more."""
        return self.held <= self._limit or next(iter(self._growing), None) is hold

    def change(self, hold: Hold, n_bytes: int) -> None:
        """Count what a body holds now."""
        self.held += n_bytes - hold.n_bytes
        hold.n_bytes = n_bytes
        self._wake()

    def settle(self, hold: Hold) -> None:
        """Count a body among those that grow no more."""
        self._growing.pop(hold, None)
        self._wake()

    async def room(self, hold: Hold) -> None:
        """Wait until a body may take more."""
        while hold in self._growing and not self.may_grow(hold):
            event = self._waiting[hold] = asyncio.Event()
            try:
                await event.wait()
            finally:
                del self._waiting[hold]

    def _wake(self) -> None:
        if not self._waiting:
            return
        for hold, event in self._waiting.items():
            if self.may_grow(hold):
                event.set()


class Hold:
    """What one body holds of a budget, until it is released.

    Attributes:
        n_bytes: how much that is.
    """

    __slots__ = ("_budget", "n_bytes")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.n_bytes = 0

    def set(self, n_bytes: int) -> bool:
        """Hold so many bytes; whether it may take more, else `room` is to be awaited first."""
        self._budget.change(self, n_bytes)
        return self._budget.may_grow(self)

    def settle(self) -> None:
        """Grow no more, and let others be the eldest."""
        self._budget.settle(self)

    def release(self) -> None:
        """Hold nothing any more."""
        self._budget.settle(self)
        self._budget.change(self, 0)

    async def room(self) -> None:
        """Wait until it may take more."""
        await self._budget.room(self)
