from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict
from pyarrow import parquet
from yarl import URL

from poisonscan.config import FetchSettings
from poisonscan.fetch import policy
from poisonscan.fetch.policy import Failure, Follow, TakeBody, parse_url
from poisonscan.fetch.url import Target
from poisonscan.records import Outcome

RULES = FetchSettings()
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LISTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "url_lists"


def target(url: str) -> Target:
    parsed = parse_url(url)
    assert isinstance(parsed, Target), parsed
    return parsed


def step(
    status: int, *headers: tuple[str, str], passed: tuple[str, ...] = (), rules: FetchSettings = RULES
) -> TakeBody | Follow | Failure:
    here = target("http://a.example/dir/p.jpg")
    return policy.next_step(status, CIMultiDict(headers), here, passed, rules, NOW)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://Example.COM", "http://example.com/"),
        (" https://example.com:443/a.jpg\n", "https://example.com/a.jpg"),
        ("http://example.com:8080/a?b=c#d", "http://example.com:8080/a?b=c"),
        ("http://example.com./a", "http://example.com/a"),
        ("http://example.com/a b/\u00e9.jpg", "http://example.com/a%20b/%C3%A9.jpg"),
        ("http://example.com/a\\b|c", "http://example.com/a%5Cb%7Cc"),
        (
            "http://example.com/%2F%41%zz?x=%20+%3A/&y=\u4e2d",
            "http://example.com/%2F%41%zz?x=%20+%3A/&y=%E4%B8%AD",
        ),
        ("http://example.com/a/../b", "http://example.com/a/../b"),
        ("http://example.com?q=1", "http://example.com/?q=1"),
        ("http://b\u00fccher.example/x", "http://xn--bcher-kva.example/x"),
        ("http://a_b.-c.example/x", "http://a_b.-c.example/x"),
        ("http://2130706433/x", "http://127.0.0.1/x"),
        ("http://\uff11\uff12\uff17.1/x", "http://127.0.0.1/x"),
        ("http://[2606:4700:0::1111]:81/x", "http://[2606:4700::1111]:81/x"),
        ("http://example.com/\udcff.jpg", "http://example.com/%FF.jpg"),
    ],
)
def test_parse_url(url: str, sent: str) -> None:
    assert target(url).url == sent


@pytest.mark.parametrize(
    ("url", "outcome", "words"),
    [
        ("", Outcome.MALFORMED_URL, "empty"),
        ("example.com/a.jpg", Outcome.MALFORMED_URL, "does not begin with http"),
        ("//example.com/a.jpg", Outcome.MALFORMED_URL, "does not begin with http"),
        ("http:///x", Outcome.MALFORMED_URL, "no host"),
        ("http:x", Outcome.MALFORMED_URL, "no host"),
        ("http://[::1", Outcome.MALFORMED_URL, "host '[::1' cannot be read"),
        ("http://[::1%25lo]/", Outcome.MALFORMED_URL, "not an IPv6 address"),
        ("http://example.com:99999/", Outcome.MALFORMED_URL, "port 99999"),
        ("http://example.com:0/", Outcome.MALFORMED_URL, "port 0"),
        ("http://example.com:8a/", Outcome.MALFORMED_URL, "cannot be read"),
        ("http://user:password@example.com/", Outcome.MALFORMED_URL, "password"),
        ("http://evil.example\\@127.0.0.1/", Outcome.MALFORMED_URL, "backslash"),
        ("http://a..b/", Outcome.MALFORMED_URL, "not a host name"),
        ("http://a b/", Outcome.MALFORMED_URL, "not a host name"),
        ("http://%31.example/", Outcome.MALFORMED_URL, "not a host name"),
        (f"http://{'x' * 64}.example/", Outcome.MALFORMED_URL, "not a host name"),
        ("http://1.2.3.4.5/", Outcome.MALFORMED_URL, "looks like an IPv4"),
        ("http://a\x00b/", Outcome.MALFORMED_URL, "control character"),
        ("http://a/b\nc", Outcome.MALFORMED_URL, "control character"),
        ("http://a/\ud800", Outcome.MALFORMED_URL, "surrogates"),
        ("ftp://example.com/a.jpg", Outcome.BAD_SCHEME, "ftp"),
        ("data:image/png;base64,AAAA", Outcome.BAD_SCHEME, "data"),
        ("file:///etc/passwd", Outcome.BAD_SCHEME, "file"),
    ],
)
def test_parse_url_says_what_is_wrong(url: str, outcome: Outcome, words: str) -> None:
    failure = parse_url(url)
    assert isinstance(failure, Failure)
    assert failure.outcome == outcome
    assert words in failure.reason


