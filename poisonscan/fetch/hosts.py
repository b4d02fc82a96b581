"""Turns at hosts for single requests: as many at once, and as many a second, as the settings allow."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class _Host:
    """What is known of one host."""

    __slots__ = ("n_users", "not_before", "slots")

    def __init__(self, slots: int) -> None:
        self.slots = asyncio.Semaphore(slots)
        self.not_before = float("-inf")
        self.n_users = 0


class HostTurns:
    """Limits requests by host. A request holds one turn and waits for no other meanwhile, so none is stuck.

    Args:
        per_host: most requests of one host in flight.
        rate: requests begun per second and host; 0 for no limit.
    """

    def __init__(self, per_host: int, rate: float) -> None:
        self._per_host = per_host
        self._gap = 1 / rate if rate else 0.0
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Wait for a turn at a host and hold it."""
        state = self._hosts.setdefault(host, _Host(self._per_host))
        state.n_users += 1
        try:
            async with state.slots:
                await self._pace(state)
                yield
        finally:
            state.n_users -= 1
            if not (state.n_users or self._gap):  # a paced host is remembered for its next turn
                del self._hosts[host]

    async def _pace(self, state: _Host) -> None:
        if not self._gap:
            return
        now = asyncio.get_running_loop().time()
        turn = max(now, state.not_before)
        state.not_before = turn + self._gap
        if turn > now:
            await asyncio.sleep(turn - now)
