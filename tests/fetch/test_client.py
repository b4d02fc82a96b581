from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections import Counter
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Self

import pytest
import trustme

from poisonscan.config import FetchSettings
from poisonscan.errors import SettingsError
from poisonscan.fetch import policy, pool
from poisonscan.fetch.client import Fetcher
from poisonscan.fetch.dial import Dialer
from poisonscan.fetch.resolver import Egress, Endpoint, PrivateAddressError, Resolver
from poisonscan.fetch.stalls import Stalls
from poisonscan.fetch.url import Target
from poisonscan.records import FetchResult, Outcome

from .conftest import LOOPBACK, Dns, Web, fetch, http, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PICTURE = b"\xff\xd8 a picture"
URL = "http://a.example/p.jpg"


def redirect(location: str) -> bytes:
    return http(302, Location=location)


async def reset(writer: asyncio.StreamWriter) -> None:
    """Half a body, then RST."""
    writer.write(http(200, PICTURE)[:-5])
    await writer.drain()
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)
    writer.write(http(200))


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_a_result_in_full(web: Web) -> None:
    long = "x" * 2000
    answer = http(
        200, PICTURE, Content_Type="image/jpeg", ETag=f'"{long}"', Last_Modified="then", Server="\u00e9"
    )
    web.on("/old", redirect("/p.jpg"))
    web.on("/p.jpg", answer)
    result = await fetch(web, "http://a.example/old")
    assert result.outcome == Outcome.FETCHED
    assert (result.status, result.reason, result.body) == (200, "HTTP 200", PICTURE)
    assert (result.url, result.final_url) == ("http://a.example/old", URL)
    assert result.redirects == ("http://a.example/old",)
    assert (result.address, result.attempts, result.n_bytes) == (LOOPBACK, 1, len(PICTURE))
    assert (result.content_type, result.last_modified, result.server) == ("image/jpeg", "then", "\ufffd")
    assert len(result.etag or "") == 1024
    assert result.fetched_at.tzinfo is not None
    assert result.first_byte_s is not None
    assert 0 <= result.first_byte_s <= result.total_s  # uvloop's clock ticks once a millisecond


async def test_what_is_sent(web: Web) -> None:
    web.on("/a%20b?c=%2F", http(200, PICTURE, Set_Cookie="a=b"))
    async with Fetcher(settings_for(web, user_agent="someone/1 (me@example.org)")) as fetcher:
        for _ in range(2):
            await fetcher.fetch("http://A.example:8080/a b?c=%2F#d")
    for request in web.requests:
        assert request.path == "/a%20b?c=%2F"
        assert request.headers["Host"] == "a.example:8080"
        assert request.headers["User-Agent"] == "someone/1 (me@example.org)"
        assert request.headers["Accept-Encoding"] == "identity"
        assert "Cookie" not in request.headers
    assert (len(web.requests), web.n_connections) == (2, 1)


async def test_an_empty_body_is_a_body(web: Web) -> None:
    web.on("/p.jpg", http(200))
    result = await fetch(web, URL)
    assert (result.outcome, result.body) == (Outcome.FETCHED, b"")