anything = st.text(st.characters(), max_size=60)


@given(anything | anything.map("http://".__add__) | anything.map("https://h.example/".__add__))
@example("http://0?")
def test_any_string_gives_a_target_or_a_reason(text: str) -> None:
    parsed = parse_url(text)
    if isinstance(parsed, Target):
        again = target(parsed.url)
        assert again == parsed  # what is sent means what was understood
        assert parsed.url.isascii()
        sent = URL(parsed.url, encoded=True)  # as somebody else reads it
        assert (sent.raw_host, sent.port) == (parsed.server_name, parsed.port)
        assert (sent.scheme == "https") is parsed.tls
        assert sent.raw_path_qs in {parsed.path, parsed.path.removesuffix("?")}  # yarl drops an empty query
    else:
        assert parsed.outcome in {Outcome.MALFORMED_URL, Outcome.BAD_SCHEME}
        assert parsed.reason.isascii()
        assert parsed.reason.isprintable()


def test_real_urls_are_understood() -> None:
    path = LISTS / "laion400m_sample_10k.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    urls = parquet.read_table(path)["url"].to_pylist()
    failures = {url: parsed for url in urls if isinstance(parsed := parse_url(url), Failure)}
    assert len(urls) > 1000
    assert [url for url in failures if url.startswith("http")] == []  # the sample has a stray label too


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:10.0.0.1]", "169.254.169.254", "127.0.0.1."]
)
def test_private_literals_are_refused_unless_allowed(host: str) -> None:
    refused = policy.admit(f"http://{host}/", RULES)
    assert isinstance(refused, Failure)
    assert refused.outcome == Outcome.PRIVATE_ADDRESS
    named = FetchSettings(allow_addresses=f"8.8.8.8, {refused.reason.split()[0]}")
    assert isinstance(policy.admit(f"http://{host}/", named), Target)
    private = policy.admit(f"http://{host}/", FetchSettings(allow_private=True))
    assert isinstance(private, Failure if "metadata" in refused.reason else Target)


def test_the_name_of_a_metadata_service_is_refused_unless_it_is_named() -> None:
    url = "http://Metadata.Google.internal./computeMetadata/v1/"
    for rules in (RULES, FetchSettings(allow_private=True, allow_addresses="169.254.169.254")):
        refused = policy.admit(url, rules)
        assert isinstance(refused, Failure)
        assert "metadata" in refused.reason
    assert isinstance(policy.admit(url, FetchSettings(allow_addresses="metadata.google.internal")), Target)


@pytest.mark.parametrize(
    ("status", "outcome", "transient"),
    [
        (404, Outcome.HTTP_GONE, False),
        (410, Outcome.HTTP_GONE, False),
        *[(status, Outcome.HTTP_BLOCKED, False) for status in (401, 402, 403, 407, 451)],
        (429, Outcome.HTTP_BLOCKED, True),
        *[(status, Outcome.HTTP_ERROR, False) for status in (101, 204, 205, 304, 400, 418)],
        *[(status, Outcome.HTTP_ERROR, True) for status in (500, 502, 503, 599)],
    ],
)
def test_status(status: int, outcome: Outcome, *, transient: bool) -> None:
    assert step(status) == Failure(outcome, f"HTTP {status}", transient)


def test_a_body_is_taken() -> None:
    assert step(200) == step(203, ("content-length", "5")) == TakeBody()
    assert step(201) == step(206, ("Content-Range", "bytes 0-4/5")) == TakeBody()
    assert step(200, ("Content-Encoding", "GZIP")) == TakeBody(("gzip",))
    assert step(200, ("Transfer-Encoding", "gzip, chunked")) == TakeBody(("gzip",))
    assert step(200, ("Content-Encoding", "deflate, aws-chunked"), ("Content-Encoding", "br")) == TakeBody(
        ("deflate", "br")
    )


@pytest.mark.parametrize("coding", ["", "identity", "none", "UTF-8", "binary", "aws-chunked", "image/jpeg"])
def test_what_is_no_coding_changes_nothing(coding: str) -> None:
    assert step(200, ("Content-Encoding", coding)) == TakeBody()


def test_a_body_that_is_announced_too_large_is_not_begun() -> None:
    at_cap, above = str(RULES.max_bytes), str(RULES.max_bytes + 1)
    assert step(200, ("Content-Length", at_cap)) == TakeBody()
    for length in (above, "9" * 5000):
        failure = step(200, ("Content-Length", length))
        assert isinstance(failure, Failure)
        assert failure.outcome == Outcome.TOO_LARGE


