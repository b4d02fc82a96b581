"""history: rows that showed A, then B, then A again, by domain and time, and what to do with them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from poisonscan.config import Config
from poisonscan.domains.flapping import Action, Excursion, FlapKind, action_for, excursions, kind_of, labelled
from poisonscan.files import beside
from poisonscan.records import Verdict
from poisonscan.stages.common import Summary, pace
from poisonscan.stages.diff.pairing import parquet_of
from poisonscan.stages.history.looks import (
    compared_looks,
    coverage,
    same_picture,
    stream_looks,
    view_looks,
)
from poisonscan.stages.history.moments import moments_of
from poisonscan.store import schema
from poisonscan.store.folder import FINISHED, RUNNING, open_folder
from poisonscan.store.query import stream_of, tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from poisonscan.config import CompareSettings
    from poisonscan.stages.history.looks import Look
    from poisonscan.stages.history.moments import Moment
    from poisonscan.store.rows import Row

HISTORY_DOCUMENT = "history.json"
HISTORY, GROUPS, ACTIONS = "history.parquet", "groups.parquet", "actions.parquet"

_BATCH = 4096
_MOST_GROUPS = 20
_WORDS = {
    FlapKind.FRONTRUN: "the snapshot has a picture that was shown only for a while",
    FlapKind.FLAP: "another picture was shown for a while",
    FlapKind.STAND_IN: "a stand-in was shown for a while",
}
# Rows of one domain that went and came back between the same looks are one event.
_GROUPS = """
    SELECT domain, kind, count(DISTINCT row) AS rows, count(DISTINCT away_sha256) AS pictures,
           before, away, back, epoch_ms(max(before_at)) AS before_at,
           epoch_ms(min(away_from)) AS away_from, epoch_ms(max(away_to)) AS away_to,
           epoch_ms(min(back_at)) AS back_at
    FROM {history} GROUP BY domain, kind, before, away, back ORDER BY rows DESC, domain, kind, before, away
