"""What an engine runs: a picklable function over shards, and what it tells while doing so.

An engine knows nothing of stages. A task is called as `task(shard, context)` in some process; it may
report progress and should stop at the next row boundary when asked to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from poisonscan.errors import InterruptedRunError, WorkerError

S = TypeVar("S")
"""A shard: any picklable value that says which rows a task is to do."""

MAX_DEATHS = 3
"""How often workers may die on one shard before the run gives up."""


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


class Engine(Protocol[S]):
    """Runs a task over shards in worker processes, somewhere.

    A worker that dies takes nobody along: its shard is run again, and a task resumes what it finds half
    done. SIGINT and SIGTERM let rows in flight finish.
    """

    def run(self, task: Task[S], shards: Sequence[S]) -> Iterator[Event[S]]:
        """Yield progress and finished shards until all are done.

        Raises:
            InterruptedRunError: SIGINT or SIGTERM arrived; what was in flight has been written.
            WorkerError: workers died `MAX_DEATHS` times on one shard.
            Exception: whatever a task raised.
        """
        ...


def interrupted() -> InterruptedRunError:
    """The error of a run that a signal ended."""
    return InterruptedRunError("stopped by a signal; repeat the same command to continue")


def died_again_and_again(number: int) -> WorkerError:
    """The error of a run that a shard keeps killing."""
    return WorkerError(
        f"worker processes died {MAX_DEATHS} times on shard {number} (out of memory?); "
        "use fewer workers, then repeat the command to continue"
    )
