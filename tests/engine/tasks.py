"""Tasks and calls for the engine's tests: at module level, since worker processes import them."""

from __future__ import annotations

import gc
import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.engine.shards import Context

PATIENCE_S = 30.0
"""After which a test's process gives up, so that nothing is left behind by a failing test."""


@dataclass(frozen=True)
class Shard:
    index: int
    folder: Path
    parent: int = field(default_factory=os.getpid)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} never came")
        time.sleep(0.01)


def note(shard: Shard, what: str) -> Path:
    """Leave a file that names the shard and this process; one line for each time."""
    path = shard.folder / f"{what}-{shard.index}"
    with path.open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    return path


def pids(folder: Path, what: str, index: int) -> list[int]:
    return [int(line) for line in (folder / f"{what}-{index}").read_text().splitlines()]


def succeed(shard: Shard, context: Context) -> None:
    for _ in range(3):
        context.advance({"identical": 2, "gone": 1})
    note(shard, "done")


def tell_collector(_shard: Shard, context: Context) -> None:
    """Report how seldom this process searches for cycles, and what it leaves out."""
    context.advance({"young": gc.get_threshold()[0], "frozen": gc.get_freeze_count()})


def tell_share(shard: Shard, context: Context) -> None:
    context.advance({"share": context.share})
    note(shard, "done")


def fail_on_second(shard: Shard, context: Context) -> None:
    if shard.index == 1:
        raise KeyError("shard one is bad")
    succeed(shard, context)


def die_once(shard: Shard, context: Context) -> None:
    """Shard 0 kills its worker at the first attempt, while shard 1 is at work."""
    attempts = pids(shard.folder, "begun", shard.index) if note(shard, "begun").exists() else []
    if shard.index == 0 and len(attempts) == 1:
        wait_for(shard.folder / "begun-1")
        os.kill(os.getpid(), signal.SIGKILL)
    if shard.index == 1:
        wait_for(shard.folder / "done-0")
    succeed(shard, context)


def die_always(shard: Shard, context: Context) -> None:
    note(shard, "begun")
    if shard.index == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    succeed(shard, context)


def until_stopped(shard: Shard, context: Context) -> None:
    """Work row by row until told to stop, then finish the row in flight."""
    note(shard, "begun")
    deadline = time.monotonic() + PATIENCE_S
    while not context.stopping() and time.monotonic() < deadline:
        time.sleep(0.01)
        context.advance({"row": 1})
    note(shard, "finished")


def signal_parent(shard: Shard, context: Context) -> None:
    note(shard, "begun")
    if shard.index == 0:
        wait_for(shard.folder / "begun-1")
        os.kill(shard.parent, signal.SIGTERM)
    until_stopped(shard, context)


def chatter(shard: Shard, context: Context) -> None:
    """More reports than a pipe holds, and the other shard fails meanwhile."""
    if shard.index == 0:
        wait_for(shard.folder / "begun-1")
        raise KeyError("shard zero is bad")
    note(shard, "begun")
    for number in range(5_000):
        context.advance({"row": number})
    note(shard, "done")


def double(value: int) -> int:
    return 2 * value


def nothing() -> None:
    return None


def raise_value_error() -> NoReturn:
    raise ValueError("broken picture")


def hang() -> None:
    time.sleep(PATIENCE_S)


def kill_self(number: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), number)
    time.sleep(PATIENCE_S)


def exit_with(status: int) -> None:
    os._exit(status)


def eat_memory(mib: int) -> int:
    return len(bytearray(mib << 20))


def begin_and_wait(folder: Path) -> int:
    """Say who is at work, then hold on until `go` is there."""
    with (folder / "workers").open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    wait_for(folder / "go")
    return os.getpid()
