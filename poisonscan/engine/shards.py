"""What an engine runs: a picklable function over shards, and what it tells while doing so.

An engine knows nothing of stages. A task is called as `task(shard, context)` in some process; it may
report progress and should stop at the next row boundary when asked to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

S = TypeVar("S")
"""A shard: any picklable value that says which rows a task is to do."""


class Context(Protocol):
    """What a task sees of the engine."""

    @property
    def share(self) -> int:
        """Processes that this task may keep busy: 1, and more where there are fewer shards than workers."""

    def advance(self, counts: Mapping[str, int]) -> None:
        """Report rows finished since the last call, by label."""

    def stopping(self) -> bool:
        """Whether the run is to end: finish what is in flight, write it, return."""


Task = Callable[[S, Context], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """Rows finished somewhere."""

    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ShardDone(Generic[S]):
    """A task returned. Whether its shard is complete is for the stage to know."""

    shard: S


Event = Progress | ShardDone[S]
