"""What is found by looking at all rows of a run together, before it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poisonscan.records import Finding
    from poisonscan.store.rows import Row


@dataclass(frozen=True, slots=True)
class Found:
    """A finding with its lines of the table of members.

    Attributes:
        finding: the finding.
        members: the columns of MEMBERS, those that are null left out.
    """

    finding: Finding
    members: Sequence[Row]


def counted(number: int, thing: str) -> str:
    """A number with the word for what it counts."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
