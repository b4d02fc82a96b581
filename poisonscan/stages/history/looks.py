"""What each look saw of each row, and whether two of them show the same picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from poisonscan.compare.ladder import Baseline, judge
from poisonscan.records import Comparison, Fingerprint, Group, Published, Verdict, group_of
from poisonscan.stages.check.judging import VERDICTS
from poisonscan.stages.check.recheck import OBSERVED
from poisonscan.stages.diff.pairing import parquet_of, remembered_in
from poisonscan.stages.history.moments import LEAST_MOMENTS
from poisonscan.stages.snapshot.remember import ROWS
from poisonscan.store import schema
from poisonscan.store.query import rows_of, stream_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from poisonscan.config import CompareSettings
    from poisonscan.stages.history.moments import Moment
    from poisonscan.store.rows import Row

_AS_BEFORE = frozenset({Verdict.IDENTICAL.value, Verdict.SAME_PIXELS.value})
_PICTURE = [field.name for field in schema.FINGERPRINT]
_NAMES = ", ".join(["row", "key", "url", "domain", *_PICTURE[1:]])

_REMEMBERED = f"state IN ('{schema.FINGERPRINTED}', '{schema.HASHED}')"
_SNAPSHOT = """
    SELECT {moment} AS moment, coalesce(epoch_ms(fetched_at), {at}) AS seen_at, NULL::VARCHAR AS verdict,
           {names}, coalesce(sha256, published_sha256) AS sha256
    FROM {rows} WHERE {remembered}
"""
_RUN = """
    SELECT {moment} AS moment, coalesce(epoch_ms(fetched_at), {at}) AS seen_at, judged.verdict,
           {names}, sha256
    FROM {observed} JOIN (SELECT row, verdict FROM {verdicts}) AS judged USING (row)
    WHERE sha256 IS NOT NULL AND NOT list_contains({lost}, judged.verdict)
"""
# Rows of which three looks or more saw a picture, and not always one that passed for the snapshot's.
_CANDIDATES = """
    CREATE TEMP TABLE candidates AS
    SELECT row FROM looks GROUP BY row
    HAVING count(*) >= {least} AND (
        bool_or(list_contains({suspicious}, verdict))
        OR min(essence) FILTER (verdict IS NULL OR verdict = 'no_baseline')
           <> max(essence) FILTER (verdict IS NULL OR verdict = 'no_baseline'))
