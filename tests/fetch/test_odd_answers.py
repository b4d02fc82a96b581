"""What urllib reads, with which img2dataset fetches, is read: no host serves it and is lost to us."""

from __future__ import annotations

import asyncio
import gzip
import urllib.request
from typing import TYPE_CHECKING

import pytest

from poisonscan.records import Outcome

from .conftest import LOOPBACK, Web, fetch, http
from .test_head import BODY as OTHER
from .test_head import START, TAKEN

if TYPE_CHECKING:
    from collections.abc import Callable

PICTURE = b"\xff\xd8\xff\xe0 as far as its first bytes tell, a JPEG"
ODD: dict[str, bytes] = {
    **{
        f"Content-Encoding: {coding}": http(200, PICTURE, Content_Encoding=coding)
        for coding in (
            *("", "identity", "none", "UTF-8", "binary", "aws-chunked", "image/jpeg", "base64", "gzip"),
            *("deflate", "br", "zstd", "aws-chunked,gzip"),
        )
    },
    **{f"HTTP {status}": http(status, PICTURE) for status in (201, 202, 203, 206, 226, 299)},
    "part of a picture": http(206, PICTURE, Content_Range="bytes 0-9/5000"),
    "HTTP/1.2": http(200, PICTURE).replace(b"1.1", b"1.2"),
    "a control character": http(200, PICTURE, Set_Cookie="a=\x01b"),
    "a folded line": http(200, PICTURE, X_Long="a\r\n  continued"),
    **{name: START + data for name, data in TAKEN.items()},
}
NOT_URLLIB = {"chunks of line feeds", "identity and chunks"}  # curl alone takes these
COMPRESSED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "one member": ("gzip", gzip.compress),
    "two members": ("x-gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
    "zeros behind": ("gzip", lambda body: gzip.compress(body) + bytes(8)),
    "twice": ("gzip, gzip", lambda body: gzip.compress(gzip.compress(body))),
    "with a coding that is none": ("aws-chunked,gzip", gzip.compress),
}


def read_by_urllib(port: int) -> bytes:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/p", timeout=10) as response:
        return bytes(response.read())


def closing(answer: bytes) -> bytes:
    """An answer that says that the connection ends with it, as urllib asks."""
    start, rest = answer.split(b"\r\n", 1)
    return start + b"\r\nConnection: close\r\n" + rest


@pytest.mark.parametrize("name", ODD)
async def test_what_urllib_has_we_have(web: Web, name: str) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(closing(ODD[name]))
        await writer.drain()

    web.on("/p", answer)
    result = await fetch(web, "http://odd.example/p", retries=0)
    body = OTHER if name in TAKEN else PICTURE
    assert (result.outcome, result.body) == (Outcome.FETCHED, body)
    if name not in NOT_URLLIB:
        assert await asyncio.to_thread(read_by_urllib, web.port) == body


@pytest.mark.parametrize("name", COMPRESSED)
async def test_what_is_compressed_is_undone(web: Web, name: str) -> None:
    coding, compress = COMPRESSED[name]
    web.on("/p", http(200, compress(PICTURE), Content_Encoding=coding))
    assert (await fetch(web, "http://odd.example/p")).body == PICTURE


async def test_a_transfer_coding_is_undone(web: Web) -> None:
    data = gzip.compress(PICTURE)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    web.on("/p", head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))
    assert (await fetch(web, "http://odd.example/p")).body == PICTURE


async def test_a_choice_with_a_location_is_followed(web: Web) -> None:
    web.on("/p", http(300, Location="/q"))
    web.on("/q", http(200, PICTURE))
    assert (await fetch(web, "http://odd.example/p")).body == PICTURE
