"""Work on pictures from disk, a few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poisonscan.fetch.scheduler import together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from poisonscan.sources.model import Picture

_IN_FLIGHT = 16


async def each(
    pictures: Iterator[Picture], handle: Callable[[Picture], Awaitable[None]], stopping: Callable[[], bool]
) -> None:
    """Handle pictures, a few at a time; none is started once `stopping`."""

    async def lane() -> None:
        while not stopping() and (picture := next(pictures, None)) is not None:
            await handle(picture)

    await together(lane() for _ in range(_IN_FLIGHT))
