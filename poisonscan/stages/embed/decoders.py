"""What the process that embeds keeps open: an event loop, decoding sandboxes, the encoder."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import cache
from itertools import cycle
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import uvloop

from poisonscan.embed.opening import open_encoder
from poisonscan.embed.views import View, view
from poisonscan.engine.bundles import Bundles
from poisonscan.engine.sandbox import Crash, Sandbox
from poisonscan.records import DecodeFailure, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from poisonscan.config import DecodeSettings, EmbedSettings
    from poisonscan.embed.encoder import Encoder, Preparation, Spec

T = TypeVar("T")
_Asked: TypeAlias = "tuple[bytes, int, Preparation | None, bool]"


class Decoders:
    """Decodes pictures in `workers` sandboxes in turn. `decoders()` gives the process's own."""

    def __init__(self, workers: int, decode: DecodeSettings) -> None:
        self._decode = decode
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._open = AsyncExitStack()
        self._turns = cycle(self._runner.run(self._enter(workers)))

    async def _enter(self, workers: int) -> list[Bundles[_Asked, View | DecodeFailure]]:
        limits = self._decode.decode_timeout_s, self._decode.memory_mib
        boxes = [Sandbox(1, *limits, preload=view) for _ in range(workers)]
        return [Bundles(await self._open.enter_async_context(box), _views) for box in boxes]

    async def view(
        self, body: bytes, preparation: Preparation | None, *, square: bool
    ) -> View | DecodeFailure:
        """`views.view` where a crash, a hang or an exception costs this one picture: `undecodable`."""
        answer = await next(self._turns).ask((body, self._decode.max_pixels, preparation, square))
        return DecodeFailure(Verdict.UNDECODABLE, answer.reason) if isinstance(answer, Crash) else answer

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run a coroutine function on the process's loop."""

        async def call() -> T:
            return await work()

        return self._runner.run(call())

    def close(self) -> None:
        """End the sandboxes."""
        self._runner.run(self._open.aclose())
        self._runner.close()


def _views(questions: Sequence[_Asked]) -> list[View | DecodeFailure]:
    return [view(body, limit, preparation, square=square) for body, limit, preparation, square in questions]


@cache
def decoders(workers: int, decode: DecodeSettings) -> Decoders:
    """This process's decoders, opened on first use and closed when it ends."""
    tools = Decoders(workers, decode)
    # Not atexit: multiprocessing joins this process's children, the sandboxes', before that.
    Finalize(None, tools.close, exitpriority=10)
    return tools


@cache
def encoder(spec: Spec, settings: EmbedSettings) -> Encoder:
    """This process's encoder, loaded on first use.

    Raises:
        UsageError: it cannot be loaded.
    """
    return open_encoder(spec, settings)