async def test_without_keep_alive_every_request_has_its_connection(web: Web) -> None:
    web.on("/p.jpg", http(200, PICTURE))
    async with Fetcher(settings_for(web, keep_alive=False)) as fetcher:
        for _ in range(3):
            assert (await fetcher.fetch(URL)).body == PICTURE
    assert web.n_connections == 3


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (http(404, b"not here"), Outcome.HTTP_GONE, "HTTP 404"),
        (http(403), Outcome.HTTP_BLOCKED, "HTTP 403"),
        (http(200, PICTURE, X_Robots_Tag="noai"), Outcome.ROBOTS_TAG, "noai"),
        (http(200, PICTURE, Content_Encoding="br"), Outcome.PROTOCOL_ERROR, "br"),
        (http(200, PICTURE, Content_Encoding="gzip"), Outcome.PROTOCOL_ERROR, "not valid gzip"),
        (http(200, gzip.compress(bytes(9999)), Content_Encoding="gzip"), Outcome.TOO_LARGE, "inflates"),
        (http(200, PICTURE, Content_Length="5000"), Outcome.TOO_LARGE, "5000 bytes by Content-Length"),
        (endless, Outcome.TOO_LARGE, "the limit is 1,000"),
        (redirect("http://127.0.0.1/"), Outcome.PRIVATE_ADDRESS, "redirected: 127.0.0.1 is a loopback"),
        (redirect("http://169.254.169.254/latest"), Outcome.PRIVATE_ADDRESS, "metadata"),
        (redirect("http://[::1]/"), Outcome.PRIVATE_ADDRESS, "loopback"),
        (redirect("http://[::ffff:10.0.0.1]/"), Outcome.PRIVATE_ADDRESS, "private"),
        (redirect("file:///etc/passwd"), Outcome.BAD_SCHEME, "file"),
        (redirect("data:image/png;base64,AA"), Outcome.BAD_SCHEME, "data"),
        (redirect("/p.jpg"), Outcome.TOO_MANY_REDIRECTS, "circle"),
        (http(302), Outcome.HTTP_ERROR, "without a Location"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Outcome.PROTOCOL_ERROR, "not valid HTTP"),
        (http(200, PICTURE, X_Huge="x" * 400_000), Outcome.PROTOCOL_ERROR, "not valid HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx",
            Outcome.PROTOCOL_ERROR,
            "not valid HTTP",
        ),
    ],
)
async def test_what_stays_is_asked_once(web: Web, answer: Any, outcome: Outcome, words: str) -> None:  # noqa: ANN401 - bytes or a function
    web.on("/p.jpg", answer)
    result = await fetch(web, URL, max_bytes=1000)
    assert (result.outcome, result.body, result.attempts) == (outcome, None, 1)
    assert words in result.reason
    assert web.asked("/p.jpg") == 1


@pytest.mark.parametrize(
    ("answer", "outcome", "n_bytes"),
    [
        (reset, Outcome.CONNECTION_LOST, len(PICTURE) - 5),
        (http(500), Outcome.HTTP_ERROR, 0),
        (http(429), Outcome.HTTP_BLOCKED, 0),
    ],
)
async def test_what_may_pass_is_asked_again(web: Web, answer: Any, outcome: Outcome, n_bytes: int) -> None:  # noqa: ANN401 - bytes or a function
    web.on("/p.jpg", answer)
    result = await fetch(web, URL)
    assert (result.outcome, result.attempts, result.n_bytes) == (outcome, 3, n_bytes)
    web.on("/p.jpg", answer, answer, http(200, PICTURE))
    result = await fetch(web, URL)
    assert (result.outcome, result.attempts, result.body) == (Outcome.FETCHED, 3, PICTURE)


async def test_a_server_that_hangs_up(web: Web) -> None:
    web.on("/p.jpg", hang_up)
    result = await fetch(web, URL)
    assert (result.outcome, result.attempts, result.status) == (Outcome.CONNECTION_LOST, 3, None)
    assert "without an answer" in result.reason


async def test_a_body_shorter_than_announced_is_lost(web: Web) -> None:
    async def liar(writer: asyncio.StreamWriter) -> None:
        writer.write(http(200, PICTURE, Content_Length="100"))
        writer.close()

    web.on("/p.jpg", liar)
    result = await fetch(web, URL, retries=0)
    assert (result.outcome, result.n_bytes) == (Outcome.CONNECTION_LOST, len(PICTURE))
    assert "shorter" in result.reason


async def test_a_body_longer_than_announced_is_cut_and_its_rest_is_no_answer(web: Web) -> None:
    web.on("/p.jpg", http(200, PICTURE + http(200, b"smuggled"), Content_Length=str(len(PICTURE))))
    web.on("/q.jpg", http(200, b"the next"))
    async with Fetcher(settings_for(web)) as fetcher:
        first = await fetcher.fetch(URL)
        second = await fetcher.fetch("http://a.example/q.jpg")
    assert (first.body, second.body) == (PICTURE, b"the next")


