"""Geometry of the cost curve: both axes logarithmic, as in figure 2 of Carlini et al. 2023."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from poisonscan.domains.exposure import BUDGETS_USD

WIDTH, HEIGHT = 640.0, 300.0
"""Of the plot's area, in the units of its viewBox."""

_LEAST_USD = 1.0
_NO_SHARES = (0.0001, 0.01)

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic axis: values from `low` to `high`, powers of ten, over `length` units from `start`."""

    low: float
    high: float
    start: float
    length: float

    def at(self, value: float) -> float:
        """Place of a value; one beyond an end is drawn there."""
        inside = min(max(value, self.low), self.high)
        return self.start + self.length * math.log(inside / self.low) / math.log(self.high / self.low)

    def powers(self) -> list[float]:
        """The powers of ten on the axis."""
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        return [10.0**power for power in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid: its place in the plot's units, and what is written beside it."""

    at: float
    words: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A curve to draw.

    Attributes:
        line: corners of the curve, as SVG takes them.
        area: the same, closed along the lower edge.
        across, down: the grid.
    """

    line: str
    area: str
    across: tuple[Tick, ...]
    down: tuple[Tick, ...]


def plot(points: Points) -> Plot | None:
    """The steps of a cost curve.

    Args:
        points: US dollars a year and share of the rows (0..1), ascending.

    Returns:
        None where there is nothing to draw.
    """
    if not points:
        return None
    x, y = axes(points, (0.0, WIDTH), (HEIGHT, -HEIGHT))
    line = " ".join(f"{across:.1f},{down:.1f}" for across, down in corners(points, x, y))
    return Plot(
        line=line,
        area=f"{line} {WIDTH:.1f},{HEIGHT:.1f}",
        across=tuple(Tick(y.at(share), f"{100 * share:g}%") for share in y.powers()),
        down=tuple(Tick(x.at(usd), f"${usd:,.0f}") for usd in x.powers()),
    )


def axes(points: Points, across: tuple[float, float], up: tuple[float, float]) -> tuple[Axis, Axis]:
    """The axes of dollars and of shares, wide enough for a curve and for the largest budget.

    Args:
        points: of the curve; none gives axes to leave empty.
        across: where the axis of dollars starts, and its length.
        up: the same of the axis of shares.
    """
    most = max((usd for usd, _ in points), default=_LEAST_USD)
    right = max(10.0 ** math.ceil(math.log10(max(most, _LEAST_USD))), float(BUDGETS_USD[-1]))
    least_share, most_share = (points[0][1], points[-1][1]) if points else _NO_SHARES
    low = 10.0 ** math.floor(math.log10(least_share))
    high = max(10.0 ** math.ceil(math.log10(most_share) - 1e-9), low * 10)
    return Axis(_LEAST_USD, right, *across), Axis(low, high, *up)


def corners(points: Points, x: Axis, y: Axis) -> list[tuple[float, float]]:
    """The corners of a cost curve: it rises at each purchase and stays until the next one."""
    if not points:
        return []
    found = [(x.at(points[0][0]), y.start)]
    ends = [usd for usd, _ in points[1:]] + [x.high]
    for (usd, share), end in zip(points, ends, strict=True):
        found += [(x.at(usd), y.at(share)), (x.at(end), y.at(share))]
    return found
