"""The explorer's web application: pages made on the server, a little script for marking and the map."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from poisonscan.errors import PoisonscanError
from poisonscan.explorer import endpoints, facts
from poisonscan.explorer.guard import Guard
from poisonscan.explorer.pages import render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from poisonscan.explorer.facts import Facts
    from poisonscan.explorer.session import Explorer


def application(explorer: Explorer) -> Starlette:
    """The guarded ASGI application of one run."""
    return Starlette(
        routes=[
            Route("/", _page(facts.overview)),
            Route("/rows", _page(facts.sheet)),
            Route("/rows/{row:int}", _page(facts.detail)),
            Route("/map", _page(facts.plane)),
            Route("/map/points", _plain(facts.points)),
            Route("/map/classes/{by}", _plain(facts.classes)),
            Route("/map/selections", endpoints.selections, methods=["POST"]),
            Route("/sql", _page(facts.sql)),
            Route("/marks", endpoints.marks, methods=["POST"]),
            Route("/pictures/{row:int}/{side}/{size:int}", endpoints.picture),
            Route("/exhibits/{finding:path}", endpoints.exhibit),
            Route("/static/{name}", endpoints.static),
            Route("/favicon.ico", lambda _: RedirectResponse("/static/icon.svg")),
        ],
        lifespan=_lifespan(explorer),
        exception_handlers={PoisonscanError: _refused, 404: _refused},
        middleware=[],
    )


def guarded(explorer: Explorer) -> Guard:
    """The application behind its guard."""
    app = application(explorer)
    app.state.explorer = explorer
    return Guard(app, explorer.entry)


def _lifespan(explorer: Explorer) -> Callable[[Starlette], Any]:
    @contextlib.asynccontextmanager
    async def during(_: Starlette) -> AsyncIterator[None]:
        async with explorer.gallery:
            yield

    return during


def _page(facts_of: Callable[[Explorer, Request], tuple[str, Facts]]) -> Callable[[Request], HTMLResponse]:
    """An endpoint that asks, then renders a template; DuckDB works in a thread of its own."""

    def answer(request: Request) -> HTMLResponse:
        explorer: Explorer = request.app.state.explorer
        template, told = facts_of(explorer, request)
        return HTMLResponse(render(template, explorer.title, explorer.entry.writing, request.url.path, told))

    return answer


def _plain(body_of: Callable[[Explorer, Request], bytes]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return Response(body_of(request.app.state.explorer, request), media_type="application/octet-stream")

    return answer


async def _refused(request: Request, error: Exception) -> Response:
    """One of our own errors as a page, or as JSON for the script."""
    words = str(error) if isinstance(error, PoisonscanError) else "there is no such page"
    status = 400 if isinstance(error, PoisonscanError) else 404
    if request.method == "POST":
        return JSONResponse({"error": words}, status)
    explorer: Explorer = request.app.state.explorer
    page = render("refused.html", explorer.title, explorer.entry.writing, request.url.path, {"words": words})
    return HTMLResponse(page, status)