async def test_a_body_compressed_against_our_wish(web: Web) -> None:
    web.on("/p.jpg", http(200, gzip.compress(PICTURE), Content_Encoding="gzip"))
    result = await fetch(web, URL)
    assert (result.body, result.n_bytes) == (PICTURE, len(gzip.compress(PICTURE)))


async def test_an_endless_body_is_not_held(web: Web) -> None:
    web.on("/p.jpg", endless)
    result = await fetch(web, URL, max_bytes=100_000)
    assert result.outcome == Outcome.TOO_LARGE
    assert 100_000 < result.n_bytes < 100_000 + (1 << 19)


@pytest.mark.parametrize("answer", [trickle, hang])
async def test_the_deadline_is_strict(web: Web, answer: Any) -> None:  # noqa: ANN401 - a function
    web.on("/p.jpg", answer)
    result = await fetch(web, URL, timeout_s=0.3)
    assert (result.outcome, result.body, result.attempts) == (Outcome.TIMEOUT, None, 1)
    assert "0.3 s" in result.reason


async def test_the_deadline_spans_all_attempts(web: Web) -> None:
    web.on("/p.jpg", http(500), hang)
    result = await fetch(web, URL, timeout_s=0.3)
    assert (result.outcome, result.status, result.attempts) == (Outcome.TIMEOUT, 500, 2)
    assert "HTTP 500" in result.reason


async def test_retry_after_is_kept_or_not_waited_for(web: Web) -> None:
    web.on("/p.jpg", http(429, Retry_After="1"), http(200, PICTURE))
    assert (await fetch(web, URL, backoff_s=0.0)).total_s >= 1
    web.on("/p.jpg", http(429, Retry_After="3600"))
    result = await fetch(web, URL)
    assert (result.outcome, result.attempts) == (Outcome.HTTP_BLOCKED, 1)
    assert "3600 s" in result.reason


async def test_a_chain_of_redirects_has_an_end(web: Web) -> None:
    for i in range(9):
        web.on(f"/{i}", redirect(f"/{i + 1}"))
    web.on("/5", http(200, PICTURE))
    result = await fetch(web, "http://a.example/0")
    assert (result.body, len(result.redirects)) == (PICTURE, 5)
    web.on("/5", redirect("/6"))
    result = await fetch(web, "http://a.example/0")
    assert (result.outcome, result.final_url) == (Outcome.TOO_MANY_REDIRECTS, "http://a.example/5")


async def test_a_refused_connection(web: Web) -> None:
    with socket.socket() as unused:
        unused.bind((LOOPBACK, 0))
        result = await fetch(web, URL, connect_to=f"{LOOPBACK}:{unused.getsockname()[1]}")
    assert (result.outcome, result.attempts) == (Outcome.CONNECT_FAILED, 3)
    assert "refused" in result.reason


async def test_a_port_that_accepts_and_never_shakes_hands(web: Web) -> None:
    result = await fetch(web, "https://a.example/", connect_timeout_s=0.2, retries=0)
    assert result.outcome == Outcome.CONNECT_FAILED


@pytest.mark.parametrize("host", [LOOPBACK, "[::1]", "2130706433", "localhost", "foo.localhost"])
async def test_without_permission_nothing_private_is_asked(web: Web, host: str) -> None:
    async with Fetcher(FetchSettings()) as fetcher:
        result = await fetcher.fetch(f"http://{host}:{web.port}/")
    assert result.outcome == Outcome.PRIVATE_ADDRESS
    assert web.n_connections == 0


async def test_connect_to_does_not_excuse_a_private_literal(web: Web) -> None:
    assert (await fetch(web, "http://10.0.0.1/")).outcome == Outcome.PRIVATE_ADDRESS
    assert web.n_connections == 0


