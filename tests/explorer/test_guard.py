from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from poisonscan.explorer.guard import HEADERS, Pass, refusal
from tests.explorer.conftest import marks_of

if TYPE_CHECKING:
    from tests.explorer.conftest import Served

MARK = json.dumps({"rows": [3], "mark": "drop"})
ENTRY = Pass(4321)
OURS = {
    "host": ENTRY.host,
    "cookie": f"a=b; {ENTRY.cookie}={ENTRY.token}",
    "origin": f"http://{ENTRY.host}",
    "x-poisonscan-token": ENTRY.writing,
}


def test_the_first_address_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(checked: Served) -> None:
    first = urlsplit(checked.address)
    status, headers, _ = checked.ask(f"/?{first.query}", Cookie=None)
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert cookie.startswith(checked.cookie)
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": None},
        {"Cookie": "poisonscan-1=guess"},
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1"},
        {"Host": "localhost"},
        {"Host": None},
    ],
)
def test_strangers_see_nothing(checked: Served, headers: dict[str, str | None]) -> None:
    for path in (
        "/",
        "/rows",
        "/pictures/30/now/192",
        "/static/explore.js",
        "/sql?q=FROM+verdicts",
        "/?token=guess",
    ):
        status, told, body = checked.ask(path, "GET", None, **headers)
        assert status in {400, 403}
        assert b"grey patch" not in body
        if status == 403:
            assert told["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": None},
        {"Origin": "null"},
        {"X_Poisonscan_Token": None},
        {"X_Poisonscan_Token": "guess"},
        {"Cookie": None},
        {"Host": "evil.example"},
    ],
)
def test_nobody_else_writes(checked: Served, headers: dict[str, str | None]) -> None:
    for path in ("/marks", "/map/selections"):
        status, _, _ = checked.ask(path, "POST", MARK, **headers)
        assert status in {400, 403}
    assert 3 not in marks_of(checked.run)


def test_nothing_writes_by_get(checked: Served) -> None:
    for path in ("/marks", "/map/selections"):
        assert checked.ask(path)[0] == 405


def test_every_answer_forbids_the_browser_what_it_need_not_do(checked: Served) -> None:
    for path in ("/", "/rows/30", "/nowhere", "/pictures/30/now/192", "/static/map.js", "/map/points"):
        _, headers, _ = checked.ask(path)
        assert {name: headers[name] for name in HEADERS} == dict(HEADERS)
        assert headers["cache-control"] in {"no-store", "private, max-age=600", "private, max-age=0"}
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy


def test_our_own_page_may_read_and_write() -> None:
    assert refusal(ENTRY, "GET", Headers(OURS), []) is None
    assert refusal(ENTRY, "POST", Headers(OURS), []) is None
    assert refusal(ENTRY, "GET", Headers({"host": ENTRY.host}), [ENTRY.token]) is None
    assert refusal(ENTRY, "GET", Headers({"host": "127.0.0.1:4321"}), [ENTRY.token]) is not None


@given(st.sampled_from(sorted(OURS)), st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0")))
def test_whatever_is_altered_in_a_request_that_writes_is_refused(name: str, value: str) -> None:
    altered = OURS | {name: value}
    assert (refusal(ENTRY, "POST", Headers(altered), []) is None) == (altered == OURS)


def test_tokens_are_new_each_time_and_are_not_told() -> None:
    assert Pass(1).token != Pass(1).token
    assert Pass(1).host != Pass(1).host
    assert ENTRY.token not in repr(ENTRY)
    assert len(ENTRY.token) >= 43  # 256 bits in base64
