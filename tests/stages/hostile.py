"""Everything a server can do to us, each on a host of its own; docs/hardening.md lists what a user sees."""

from __future__ import annotations

import asyncio
import gzip
import io
import socket
import ssl
import struct
import threading
import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Self

import trustme
from PIL import Image

from tests.fetch.conftest import LOOPBACK, Web, http

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fetch.conftest import Answer

TIMEOUT_S = 2.0
MAX_BYTES = 200_000
RETRIES = 2


class Case(NamedTuple):
    """One way to be hostile, and what the row must say.

    `state` is the verdict, or "fingerprinted" where a picture came in spite of it all.
    """

    name: str
    state: str
    words: str
    answers: tuple[Answer, ...]

    @property
    def url(self) -> str:
        return f"http://{self.name}.hostile.test/{self.name}.jpg"


def neighbour(number: int) -> str:
    return f"http://good-{number}.friendly.test/good.jpg"


def picture_bytes(kind: str = "JPEG", size: tuple[int, int] = (320, 240)) -> bytes:
    x = Image.linear_gradient("L").resize(size)
    picture = Image.merge("RGB", (x, x.transpose(Image.Transpose.ROTATE_180), x))
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


JPEG, PNG = picture_bytes(), picture_bytes("PNG")


def png_header_only(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that nobody can hold, with hardly any data behind it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


async def one_byte_a_second(writer: asyncio.StreamWriter) -> None:
    writer.write(http(200, b"", Content_Length=str(len(JPEG))))
    for byte in JPEG:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


async def never(writer: asyncio.StreamWriter) -> None:  # noqa: ARG001 - an answer takes the connection
    await asyncio.sleep(60)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.write(http(200, JPEG)[:-100])
    await writer.drain()
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def too_short(writer: asyncio.StreamWriter) -> None:
    writer.write(http(200, JPEG[:-100], Content_Length=str(len(JPEG))))
    writer.close()


def redirect(location: str) -> Answer:
    return http(302, Location=location)


def many_headers(n: int) -> bytes:
    lines = "".join(f"X-{number}: {number}\r\n" for number in range(n))
    return http(200, JPEG).replace(b"\r\n\r\n", b"\r\n" + lines.encode() + b"\r\n", 1)


CASES = (
    Case("one-byte-a-second", "unreachable", "2 s", (one_byte_a_second,)),
    Case("no-answer", "unreachable", "2 s", (never,)),
    Case("endless-body", "refused", "the limit is 200,000", (endless,)),
    Case("content-length-too-long", "unreachable", "shorter than announced", (too_short,)),
    Case(
        "content-length-too-short",
        "fingerprinted",
        "",
        (http(200, JPEG + http(200, b"smuggled"), Content_Length=str(len(JPEG))),),
    ),
    Case(
        "content-length-huge",
        "refused",
        "by Content-Length",
        (http(200, JPEG, Content_Length="99999999999"),),
    ),
    Case(
        "gzip-bomb",
        "refused",
        "inflates",
        (http(200, gzip.compress(bytes(10 << 20)), Content_Encoding="gzip"),),
    ),
    Case(
        "png-of-60000-by-60000",
        "undecodable",
        "DecompressionBomb",
        (http(200, png_header_only(60_000, 60_000)),),
    ),
    Case("truncated-jpeg", "undecodable", "truncated", (http(200, JPEG[: len(JPEG) // 2]),)),
    Case("truncated-png", "undecodable", "", (http(200, PNG[: len(PNG) // 2]),)),
    Case(
        "html-as-jpeg",
        "not_image",
        "HTML",
        (http(200, b"<!DOCTYPE html><p>for sale", Content_Type="image/jpeg"),),
    ),
    Case(
        "svg-as-jpeg",
        "not_image",
        "SVG",
        (http(200, b'<svg xmlns="http://www.w3.org/2000/svg"/>', Content_Type="image/jpeg"),),
    ),
    Case("polyglot", "fingerprinted", "", (http(200, JPEG + b"<script>alert(1)</script>PK\x03\x04"),)),
    Case("empty-body", "not_image", "", (http(200, b""),)),
    Case("redirect-loop", "refused", "circle", (redirect("/redirect-loop.jpg"),)),
    Case("redirect-to-loopback", "refused", "127.0.0.1 is a loopback", (redirect("http://127.0.0.1/"),)),
    Case("redirect-to-metadata", "refused", "metadata", (redirect("http://169.254.169.254/latest"),)),
    Case("redirect-to-ipv6-loopback", "refused", "loopback", (redirect("http://[::1]/"),)),
    Case("redirect-to-mapped-private", "refused", "private", (redirect("http://[::ffff:10.0.0.1]/"),)),
    Case("redirect-to-file", "refused", "file", (redirect("file:///etc/passwd"),)),
    Case("redirect-to-data", "refused", "data", (redirect("data:image/png;base64,AA"),)),
    Case("ten-thousand-headers", "unreachable", "not valid HTTP", (many_headers(10_000),)),
    Case("header-of-64-kib", "fingerprinted", "", (http(200, JPEG, X_Huge="x" * 65_536),)),
    Case("header-of-400-kib", "unreachable", "not valid HTTP", (http(200, JPEG, X_Huge="x" * 400_000),)),
    Case("coding-that-is-none", "fingerprinted", "", (http(200, JPEG, Content_Encoding="UTF-8"),)),
    Case("coding-that-is-a-lie", "fingerprinted", "", (http(200, JPEG, Content_Encoding="gzip"),)),
    Case(
        "length-said-twice",
        "fingerprinted",
        "",
        (http(200, JPEG).replace(b"\r\n", b"\r\nContent-Length: %d\r\n" % len(JPEG), 1),),
    ),
    Case(
        "invalid-chunking",
        "unreachable",
        "not valid HTTP",
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx",),
    ),
    Case("not-http", "unreachable", "not valid HTTP", (b"SSH-2.0-OpenSSH_9.6\r\n\r\n",)),
    Case("connection-reset", "unreachable", "", (reset,)),
    Case("hangs-up", "unreachable", "without an answer", (hang_up,)),
    Case("retry-after", "fingerprinted", "", (http(429, Retry_After="1"), http(200, JPEG))),
    Case("retry-after-an-hour", "blocked", "3600 s", (http(429, Retry_After="3600"),)),
    Case("500-twice", "fingerprinted", "", (http(500), http(500), http(200, JPEG))),
    Case("500-for-ever", "unreachable", "HTTP 500", (http(500),)),
    Case("robots-tag", "blocked", "noai", (http(200, JPEG, X_Robots_Tag="noai"),)),
    Case("404", "gone", "HTTP 404", (http(404),)),
    Case("403", "blocked", "HTTP 403", (http(403),)),
)

TLS_CASES = {
    "good": ("fingerprinted", ""),
    "expired": ("unreachable", "expired"),
    "wrong-name": ("unreachable", "mismatch"),
    "unknown-authority": ("unreachable", "local issuer"),
    "self-signed": ("unreachable", "self-signed"),
}
"""Host of tls.test -> state and words."""


class HostileWeb:
    """All cases and their good neighbours behind one port, served by a thread."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._web = Web()
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._web.on("/good.jpg", http(200, JPEG))
        for case in CASES:
            self._web.on(f"/{case.name}.jpg", *case.answers)

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self._web.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._web.start(self._tls), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._web.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def self_signed(folder: Path, authority: trustme.CA) -> ssl.SSLContext:
    """A server that shows the certificate of an authority itself."""
    file = folder / "self-signed.pem"
    file.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def bad_certificates(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A TLS context that shows each name of TLS_CASES its certificate; the file of the authority to trust."""
    authority, nobody = trustme.CA(), trustme.CA()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    shown = {
        "good.tls.test": authority.issue_cert("good.tls.test"),
        "expired.tls.test": authority.issue_cert(
            "expired.tls.test", not_before=yesterday - timedelta(days=9), not_after=yesterday
        ),
        "wrong-name.tls.test": authority.issue_cert("another.tls.test"),
        "unknown-authority.tls.test": nobody.issue_cert("unknown-authority.tls.test"),
    }
    contexts = {"self-signed.tls.test": self_signed(folder, nobody)}
    for name, certificate in shown.items():
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(contexts[name])
    front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown["good.tls.test"].configure_cert(front)

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = contexts[name or "good.tls.test"]

    front.sni_callback = choose
    trusted = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    return front, trusted
