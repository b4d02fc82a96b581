"""Heads that curl and urllib read and a strict parser does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.fetch.answer import Answer
from poisonscan.fetch.head import has_end, repaired, split_head

BODY = b"picture"
N = len(BODY)
START = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"
LENGTH = b"Content-Length: %d\r\n" % N
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)

TAKEN = {
    "length twice": LENGTH + LENGTH + b"\r\n" + BODY,
    "length listed twice": b"Content-Length: %d, %d\r\n\r\n" % (N, N) + BODY,
    "two lengths": LENGTH + b"Content-Length: 9\r\n\r\n" + BODY,
    "length with a sign": b"Content-Length: +%d\r\n\r\n" % N + BODY,
    "negative length": b"Content-Length: -1\r\n\r\n" + BODY,
    "no length in the length": b"Content-Length:\r\n\r\n" + BODY,
    "length and chunks": LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "length and identity": LENGTH + b"Transfer-Encoding: identity\r\n\r\n" + BODY,
    "length and an unknown coding": LENGTH + b"Transfer-Encoding: x\r\n\r\n" + BODY,
    "identity and chunks": LENGTH + b"Transfer-Encoding: identity, chunked\r\n\r\n" + CHUNKS,
    "no colon": LENGTH + b"This is no header\r\n\r\n" + BODY,
    "space before the colon": LENGTH + b"X-Odd : 1\r\n\r\n" + BODY,
    "a length with a space before the colon": b"Content-Length : 3\r\n" + LENGTH + b"\r\n" + BODY,
    "space in a name": LENGTH + b"X Odd: 1\r\n\r\n" + BODY,
    "latin-1 in a name": LENGTH + b"X-Caf\xe9: 1\r\n\r\n" + BODY,
    "no name": LENGTH + b": 1\r\n\r\n" + BODY,
    "no name, folded": LENGTH + b": 1\r\n  more: of it\r\n\r\n" + BODY,
    "bare line feeds": LENGTH.replace(b"\r", b"") + b"X Odd: 1\n\n" + BODY,
    "chunks of line feeds": b"Transfer-Encoding: chunked\r\n\r\n%x\n%s\n0\n\n" % (N, BODY),
    "no blank line after the chunks": b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS[:-2],
}


def read(data: bytes, step: int) -> Answer:
    answer = Answer(1_000)
    for at in range(0, len(data), step):
        answer.feed(data[at : at + step])
    answer.feed_eof(None)
    return answer


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("name", TAKEN)
def test_the_body_that_urllib_has(name: str, step: int) -> None:
    for before in (b"", b"HTTP/1.1 103 Early Hints\r\nX Odd: 2\r\n\r\n"):
        answer = read(before + START + TAKEN[name], step)
        assert answer.error is None
        assert (answer.status, answer.body) == (200, BODY)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert not answer.reusable or not before


@pytest.mark.parametrize("step", [1, 10_000])
def test_a_connection_with_an_odd_head_is_not_asked_again(step: int) -> None:
    assert not read(START + TAKEN["length twice"], step).reusable
    assert not read(START + TAKEN["length and chunks"], step).reusable
    assert read(START + LENGTH + b"\r\n" + BODY, step).reusable


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (START + b"X Odd: 1\r\n", "Invalid header token"),
        (b"HTTP/1.1 2x0 OK\r\nX Odd: 1\r\n\r\n", "status code"),
        (START + b"Transfer-Encoding: chunked\r\nX Odd: 1\r\n\r\nzz\r\n", "chunk size"),
        (START + b"Transfer-Encoding: chunked\r\n\r\n10\r\n", "shorter"),
    ],
)
def test_what_stays_unreadable_says_why(data: bytes, words: str) -> None:
    assert words in str(read(data, 10_000).error)


@given(st.binary(max_size=300))
def test_a_rewritten_head_stays_as_it_is(noise: bytes) -> None:
    once = repaired(b"HTTP/1.1 200 OK\r\n" + noise)
    parts = split_head(once)
    assert parts[0] is not None
    assert repaired(parts[0]) == once or b"\n" in parts[1]


@given(st.binary(max_size=60), st.lists(st.integers(1, 20), max_size=5))
def test_chunks_give_their_bytes_whatever_these_are(body: bytes, sizes: list[int]) -> None:
    data, at = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0
    for size in [*sizes, len(body)]:
        piece = body[at : at + size]
        at += len(piece)
        if piece:
            data += b"%x\r\n%s\r\n" % (len(piece), piece)
    answer = read(data + b"0\r\n\r\n", 10_000)
    assert (answer.complete, answer.body, answer.reusable) == (True, body, True)


@pytest.mark.parametrize("cut", range(5))
def test_the_end_of_a_head_is_seen_wherever_it_is_cut(cut: int) -> None:
    data = bytearray(START + LENGTH + b"\r\n")
    assert has_end(data, max(cut, 1))
    assert not has_end(data[:-2], 5)
    assert not has_end(data + b"a long body", 5)
