"""One card a finding: what recurs, the rows that carry it with the place, and why it is no chance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poisonscan.engine.sandbox import Crash
from poisonscan.errors import StorageError
from poisonscan.records import Verdict
from poisonscan.reporting.cards import drawable
from poisonscan.reporting.drawing import Panel
from poisonscan.reporting.parquet import Top
from poisonscan.sources.shelf import NOW, shelf_of
from poisonscan.store.sources import files_of
from poisonscan.store.views import open_views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poisonscan.records import Box
    from poisonscan.reporting.drawing import Drawing
    from poisonscan.sources.shelf import Shelf
    from poisonscan.store.views import Row, Views

MAX_FINDINGS = 20
MAX_MEMBERS = 8
"""Rows of one finding shown; they are there because they look alike."""
MEMBER_SIDE = 128
"""Longest side of a member's picture, CSS pixels."""
EXHIBIT_SIDE = 160

_EXHIBITS = "exhibits"
_MAX_EXHIBIT = 4 << 20
"""Largest exhibit that is read, bytes; ours are 224 pixels wide."""


@dataclass(frozen=True, slots=True)
class Member:
    """A row that a finding names. Texts are raw."""

    key: str
    url: str | None
    domain: str | None
    caption: str | None
    label: str | None
    verdict: Verdict | None
    boxes: tuple[Box, ...]
    panel: Panel


@dataclass(frozen=True, slots=True)
class FindingCard:
    """What the page shows of a finding. Texts are raw.

    Attributes:
        finding_id, kind, score, n_members, summary: as in the table.
        alarm: of a hunt: whether it is too strong to be chance; None for a check.
        expected_false: of a hunt: how many as strong chance would give.
        reference: what that was estimated on.
        detectors: who found it.
        exhibit: what recurs; None where there is nothing to show.
        members: the strongest of its rows.
    """

    finding_id: str
    kind: str
    score: float
    n_members: int
    summary: str
    alarm: bool | None = None
    expected_false: float | None = None
    reference: str = ""
    detectors: tuple[str, ...] = ()
    exhibit: Panel | None = None
    members: tuple[Member, ...] = ()

    @property
    def home(self) -> str | None:
        """The domain of the members shown where several share it, to be told once."""
        domains = {member.domain for member in self.members}
        return self.members[0].domain if len(domains) == 1 < len(self.members) else None


async def read_findings(run: Path, snapshot: Path | None, drawing: Drawing) -> Top[FindingCard]:
    """The strongest findings of a check or a hunt, those that raise the alarm first.

    Args:
        run: a finished run folder.
        snapshot: where its snapshot lies, if it was moved.
        drawing: to draw with.

    Raises:
        SnapshotInvalidError: the run's document or its snapshot is damaged.
        StorageError: a file cannot be read.
    """
    with open_views(run, snapshot) as views:
        if "findings" not in views:
            return Top((), 0)
        shelf = shelf_of(views, files_of(run, snapshot))
        lines = views.rows(_findings_sql(views), MAX_FINDINGS)
        cards = [await _card(line, run, views, shelf, drawing) for line in lines]
        return Top(tuple(cards), lines[0]["total"] if lines else 0)


def _findings_sql(views: Views) -> str:
    hunted = any(name == "rank" for name, _ in views.columns["findings"])
    order = "alarm DESC, rank" if hunted else "score DESC, n_members DESC, finding_id"
    return f"SELECT *, count(*) OVER () AS total FROM findings ORDER BY {order} LIMIT ?"  # noqa: S608 - ours


async def _card(line: Row, run: Path, views: Views, shelf: Shelf, drawing: Drawing) -> FindingCard:
    known = ("finding_id", "kind", "score", "n_members", "summary")
    return FindingCard(
        **{name: line[name] for name in known},
        alarm=line.get("alarm"),
        expected_false=line.get("expected_false"),
        reference=line.get("reference") or "",
        detectors=tuple(line.get("detectors") or ()),
        exhibit=await _exhibit(run, line.get("exhibit"), drawing),
        members=await _members(line["finding_id"], views, shelf, drawing),
    )


async def _exhibit(run: Path, name: str | None, drawing: Drawing) -> Panel | None:
    """The picture of what recurs; a name that leads anywhere but to the exhibits is none of ours."""
    if not name:
        return None
    path = Path(name)
    if path.parts[:-1] != (_EXHIBITS,) or path.is_absolute():
        return Panel(None, "the table names a file outside of exhibits")
    try:
        with (run / path).open("rb") as file:
            body = file.read(_MAX_EXHIBIT)
    except OSError as error:
        return Panel(None, f"{name}: {error.strerror}")
    picture = await drawing.small(body, EXHIBIT_SIDE)
    if isinstance(picture, Crash):
        return Panel(None, f"{name}: {picture.reason}")
    return Panel(picture, "what recurs")


async def _members(finding: str, views: Views, shelf: Shelf, drawing: Drawing) -> tuple[Member, ...]:
    if "members" not in views:
        return ()
    lines = views.rows(
        "SELECT row, key, box FROM members WHERE finding_id = ? ORDER BY score DESC NULLS LAST, row LIMIT ?",
        finding,
        MAX_MEMBERS,
    )
    facts = _facts(views, [line["row"] for line in lines])
    return tuple([await _member(line, facts.get(line["row"], {}), shelf, drawing) for line in lines])


async def _member(line: Row, facts: Mapping[str, Any], shelf: Shelf, drawing: Drawing) -> Member:
    return Member(
        key=line["key"],
        url=facts.get("url") or None,
        domain=facts.get("domain"),
        caption=facts.get("caption"),
        label=facts.get("label"),
        verdict=_verdict(facts.get("verdict")),
        boxes=drawable([line["box"]] if line["box"] and len(line["box"]) == 4 else ()),  # noqa: PLR2004 - corners
        panel=await drawing.panel(shelf.find(line["row"], NOW), MEMBER_SIDE),
    )


def _verdict(name: str | None) -> Verdict | None:
    try:
        return None if name is None else Verdict(name)
    except ValueError as error:
        raise StorageError(f"unknown verdict {name!r}; read it with the version that wrote it") from error


def _facts(views: Views, rows: Sequence[int]) -> dict[int, Row]:
    """What the run knows of some rows, by row."""
    for table, columns in _ABOUT.items():
        if table in views:
            sql = f"SELECT row, {columns} FROM {table} WHERE list_contains(?, row)"  # noqa: S608 - our own names
            return {line["row"]: line for line in views.rows(sql, list(rows))}
    return {}


_ABOUT = {
    "verdicts": "url, domain, caption, verdict",
    "embeddings": "url, domain, caption, label",
    "rows": "url, domain, caption",
}