@pytest.mark.parametrize("host", ["93.184.216.34", "[2606:4700::1111]"])
async def test_connect_to_takes_public_literals_along(web: Web, host: str) -> None:
    web.on("/p.jpg", http(200, PICTURE))
    result = await fetch(web, f"http://{host}:81/p.jpg")
    assert (result.body, result.final_url) == (PICTURE, f"http://{host}:81/p.jpg")
    assert web.requests[0].headers["Host"] == f"{host}:81"


async def test_the_last_check_needs_none_before_it(web: Web) -> None:
    """A resolver that was fooled, as by rebinding: nothing is connected to."""

    class Fooled(Resolver):
        async def endpoints(self, host: str, port: int) -> list[Endpoint]:  # noqa: ARG002 - as its base
            return [Endpoint("127.0.0.2", port), Endpoint(LOOPBACK, port)]

    dialer = Dialer(FetchSettings(), Egress(), Fooled(Egress()), Stalls())
    for host in ("a.example", LOOPBACK):
        target = policy.admit(f"http://{host}:{web.port}/", FetchSettings(allow_private=True))
        assert isinstance(target, Target)
        with pytest.raises(PrivateAddressError, match="loopback"):
            await dialer.open(target)
    assert web.n_connections == 0


async def test_a_host_with_several_addresses_is_met_at_one_that_works(web: Web, dns: Dns) -> None:
    web.on("/p.jpg", http(200, PICTURE))
    dns.zone["a.example"] = ["127.0.0.2", LOOPBACK]
    settings = FetchSettings(nameserver=f"{LOOPBACK}:{dns.port}", allow_private=True)
    async with Fetcher(settings) as fetcher:
        result = await fetcher.fetch(f"http://a.example:{web.port}/p.jpg")
    assert (result.body, result.address) == (PICTURE, LOOPBACK)


async def test_a_connection_that_died_while_it_was_kept_is_replaced(web: Web) -> None:
    """The server ends it without a word; that costs no attempt, and no row."""

    async def answer_and_leave(writer: asyncio.StreamWriter) -> None:
        writer.write(http(200, PICTURE))
        await writer.drain()
        left.set()

    left = asyncio.Event()
    web.on("/p.jpg", answer_and_leave)
    async with Fetcher(settings_for(web)) as fetcher:
        for _ in range(3):
            result = await fetcher.fetch(URL)
            assert (result.body, result.attempts) == (PICTURE, 1)
            await left.wait()
    assert web.n_connections == 3


async def test_a_kept_connection_that_ends_when_it_is_asked_is_replaced(web: Web) -> None:
    web.on("/p.jpg", http(200, PICTURE), hang_up, http(200, b"another"))
    async with Fetcher(settings_for(web)) as fetcher:
        assert (await fetcher.fetch(URL)).body == PICTURE
        result = await fetcher.fetch(URL)
    assert (result.body, result.attempts, web.n_connections) == (b"another", 1, 2)


async def test_a_kept_connection_that_speaks_unasked_is_not_believed(web: Web) -> None:
    async def answer_twice(writer: asyncio.StreamWriter) -> None:
        writer.write(http(200, PICTURE))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(http(200, b"smuggled"))
        await asyncio.sleep(10)

    web.on("/p.jpg", answer_twice)
    web.on("/q.jpg", http(200, b"the next"))
    async with Fetcher(settings_for(web)) as fetcher:
        assert (await fetcher.fetch(URL)).body == PICTURE
        await asyncio.sleep(0.2)
        assert (await fetcher.fetch("http://a.example/q.jpg")).body == b"the next"


