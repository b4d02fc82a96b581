"""Memory for bodies in flight: what is held, who may go on, and that none waits for ever."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.config.model import MEBIBYTE
from poisonscan.fetch.budget import Budget, Hold
from poisonscan.fetch.client import Fetcher
from poisonscan.fetch.connection import Connection
from poisonscan.records import Outcome

from .conftest import Web, http, let_pass, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from poisonscan.records import FetchResult

LARGE = 2 * MEBIBYTE


@given(
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["grow", "settle", "release"])), max_size=60),
)
def test_what_is_held_is_the_sum_and_it_is_bounded(nested: list[bool], steps: list[tuple[int, str]]) -> None:
    budget = Budget(10)
    holds = [budget.hold(nested=one) for one in nested]
    growing, released = list(holds), set()
    for number, what in steps:
        hold = holds[number]
        if what == "grow" and hold in growing and hold.n_bytes < 14 and budget.may_grow(hold):
            hold.set(hold.n_bytes + 7)
        elif what == "settle" and hold in growing:
            growing.remove(hold)
            hold.settle()
        elif what == "release" and number not in released:
            released.add(number)
            growing = [one for one in growing if one is not hold]
            hold.release()
        assert budget.held == sum(hold.n_bytes for hold in holds)
        assert budget.held <= 10 + 2 * 14 + 7
        settled = [one for at, one in enumerate(holds) if one not in growing and at not in released]
        for level in (True, False):  # nothing that could make room by itself: then one may go on
            mine = [one for one in growing if one.nested is level]
            if mine and not any(one.n_bytes for one in settled if one.nested or not level):
                assert budget.may_grow(mine[0])


async def test_those_that_wait_go_on_when_there_is_room() -> None:
    budget = Budget(10)
    eldest, second, third = (budget.hold() for _ in range(3))
    order: list[str] = []

    async def grow(name: str, hold: Hold) -> None:
        await hold.room()
        order.append(name)

    assert eldest.set(8)
    assert not second.set(3)
    waiting = [asyncio.create_task(grow("second", second)), asyncio.create_task(grow("third", third))]
    await asyncio.sleep(0)
    assert order == []
    eldest.settle()  # it makes room by itself when it has been dealt with
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == []
    eldest.release()
    await asyncio.gather(*waiting)
    assert order == ["second", "third"]
    assert budget.held == 3


async def test_who_stops_waiting_is_forgotten() -> None:
    budget = Budget(10)
    eldest, second = budget.hold(), budget.hold()
    eldest.set(20)
    task = asyncio.create_task(second.room())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    eldest.release()
    second.release()
    assert budget.held == 0


async def fetched(web: Web, n: int, handle_s: int = 0, **changes: int) -> tuple[list[FetchResult], int]:
    """The results, and the most bytes that were held at any time one was handed over."""
    results: list[FetchResult] = []
    most = 0
    async with Fetcher(settings_for(web, body_memory_mib=1, retries=0, **changes)) as fetcher:

        async def keep(result: FetchResult) -> None:
            nonlocal most
            most = max(most, fetcher.shared.budget.held)
            for _ in range(handle_s):
                await asyncio.sleep(0)
            results.append(result)

        await fetcher.fetch_all([f"http://h{number}.example/p" for number in range(n)], keep)
        assert fetcher.shared.budget.held == 0
    return results, most


@pytest.mark.parametrize("handle_s", [0, 50])
async def test_bodies_that_inflate_wait_for_one_another_and_none_is_lost(web: Web, handle_s: int) -> None:
    """Forty together would hold 80 MiB; each alone is larger than the budget."""
    web.on("/p", http(200, gzip.compress(bytes(LARGE)), Content_Encoding="gzip"))
    results, most = await fetched(web, 40, handle_s)
    assert {(result.outcome, len(result.body or b"")) for result in results} == {(Outcome.FETCHED, LARGE)}
    assert len(results) == 40
    assert most <= MEBIBYTE + 2 * LARGE


async def test_bodies_as_they_come_wait_for_one_another_and_none_is_lost(web: Web) -> None:
    """Chunks, so that no length is known before."""

    async def in_chunks(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(32):
            writer.write(b"%x\r\n%s\r\n" % (LARGE // 32, bytes(LARGE // 32)))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    web.on("/p", in_chunks)
    results, most = await fetched(web, 24)
    assert {(result.outcome, len(result.body or b"")) for result in results} == {(Outcome.FETCHED, LARGE)}
    assert most <= MEBIBYTE + LARGE + 24 * 262_144  # what each reads at a time


async def test_a_nested_body_does_not_wait_for_the_one_that_waits_for_it(web: Web) -> None:
    """As vantages do: while a result is dealt with, another body is asked for."""
    web.on("/p", http(200, bytes(LARGE)))
    outcomes: list[Outcome] = []
    async with Fetcher(settings_for(web, body_memory_mib=1)) as fetcher:

        async def ask_again(result: FetchResult) -> None:
            async with fetcher.fetched(result.url) as again:
                outcomes.extend([result.outcome, again.outcome])

        await fetcher.fetch_all([f"http://h{number}.example/p" for number in range(6)], ask_again)
    assert outcomes == [Outcome.FETCHED] * 12


async def test_waiting_for_room_is_no_timeout(web: Web, turn: Callable[[float], None]) -> None:
    """The first is dealt with only when a minute has gone by for the others."""
    web.on("/p", http(200, bytes(LARGE)))
    first, results = asyncio.Event(), []

    async def keep(result: FetchResult) -> None:
        results.append(result)
        if len(results) == 1:
            for _ in range(60):
                await let_pass(turn, 1.0)
            first.set()

    async with Fetcher(settings_for(web, body_memory_mib=1, timeout_s=20.0, retries=0)) as fetcher:
        await fetcher.fetch_all([f"http://h{number}.example/p" for number in range(4)], keep)
    assert first.is_set()
    assert [result.outcome for result in results] == [Outcome.FETCHED] * 4


class Reading(asyncio.Transport):
    """A transport of which only whether it is read from matters."""

    _paused = False

    def is_reading(self) -> bool:
        return not self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False


async def test_a_head_in_pieces_is_read_although_there_is_no_room() -> None:
    """Nobody waits for room before the head is there, so that a pause would last until the deadline."""
    budget = Budget(10)
    other = budget.hold()
    other.set(20)
    other.settle()
    transport, connection = Reading(), Connection(limit=100)
    connection.connection_made(transport)
    connection.hold = budget.hold()
    first, second = http(200, b"picture")[:20], http(200, b"picture")[20:]
    connection.data_received(first)
    assert transport.is_reading()
    connection.data_received(second[:-3])
    assert connection.answer.has_head
    assert not transport.is_reading()
    other.release()
    rest = asyncio.create_task(connection.finish(connection.hold.room))
    await asyncio.sleep(0)
    assert transport.is_reading()
    connection.data_received(second[-3:])
    await rest
    assert connection.answer.body == b"picture"
