"""Reading a response, without any network."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.fetch.answer import HEAD_BYTES, Answer
from poisonscan.fetch.failures import LostError, NotHttpError

LIMIT = 1_000


class Ending(NamedTuple):
    """What came of an answer."""

    status: int
    body: bytes | None = None
    error: type[OSError] | None = None
    reusable: bool = False


def read(*pieces: bytes, eof: bool = True) -> Answer:
    answer = Answer(LIMIT)
    for piece in pieces:
        answer.feed(piece)
    if eof:
        answer.feed_eof(None)
    return answer


def ending(answer: Answer) -> Ending:
    body = answer.body if answer.complete else None
    error = type(answer.error) if answer.error is not None else None
    return Ending(answer.status, body, error, answer.reusable)


def lines(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


ANSWERS = {
    "plain": (lines("HTTP/1.1 200 OK", "Content-Length: 3", body=b"abc"), Ending(200, b"abc", reusable=True)),
    "empty": (lines("HTTP/1.1 404 No", "Content-Length: 0"), Ending(404, b"", reusable=True)),
    "no content": (lines("HTTP/1.1 204 No Content"), Ending(204, b"", reusable=True)),
    "closing": (
        lines("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 3", body=b"abc"),
        Ending(200, b"abc"),
    ),
    "until the end": (lines("HTTP/1.0 200 OK", body=b"abc"), Ending(200, b"abc")),
    "chunks": (
        lines(
            "HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"2\r\nab\r\n1 \r\nc\r\n0\r\nX: y\r\n\r\n"
        ),
        Ending(200, b"abc", reusable=True),
    ),
    "hints first": (
        lines("HTTP/1.1 103 Early Hints", "Location: /no")
        + lines("HTTP/1.1 100 Continue")
        + lines("HTTP/1.1 200 OK", "Content-Length: 3", body=b"abc"),
        Ending(200, b"abc", reusable=True),
    ),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", Ending(200, b"abc", reusable=True)),
    "an offer of HTTP/2": (
        lines("HTTP/1.1 200 OK", "Upgrade: h2", "Connection: Upgrade", "Content-Length: 3", body=b"abc"),
        Ending(200, b"abc", reusable=True),
    ),
    "another protocol": (
        lines("HTTP/1.1 101 Switching", "Upgrade: h2", "Connection: Upgrade", body=b"PRI"),
        Ending(101, b""),
    ),
    "a second answer": (
        lines("HTTP/1.1 200 OK", "Content-Length: 3", body=b"abc")
        + lines("HTTP/1.1 302 Found", "Location: /smuggled", "Content-Length: 1", body=b"x"),
        Ending(200, b"abc"),
    ),
    "a tail": (lines("HTTP/1.1 200 OK", "Content-Length: 3", body=b"abcdef"), Ending(200, b"abc")),
    "too short": (
        lines("HTTP/1.1 200 OK", "Content-Length: 5", body=b"abc"),
        Ending(200, error=LostError),
    ),
    "chunks without an end": (
        lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"),
        Ending(200, error=LostError),
    ),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", Ending(0, error=LostError)),
    "nothing": (b"", Ending(0, error=LostError)),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", Ending(0, error=NotHttpError)),
    "two lengths": (
        lines("HTTP/1.1 200 OK", "Content-Length: 3", "Content-Length: 4", body=b"abcd"),
        Ending(200, b"abc"),
    ),
    "a length and chunks": (
        lines("HTTP/1.1 200 OK", "Content-Length: 3", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        Ending(200, b""),
    ),
    "no chunk": (
        lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"zz\r\n"),
        Ending(200, error=NotHttpError),
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_in_one_piece(name: str) -> None:
    data, expected = ANSWERS[name]
    assert ending(read(data)) == expected


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 300), max_size=8))
def test_how_it_is_cut_does_not_matter(name: str, cuts: list[int]) -> None:
    data, expected = ANSWERS[name]
    marks = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert ending(read(*[data[a:b] for a, b in pairwise(marks) if a < b])) == expected


@given(st.binary(max_size=200), st.sampled_from(sorted(ANSWERS)), st.integers(0, 200))
def test_any_bytes_end_somehow(noise: bytes, name: str, at: int) -> None:
    data = ANSWERS[name][0]
    answer = read(data[:at] + noise + data[at:])
    assert answer.ended
    assert answer.complete != (answer.error is not None)
    assert not (answer.reusable and not answer.complete)


def test_headers_are_looked_up_in_any_case_and_keep_their_bytes() -> None:
    answer = read(lines("HTTP/1.1 200 OK", "content-TYPE:  image/png ", "Location: /\u00ff", "X: 1", "X: 2"))
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Location"].encode("utf-8", "surrogateescape") == b"/\xff"
    assert answer.headers.getall("x") == ["1", "2"]


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_a_body_is_kept_up_to_the_limit(size: int) -> None:
    head = lines("HTTP/1.1 200 OK", f"Content-Length: {size + 5_000}")
    answer = read(head, bytes(size), eof=False)
    assert answer.ended == (size > LIMIT)
    ended = answer.ended
    answer.feed(bytes(5_000))
    assert answer.n_bytes == (size if ended else size + 5_000)
    assert len(answer.body) <= LIMIT


@pytest.mark.parametrize("length", [LIMIT, LIMIT + 5_000, 2 * LIMIT])
def test_an_answer_that_has_ended_waits_for_no_search_for_cycles(length: int) -> None:
    def answers() -> int:
        return sum(type(one) is Answer for one in gc.get_objects())

    gc.collect()
    before = answers()
    gc.disable()
    try:
        answer = read(lines("HTTP/1.1 200 OK", f"Content-Length: {length}"), bytes(length - 1), b"end")
        assert answer.ended
        del answer
        assert answers() == before
    finally:
        gc.enable()


def test_tiny_chunks_take_no_more_room_than_large_ones() -> None:
    data = lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"2\r\nab\r\n" * 50_000)
    answer = Answer(limit=200_000)
    tracemalloc.start()
    try:
        answer.feed(data)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.n_bytes == 100_000
    assert held < 2 * answer.n_bytes


@pytest.mark.parametrize(
    "endless",
    [b"X: y\r\n", b"X" * 100, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nX: yyyyyyy\r\n\r\n"],
)
def test_a_head_has_a_size(endless: bytes) -> None:
    answer = Answer(LIMIT)
    answer.feed(b"" if endless.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n")
    fed = 0
    while not answer.ended:
        answer.feed(endless)
        fed += len(endless)
        assert fed < 2 * HEAD_BYTES
    assert isinstance(answer.error, NotHttpError)


@pytest.mark.parametrize("step", [1_000, 10**6])
@pytest.mark.parametrize(("size", "fits"), [(HEAD_BYTES - 100, True), (HEAD_BYTES + 100, False)])
def test_a_large_head_is_as_large_in_pieces(size: int, step: int, *, fits: bool) -> None:
    data = lines("HTTP/1.1 200 OK", "Content-Length: 1", f"X: {'x' * size}", body=b"a")
    answer = read(*[data[at : at + step] for at in range(0, len(data), step)])
    assert answer.complete == fits
    assert isinstance(answer.error, NotHttpError) != fits


def test_trailers_count_as_head() -> None:
    answer = read(lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"0\r\n"), eof=False)
    for _ in range(HEAD_BYTES):
        answer.feed(b"X: y\r\n")
        if answer.ended:
            break
    assert isinstance(answer.error, NotHttpError)
    assert "X" not in answer.headers


def test_an_end_that_was_no_orderly_one_is_told() -> None:
    answer = read(lines("HTTP/1.1 200 OK", body=b"abc"), eof=False)
    answer.feed_eof(ConnectionResetError(104, "reset"))
    assert isinstance(answer.error, ConnectionResetError)
    assert not answer.complete
