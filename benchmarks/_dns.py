"""A quick name server on loopback, in a process of its own.

A real server over UDP: it reads questions (RFC 1035) and writes answers. Names in `dead` do not exist,
names in `silent` get no answer; all others have an address, name servers, a zone and a mail exchanger.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection
    from types import TracebackType

_A, _NS, _SOA, _MX = 1, 2, 6, 15
_ANSWER, _NXDOMAIN = 0x8580, 0x8583  # response, authoritative, recursion desired and available
_TTL = 300
_BUFFER = 8 << 20
_HEADER = struct.Struct("!6H")
_POINTER = b"\xc0\x0c"  # to the name in the question
_OPERATOR = "host.test"


@dataclass(frozen=True, slots=True)
class Zones:
    """What the server knows; each name stands for all below it too.

    Attributes:
        dead: names that do not exist.
        silent: names that get no answer.
        operators: names whose name servers belong to somebody else than host.test, and to whom.
        addresses: names with an IPv4 address of their own choice.
    """

    dead: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    operators: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)

    def answer(self, query: bytes) -> bytes | None:
        """The reply to one question; None for silence."""
        end = query.index(0, 12) + 1
        names = _suffixes(_name(query, end))
        if not self.silent.isdisjoint(names):
            return None
        question = query[12 : end + 4]
        if not self.dead.isdisjoint(names):
            return query[:2] + _HEADER.pack(0, _NXDOMAIN, 1, 0, 0, 0)[2:] + question
        kind = int.from_bytes(query[end : end + 2], "big")
        records = self._records(kind, names)
        body = b"".join(_POINTER + struct.pack("!HHIH", kind, 1, _TTL, len(data)) + data for data in records)
        return query[:2] + _HEADER.pack(0, _ANSWER, 1, len(records), 0, 0)[2:] + question + body

    def _records(self, kind: int, names: list[str]) -> list[bytes]:
        if kind == _A:
            chosen = next((self.addresses[name] for name in names if name in self.addresses), None)
            number = zlib.crc32(names[0].encode())
            return [socket.inet_aton(chosen or f"93.184.{number >> 8 & 255}.{number & 255}")]
        operator = next((self.operators[name] for name in names if name in self.operators), _OPERATOR)
        if kind == _NS:
            return [_wire(f"n{place}.{operator}") for place in (1, 2)]
        if kind == _MX:
            return [b"\x00\x0a" + _wire(f"mx.{operator}")]
        if kind == _SOA:
            return [_wire(f"n1.{operator}") + _wire(f"post.{operator}") + struct.pack("!5I", 1, 2, 3, 4, 5)]
        return []


class QuickDns:
    """The server; its address is known once the `with` block is entered.

    Args:
        zones: what it knows.
    """

    def __init__(self, zones: Zones) -> None:
        self._zones = zones

    def __enter__(self) -> Self:
        """Start the process."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._zones, theirs), daemon=True)
        self._process.start()
        self.address = f"127.0.0.1:{ours.recv()}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def _serve(zones: Zones, ready: Connection) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        await loop.create_datagram_endpoint(lambda: _Protocol(zones), sock=sock)
        ready.send(port)
        await asyncio.Event().wait()

    uvloop.run(serve())


class _Protocol(asyncio.DatagramProtocol):
    """Hands questions to the zones."""

    def __init__(self, zones: Zones) -> None:
        self._zones = zones

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.DatagramTransport", transport)  # uvloop's is no subclass of it

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer, or not."""
        reply = self._zones.answer(data)
        if reply:
            self._transport.sendto(reply, addr)


def _name(query: bytes, end: int) -> str:
    labels, at = [], 12
    while at < end - 1:
        size = query[at]
        labels.append(query[at + 1 : at + 1 + size].decode("ascii").lower())
        at += size + 1
    return ".".join(labels)


def _suffixes(name: str) -> list[str]:
    """A name and all above it but the top-level domain."""
    labels = name.split(".")
    return [".".join(labels[first:]) for first in range(max(len(labels) - 1, 1))]


def _wire(name: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".")) + b"\0"
