"""One new picture under many URLs is a stand-in, in however many formats and sizes it is served."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from poisonscan.compare.placeholder import look_of, same_stand_in
from poisonscan.records import Finding, Kind
from poisonscan.stages.check.found import Found, counted
from poisonscan.stages.check.recheck import OBSERVED
from poisonscan.store.query import rows_of, stream_of, tables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from poisonscan.compare.placeholder import Look
    from poisonscan.config import JudgeSettings

# The grids of a look are read afterwards, from one row of it: an aggregate would hold them all at once.
_LOOKS = """
    CREATE TEMP TABLE looks AS
    SELECT sha256, min(row) AS row, count(DISTINCT url) AS urls
    FROM observed WHERE verdict = 'replaced'
    GROUP BY sha256 ORDER BY urls DESC, sha256 LIMIT ?
"""
_GRIDS = """
    SELECT looks.sha256, phash, luma, chroma, urls
    FROM observed JOIN looks USING (row) WHERE observed.sha256 = looks.sha256
"""
_SHOWN = """
    SELECT leader, count(DISTINCT url) AS urls, count(DISTINCT old_sha256) AS pictures,
           count(DISTINCT domain) AS domains, count(DISTINCT sha256) AS files
    FROM observed JOIN led USING (sha256) WHERE verdict = 'replaced'
    GROUP BY leader ORDER BY urls DESC, leader
"""
_MEMBERS = """
    SELECT leader, row, key, score FROM observed JOIN led USING (sha256)
    WHERE verdict = 'replaced' AND list_contains(?, leader) ORDER BY row
"""


@dataclass(frozen=True, slots=True)
class StandIns:
    """The stand-ins of a run.

    Attributes:
        found: the findings.
        reasons: for the digest of each new picture that is a stand-in, why.
        failed: for the digest of each new picture whose look could not be read, what went wrong. Only equal
            bytes make it a stand-in.
    """

    found: tuple[Found, ...]
    reasons: Mapping[str, str]
    failed: Mapping[str, str]


def stand_ins(folder: Path, settings: JudgeSettings) -> StandIns:
    """The pictures that replaced several different ones, those under most URLs first.

    Args:
        folder: the run folder, all rows observed.
        settings: how many URLs make a stand-in, and how near its copies must be.
    """
    with tables(folder, OBSERVED) as connection:
        looks, failed = _looks(connection, settings)
        digests = [*looks, *failed]
        leaders = [digests[leader] for leader in same_stand_in([*looks.values()], settings)] + [*failed]
        connection.register("led", pa.table({"sha256": pa.array(digests, pa.string()), "leader": leaders}))
        plain = {digest for digest, look in looks.items() if look.plain}
        shown = [
            row
            for row in rows_of(connection, _SHOWN)
            if min(row["urls"], row["pictures"]) >= _least(plain, row["leader"], settings)
        ]
        members = rows_of(connection, _MEMBERS, [row["leader"] for row in shown])
    words = {row["leader"]: _words(row) for row in shown}
    reasons = {
        digest: words[leader] for digest, leader in zip(digests, leaders, strict=True) if leader in words
    }
    return StandIns(tuple(_found(shown, members)), reasons, failed)


def _looks(
    connection: duckdb.DuckDBPyConnection, settings: JudgeSettings
) -> tuple[dict[str, Look], dict[str, str]]:
    """The looks of the new pictures that are compared, by digest, and why there is none of others."""
    connection.execute(_LOOKS, [settings.placeholder_looks])
    looks: dict[str, Look] = {}
    failed: dict[str, str] = {}
    for row in stream_of(connection, _GRIDS):
        try:
            looks[row["sha256"]] = look_of(row["phash"], row["luma"], row["chroma"], row["urls"])
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the run for the other rows
            failed[row["sha256"]] = f"{type(error).__name__}: {error}"
    return looks, failed


def _least(plain: set[str], leader: str, settings: JudgeSettings) -> int:
    return settings.placeholder_plain_urls if leader in plain else settings.placeholder_urls


def _found(shown: list[dict[str, Any]], members: list[dict[str, Any]]) -> list[Found]:
    by_leader = defaultdict(list)
    for member in members:
        by_leader[member["leader"]].append(member)
    found = []
    for number, row in enumerate(shown, start=1):
        name = f"placeholder-{number:04d}"
        lines = [
            {"finding_id": name, **{column: member[column] for column in ("row", "key", "score")}}
            for member in by_leader[row["leader"]]
        ]
        where = counted(row["domains"], "domain")
        files = f" in {row['files']:,} files" if row["files"] > 1 else ""
        summary = f"{_words(row)}{files}, on {where}"
        found.append(Found(Finding(name, Kind.PLACEHOLDER, float(row["urls"]), len(lines), summary), lines))
    return found


def _words(row: dict[str, Any]) -> str:
    return f"the same stand-in now shows for {row['urls']} URLs that had {row['pictures']} different pictures"
