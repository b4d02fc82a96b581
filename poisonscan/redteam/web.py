"""A web that lies, on loopback: many host names behind one port, honest until told to change.

Clients reach it by sending every connection to `LyingWeb.address` (`--connect-to`) while the Host
header keeps the name they asked for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from poisonscan.redteam.answers import Answer, changed, honest
from poisonscan.redteam.loopback import LOOPBACK, LoopbackServer, asked_for, response_to
from poisonscan.redteam.sites import EXPECTED, Behaviour, Site, demo_sites

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path

__all__ = ["EXPECTED", "Behaviour", "LyingWeb", "Site", "demo_sites"]

_SHUTDOWN_S = 1.0
_LOST = Answer(404, b"no such page on this web", "text/plain")


class LyingWeb(LoopbackServer):
    """The sites, served over HTTP on 127.0.0.1. Unknown hosts and paths answer 404.

    Args:
        sites: what to serve.
    """

    def __init__(self, sites: Iterable[Site]) -> None:
        super().__init__()
        self._pages: Mapping[str, tuple[Behaviour, Path]] = {
            f"http://{site.host}{path}": (site.behaviour, picture)
            for site in sites
            for path, picture in site.pictures.items()
        }
        self._answers: dict[str, Answer | None] = {}
        self._counts: Counter[str] = Counter()
        self._lying = False

    @property
    def requests(self) -> Counter[str]:
        """How often each URL was asked for since the start, hosts and paths that do not exist included."""
        return Counter(self._counts)

    def change(self) -> None:
        """From now on, serve what each site's behaviour says."""
        self._lying = True

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[int]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        try:
            await runner.setup()
            await web.TCPSite(runner, LOOPBACK, 0).start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        url = f"http://{asked_for(request)}"
        self._counts[url] += 1
        return response_to(request, await self._look_up(url))

    async def _look_up(self, url: str) -> Answer | None:
        if url not in self._pages:
            return _LOST
        behaviour, picture = self._pages[url]
        original = await asyncio.to_thread(picture.read_bytes)
        if not self._lying:
            return honest(original)
        if url not in self._answers:
            self._answers[url] = await asyncio.to_thread(changed, behaviour, original, url)
        return self._answers[url]
