"""A process that makes calls for this one, and that may crash, hang or eat all memory over one of them.

Calls and answers travel over a pair of sockets as frames: eight bytes of length, then a pickle. For each
call the process sends an empty frame when it begins, then its answer; so what ends it between two calls is
never blamed on the next one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import resource
import signal
import socket
import struct
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from poisonscan.engine.collector import relax_gc
from poisonscan.engine.lifeline import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

Call: TypeAlias = bytes
"""A pickled function with its arguments, as `pack` makes it."""

START_S = 30.0
"""A process's start on a machine under load, seconds."""
_EXIT_S = 0.5  # until a process that closed its socket is gone
_BUFFER = 1 << 20  # bytes of answers before they are awaited, and of a call that there is no room for
_NICE = 10
"""Servers wait for nobody, pictures do: fetching goes first, and disturbed less it costs less. A check with a
tenth of the pictures changed took 7% less time, a snapshot 5% (three pairs of runs each, two cores)."""
_LENGTH = struct.Struct(">Q")
_spawn = multiprocessing.get_context("spawn")


class CallResult(NamedTuple):
    """What became of a call.

    Attributes:
        value: what the function returned.
        reason: why there is no value, in words; empty when there is one.
    """

    value: Any
    reason: str = ""


class UnbegunError(Exception):
    """The process ended before it began a call, so that says nothing about the call."""


class GoneError(UnbegunError):
    """It ended over an earlier call, or we ended it."""


def pack(function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """A call as it is sent.

    Raises:
        Exception: whatever pickle raises on what cannot be sent.
    """
    return pickle.dumps((function, args, kwargs), pickle.HIGHEST_PROTOCOL)


class WorkerProcess:
    """One such process. Belongs to one event loop.

    Args:
        timeout_s: longest time one call may take; the process is killed then.
        memory: address space that calls may add to what the process starts with, bytes (RLIMIT_AS).
        preload: a function that will be called; its module is imported before the limit is set.

    Attributes:
        gone: whether it has ended, and answers nothing any more.
    """

    def __init__(self, timeout_s: float, memory: int, preload: Callable[..., object] | None) -> None:
        self._timeout_s = timeout_s
        self._turn_to_send, self._turn_to_receive = asyncio.Lock(), asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._calls: set[asyncio.Task[CallResult]] = set()
        self.gone = False
        # One thread a process: set here, since it may import numpy before `_enter` runs in it.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        self._socket, theirs = socket.socketpair()
        self._process = _spawn.Process(target=_serve, args=(theirs, memory, preload), daemon=True)
        with theirs:
            self._process.start()

    @property
    def in_flight(self) -> int:
        """Calls it was given and has not answered."""
        return len(self._calls)

    async def call(self, call: Call) -> CallResult:
        """Make a call. Several may wait, and are answered in turn, also those that nobody waits for any more.

        Raises:
            UnbegunError: the process ended first; a `GoneError` if not while this call was its next.
        """
        task = asyncio.create_task(self._make(call))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End the process; calls in flight raise a `GoneError`."""
        self.end()
        await asyncio.gather(*self._calls, return_exceptions=True)

    def end(self) -> str:
        """End the process if it has not ended yet; how it did, in words."""
        self.gone = True
        self._process.kill()
        self._process.join()
        if self._streams is not None:
            self._streams[1].transport.abort()
        self._socket.close()
        return _exit_words(self._process.exitcode)

    async def _make(self, call: Call) -> CallResult:
        async with self._turn_to_send:
            if self.gone:
                raise GoneError
            reader, writer = self._streams or await self._open()
            writer.write(_LENGTH.pack(len(call)))
            writer.write(call)
        async with self._turn_to_receive:
            return await self._answer(reader)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            self._streams = await asyncio.open_unix_connection(sock=self._socket, limit=_BUFFER)
        except (OSError, ValueError) as error:  # we ended it in the meantime, and closed its socket
            raise GoneError from error
        return self._streams

    async def _answer(self, reader: asyncio.StreamReader) -> CallResult:
        if self.gone:
            raise GoneError
        try:
            await self._frame(reader, START_S)
        except (OSError, EOFError) as error:
            self.end()
            raise UnbegunError from error
        try:
            answer = await self._frame(reader, self._timeout_s)
        except TimeoutError:
            self.end()
            return CallResult(None, f"the decoder took longer than {self._timeout_s:g} s")
        except (OSError, EOFError):
            self._process.join(_EXIT_S)
            return CallResult(None, f"the decoder died ({self.end()})")
        return CallResult(*pickle.loads(answer))  # noqa: S301 - of a process of ours

    async def _frame(self, reader: asyncio.StreamReader, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                return await reader.readexactly(length)
        except (OSError, EOFError) as error:
            if self.gone:
                raise GoneError from error
            raise


def _exit_words(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"signal {signal.Signals(-exitcode).name}"
    return f"exit status {exitcode}"


def _serve(connection: socket.socket, memory: int, _preload: Callable[..., object] | None) -> None:
    """What the process does: make calls until nobody is left who could send one."""
    _enter(memory)
    with suppress(ConnectionError, EOFError):
        while True:
            (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size))
            connection.sendall(_LENGTH.pack(0))
            connection.sendall(_made(connection, length))


def _enter(memory: int) -> None:
    die_with_parent()
    os.nice(_NICE)
    relax_gc()
    # A terminal and a service manager signal the whole group, but the parent decides when to stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    address_space = _address_space() + memory
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # a decoder's doubts about metadata are no failure


def _address_space() -> int:
    """What this process has mapped, bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def _made(connection: socket.socket, length: int) -> bytes:
    """Receive a call and make it; the frame of its answer, or of words for whatever it raised."""
    try:
        function, args, kwargs = pickle.loads(_read(connection, length))  # noqa: S301 - of our parent
        return _frame(CallResult(function(*args, **kwargs)))
    except MemoryError:
        reason = "the decoder ran out of its memory limit"
    except Exception as error:  # noqa: BLE001 - what a decoder raises on hostile bytes is unbounded
        reason = f"{type(error).__name__}: {error}"[:300]
    return _frame(CallResult(None, reason))


def _frame(answer: CallResult) -> bytes:
    data = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


def _read(connection: socket.socket, n_bytes: int) -> bytearray:
    """So many bytes.

    Raises:
        EOFError: there will never be so many.
        MemoryError: there is no room for them; they were read all the same.
    """
    try:
        data = bytearray(n_bytes)
    except MemoryError:
        for start in range(0, n_bytes, _BUFFER):
            _read(connection, min(_BUFFER, n_bytes - start))
        raise
    rest = memoryview(data)
    while rest:
        n_read = connection.recv_into(rest, flags=socket.MSG_WAITALL)
        if not n_read:
            raise EOFError
        rest = rest[n_read:]
    return data
