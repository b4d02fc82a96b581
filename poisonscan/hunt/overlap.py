"""Non-maximum suppression over suspicions: of several about the same rows, the strongest is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from poisonscan.hunt.model import Suspicion

    Order = Callable[[Suspicion], float | tuple[float, float]]


def _least_by_chance(one: Suspicion) -> tuple[float, float]:
    return one.expected_false, -one.score


def suppress_overlapping(
    found: Iterable[Suspicion], order: Order = _least_by_chance, share: float = 0.5
) -> list[Suspicion]:
    """The suspicions, strongest first, without those that share half of their rows with a stronger one.

    Args:
        found: suspicions of one detector.
        order: the lower, the stronger; by default how often chance would give it, then the score.
        share: of a suspicion's rows that a stronger one must name for the two to be one thing.
    """
    kept: list[Suspicion] = []
    taken: list[set[int]] = []
    for suspicion in sorted(found, key=order):
        rows = {carrier.row for carrier in suspicion.carriers}
        if all(len(rows & other) < share * len(rows) for other in taken):
            kept.append(suspicion)
            taken.append(rows)
    return kept
