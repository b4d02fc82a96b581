"""One mark on many changed pictures: a site's watermark, or a trigger.

The pixels cannot tell the two apart; who serves them can. A mark that stays in its place and lies on most
pictures of one domain, and on no others, is that site's own doing. The same mark over domains that have
nothing to do with each other is what a backdoor needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.compare.footprint import Stamp, marks_of
from poisonscan.compare.recurring import footprints
from poisonscan.records import Finding, Fingerprint, Group, Kind, Verdict
from poisonscan.stages.check.found import Found, counted
from poisonscan.stages.check.recheck import OBSERVED, QUARANTINE
from poisonscan.stages.check.wording import described
from poisonscan.store import schema
from poisonscan.store.query import rows_of, stream_of, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import duckdb

    from poisonscan.compare.footprint import Mark
    from poisonscan.compare.recurring import Footprint
    from poisonscan.config import Config
    from poisonscan.store.rows import Row

# Where there are too many, every domain has its turn, and a domain's rows are drawn from all over it
# (Knuth's multiplicative hash), so that no domain can push the others out.
_CHANGED = """
    CREATE TEMP TABLE chosen AS
    WITH changed AS (
        SELECT DISTINCT row, key, domain, row::HUGEINT * 2654435761 % 4294967296 AS lot
        FROM observed WHERE verdict IN ('edited', 'blended')
    ), ranked AS (SELECT *, row_number() OVER (PARTITION BY domain ORDER BY lot, row) AS turn FROM changed)
    SELECT row, key, domain FROM ranked ORDER BY turn, lot, row LIMIT ?
"""
_FINGERPRINTS = ", ".join(f"{side}_{field.name}" for side in ("old", "new") for field in schema.FINGERPRINT)
_PAIRS = f"SELECT row, chosen.key, domain, {_FINGERPRINTS} FROM quarantine JOIN chosen USING (row)"  # noqa: S608 - our own column names
_SEEN = "SELECT domain, count(*) AS rows FROM observed WHERE list_contains(?, verdict) GROUP BY domain"


@dataclass(frozen=True, slots=True)
class _Marked:
    """A mark and the row that bears it."""

    mark: Mark
    row: int
    key: str
    domain: str | None


@dataclass(frozen=True, slots=True)
class Footprints:
    """The footprints of a run.

    Attributes:
        found: the findings, most telling first.
        failed: rows whose marks could not be measured, with what went wrong. They are in no footprint.
    """

    found: tuple[Found, ...]
    failed: Mapping[int, str]


def find_footprints(folder: Path, config: Config) -> Footprints:
    """The footprints of a run; none where no changed pictures were kept.

    A row whose marks cannot be measured, for a fault of ours or a damaged column, costs no other row its
    footprint.

    Args:
        folder: the run folder, all rows observed.
        config: settings of the comparison and of the judgement.
    """
    if not any((folder / QUARANTINE).glob("[0-9]*.parquet")):
        return Footprints((), {})
    failed: dict[int, str] = {}
    with tables(folder, OBSERVED, QUARANTINE) as connection:
        marked = _marked(connection, config, failed)
        seen = _seen(connection) if marked else {}
    recurring = footprints([item.mark for item in marked], [item.row for item in marked], config.judge)
    judged = [_judged(footprint, marked, seen, config.judge.watermark_share) for footprint in recurring]
    judged.sort(key=lambda item: -item[0])
    found = tuple(
        _found(f"footprint-{number:04d}", score, summary, members)
        for number, (score, summary, members) in enumerate(judged, start=1)
    )
    return Footprints(found, failed)


def _marked(connection: duckdb.DuckDBPyConnection, config: Config, failed: dict[int, str]) -> list[_Marked]:
    """The marks on the chosen rows, by row; notes in `failed` those that could not be measured."""
    connection.execute(_CHANGED, [config.judge.footprint_changes])
    marked: dict[int, list[_Marked]] = {}
    for pair in stream_of(connection, _PAIRS):
        if pair["row"] in marked or pair["old_luma"] is None or pair["new_luma"] is None:
            continue
        try:
            marks = marks_of(_side(pair, "old"), _side(pair, "new"), config.compare)
            _require_comparable(marks)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the run for the other rows
            failed[pair["row"]] = f"{type(error).__name__}: {error}"
            continue
        marked[pair["row"]] = [_Marked(mark, pair["row"], pair["key"], pair["domain"]) for mark in marks]
    return [item for row in sorted(marked) for item in marked[row]]


def _require_comparable(marks: Sequence[Mark]) -> None:
    """Refuse marks that would spoil the comparison with those of other rows.

    Raises:
        ValueError: one has no size, or holds what is no number.
    """
    for mark in marks:
        values = (mark.look, mark.change) if isinstance(mark, Stamp) else (mark.sheet, mark.steps)
        if isinstance(mark, Stamp) and min(mark.width, mark.height) < 1:
            raise ValueError(f"a picture of {mark.width} x {mark.height} pixels")
        if not all(np.isfinite(value).all() for value in (mark.score, *values)):
            raise ValueError("a mark that holds what is no number")


def _side(pair: Row, side: str) -> Fingerprint:
    return Fingerprint(**{field.name: pair[f"{side}_{field.name}"] for field in schema.FINGERPRINT})


def _seen(connection: duckdb.DuckDBPyConnection) -> dict[str | None, int]:
    """Pictures seen of each domain."""
    answered = [v.value for v in Verdict if v.group in (Group.CLEAN, Group.SUSPICIOUS)]
    return {row["domain"]: row["rows"] for row in rows_of(connection, _SEEN, answered)}


def _judged(
    footprint: Footprint, marked: Sequence[_Marked], seen: Mapping[str | None, int], watermark_share: float
) -> tuple[float, str, list[_Marked]]:
    """Score, words and members of a footprint, the strongest mark of each row.

    The score is rows times domains for what may be a trigger, and the share of the domain's pictures,
    at most 1, for what is probably a watermark.
    """
    by_row: dict[int, _Marked] = {}
    for item in sorted((marked[at] for at in footprint.members), key=lambda item: item.mark.score):
        by_row[item.row] = item
    members = [by_row[row] for row in sorted(by_row)]
    domains = {item.domain for item in members}
    mark = described(footprint, marked[footprint.model].mark)
    score = float(len(members) * len(domains))
    if len(domains) > 1:
        on = f"on {len(members):,} pictures of {counted(len(domains), 'domain')}"
        return score, f"possible trigger: {mark}, {on}", members
    (domain,) = domains
    on = f"on {len(members):,} of {seen[domain]:,} pictures seen of {domain}"
    if not footprint.anchored:
        return score, f"possible trigger, since watermarks keep their place: {mark}, {on}", members
    share = len(members) / seen[domain]
    if share >= watermark_share:
        return share, f"watermark or banner of one site: {mark}, {on}", members
    return score, f"recurring mark on one site: {mark}, {on}", members


def _found(name: str, score: float, summary: str, members: Sequence[_Marked]) -> Found:
    lines = [
        {
            "finding_id": name,
            "row": item.row,
            "key": item.key,
            "box": list(item.mark.box) if isinstance(item.mark, Stamp) else None,
            "score": item.mark.score / (1 + item.mark.score),
        }
        for item in members
    ]
    return Found(Finding(name, Kind.FOOTPRINT, score, len(lines), summary), lines)
