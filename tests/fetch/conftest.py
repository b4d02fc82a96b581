"""A web server and a name server on loopback that misbehave as they are told."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import uvloop

from poisonscan.config import FetchSettings
from poisonscan.fetch.client import Fetcher
from poisonscan.fetch.stalls import TICK_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from ssl import SSLContext

    from poisonscan.records import FetchResult

    Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]

LOOPBACK = "127.0.0.1"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The standard event loop, which tells of sockets left open, and the one that runs in earnest."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def http(status: int = 200, body: bytes = b"", /, **headers: str) -> bytes:
    """A response; underscores in header names become hyphens, Content-Length is added."""
    fields = {"Content-Length": str(len(body))} | {k.replace("_", "-"): v for k, v in headers.items()}
    lines = [f"HTTP/1.1 {status} Words", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Request(NamedTuple):
    path: str
    headers: dict[str, str]


class Web:
    """Every host there is, on one port."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self.n_connections = 0
        self._answers: dict[str, list[Answer]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server

    def on(self, path: str, *answers: Answer) -> None:
        """Give these answers in turn, the last one for ever."""
        self._answers[path] = list(answers)

    def asked(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)

    async def start(self, tls: SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, ssl=tls, backlog=1000)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.n_connections += 1
        try:
            while await self._turn(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        self.requests.append(Request(path, headers))
        answers = self._answers.get(path, [http(404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if not isinstance(answer, bytes):
            await answer(writer)
            return False
        writer.write(answer)
        await writer.drain()
        return headers.get("Connection") != "close"


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    server = Web()
    await server.start()
    yield server
    await server.stop()


def settings_for(web: Web, **changes: Any) -> FetchSettings:  # noqa: ANN401 - any setting
    """Every name leads to the test's server; pauses are short."""
    usual: dict[str, Any] = {"connect_to": f"{LOOPBACK}:{web.port}", "backoff_s": 0.001, "timeout_s": 10.0}
    return FetchSettings(**(usual | changes))


async def fetch(web: Web, url: str, **changes: Any) -> FetchResult:  # noqa: ANN401 - any setting
    async with Fetcher(settings_for(web, **changes)) as fetcher:
        return await fetcher.fetch(url)


class Dns(asyncio.DatagramProtocol):
    """A name server.

    A zone maps a name to a list of IPv4 addresses, "nxdomain", "servfail", "mute" (never answered) or "held"
    (answered when the test says so).
    """

    RCODES = {"servfail": 2, "nxdomain": 3}  # noqa: RUF012 - never changed

    def __init__(self, zone: dict[str, list[str] | str]) -> None:
        self.zone = zone
        self.asked: Counter[str] = Counter()
        self._held: list[tuple[bytes, tuple[str | Any, int]]] = []
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # what a datagram endpoint passes
        self._transport = transport

    @property
    def port(self) -> int:
        return int(self._transport.get_extra_info("sockname")[1])

    def close(self) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        name, end = self._name(data)
        (kind,) = struct.unpack(">H", data[end : end + 2])
        if kind == 1:
            self.asked[name] += 1
        known = self.zone.get(name, "nxdomain")
        if known == "held":
            self._held.append((data, addr))
        elif known != "mute":
            self._transport.sendto(self._answer(data, end + 4, known, kind), addr)

    def let_go(self, known: list[str] | str) -> None:
        """Answer so whatever is held, and what is asked about it from now on."""
        self.zone |= {name: known for name, before in self.zone.items() if before == "held"}
        held, self._held = self._held, []
        for data, addr in held:
            self.datagram_received(data, addr)

    @staticmethod
    def _name(data: bytes) -> tuple[str, int]:
        labels, at = [], 12
        while size := data[at]:
            labels.append(data[at + 1 : at + 1 + size].decode("ascii"))
            at += 1 + size
        return ".".join(labels), at + 1

    def _answer(self, query: bytes, end: int, known: list[str] | str, kind: int) -> bytes:
        code = self.RCODES[known] if isinstance(known, str) else 0
        addresses = known if isinstance(known, list) and kind == 1 else []
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4)
        records = b"".join(record + socket.inet_aton(address) for address in addresses)
        return (
            query[:2] + struct.pack(">5H", 0x8180 | code, 1, len(addresses), 0, 0) + query[12:end] + records
        )


@pytest.fixture
async def dns() -> AsyncIterator[Dns]:
    server = Dns({})
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: server, local_addr=(LOOPBACK, 0))
    yield server
    server.close()


@pytest.fixture
async def turn() -> Callable[[float], None]:
    """Turns the clock of the loop on, which is all that a loop sees when it stood still."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.BaseEventLoop):
        pytest.skip("the clock of uvloop cannot be turned")
    turned, steady = 0.0, loop.time

    def turn_on(seconds: float) -> None:
        nonlocal turned
        turned += seconds

    loop.time = lambda: steady() + turned  # type: ignore[method-assign]  # this one loop's clock
    return turn_on


async def let_pass(turn: Callable[[float], None], seconds: float) -> None:
    """Time that goes by as it does while a loop runs: tick by tick."""
    for _ in range(round(seconds / TICK_S * 4)):
        turn(TICK_S / 4)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
