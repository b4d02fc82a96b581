"""The plot of a cost curve as an SVG that needs nothing beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poisonscan.reporting.curve import axes, corners

if TYPE_CHECKING:
    from poisonscan.domains.exposure import Curve
    from poisonscan.reporting.curve import Axis

_WIDTH, _HEIGHT, _LEFT, _TOP = 560, 320, 80, 50
_STYLE = "text{font:12px sans-serif;fill:#222}.axis{stroke:#888}.grid{stroke:#ddd}.curve{stroke:#c53030}"
_POINTS = 500
"""Steps drawn at most; more would not be seen."""


def draw_cost(curve: Curve, title: str) -> str:
    """An SVG of the share of the rows, in percent, that US dollars a year bring under control.

    Both axes are logarithmic, as in figure 2 of Carlini et al. 2023.

    Args:
        curve: with domains in the order of purchase.
        title: above the plot; must be safe to write into XML.
    """
    points = _steps(curve)
    x, y = axes(points, (_LEFT, _WIDTH), (_TOP + _HEIGHT, -_HEIGHT))
    line = " ".join(f"{across:.1f},{down:.1f}" for across, down in corners(points, x, y))
    height = _TOP + _HEIGHT + 60
    width = _LEFT + _WIDTH + 40
    note = "" if points else f'<text x="{_LEFT + 20}" y="{_TOP + 30}">no domain can be bought today</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}"><style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{_LEFT}" y="24">{title}</text>{_grid(x, y)}'
        f'<polyline class="curve" points="{line}" style="fill:none;stroke-width:2"/>{note}</svg>\n'
    )


def _steps(curve: Curve) -> list[tuple[float, float]]:
    """Dollars and shares of the purchases to draw: all, or as many as can be seen."""
    n = len(curve.rows)
    places = sorted({round(place * (n - 1) / (_POINTS - 1)) for place in range(_POINTS)}) if n else []
    return [(float(curve.cents[place]) / 100, float(curve.rows[place]) / curve.total) for place in places]


def _grid(x: Axis, y: Axis) -> str:
    floor = _TOP + _HEIGHT
    parts = []
    for share in y.powers():
        down = f"{y.at(share):.1f}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{down}" y2="{down}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{down}" dy="4" text-anchor="end">{share * 100:g}%</text>')
    for usd in x.powers():
        across = f"{x.at(usd):.1f}"
        parts.append(f'<line class="grid" x1="{across}" x2="{across}" y1="{_TOP}" y2="{floor}"/>')
        parts.append(f'<text x="{across}" y="{floor + 18}" text-anchor="middle">{usd:,.0f}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{floor}" y2="{floor}"/>')
    middle = _LEFT + _WIDTH / 2
    parts.append(f'<text x="{middle}" y="{floor + 40}" text-anchor="middle">US dollars a year</text>')
    return "".join(parts)