"""
_SEEN = """
    SELECT count(*) AS rows, count(*) FILTER (looks < {least}) AS too_few
    FROM (SELECT row, count(*) FILTER (seen) AS looks FROM everything GROUP BY row)
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What one moment saw of one row.

    Attributes:
        moment: number of the moment, oldest first.
        at: when the row was fetched.
        verdict: on the row in that run; None for a snapshot.
        origin: digest of the snapshot that the verdict compares with, or that this is.
        ref: the row's `row`, `key`, `url` and `domain`.
        sha256: of the bytes; None where only other hashes are known.
        picture: None where only hashes are known.
    """

    moment: int
    at: datetime
    verdict: str | None
    origin: str
    ref: Row
    sha256: str | None
    picture: Fingerprint | None

    @property
    def as_snapshot(self) -> bool | None:
        """Whether it shows the picture of the snapshot it belongs to; None where that has none."""
        if self.verdict is None:
            return True
        group = group_of(self.verdict)
        return None if group is Group.UNKNOWN else group is Group.CLEAN


def view_looks(connection: duckdb.DuckDBPyConnection, moments: Sequence[Moment]) -> None:
    """Make the views `looks`, one line for each picture seen, and `everything`, which has the rest too.

    Raises:
        SnapshotInvalidError: a part is missing, or does not have its sealed digest.
    """
    looks, every = zip(*(_queries(number, moment) for number, moment in enumerate(moments)), strict=True)
    connection.execute(f"CREATE VIEW looks AS {' UNION ALL BY NAME '.join(looks)}")
    connection.execute(f"CREATE VIEW everything AS {' UNION ALL '.join(every)}")


def coverage(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """How many rows were looked at, and of how many fewer than three looks saw a picture."""
    counts = rows_of(connection, _SEEN.format(least=LEAST_MOMENTS))[0]
    return counts["rows"], counts["too_few"]


def stream_looks(
    connection: duckdb.DuckDBPyConnection, moments: Sequence[Moment]
) -> Iterator[tuple[Look, ...]]:
    """The looks at each row that may have flapped, in order of time; one row in memory at a time."""
    suspicious = _list_of(Group.SUSPICIOUS)
    connection.execute(_CANDIDATES.format(least=LEAST_MOMENTS, suspicious=suspicious))
    query = "SELECT * FROM looks SEMI JOIN candidates USING (row) ORDER BY row, seen_at, moment"
    lines = stream_of(connection, query)
    for _, of_row in groupby(lines, key=lambda line: line["row"]):
        looks = [_look(line, moments[line["moment"]].origin) for line in of_row]
        yield tuple(_completed(look, looks) for look in looks)


def same_picture(one: Look, other: Look, settings: CompareSettings) -> bool | None:
    """Whether two looks show the same picture; None where too little is known of either. Pure."""
    if one.sha256 and one.sha256 == other.sha256:
        return True
    if one.origin == other.origin and None not in (one.as_snapshot, other.as_snapshot):
        if one.as_snapshot and other.as_snapshot:
            return True
        if one.as_snapshot or other.as_snapshot:
            return False
    compared = compared_looks(one, other, settings)
    if compared is None or compared.verdict.group is Group.UNKNOWN:
        return None
    return compared.verdict.group is Group.CLEAN


def compared_looks(one: Look, other: Look, settings: CompareSettings) -> Comparison | None:
    """How the picture of one look compares with that of an earlier one; None without both pictures. Pure."""
    if one.picture is None or other.picture is None:
        return None
    return judge(Baseline(one.picture, Published()), other.picture, settings)


def _look(line: Row, origin: str) -> Look:
    known = {name: line[name] for name in _PICTURE}
    picture = Fingerprint(**known) if line["luma"] is not None else None
    ref = {field.name: line[field.name] for field in schema.REF[:-1]}
    return Look(
        line["moment"],
        datetime.fromtimestamp(line["seen_at"] / 1000, UTC),
        line["verdict"],
        origin,
        ref,
        line["sha256"],
        picture,
    )


def _completed(look: Look, looks: Sequence[Look]) -> Look:
    """A look whose pixels are those of its snapshot, with the snapshot's picture: runs do not repeat it."""
    if look.picture is not None or look.verdict not in _AS_BEFORE:
        return look
    then = next((each for each in looks if each.verdict is None and each.origin == look.origin), None)
    if then is None:
        return look
    return replace(look, picture=then.picture)


def _queries(number: int, moment: Moment) -> tuple[str, str]:
    """SQL for the pictures that a moment saw, and for all its rows and whether it saw one."""
    facts = {"moment": number, "at": _milliseconds(moment.at), "names": _NAMES}
    if moment.is_snapshot:
        rows = remembered_in(moment.parts(ROWS))
        return _SNAPSHOT.format(
            rows=rows, remembered=_REMEMBERED, **facts
        ), f"SELECT row, {_REMEMBERED} AS seen FROM {rows}"  # noqa: S608 - quoted paths
    observed, verdicts = remembered_in(moment.parts(OBSERVED)), parquet_of(moment.parts(VERDICTS))
    looks = _RUN.format(observed=observed, verdicts=verdicts, lost=_list_of(Group.LOST), **facts)
    seen = f"NOT list_contains({_list_of(Group.LOST)}, verdict)"
    return looks, f"SELECT row, {seen} AS seen FROM {verdicts}"  # noqa: S608 - quoted paths


def _milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def _list_of(group: Group) -> str:
    return "[" + ", ".join(f"'{verdict.value}'" for verdict in Verdict if verdict.group is group) + "]"
