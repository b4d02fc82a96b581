"""What one worker process keeps open between shards: an event loop, one session, one sandbox."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import cache
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, TypeVar

import uvloop

from poisonscan.engine.bundles import Bundles
from poisonscan.engine.sandbox import Sandbox
from poisonscan.fetch.client import Fetcher
from poisonscan.stages.examine import examine, size_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poisonscan.config import DecodeSettings, FetchSettings
    from poisonscan.stages.examine import Examiner

T = TypeVar("T")


class Worker:
    """The tools of a worker process. `worker()` gives the process's own.

    Args:
        fetch: how to ask the web.
        decode: how to decode.
        decoders: processes that decode.

    Attributes:
        fetcher: asks the web.
        sandbox: makes calls that may crash.
        examiner: decodes and compares in it.
    """

    def __init__(self, fetch: FetchSettings, decode: DecodeSettings, decoders: int) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._open = AsyncExitStack()
        self.sandbox, self.fetcher = self._runner.run(self._enter(fetch, decode, decoders))
        self.examiner: Examiner = Bundles(self.sandbox, examine, decoders, size_of)

    async def _enter(
        self, fetch: FetchSettings, decode: DecodeSettings, decoders: int
    ) -> tuple[Sandbox, Fetcher]:
        sandbox = Sandbox(decoders, decode.decode_timeout_s, decode.memory_mib, preload=examine)
        return (
            await self._open.enter_async_context(sandbox),
            await self._open.enter_async_context(Fetcher(fetch)),
        )

    def run(self, work: Callable[[Worker], Awaitable[T]]) -> T:
        """Run a coroutine function on the worker's loop."""

        async def call() -> T:
            return await work(self)

        return self._runner.run(call())

    def close(self) -> None:
        """Close the session and end the sandbox's processes."""
        self._runner.run(self._open.aclose())
        self._runner.close()


@cache
def worker(fetch: FetchSettings, decode: DecodeSettings, decoders: int) -> Worker:
    """This process's tools for these settings, opened on first use and closed when it ends."""
    tools = Worker(fetch, decode, decoders)
    # Not atexit: multiprocessing joins this process's children, the sandbox's, before that.
    Finalize(None, tools.close, exitpriority=10)
    return tools
