"""Who may talk to the explorer: the browser window that was opened with its token, and nobody else.

The page shows pictures that somebody tries to poison a dataset with, and can write marks, so that other
web sites, other users of the machine and rebound names must all fail:

- the server listens on 127.0.0.1 and answers to one Host alone, a random name below localhost (RFC 6761),
  so that neither a rebound name nor a cookie for another port's pages gets anywhere: browsers keep cookies
  apart by name and not by port;
- the first address carries a random token; it is changed into a cookie that scripts cannot read and that is
  never sent along from another site (SameSite=Strict), and leaves the address bar at once;
- whatever writes needs a second token in a header, which only our own page knows, and our own Origin;
- the Content-Security-Policy lets the page load from this server alone and run no inline script.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "x-poisonscan-token"  # noqa: S105 - the name of a header

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-dns-prefetch-control": "off",
    "x-frame-options": "DENY",
}
"""On every answer. Whatever a caption manages to become, it loads nothing and tells nobody."""

_SAFE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Pass:
    """What one explorer lets in.

    Attributes:
        port: where it listens.
        token: lets in, as `?token=` once, then as a cookie.
        writing: needed in the header TOKEN_HEADER of whatever writes.
        name: the host name, which browsers resolve to the loopback address.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    writing: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    name: str = field(default_factory=lambda: f"poisonscan-{secrets.token_hex(8)}.localhost")

    @property
    def host(self) -> str:
        """The value of the Host header that is ours."""
        return f"{self.name}:{self.port}"

    @property
    def cookie(self) -> str:
        """Name of the cookie."""
        return f"poisonscan-{self.port}"

    @property
    def address(self) -> str:
        """The address to open."""
        return f"http://{self.host}/?token={self.token}"


def refusal(entry: Pass, method: str, headers: Headers, tokens: list[str]) -> str | None:
    """Why a request is turned away, in words; None when it may pass. Pure.

    Args:
        entry: what is let in.
        method: of the request.
        headers: of the request.
        tokens: values of `token` in the address.
    """
    if headers.get("host") != entry.host:
        return "this address is not the explorer's"
    if not any(same(token, entry.token) for token in (*tokens, _cookie(headers, entry.cookie))):
        return "open the explorer with the address that it printed"
    if method in _SAFE:
        return None
    if headers.get("origin") != f"http://{entry.host}":
        return "another site may not write here"
    if not same(headers.get(TOKEN_HEADER, ""), entry.writing):
        return "the page is out of date; load it again"
    return None


def same(given: str, wanted: str) -> bool:
    """Whether two tokens agree, in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def _cookie(headers: Headers, name: str) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


class Guard:
    """ASGI middleware: turns strangers away and puts HEADERS on every answer.

    Args:
        app: what is guarded.
        entry: who may pass.
    """

    def __init__(self, app: ASGIApp, entry: Pass) -> None:
        self._app = app
        self._entry = entry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope)(scope, receive, _with_headers(send))

    def _answer(self, scope: Scope) -> ASGIApp:
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        words = refusal(self._entry, scope["method"], Headers(scope=scope), tokens)
        if words is not None:
            return PlainTextResponse(f"poisonscan: {words}\n", status_code=403)
        if tokens:
            response = RedirectResponse("/", status_code=303)
            response.set_cookie(
                self._entry.cookie, self._entry.token, httponly=True, samesite="strict", path="/"
            )
            return response
        return self._app


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            if "cache-control" not in headers:
                headers["cache-control"] = "no-store"
        await send(message)

    return sending
