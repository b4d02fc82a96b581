"""What a page says of vantages: what somebody else was served at the moment at which we asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poisonscan.errors import StorageError
from poisonscan.records import Sight
from poisonscan.reporting.checked import json_object
from poisonscan.reporting.drawing import Panel
from poisonscan.reporting.parquet import Row, Tables, Top, connected, parts
from poisonscan.sources.shelf import Found
from poisonscan.store import schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from poisonscan.reporting.drawing import Drawing

MAX_CLOAKED = 12
"""Pairs of pictures shown; a host that cloaks does so for many rows, and they tell the same."""
MAX_PLACES = 10

_SIDE = 128


@dataclass(frozen=True, slots=True)
class VantageLine:
    """One vantage: its name, how it asks, and how many rows had which sight from it."""

    name: str
    ways: tuple[tuple[str, str], ...]
    sights: Mapping[Sight, int]

    @property
    def asked(self) -> int:
        """Rows asked for from there."""
        return sum(self.sights.values())


@dataclass(frozen=True, slots=True)
class Pair:
    """A row of which somebody else is served another picture: ours and theirs, from the stored grids.

    The panels' labels say what each is against the snapshot.
    """

    vantage: str
    key: str
    domain: str | None
    here: Panel
    there: Panel


@dataclass(frozen=True, slots=True)
class Vantaged:
    """Everything a page shows of a check's vantages; texts are raw.

    Attributes:
        vantages: by name.
        places: domain, vantage, cloaked and asked rows, where any row is cloaked; most of them first.
        cloaked: the domains' cloaked rows in turn, the least alike first.
    """

    vantages: Sequence[VantageLine]
    places: Top[Row]
    cloaked: Top[Pair]

    @property
    def says_nothing(self) -> list[str]:
        """Vantages from which no row was seen on both sides: they show nothing, also no innocence."""
        telling = (Sight.SAME, Sight.CLOAKED, Sight.UNSTABLE)
        return [line.name for line in self.vantages if not any(line.sights.get(one) for one in telling)]


async def read_vantaged(run: Path, drawing: Drawing) -> Vantaged | None:
    """Read what a check saw from its vantages; None where it had none.

    Args:
        run: a finished check.
        drawing: to draw with.

    Raises:
        StorageError: a file is missing or damaged.
    """
    asked = _vantages(run)
    if not asked:
        return None
    with connected() as connection:
        tables = Tables(connection, run)
        tables.define("vantages", parts(run / "vantages"), schema.VANTAGES)
        counts = tables.ask("SELECT vantage, sight, count(*) AS rows FROM vantages GROUP BY ALL")
        places = tables.top(_PLACES, MAX_PLACES)
        cloaked = tables.top(_CLOAKED, MAX_CLOAKED)
    pairs = [await _pair(line, drawing) for line in cloaked.lines]
    lines = _lines(asked, counts, run)
    return Vantaged(lines, places, Top(tuple(pairs), cloaked.total))


def _vantages(run: Path) -> dict[str, tuple[tuple[str, str], ...]]:
    """What each vantage changes, by name, as the check was started with."""
    document: dict[str, Any] = json_object(run / "run.json")
    try:
        told = document["identity"].get("vantages") or []
        return {one["name"]: _ways(one) for one in told if isinstance(one, dict)}
    except (KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{run / 'run.json'} describes no usable vantages; repeat the check") from error


def _ways(vantage: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    told = {name.replace("_", "-"): value for name, value in vantage.items() if name != "name"}
    return tuple((name, str(value)) for name, value in told.items() if value is not None)


def _lines(
    asked: Mapping[str, tuple[tuple[str, str], ...]], counts: Sequence[Row], run: Path
) -> list[VantageLine]:
    found: dict[str, Counter[Sight]] = {name: Counter() for name in sorted(asked)}
    try:
        for line in counts:
            found[line["vantage"]][Sight(line["sight"])] = line["rows"]
    except (KeyError, ValueError) as error:
        raise StorageError(f"{run / 'vantages'}: {error} is none of this run; repeat the check") from error
    return [VantageLine(name, asked[name], sights) for name, sights in found.items()]


async def _pair(line: Row, drawing: Drawing) -> Pair:
    here, there = [await _panel(line, side, drawing) for side in ("here", "there")]
    return Pair(line["vantage"], line["key"], line["domain"], here, there)


async def _panel(line: Row, side: str, drawing: Drawing) -> Panel:
    grids = (line[f"{side}_{name}"] for name in ("luma", "chroma", "width", "height"))
    drawn = await drawing.panel(Found(None, *grids), _SIDE)
    return Panel(drawn.picture, line[f"{side}_verdict"] or "not compared")


_PLACES = """
SELECT domain, vantage, count(*) FILTER (sight = 'cloaked') AS cloaked, count(*) AS asked,
       count(*) OVER () AS total
FROM vantages GROUP BY domain, vantage HAVING count(*) FILTER (sight = 'cloaked') > 0
ORDER BY cloaked DESC, domain, vantage LIMIT ?
"""
# No moment is among the columns, which DuckDB would read only with pytz.
_SIDES = ", ".join(
    f"{side}_{name}"
    for side in ("here", "there")
    for name in ("verdict", "luma", "chroma", "width", "height")
)
_CLOAKED = f"""
WITH turns AS (
    SELECT *, count(*) OVER () AS total,
           row_number() OVER (PARTITION BY domain, vantage ORDER BY score DESC NULLS LAST, row) AS turn
    FROM vantages WHERE sight = 'cloaked'
)
SELECT vantage, row, key, domain, {_SIDES}, total
FROM turns ORDER BY turn, score DESC NULLS LAST, row, vantage LIMIT ?
"""  # noqa: S608 - our own names
