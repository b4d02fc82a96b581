"""Stalls of our own loop and the deadlines that they do not spend: the tests turn the clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.fetch.client import Fetcher
from poisonscan.fetch.stalls import TICK_S, TOLERANCE_S, Deadline, StallMeter, Stalls
from poisonscan.records import Outcome

from .conftest import Web, http, let_pass, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable


@given(st.lists(st.floats(0.0, TOLERANCE_S * 0.9), max_size=20), st.floats(1.0, 1e6), st.integers(0, 20))
def test_late_ticks_are_summed_up_and_small_ones_are_not(late: list[float], stall: float, at: int) -> None:
    now = 5.0
    meter = StallMeter(now)
    for number, lateness in enumerate(late):
        now += TICK_S + lateness
        if number == at:
            now += stall
            assert meter.total(now) == pytest.approx(stall + lateness)  # seen before the tick that is due
        meter.tick(now)
    assert meter.total(now) == pytest.approx(stall + late[at] if at < len(late) else 0.0)


async def test_a_deadline_is_not_spent_by_a_stall(turn: Callable[[float], None]) -> None:
    stalls = Stalls()
    async with stalls.watched(), Deadline(10.0, stalls) as deadline:
        turn(60.0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert deadline.left_s > 9.0
    assert stalls.total() > 59.0


async def spend(deadline: Deadline, turn: Callable[[float], None], seconds: float) -> None:
    async with deadline:
        await let_pass(turn, seconds)


async def test_a_deadline_is_spent_by_time_that_goes_by(turn: Callable[[float], None]) -> None:
    stalls = Stalls()
    async with stalls.watched():
        with pytest.raises(TimeoutError):
            await spend(Deadline(1.0, stalls), turn, 2.0)


async def test_a_wait_spends_nothing_and_it_goes_on_afterwards(turn: Callable[[float], None]) -> None:
    stalls = Stalls()
    async with stalls.watched():
        deadline = Deadline(1.0, stalls)
        for _ in range(3):
            async with deadline:
                with deadline.paused():
                    await let_pass(turn, 5.0)
        await spend(deadline, turn, 0.2)
        assert 0.1 < deadline.used_s < 0.9
        with pytest.raises(TimeoutError):
            await spend(deadline, turn, 2.0)


async def test_time_in_which_no_one_watches_is_no_stall(turn: Callable[[float], None]) -> None:
    stalls = Stalls()
    async with stalls.watched():
        await asyncio.sleep(0)
    turn(1_000.0)
    before = stalls.total()
    async with stalls.watched():
        await asyncio.sleep(0)
    assert stalls.total() - before < 500.0


async def test_a_stall_costs_no_row_and_is_said(
    web: Web, turn: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def answer_after_a_stall(writer: asyncio.StreamWriter) -> None:
        turn(600.0)
        writer.write(http(200, b"picture"))

    web.on("/p", answer_after_a_stall)
    results = []

    async def keep(result: object) -> None:
        results.append(result)

    async with Fetcher(settings_for(web, timeout_s=5.0, connect_timeout_s=2.0, retries=0)) as fetcher:
        await fetcher.fetch_all([f"http://h{number}.example/p" for number in range(20)], keep)
    assert {getattr(result, "outcome", None) for result in results} == {Outcome.FETCHED}
    assert "stood still" in capsys.readouterr().err
