"""How many rows of a domain must be looked at to notice that some of it was swapped. Pure.

Rows are drawn without replacement, so the number of swapped rows in a sample is hypergeometric. Auditors
call this discovery sampling (AICPA, Audit Guide: Audit Sampling); the formulas are those of any textbook.

The guarantee is over the draw, not over the attacker: it holds against whoever cannot foresee which rows
are drawn, and for rows that give an answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SLACK = 1e-6
"""Relative error allowed to `miss_chance`; lgamma keeps it below for a hundred million rows."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What an audit by sample must notice, and how surely.

    Attributes:
        share: of a domain's rows that were swapped, above 0 to 1; a domain with at least this share is to
            be noticed.
        confidence: probability of noticing each such domain, 0 to below 1.
        notice_rows: swapped rows that must be in the sample to notice it, at least 1.

    Raises:
        UsageError: a value is out of range.
    """

    share: float
    confidence: float
    notice_rows: int = 1

    def __post_init__(self) -> None:
        """Refuse what no sample can do."""
        if not 0 < self.share <= 1:
            raise UsageError(f"an audit must notice a share above 0 and up to 1, not {self.share:g}")
        if not 0 <= self.confidence < 1:
            raise UsageError(
                f"no sample gives a confidence of {self.confidence:g}; choose one from 0 to below 1"
            )
        if self.notice_rows < 1:
            raise UsageError(f"{self.notice_rows} swapped rows cannot be noticed; choose at least 1")

    def swapped(self, rows: int) -> int:
        """The fewest rows that are at least `share` of so many; at least 1."""
        return max(1, math.ceil(self.share * rows - SLACK))


def miss_chance(rows: int, swapped: int, drawn: int, notice_rows: int = 1) -> float:
    """Probability that fewer than `notice_rows` swapped rows are among those drawn.

    The lower tail of the hypergeometric distribution:
    sum over k < notice_rows of C(swapped, k) C(rows - swapped, drawn - k) / C(rows, drawn).

    Args:
        rows: of the domain.
        swapped: how many of them were, 0 to `rows`.
        drawn: size of the sample, 0 to `rows`.
        notice_rows: at least 1.

    Returns:
        0..1, with a relative error below 1e-6 for up to 1e8 rows.
    """
    if drawn < notice_rows or swapped < notice_rows:
        return 1.0
    least, most = max(0, drawn - (rows - swapped)), min(notice_rows - 1, swapped, drawn)
    whole = _log_choose(rows, drawn)
    logs = [
        _log_choose(swapped, k) + _log_choose(rows - swapped, drawn - k) - whole
        for k in range(least, most + 1)
    ]
    return min(1.0, math.fsum(math.exp(log) for log in logs))


def rows_needed(rows: int, aim: Aim) -> int | None:
    """The smallest sample that reaches the aim for a domain of so many rows.

    Returns:
        1 to `rows`, or None where the share is fewer rows than must be noticed, so that not even looking
        at all of them shows enough.
    """
    swapped = aim.swapped(rows)
    if swapped < aim.notice_rows:
        return None
    least, most = aim.notice_rows, rows
    while least < most:
        middle = (least + most) // 2
        if _reached(rows, swapped, middle, aim):
            most = middle
        else:
            least = middle + 1
    return least


def confidence_reached(rows: int, drawn: int, aim: Aim) -> float:
    """Probability, 0..1, that so many drawn rows notice a domain of which the aim's share was swapped."""
    return 1.0 - miss_chance(rows, aim.swapped(rows), drawn, aim.notice_rows)


def notices(rows: int, drawn: int, aim: Aim) -> bool:
    """Whether so many drawn rows of a domain reach the aim."""
    return _reached(rows, aim.swapped(rows), drawn, aim)


def least_share_noticed(rows: int, drawn: int, aim: Aim) -> float | None:
    """The smallest swapped share that so many drawn rows notice with the aim's confidence.

    Returns:
        Above 0 up to 1, or None where not even a domain swapped whole would be noticed.
    """
    if not rows or not _reached(rows, rows, drawn, aim):
        return None
    least, most = 1, rows
    while least < most:
        middle = (least + most) // 2
        if _reached(rows, middle, drawn, aim):
            most = middle
        else:
            least = middle + 1
    return least / rows


def spend(needed: Iterable[int], budget: int | None) -> Iterator[int]:
    """Give each domain, riskiest first, what it needs for as long as the budget lasts.

    The one at which it ends gets the rest; those behind it get nothing.

    Args:
        needed: rows for each domain, in order of risk.
        budget: rows in all; None for as many as are needed.
    """
    for rows in needed:
        given = rows if budget is None else min(rows, budget)
        budget = None if budget is None else budget - given
        yield given


def _reached(rows: int, swapped: int, drawn: int, aim: Aim) -> bool:
    chance = miss_chance(rows, swapped, drawn, aim.notice_rows)
    return chance <= (1 - aim.confidence) * (1 + SLACK)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
