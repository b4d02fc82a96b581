"""Content and transfer codings, for servers that compress although `identity` was asked for.

Refusing such answers would lose pictures that every browser shows, so gzip and deflate are undone here, in
steps and never beyond the cap. A coding that is claimed and not applied is passed over, as urllib, curl and
img2dataset pass over all of them: `UTF-8`, `none`, `aws-chunked`, or `gzip` before a plain JPEG.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from poisonscan.fingerprint.sniff import format_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

GZIP = frozenset({"gzip", "x-gzip"})
DEFLATE = "deflate"
UNREADABLE = frozenset({"br", "zstd", "compress", "x-compress"})
"""Codings that exist and that nothing in the base install undoes."""
CODINGS = GZIP | UNREADABLE | {DEFLATE}
"""What can have been done to a body; any other value of Content-Encoding changes nothing about it."""
MOST_CODINGS = 5
"""Codings one upon the other; urllib3 stops there too."""
STEP_BYTES = 1 << 18
"""What one step inflates: about a millisecond, so that an event loop can turn between two."""

MOST_MEMBERS = 4_096
"""Members of a gzip body: eight times those of 32 MiB in the blocks of bgzip."""

_PIECE_BYTES = 1 << 14  # handed over at a time; what a member leaves of it is copied
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
_FIRST_BYTE_OF_ZLIB = (
    0x78  # RFC 1950 with the 32 KiB window everybody uses; else "deflate" means raw RFC 1951
)


class EncodingError(ValueError):
    """A body that is not what its Content-Encoding says."""


class InflatedTooLargeError(ValueError):
    """A body that inflates beyond the cap."""


def undone(body: bytes, codings: Sequence[str], cap: int) -> Generator[int, None, bytes]:
    """A body without its codings, a step at a time.

    Args:
        body: as received.
        codings: of CODINGS, in the order they were applied.
        cap: most bytes to inflate to.

    Yields:
        How many bytes are held after each step of at most `STEP_BYTES`: what is undone and what came of it.

    Returns:
        The plain body.

    Raises:
        EncodingError: the data is cut short, broken, or in a coding that cannot be undone.
        InflatedTooLargeError: there is more than `cap`.
    """
    if len(codings) > MOST_CODINGS:
        raise EncodingError(f"more than {MOST_CODINGS} content codings")
    for coding in reversed(codings):
        if format_of(body):  # claimed and not applied, or there is nothing left to undo
            return body
        if coding in UNREADABLE:
            raise EncodingError(f"Content-Encoding {coding}, which was not asked for")
        body = yield from _inflated(body, coding, cap)
    return body


def decoded(body: bytes, codings: Sequence[str], cap: int) -> bytes:
    """`undone` in one go; it blocks for as long as that takes."""
    steps = undone(body, codings, cap)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return bytes(done.value)


def _inflated(body: bytes, coding: str, cap: int) -> Generator[int, None, bytes]:
    """All members of a gzip body, or the one stream of a deflate body; what else follows is ignored.

    Zero bytes and odd tails after the last member are what gzip itself, urllib3 and browsers step over.
    """
    plain, at, members = bytearray(), 0, 0
    while True:
        members += 1
        if members > MOST_MEMBERS:
            raise EncodingError(f"the body has more than {MOST_MEMBERS:,} {coding} members")
        inflater = zlib.decompressobj(_window(body, coding))
        while not inflater.eof:
            piece = body[at : at + _PIECE_BYTES]
            try:
                more = inflater.decompress(piece, STEP_BYTES)
            except zlib.error as error:
                raise EncodingError(f"the body is not valid {coding}: {error}") from error
            at += len(piece) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
            plain += more
            if len(plain) > cap:
                raise InflatedTooLargeError(f"the {coding} body inflates to more than {cap:,} bytes")
            if not (piece or more or inflater.eof):
                raise EncodingError(f"the {coding} body is cut short")
            yield len(body) + len(plain)
        if coding not in GZIP or body[at : at + 2] != _GZIP_MAGIC:
            return bytes(plain)


def _window(body: bytes, coding: str) -> int:
    if coding in GZIP:
        return _GZIP_WINDOW
    return zlib.MAX_WBITS if body[:1] == bytes([_FIRST_BYTE_OF_ZLIB]) else -zlib.MAX_WBITS
