"""What the explorer's pages ask for by themselves: pictures, files, and what their script sends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from poisonscan.errors import UsageError
from poisonscan.explorer.filters import Filter
from poisonscan.explorer.pictures import ASKED, SIZES
from poisonscan.store.marks import Mark, put_marks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from poisonscan.explorer.session import Explorer

MAX_CORNERS = 5_000
MAX_BODY = 4 << 20
_NO_ROW = 1 << 63
"""Row numbers are stored in 64 bits with a sign."""

_FILES = {
    "explore.css": "text/css",
    "explore.js": "text/javascript",
    "map.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


async def picture(request: Request) -> Response:
    """One side of a row, encoded by us."""
    side, size = request.path_params["side"], request.path_params["size"]
    if side not in ASKED or size not in SIZES:
        raise UsageError("there is no such picture")
    drawn = await request.app.state.explorer.gallery.draw(request.path_params["row"], side, size)
    return Response(
        drawn.body, media_type=drawn.media_type, headers={"cache-control": "private, max-age=600"}
    )


async def exhibit(request: Request) -> Response:
    """What recurs in a finding of a hunt, encoded by us."""
    explorer: Explorer = request.app.state.explorer
    found = await run_in_threadpool(explorer.catalogue.exhibit, request.path_params["finding"])
    drawn = await explorer.gallery.encode(found)
    return Response(
        drawn.body, media_type=drawn.media_type, headers={"cache-control": "private, max-age=600"}
    )


async def marks(request: Request) -> Response:
    """Mark rows, by number or all that a filter lets through."""
    asked = await _json(request)
    return JSONResponse(await run_in_threadpool(_mark, request.app.state.explorer, asked))


def _mark(explorer: Explorer, asked: Mapping[str, Any]) -> dict[str, int]:
    catalogue = explorer.catalogue
    mark, note, wanted = asked.get("mark"), asked.get("note") or None, asked.get("filter")
    known = mark is None or (isinstance(mark, str) and mark in set(Mark))
    if not known or not isinstance(note, str | None):
        raise UsageError("a mark is keep, drop, watch or null, and a note is text")
    if isinstance(wanted, dict):
        if not all(isinstance(value, str) for value in wanted.values()):
            raise UsageError("a filter holds texts, as an address does")
        rows = catalogue.matching(explorer.check(Filter.of(wanted)))
    else:
        rows = catalogue.named(_whole_numbers(asked.get("rows")))
    total = put_marks(catalogue.views.run, rows, Mark(mark) if mark else None, note, datetime.now(UTC))
    catalogue.views.reload_marks()
    return {"rows": rows.num_rows, "marked": total}


def _whole_numbers(value: object) -> list[int]:
    if not isinstance(value, list) or not all(type(item) is int and 0 <= item < _NO_ROW for item in value):
        raise UsageError("rows must be a list of whole numbers from 0")
    return value


async def selections(request: Request) -> Response:
    """Remember the rows inside a polygon on the map."""
    asked = await _json(request)
    try:
        polygon = np.asarray(asked.get("polygon"), np.float64).astype(np.float32)
    except (TypeError, ValueError, OverflowError):
        polygon = np.empty(0, np.float32)
    pairs = polygon.ndim == 2 and polygon.shape[1] == 2  # noqa: PLR2004 - points
    if not pairs or not 3 <= len(polygon) <= MAX_CORNERS or not np.isfinite(polygon).all():  # noqa: PLR2004 - of a polygon
        raise UsageError("a selection is a polygon of 3 corners or more")
    number, rows = await run_in_threadpool(request.app.state.explorer.select, polygon)
    return JSONResponse({"selection": number, "rows": rows})


async def _json(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise UsageError("that is too much at once")
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise UsageError("the request is no JSON object")
    return asked


def static(request: Request) -> Response:
    """The style sheet and the scripts."""
    name = request.path_params["name"]
    if name not in _FILES:
        raise UsageError("there is no such file")
    body = (resources.files("poisonscan.explorer") / "static" / name).read_bytes()
    return Response(body, media_type=_FILES[name], headers={"cache-control": "private, max-age=0"})