async def test_a_kept_connection_is_closed_after_a_while(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE_S", 0.05)
    web.on("/p.jpg", http(200, PICTURE))
    async with Fetcher(settings_for(web)) as fetcher:
        await fetcher.fetch(URL)
        await asyncio.sleep(0.3)
        await fetcher.fetch(URL)
    assert web.n_connections == 2


async def test_a_server_that_speaks_first_is_no_web_server(web: Web) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.example ready\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(greet, LOOPBACK, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        result = await fetch(web, URL, connect_to=f"{LOOPBACK}:{port}")
    assert (result.outcome, result.attempts) == (Outcome.PROTOCOL_ERROR, 1)


@pytest.fixture
async def tls_web() -> AsyncIterator[Web]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("a.example", "93.184.216.34").configure_cert(context)
    server = Web()
    server.on("/p.jpg", http(200, PICTURE))
    await server.start(context)
    yield server
    await server.stop()


@pytest.mark.parametrize("host", ["a.example", "93.184.216.34"])
async def test_tls(tls_web: Web, host: str) -> None:
    result = await fetch(tls_web, f"https://{host}/p.jpg")
    assert (result.outcome, result.attempts) == (Outcome.TLS_FAILED, 1)
    assert "certificate" in result.reason
    result = await fetch(tls_web, f"https://{host}/p.jpg", insecure=True)
    assert (result.body, result.address) == (PICTURE, LOOPBACK)


async def test_connect_to_keeps_the_certificate_check_to_the_literal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("93.184.216.34").configure_cert(context)
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    monkeypatch.setattr("poisonscan.fetch.dial.tls_context", lambda **_: trusting)
    server = Web()
    server.on("/p.jpg", http(200, PICTURE))
    await server.start(context)
    assert (await fetch(server, "https://93.184.216.34/p.jpg")).body == PICTURE
    assert (await fetch(server, "https://93.184.216.35/p.jpg")).outcome == Outcome.TLS_FAILED
    await server.stop()


async def test_robots_tag_may_be_ignored(web: Web) -> None:
    web.on("/p.jpg", http(200, PICTURE, X_Robots_Tag="noai"))
    assert (await fetch(web, URL, ignore_robots_tag=True)).body == PICTURE


@pytest.mark.parametrize("url", ["", "http:///x", "http://[::1", "http://a:99999/", "ftp://a/", "\ud800"])
async def test_a_url_that_cannot_be_asked_for(web: Web, url: str) -> None:
    result = await fetch(web, url)
    assert result.outcome in {Outcome.MALFORMED_URL, Outcome.BAD_SCHEME}
    assert (result.url, result.attempts, web.n_connections) == (url, 0, 0)


@pytest.mark.parametrize(
    "bad", [{"connect_to": "here"}, {"nameserver": "127.0.0.1"}, {"user_agent": "two\r\nlines"}]
)
def test_bad_settings(bad: dict[str, str]) -> None:
    (name,) = bad
    with pytest.raises(SettingsError, match=name):
        Fetcher(FetchSettings(**bad))  # type: ignore[arg-type]  # all three are text


async def gather(web: Web, urls: list[str], **changes: Any) -> list[FetchResult]:  # noqa: ANN401 - any setting
    results: list[FetchResult] = []

    async def keep(result: FetchResult) -> None:
        results.append(result)

    async with Fetcher(settings_for(web, **changes)) as fetcher:
        await fetcher.fetch_all(urls, keep)
    return results


async def test_many_hosts_on_one_port(web: Web) -> None:
    web.on("/p.jpg", http(200, PICTURE))
    urls = [f"http://h{i % 80}.example/p.jpg" for i in range(200)] + ["http:///x"]
    results = await gather(web, urls)
    assert Counter(result.url for result in results) == Counter(urls)
    assert Counter(result.outcome for result in results) == {Outcome.FETCHED: 200, Outcome.MALFORMED_URL: 1}


async def test_limits_hold(web: Web) -> None:
    busy: Counter[str] = Counter()
    peak: Counter[str] = Counter()

    async def handle(result: FetchResult) -> None:
        host = result.url.split("/")[2]
        busy.update([host, "all"])
        peak[host], peak["all"] = max(peak[host], busy[host]), max(peak["all"], busy.total() // 2)
        await asyncio.sleep(0.002)
        busy.subtract([host, "all"])

    web.on("/", http(200))
    async with Fetcher(settings_for(web, concurrency=5, per_host=2)) as fetcher:
        await fetcher.fetch_all([f"http://h{i % 4}.example/" for i in range(80)], handle)
    assert peak["all"] <= 5
    assert max(count for host, count in peak.items() if host != "all") <= 2


async def test_a_slow_host_does_not_block_the_rest(web: Web) -> None:
    done = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        await done.wait()  # answers only once every fast URL was handled
        writer.write(http(200, b"late", Connection="close"))
        await writer.drain()

    web.on("/slow", slow)
    web.on("/fast", http(200, b"soon"))
    fast: list[FetchResult] = []

    async def handle(result: FetchResult) -> None:
        if result.body == b"soon":
            fast.append(result)
        if len(fast) == 30:
            done.set()

    urls = ["http://slow.example/slow"] * 30 + [f"http://f{i}.example/fast" for i in range(30)]
    async with Fetcher(settings_for(web, concurrency=4, per_host=2, timeout_s=20.0)) as fetcher:
        await fetcher.fetch_all(urls, handle)
    assert web.asked("/slow") == 30


async def test_pacing(web: Web) -> None:
    web.on("/", http(200))
    clock = asyncio.get_running_loop().time
    start = clock()
    results = await gather(web, ["http://a.example/"] * 5, per_host_rate=20.0)
    assert len(results) == 5
    assert clock() - start >= 4 / 20


async def test_an_error_of_the_handler_ends_it_all(web: Web) -> None:
    web.on("/p.jpg", http(200, PICTURE))
    web.on("/hang", hang)

    async def handle(result: FetchResult) -> None:
        raise KeyError(result.url)

    urls = [URL, *[f"http://h{i}.example/hang" for i in range(5)]]
    async with Fetcher(settings_for(web)) as fetcher:
        with pytest.raises(KeyError, match=r"p\.jpg"):
            await fetcher.fetch_all(urls, handle)


async def test_stopping_finishes_what_is_in_flight(web: Web) -> None:
    web.on("/p.jpg", http(200, PICTURE))
    results: list[FetchResult] = []

    async def keep(result: FetchResult) -> None:
        results.append(result)

    urls = [f"http://h{i}.example/p.jpg" for i in range(50)] + ["http:///x"] * 9
    async with Fetcher(settings_for(web, concurrency=3)) as fetcher:
        await fetcher.fetch_all(urls, keep, stopping=lambda: len(results) >= 10)
    assert 10 <= len(results) <= 13
    assert len(results) == len(web.requests) + 9


async def test_nothing_to_do(web: Web) -> None:
    assert await gather(web, []) == []


async def test_a_clock_that_jumps_back_changes_nothing_but_the_date(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deadlines, pauses and pacing run on the monotonic clock; the calendar is only written down."""
    hours = iter(range(1_000, 0, -1))

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls(2026, 1, 1, tzinfo=tz) + timedelta(hours=next(hours))

    monkeypatch.setattr("poisonscan.fetch.job.datetime", Jumping)
    monkeypatch.setattr("time.time", lambda: float(next(hours)))
    web.on("/p.jpg", http(500), http(200, PICTURE))
    web.on("/slow.jpg", hang)
    async with Fetcher(settings_for(web, timeout_s=0.5, per_host_rate=50)) as fetcher:
        first = await fetcher.fetch(URL)
        slow = await fetcher.fetch("http://a.example/slow.jpg")
        last = await fetcher.fetch(URL)
    assert [result.outcome for result in (first, slow, last)] == [
        Outcome.FETCHED,
        Outcome.TIMEOUT,
        Outcome.FETCHED,
    ]
    assert (first.attempts, last.attempts) == (2, 1)
    assert 0 < first.total_s < 0.5 <= slow.total_s < 5
    assert first.fetched_at > slow.fetched_at > last.fetched_at
