from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from poisonscan.engine.bundles import MOST_BYTES, MOST_QUESTIONS, Bundles
from poisonscan.engine.sandbox import Crash, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(workers=1, timeout_s=1.0, memory_mib=1024) as opened:
        yield opened


def doubled(numbers: Sequence[int]) -> list[int]:
    return [2 * number for number in numbers]


def whims(numbers: Sequence[int]) -> list[int]:
    for number in numbers:
        if number == 3:
            raise ValueError("three is no number")
        if number == 5:
            os._exit(7)
        if number == 8:
            time.sleep(60)
    return list(numbers)


def nap_and_tell(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Who answers, and how many questions came together."""
    time.sleep(0.02 * len(numbers))
    return [(os.getpid(), len(numbers)) for _ in numbers]


async def test_every_question_gets_its_own_answer(sandbox: Sandbox) -> None:
    bundles = Bundles(sandbox, doubled)
    numbers = range(3 * MOST_QUESTIONS)
    answers = await asyncio.gather(*(bundles.ask(number) for number in numbers))
    assert answers == [2 * number for number in numbers]


async def test_questions_travel_together(sandbox: Sandbox) -> None:
    bundles = Bundles(sandbox, nap_and_tell)
    answers = await asyncio.gather(*(bundles.ask(0) for _ in range(2 * MOST_QUESTIONS)))
    told = [answer for answer in answers if not isinstance(answer, Crash)]
    assert len(told) == len(answers)
    assert len({worker for worker, _ in told}) == 1
    assert os.getpid() not in {worker for worker, _ in told}
    assert max(together for _, together in told) == MOST_QUESTIONS


async def test_large_questions_travel_in_smaller_bundles_and_the_largest_alone(sandbox: Sandbox) -> None:
    third = MOST_BYTES // 3
    bundles = Bundles(sandbox, nap_and_tell, size_of=lambda number: number)
    sizes = [third] * 9 + [10 * MOST_BYTES] * 2 + [0] * 4
    answers = await asyncio.gather(*(bundles.ask(size) for size in sizes))
    together = [answer[1] for answer in answers if not isinstance(answer, Crash)]
    assert max(together[:9]) <= 3
    assert together[9:11] == [1, 1]
    assert len(together) == len(sizes)


async def test_a_sandbox_of_two_keeps_both_busy() -> None:
    async with Sandbox(workers=2, timeout_s=20, memory_mib=1024) as sandbox:
        two = Bundles(sandbox, nap_and_tell, 2)
        answers = await asyncio.gather(*(two.ask(0) for _ in range(8 * MOST_QUESTIONS)))
    assert len({answer[0] for answer in answers if not isinstance(answer, Crash)}) == 2


async def test_a_question_that_fails_spoils_no_other(sandbox: Sandbox) -> None:
    bundles = Bundles(sandbox, whims)
    answers = await asyncio.gather(*(bundles.ask(number) for number in range(12)))
    crashes = {number: answer.reason for number, answer in enumerate(answers) if isinstance(answer, Crash)}
    assert crashes == {
        3: "ValueError: three is no number",
        5: "the decoder died (exit status 7)",
        8: "the decoder took longer than 1 s",
    }
    assert [answer for answer in answers if not isinstance(answer, Crash)] == [0, 1, 2, 4, 6, 7, 9, 10, 11]


async def test_somebody_who_leaves_disturbs_nobody(sandbox: Sandbox) -> None:
    bundles = Bundles(sandbox, doubled)
    asked = [asyncio.ensure_future(bundles.ask(number)) for number in range(10)]
    await asyncio.sleep(0)
    asked[4].cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers.pop(4), asyncio.CancelledError)
    assert answers == [0, 2, 4, 6, 10, 12, 14, 16, 18]


async def test_a_question_that_cannot_be_sent_ends_and_the_next_works(sandbox: Sandbox) -> None:
    bundles: Bundles[object, object] = Bundles(sandbox, list)
    answer = await bundles.ask(lambda: None)
    assert isinstance(answer, Crash)
    assert "pickle" in answer.reason.lower()
    assert await bundles.ask(21) == 21
