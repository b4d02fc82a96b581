"""Memory for bodies in flight: received, decoded, or handed over and not yet dealt with.

Bodies wait for one another instead of being refused, and never in a circle: where nothing that is handed over
could still make room, the eldest of those that grow goes on beyond the limit, and ends by its deadline at the
latest. A nested body, which is asked for while another one is dealt with, waits for nested ones alone, since
the other one waits for it. The memory held is therefore at most the limit, two bodies of the largest size,
and what each connection reads at a time. No clock and no IO.
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
        self._growing: tuple[dict[Hold, None], dict[Hold, None]] = ({}, {})  # sets, eldest first
        self._settled = [0, 0]  # bytes of those that grow no more; nested ones second, like above
        self._waiting: dict[Hold, asyncio.Event] = {}
        self.held = 0

    def hold(self, *, nested: bool = False) -> Hold:
        """A body that begins, with no bytes yet.

        Args:
            nested: whether it is asked for while another one is dealt with. Nobody who holds a nested body
                that has come may wait for another.
        """
        hold = Hold(self, nested=nested)
        self._growing[nested][hold] = None
        return hold

    def may_grow(self, hold: Hold) -> bool:
        """Whether a body may take more."""
        if self.held <= self._limit:
            return True
        return next(iter(self._growing[hold.nested]), None) is hold and not any(self._settled[hold.nested :])

    def change(self, hold: Hold, n_bytes: int) -> None:
        """Count what a growing body holds now."""
        self.held += n_bytes - hold.n_bytes
        hold.n_bytes = n_bytes
        self._wake()

    def settle(self, hold: Hold) -> None:
        """Count a body among those that grow no more."""
        del self._growing[hold.nested][hold]
        self._settled[hold.nested] += hold.n_bytes
        self._wake()

    def release(self, hold: Hold) -> None:
        """Count a body no more."""
        if hold in self._growing[hold.nested]:
            self.settle(hold)
        self._settled[hold.nested] -= hold.n_bytes
        self.change(hold, 0)

    async def room(self, hold: Hold) -> None:
        """Wait until a body may take more."""
        while not self.may_grow(hold):
            event = self._waiting[hold] = asyncio.Event()
            try:
                await event.wait()
            finally:
                del self._waiting[hold]

    def _wake(self) -> None:
        for hold, event in self._waiting.items():
            if self.may_grow(hold):
                event.set()


class Hold:
    """What one body holds of a budget, until it is released.

    Attributes:
        nested: as given to `Budget.hold`.
        n_bytes: how much that is.
    """

    __slots__ = ("_budget", "n_bytes", "nested")

    def __init__(self, budget: Budget, *, nested: bool) -> None:
        self._budget = budget
        self.nested = nested
        self.n_bytes = 0

    def set(self, n_bytes: int) -> bool:
        """Hold so many bytes; whether it may take more, else `room` is to be awaited first."""
        self._budget.change(self, n_bytes)
        return self._budget.may_grow(self)

    def settle(self) -> None:
        """Grow no more."""
        self._budget.settle(self)

    def release(self) -> None:
        """Hold nothing any more; once."""
        self._budget.release(self)

    async def room(self) -> None:
        """Wait until it may take more."""
        await self._budget.room(self)
