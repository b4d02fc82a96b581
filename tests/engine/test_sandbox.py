from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from poisonscan.engine.lifeline import die_with_parent
from poisonscan.engine.sandbox import Crash, Sandbox

from . import tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(workers=1, timeout_s=2, memory_mib=512) as opened:
        yield opened


async def test_gives_the_value_also_when_it_is_none(sandbox: Sandbox) -> None:
    assert await sandbox.call(tasks.double, 21) == 42
    assert await sandbox.call(tasks.nothing) is None


async def test_an_exception_costs_one_call(sandbox: Sandbox) -> None:
    assert await sandbox.call(tasks.raise_value_error) == Crash("ValueError: broken picture")
    assert await sandbox.call(tasks.double, 4) == 8


async def test_what_hangs_is_killed_and_the_next_call_works(sandbox: Sandbox) -> None:
    assert await sandbox.call(tasks.hang) == Crash("the decoder took longer than 2 s")
    assert await sandbox.call(tasks.double, 1) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_death_costs_one_call(sandbox: Sandbox, number: signal.Signals) -> None:
    answers = await asyncio.gather(
        sandbox.call(tasks.kill_self, number), *[sandbox.call(tasks.double, value) for value in range(5)]
    )
    assert answers == [Crash(f"the decoder died (signal {number.name})"), 0, 2, 4, 6, 8]


async def test_calls_behind_others_that_die_are_answered(sandbox: Sandbox) -> None:
    """A call is only ever given up for what it does itself, however often its worker dies before its turn."""
    kills = [sandbox.call(tasks.kill_self, signal.SIGKILL) for _ in range(8)]
    doubles = [sandbox.call(tasks.double, value) for value in range(8)]
    answers = await asyncio.gather(*(call for pair in zip(kills, doubles, strict=True) for call in pair))
    assert answers[1::2] == [2 * value for value in range(8)]
    assert set(answers[::2]) == {Crash("the decoder died (signal SIGKILL)")}


async def test_an_answer_that_nobody_waits_for_is_not_taken_for_the_next(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    left = asyncio.create_task(sandbox.call(tasks.begin_and_wait, tmp_path))
    await asyncio.to_thread(tasks.wait_for, tmp_path / "workers")
    left.cancel()
    (tmp_path / "go").touch()
    assert await sandbox.call(tasks.double, 6) == 12


async def test_an_exit_is_a_crash(sandbox: Sandbox) -> None:
    assert await sandbox.call(tasks.exit_with, 3) == Crash("the decoder died (exit status 3)")


async def test_memory_is_bounded(sandbox: Sandbox) -> None:
    answer = await sandbox.call(tasks.eat_memory, 600)
    assert answer == Crash("the decoder ran out of its memory limit")
    assert await sandbox.call(tasks.eat_memory, 50) == 50 << 20


async def test_a_service_manager_ending_the_group_is_no_verdict_on_a_picture(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """systemd sends SIGTERM to every process of a unit; the row in flight is decoded all the same."""
    call = asyncio.create_task(sandbox.call(tasks.begin_and_wait, tmp_path))
    await asyncio.to_thread(tasks.wait_for, tmp_path / "workers")
    first = int((tmp_path / "workers").read_text())
    os.kill(first, signal.SIGTERM)
    (tmp_path / "go").touch()
    assert await call == first


async def test_a_worker_that_died_idle_costs_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    worker = await sandbox.call(tasks.begin_and_wait, tmp_path)
    assert isinstance(worker, int)
    psutil.Process(worker).kill()
    await asyncio.sleep(0.5)
    assert await sandbox.call(tasks.double, 5) == 10


async def test_leaving_ends_the_workers(tmp_path: Path) -> None:
    async with Sandbox(workers=1, timeout_s=20, memory_mib=512) as opened:
        call = asyncio.create_task(opened.call(tasks.begin_and_wait, tmp_path))
        await asyncio.to_thread(tasks.wait_for, tmp_path / "workers")
        call.cancel()
    assert not psutil.pid_exists(int((tmp_path / "workers").read_text()))


@pytest.mark.parametrize("steps", range(12))
async def test_leaving_while_a_call_is_on_its_way_answers_it(steps: int) -> None:
    """Wherever it is then: its worker not made yet, or its way there not open yet."""
    async with Sandbox(workers=1, timeout_s=20, memory_mib=512) as opened:
        call = asyncio.create_task(opened.call(tasks.hang))
        for _ in range(steps):
            await asyncio.sleep(0)
    answer = await asyncio.wait_for(call, tasks.PATIENCE_S / 3)
    assert answer == Crash("the decoders were closed before it was done")


async def test_calls_in_flight_start_no_worker_once_it_is_left(tmp_path: Path) -> None:
    """A worker started then would be nobody's to end, and its parent would wait for it at its own end."""
    before = set(psutil.Process().children(recursive=True))
    async with Sandbox(workers=1, timeout_s=20, memory_mib=512) as opened:
        calls = [asyncio.create_task(opened.call(tasks.begin_and_wait, tmp_path)) for _ in range(4)]
        await asyncio.to_thread(tasks.wait_for, tmp_path / "workers")
    answers = await asyncio.wait_for(asyncio.gather(*calls), tasks.PATIENCE_S / 3)
    assert {type(answer) for answer in answers} == {Crash}
    left = set(psutil.Process().children(recursive=True)) - before
    assert [one for one in left if "spawn_main" in " ".join(one.cmdline())] == []


def test_the_lifeline_needs_a_parent() -> None:
    with pytest.raises(RuntimeError, match="started by multiprocessing"):
        die_with_parent()


async def test_a_call_too_large_to_be_read_is_that_calls_own_fault() -> None:
    async with Sandbox(
        workers=1, timeout_s=300, memory_mib=512
    ) as opened:  # however long the bytes take to arrive
        assert await opened.call(len, bytes(700 << 20)) == Crash("the decoder ran out of its memory limit")
        assert await opened.call(tasks.double, 3) == 6
