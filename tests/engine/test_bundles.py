from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from poisonscan.engine.bundles import MOST_CALLS, Bundles
from poisonscan.engine.sandbox import Crash, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def bundles() -> AsyncIterator[Bundles]:
    async with Sandbox(workers=1, timeout_s=1.0, memory_mib=1024) as sandbox:
        yield Bundles(sandbox)


def double(number: int) -> int:
    return number * 2


def whims(number: int) -> int:
    if number == 3:
        raise ValueError("three is no number")
    if number == 5:
        os._exit(7)
    if number == 8:
        time.sleep(60)
    return number


async def test_every_call_gets_its_own_answer(bundles: Bundles) -> None:
    numbers = range(3 * MOST_CALLS)
    answers = await asyncio.gather(*(bundles.call(double, number) for number in numbers))
    assert answers == [2 * number for number in numbers]


async def test_calls_travel_together(bundles: Bundles) -> None:
    workers = await asyncio.gather(*(bundles.call(os.getpid) for _ in range(MOST_CALLS)))
    assert len(set(workers)) == 1
    assert os.getpid() not in workers


def nap_and_tell() -> int:
    time.sleep(0.02)
    return os.getpid()


async def test_a_sandbox_of_two_keeps_both_busy() -> None:
    async with Sandbox(workers=2, timeout_s=20, memory_mib=1024) as sandbox:
        two = Bundles(sandbox, 2)
        workers = await asyncio.gather(*(two.call(nap_and_tell) for _ in range(8 * MOST_CALLS)))
    assert len(set(workers)) == 2


async def test_a_call_that_fails_spoils_no_other(bundles: Bundles) -> None:
    answers = await asyncio.gather(*(bundles.call(whims, number) for number in range(12)))
    crashes = {number: answer.reason for number, answer in enumerate(answers) if isinstance(answer, Crash)}
    assert crashes == {
        3: "ValueError: three is no number",
        5: "the decoder died (exit status 7)",
        8: "the decoder took longer than 1 s",
    }
    assert [answer for answer in answers if not isinstance(answer, Crash)] == [0, 1, 2, 4, 6, 7, 9, 10, 11]


async def test_a_caller_that_leaves_disturbs_nobody(bundles: Bundles) -> None:
    calls = [asyncio.ensure_future(bundles.call(double, number)) for number in range(10)]
    await asyncio.sleep(0)
    calls[4].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers.pop(4), asyncio.CancelledError)
    assert answers == [0, 2, 4, 6, 10, 12, 14, 16, 18]


def not_picklable() -> None:
    """Shadowed below, so that pickle cannot find it by its name."""


_hidden, not_picklable = not_picklable, double  # type: ignore[assignment]  # on purpose: pickling must fail


async def test_a_call_that_cannot_be_sent_ends_and_the_next_works(bundles: Bundles) -> None:
    answer = await bundles.call(_hidden)
    assert isinstance(answer, Crash)
    assert "pickle" in answer.reason.lower()
    assert await bundles.call(double, 21) == 42
