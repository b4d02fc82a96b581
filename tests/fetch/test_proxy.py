"""Asking through a proxy: names are its business, the way to it is ours."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from poisonscan.config import FetchSettings
from poisonscan.errors import SettingsError
from poisonscan.fetch.client import Fetcher
from poisonscan.records import Outcome

from .conftest import LOOPBACK, Web, fetch, http

if TYPE_CHECKING:
    from poisonscan.records import FetchResult


async def through(web: Web, url: str) -> FetchResult:
    return await fetch(web, url, connect_to=None, proxy=f"http://{LOOPBACK}:{web.port}")


async def test_a_proxy_is_asked_for_the_whole_url(web: Web) -> None:
    """The name exists nowhere, so that only the proxy can have answered."""
    web.on("http://nowhere.invalid/a.jpg?b=1", http(200, b"picture"))
    result = await through(web, "http://nowhere.invalid/a.jpg?b=1")
    assert (result.outcome, result.body, result.address) == (Outcome.FETCHED, b"picture", LOOPBACK)
    assert [request.path for request in web.requests] == ["http://nowhere.invalid/a.jpg?b=1"]
    assert web.requests[0].headers["Host"] == "nowhere.invalid"


async def test_a_redirect_goes_through_the_proxy_too(web: Web) -> None:
    web.on("http://one.invalid/", http(302, Location="http://two.invalid/b.jpg"))
    web.on("http://two.invalid/b.jpg", http(200, b"picture"))
    result = await through(web, "http://one.invalid/")
    assert (result.body, result.final_url) == (b"picture", "http://two.invalid/b.jpg")


async def test_a_public_literal_stays_as_it_is(web: Web) -> None:
    web.on("http://8.8.8.8/a.jpg", http(200, b"picture"))
    assert (await through(web, "http://8.8.8.8/a.jpg")).body == b"picture"


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "2130706433"])
async def test_a_proxy_does_not_excuse_a_private_literal(web: Web, host: str) -> None:
    assert (await through(web, f"http://{host}/")).outcome is Outcome.PRIVATE_ADDRESS
    assert web.requests == []


async def test_https_asks_the_proxy_for_a_tunnel(web: Web) -> None:
    """A proxy that refuses it is a failure of the row, and nobody is asked in the clear."""
    web.on("nowhere.invalid:443", http(403))
    result = await through(web, "https://nowhere.invalid/a.jpg")
    assert result.body is None
    assert result.outcome.lost is not None
    assert {request.path for request in web.requests} == {"nowhere.invalid:443"}


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 Here you are", b"HTTP/1.1 200 OK\r\nContent-Length: 0"])
async def test_through_the_tunnel_the_certificate_is_the_hosts(
    head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = trustme.CA()
    inside, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("nowhere.invalid").configure_cert(inside)
    ca.configure_trust(trusting)
    monkeypatch.setattr("poisonscan.fetch.dial.tls_context", lambda **_: trusting)
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
            writer.write(head + b"\r\n\r\n")
            await writer.start_tls(inside)
            asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
            writer.write(http(200, b"picture"))
            await reader.read()
        except (ssl.SSLError, ConnectionError):
            pass  # the client does not like the certificate
        finally:
            writer.close()

    async with await asyncio.start_server(proxy, LOOPBACK, 0) as server:
        way = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        settings = FetchSettings(proxy=way, retries=0)
        async with Fetcher(settings) as fetcher:
            result = await fetcher.fetch("https://nowhere.invalid/a.jpg")
            other = await fetcher.fetch("https://elsewhere.invalid/a.jpg")
    assert (result.body, result.address) == (b"picture", LOOPBACK)
    assert asked[:2] == [b"CONNECT nowhere.invalid:443 HTTP/1.1", b"GET /a.jpg HTTP/1.1"]
    assert other.outcome is Outcome.TLS_FAILED


async def test_a_proxy_that_never_answers_costs_no_socket() -> None:
    """The server sees every connection closed, which is more than that we forgot them."""
    closed: asyncio.Queue[None] = asyncio.Queue()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        closed.put_nowait(None)
        writer.close()

    async with await asyncio.start_server(stall, LOOPBACK, 0) as server:
        way = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        settings = FetchSettings(proxy=way, connect_timeout_s=0.1, retries=0, per_host=5)
        results: list[FetchResult] = []

        async def keep(result: FetchResult) -> None:
            results.append(result)

        async with Fetcher(settings) as fetcher:
            await fetcher.fetch_all([f"https://h{number}.invalid/" for number in range(5)], keep)
            for _ in results:
                await closed.get()
    assert {result.outcome for result in results} == {Outcome.CONNECT_FAILED}
    assert len(results) == 5


async def test_a_proxy_that_is_not_there(web: Web) -> None:
    server = await asyncio.start_server(lambda _, __: None, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    result = await fetch(
        web, "http://a.invalid/", connect_to=None, proxy=f"http://{LOOPBACK}:{port}", retries=0
    )
    assert result.outcome is Outcome.CONNECT_FAILED


@pytest.mark.parametrize(
    "bad",
    [
        {"proxy": "127.0.0.1:3128"},
        {"proxy": "https://127.0.0.1:3128"},
        {"proxy": "socks5://127.0.0.1:1080"},
        {"proxy": "http://127.0.0.1"},
        {"proxy": "http://127.0.0.1:3128", "connect_to": "127.0.0.1:1"},
    ],
)
def test_bad_settings(bad: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="proxy"):
        Fetcher(FetchSettings(**bad))  # type: ignore[arg-type]  # settings are given by name


def test_a_login_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="user name or password") as caught:
        Fetcher(FetchSettings(proxy="http://someone:secret@127.0.0.1:3128"))
    assert "secret" not in str(caught.value)