@pytest.mark.parametrize(
    ("location", "goes_to"),
    [
        ("https://b.example/x", "https://b.example/x"),
        ("x.jpg", "http://a.example/dir/x.jpg"),
        ("/x?a b", "http://a.example/x?a%20b"),
        ("//b.example/x", "http://b.example/x"),
        ("?q", "http://a.example/dir/p.jpg?q"),
    ],
)
def test_a_redirect_is_followed(location: str, goes_to: str) -> None:
    followed = step(302, ("Location", location))
    assert isinstance(followed, Follow)
    assert followed.target.url == goes_to


@pytest.mark.parametrize(
    ("location", "outcome"),
    [
        ("", Outcome.HTTP_ERROR),
        ("file:///etc/passwd", Outcome.BAD_SCHEME),
        ("data:image/png,x", Outcome.BAD_SCHEME),
        ("http://[::1/", Outcome.MALFORMED_URL),
        ("http://user@b.example/", Outcome.MALFORMED_URL),
        ("http://127.0.0.1/", Outcome.PRIVATE_ADDRESS),
        ("http://[::1]/", Outcome.PRIVATE_ADDRESS),
        ("//0x7f.1/", Outcome.PRIVATE_ADDRESS),
        ("p.jpg#again", Outcome.TOO_MANY_REDIRECTS),
        ("/first", Outcome.TOO_MANY_REDIRECTS),
    ],
)
def test_a_redirect_is_refused(location: str, outcome: Outcome) -> None:
    failure = step(302, ("Location", location), passed=("http://a.example/first",))
    assert isinstance(failure, Failure)
    assert failure.outcome == outcome


def test_redirects_are_counted() -> None:
    passed = tuple(f"http://a.example/{i}" for i in range(RULES.max_redirects))
    failure = step(301, ("Location", "/new"), passed=passed)
    assert isinstance(failure, Failure)
    assert failure.outcome == Outcome.TOO_MANY_REDIRECTS
    assert isinstance(step(301, ("Location", "/new"), passed=passed[1:]), Follow)


@given(anything)
def test_any_location_gives_a_target_or_a_reason(location: str) -> None:
    assert isinstance(step(302, ("Location", location)), Follow | Failure)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7.0),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW - timedelta(seconds=30), usegmt=True), 0.0),
        ("soon", None),
        ("-3", None),
        ("\u0663", None),
        (" 0 ", 0.0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999", None),
    ],
)
def test_retry_after(value: str, wait: float | None) -> None:
    failure = step(503, ("Retry-After", value))
    assert isinstance(failure, Failure)
    assert failure.retry_after_s == wait


@given(anything | st.integers(0).map(str))
def test_any_retry_after_is_survived(value: str) -> None:
    failure = step(429, ("Retry-After", value))
    assert isinstance(failure, Failure)
    assert failure.retry_after_s is None or failure.retry_after_s >= 0


def pause(failure: Failure, attempts: int = 1, remaining_s: float = 60.0) -> float | None:
    return policy.pause_before_retry(failure, attempts, remaining_s, RULES, Random(0))


def test_pauses_double_with_jitter() -> None:
    failure = Failure(Outcome.HTTP_ERROR, "HTTP 500", transient=True)
    for attempts in range(1, RULES.retries + 1):
        middle = RULES.backoff_s * 2 ** (attempts - 1)
        got = pause(failure, attempts)
        assert got is not None
        assert middle * 0.5 <= got <= middle * 1.5
    assert pause(failure, RULES.retries + 1) is None


def test_no_pause_outlasts_the_deadline() -> None:
    asked = Failure(Outcome.HTTP_BLOCKED, "HTTP 429", transient=True, retry_after_s=30.0)
    assert pause(asked, remaining_s=31.0) == 30.0
    assert pause(asked, remaining_s=30.0) is None
    assert pause(Failure(Outcome.HTTP_ERROR, "HTTP 500", transient=True), remaining_s=0.1) is None


def test_what_stays_is_not_retried() -> None:
    assert pause(Failure(Outcome.HTTP_GONE, "HTTP 404")) is None


def test_the_policy_loads_no_network_library() -> None:
    code = (
        "import sys, poisonscan.fetch.policy as p; print('aiohttp' in sys.modules, 'asyncio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    assert done.stdout.split() == ["False", "False"]
