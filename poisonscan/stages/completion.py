"""When is a run complete, and what does the same command do with what it finds? Pure.

The one place that decides it, for every verb that works through rows. A run is in one of these states
(column `state` of its document):

    running       at work, or died without a word (SIGKILL, power failure)
    interrupted   stopped early: a signal, a full disk, a shard that kills its workers
    incomplete    every row was asked for, and too many gave no answer
    finished      every row was asked for, and enough of them answered

From the first two the same command goes on with the rows that are not on disk; from `incomplete` it asks
again for the rows without an answer, and for no other; from `finished` it does nothing and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from poisonscan.records import Group, group_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poisonscan.store.receipts import Receipt


class Step(Enum):
    """What to do with a shard.

    Attributes:
        KEEP: it is done.
        GO_ON: do it, or the rows of it that are not on disk.
        ASK_AGAIN: ask again for its rows without an answer.
        START_ANEW: what is there of it cannot be believed.
    """

    KEEP = auto()
    GO_ON = auto()
    ASK_AGAIN = auto()
    START_ANEW = auto()


@dataclass(frozen=True, slots=True)
class Traces:
    """What is on disk of one shard.

    Attributes:
        receipt: what was written when it was done; None where that is missing.
        receipt_damaged: whether there is one that cannot be read.
        opened_again: whether its rows without an answer are to be asked for again.
        journal: whether it was begun.
        sizes: bytes of each of its parts, by path below the folder.
    """

    receipt: Receipt | None
    receipt_damaged: bool
    opened_again: bool
    journal: bool
    sizes: Mapping[str, int]


def next_step(traces: Traces, *, ask_again: bool) -> tuple[Step, str]:
    """What to do with a shard, and for `START_ANEW` what is wrong with it, in words.

    Args:
        traces: what is there.
        ask_again: whether rows without an answer are to be asked for again.
    """
    if traces.receipt is not None:
        damage = _misfit(traces.receipt, traces.sizes)
        if damage:
            return Step.START_ANEW, damage
        again = ask_again and any(map(may_be_asked_again, traces.receipt.counts))
        return (Step.ASK_AGAIN if again else Step.KEEP), ""
    if traces.receipt_damaged:
        return Step.START_ANEW, "its receipt is damaged"
    if traces.journal or traces.opened_again:
        return Step.GO_ON, ""
    if traces.sizes:
        return Step.START_ANEW, f"{min(traces.sizes)} is there without a receipt"
    return Step.GO_ON, ""


def _misfit(receipt: Receipt, sizes: Mapping[str, int]) -> str:
    for name, part in receipt.parts.items():
        if name not in sizes:
            return f"{name} is missing"
        if sizes[name] != part.size:
            return f"{name} has {sizes[name]:,} bytes, {part.size:,} were written"
    return ""


def may_be_asked_again(label: str) -> bool:
    """Whether asking again can change what is said of a row: only where it gave no answer."""
    return group_of(label) is Group.LOST


def unanswered(counts: Mapping[str, int]) -> int:
    """Rows that were not both seen and compared.

    Args:
        counts: rows by verdict, or by state of a snapshot's row; other labels count as answers.
    """
    return sum(n for label, n in counts.items() if group_of(label) in (Group.LOST, Group.UNKNOWN))


def enough(missing: int, rows: int, max_lost: float) -> bool:
    """Whether so few rows lack an answer that the others may be called a result.

    Args:
        missing: rows without an answer or without a baseline.
        rows: all rows.
        max_lost: share of rows that may lack one, 0 to 1.
    """
    return rows == 0 or missing / rows <= max_lost