"""


@dataclass(slots=True)
class _Tally:
    """What was found, counted while it is written."""

    rows: Counter[FlapKind] = field(default_factory=Counter)
    actions: Counter[Action] = field(default_factory=Counter)


def history(folders: Sequence[Path], out: Path, *, config: Config = Config()) -> Summary:
    """Find the rows that changed and changed back, and say what to do with each.

    Args:
        folders: finished runs of `check` over one list, and further snapshots of it, in any order; the
            runs' own snapshots are looks too.
        out: the folder to write; one that holds the history of the same folders is written anew.
        config: settings; `compare` decides what counts as the same picture.

    Returns:
        Counts are rows by kind. The exit code is 1 when any row was frontrun or flapped; a stand-in
        that was shown for a while does not count.

    Raises:
        UsageError: the folders are no finished looks at one list, or too few.
        SnapshotInvalidError: a snapshot or run is missing, damaged or altered.
        RunMismatchError: `out` holds the history of other folders.
        StorageError: `out` cannot be written.
    """
    started = time.monotonic()
    moments = moments_of(folders)
    identity = {"command": "history", "looks": [[str(moment.path), moment.at] for moment in moments]}
    with open_folder(out, HISTORY_DOCUMENT, identity) as folder:
        folder.update(state=RUNNING)
        with tables(out) as connection:
            view_looks(connection, moments)
            rows, too_few = coverage(connection)
            tally = _write(out, stream_looks(connection, moments), moments, config.compare)
            groups = _write_groups(connection, out)
        folder.update(state=FINISHED, counts={kind.value: n for kind, n in sorted(tally.rows.items())})
    return _summary(out, moments, (rows, too_few), tally, groups, time.monotonic() - started)


def _write(
    out: Path, rows: Iterable[tuple[Look, ...]], moments: Sequence[Moment], settings: CompareSettings
) -> _Tally:
    """Write the excursions and the actions, a batch in memory at a time."""
    tally = _Tally()
    with (
        beside(out / HISTORY) as history_file,
        beside(out / ACTIONS) as actions_file,
        pq.ParquetWriter(history_file, schema.HISTORY, compression="zstd") as lines,
        pq.ParquetWriter(actions_file, schema.ACTIONS, compression="zstd") as actions,
    ):
        judged = _judged(rows, moments, settings)
        while batch := list(islice(judged, _BATCH)):
            found = [line for of_row, _ in batch for line in of_row]
            lines.write_table(pa.Table.from_pylist(found, schema=schema.HISTORY))
            to_do = [action for _, action in batch]
            actions.write_table(pa.Table.from_pylist(to_do, schema=schema.ACTIONS))
            for of_row, action in batch:
                tally.rows.update({FlapKind(line["kind"]) for line in of_row})
                tally.actions[Action(action["action"])] += 1
    return tally


def _judged(
    rows: Iterable[tuple[Look, ...]], moments: Sequence[Moment], settings: CompareSettings
) -> Iterator[tuple[list[Row], Row]]:
    """The lines of HISTORY and the line of ACTIONS of each row that flapped."""
    for looks in rows:
        labels = labelled(looks, lambda one, other: same_picture(one, other, settings))
        found = excursions(labels)
        if not found:
            continue
        action = action_for(found, labels)
        lines = [_line(excursion, looks, moments, settings) | {"action": action} for excursion in found]
        last = next(
            look for look, label in zip(reversed(looks), reversed(labels), strict=True) if label is not None
        )
        yield lines, _action(lines, last, moments)


def _line(
    excursion: Excursion, looks: Sequence[Look], moments: Sequence[Moment], settings: CompareSettings
) -> Row:
    before, back = looks[excursion.before], looks[excursion.back]
    away = [looks[place] for place in excursion.away]
    stand_ins = [look.verdict == Verdict.PLACEHOLDER for look in looks]
    kind = kind_of(excursion, [look.verdict is None for look in looks], stand_ins)
    compared = compared_looks(before, away[0], settings)
    words = f"{_WORDS[kind]}, {_when(away)}"
    return before.ref | {
        "kind": kind,
        "before": moments[before.moment].name,
        "away": [moments[look.moment].name for look in away],
        "back": moments[back.moment].name,
        "before_at": before.at,
        "away_from": away[0].at,
        "away_to": away[-1].at,
        "back_at": back.at,
        "before_sha256": before.sha256,
        "away_sha256": away[0].sha256,
        "back_sha256": back.sha256,
        "verdict": compared.verdict if compared else None,
        "reason": f"{words}; against the one before: {compared.reason}" if compared else words,
    }


def _when(away: Sequence[Look]) -> str:
    first, last = (f"{look.at:%Y-%m-%d %H:%M}" for look in (away[0], away[-1]))
    return f"seen {first}" if len(away) == 1 else f"seen from {first} to {last}"


def _action(lines: Sequence[Row], last: Look, moments: Sequence[Moment]) -> Row:
    first = lines[0]
    if first["action"] is Action.TAKE_LATER:
        words = f"{first['reason']}; {moments[last.moment].name} shows the picture of before again"
    elif len(lines) > 1:
        words = f"went and came back {len(lines)} times; the last time: {lines[-1]['reason']}"
    else:
        words = f"{first['reason']}; since then it shows yet another picture"
    sha256 = last.sha256 if first["action"] is Action.TAKE_LATER else None
    return last.ref | {"action": first["action"], "sha256": sha256, "reason": words}


def _write_groups(connection: duckdb.DuckDBPyConnection, out: Path) -> list[Row]:
    """Write the groups; the largest of them, for people."""
    shown: list[Row] = []
    lines = stream_of(connection, _GROUPS.format(history=parquet_of([out / HISTORY])))
    with (
        beside(out / GROUPS) as temporary,
        pq.ParquetWriter(temporary, schema.HISTORY_GROUPS, compression="zstd") as writer,
    ):
        while batch := list(islice(lines, _BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema.HISTORY_GROUPS))
            shown += batch[: _MOST_GROUPS - len(shown)]
    return shown


def exit_code(rows: Mapping[FlapKind, int]) -> int:
    """1 when any row was frontrun or flapped, else 0; a stand-in that was shown for a while is an outage."""
    return int(any(rows.get(kind, 0) for kind in (FlapKind.FRONTRUN, FlapKind.FLAP)))


def _summary(
    out: Path,
    moments: Sequence[Moment],
    looked: tuple[int, int],
    tally: _Tally,
    groups: Sequence[Row],
    seconds: float,
) -> Summary:
    rows, too_few = looked
    return Summary(
        verb="history",
        out=str(out),
        rows=rows,
        counts={kind.value: n for kind, n in sorted(tally.rows.items())},
        seconds=round(seconds, 2),
        rows_per_s=pace(rows, seconds),
        exit_code=exit_code(tally.rows),
        details={
            "looks": [moment.name for moment in moments],
            "too_few_looks": too_few,
            "actions": {action.value: n for action, n in sorted(tally.actions.items())},
            "largest": [
                {name: row[name] for name in ("domain", "kind", "rows", "pictures", "away")} for row in groups
            ],
        },
    )
