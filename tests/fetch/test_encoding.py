from __future__ import annotations

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.fetch.encoding import (
    MOST_CODINGS,
    MOST_MEMBERS,
    STEP_BYTES,
    EncodingError,
    InflatedTooLargeError,
    decoded,
    undone,
)

CAP = 10_000
JPEG = b"\xff\xd8\xff\xe0 a picture, as far as its first bytes tell"


@given(st.binary(max_size=CAP).map(b"text".__add__), st.integers(0, 5_000))
def test_what_was_compressed_comes_back(body: bytes, cut: int) -> None:
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    assert decoded(gzip.compress(body, mtime=0), ["gzip"], 2 * CAP) == body
    assert decoded(zlib.compress(body), ["deflate"], 2 * CAP) == body
    assert decoded(raw.compress(body) + raw.flush(), ["deflate"], 2 * CAP) == body
    assert decoded(gzip.compress(zlib.compress(body)), ["deflate", "x-gzip"], 2 * CAP) == body
    assert (
        decoded(gzip.compress(body[:cut], mtime=0) + gzip.compress(body[cut:], mtime=0), ["gzip"], 2 * CAP)
        == body
    )
    assert decoded(body, [], 2 * CAP) == body


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_garbage_is_an_error_or_a_body(body: bytes, coding: str) -> None:
    try:
        assert len(decoded(body, [coding], CAP)) <= CAP
    except (EncodingError, InflatedTooLargeError) as error:
        assert coding in str(error)  # noqa: PT017 - both ends are fine, if they say so


@pytest.mark.parametrize("codings", [["gzip"], ["deflate"], ["br"], ["gzip", "zstd"]])
def test_a_coding_that_is_only_claimed_changes_nothing(codings: list[str]) -> None:
    assert decoded(JPEG, codings, CAP) == JPEG


def test_a_coding_claimed_twice_and_applied_once_is_undone_once() -> None:
    assert decoded(gzip.compress(JPEG, mtime=0), ["gzip", "gzip"], CAP) == JPEG


@pytest.mark.parametrize("tail", [bytes(8), b"more", b"\x1f"])
def test_what_follows_the_last_member_is_passed_over(tail: bytes) -> None:
    assert decoded(gzip.compress(b"picture", mtime=0) + tail, ["gzip"], CAP) == b"picture"


def test_a_bomb_is_not_inflated() -> None:
    with pytest.raises(InflatedTooLargeError, match="10,000"):
        decoded(gzip.compress(bytes(CAP + 1)), ["gzip"], CAP)


@pytest.mark.parametrize(
    ("body", "codings", "words"),
    [
        (gzip.compress(b"picture", mtime=0)[:-4], ["gzip"], "cut short"),
        (b"", ["gzip"], "cut short"),
        (b"no picture", ["gzip"], "not valid gzip"),
        (gzip.compress(b"one", mtime=0) + b"\x1f\x8bbroken", ["gzip"], "not valid gzip"),
        (gzip.compress(b"", mtime=0) * (MOST_MEMBERS + 1), ["gzip"], "members"),
        (b"text", ["br"], "Content-Encoding br"),
        (b"text", ["gzip"] * (MOST_CODINGS + 1), "codings"),
    ],
)
def test_what_cannot_be_undone(body: bytes, codings: list[str], words: str) -> None:
    with pytest.raises(EncodingError, match=words):
        decoded(body, codings, CAP)


def test_no_step_inflates_much() -> None:
    size = 50 * STEP_BYTES
    body = gzip.compress(bytes(size))
    held = [len(body), *undone(body, ["gzip"], size)]
    assert held[-1] == len(body) + size
    assert max(b - a for a, b in pairwise(held)) <= STEP_BYTES
