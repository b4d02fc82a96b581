"""Vantages in a run: which rows are asked for from elsewhere, and what that says about their domains."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from poisonscan.fetch.client import Fetcher
from poisonscan.files import storage
from poisonscan.records import Finding, Group, Kind, Sight, Verdict
from poisonscan.stages.check.found import Found
from poisonscan.stages.check.recheck import OBSERVED
from poisonscan.stages.check.vantage import VANTAGES, View, look_again
from poisonscan.stages.rows import Work, work_through
from poisonscan.store.parts import read_part, rows_in, write_table
from poisonscan.store.query import rows_of, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from poisonscan.config import Config, VantageSettings
    from poisonscan.stages.sealed import SealedPart
    from poisonscan.stages.watch import Watch
    from poisonscan.store.folder import Folder
    from poisonscan.store.rows import Row

_CHOSEN = ".vantages.parquet"
_STRETCH = 1000  # rows a shard

# Half from domains with changed pictures or closed doors, a row of each in turn, the rest from everywhere.
_CHOOSE = """
    WITH eligible AS (
        SELECT any_value(domain) AS domain, min(row) AS row, min(md5('{seed}:' || row)) AS lot,
               bool_or(list_contains({doubtful}, verdict)) AS doubtful
        FROM observed WHERE verdict <> 'refused' GROUP BY url
    ), turns AS (
        SELECT row, lot, row_number() OVER (PARTITION BY domain ORDER BY lot, row) AS turn,
               count(*) FILTER (doubtful) OVER (PARTITION BY domain) AS doubt
        FROM eligible
    ), risky AS (SELECT row FROM turns WHERE doubt > 0 ORDER BY turn, doubt DESC, lot, row LIMIT {half}
    ), others AS (
        SELECT row FROM turns ANTI JOIN risky USING (row) ORDER BY lot, row
        LIMIT {rows} - (SELECT count(*) FROM risky)
    )
    FROM risky UNION ALL FROM others
"""
_BY_DOMAIN = """
    SELECT domain, vantage, count(*) AS asked, count(*) FILTER (sight = 'cloaked') AS cloaked
    FROM vantages GROUP BY domain, vantage HAVING count(*) FILTER (sight = 'cloaked') > 0
    ORDER BY cloaked DESC, domain, vantage
"""
_CLOAKED = """
    SELECT domain, vantage, row, key, score FROM vantages WHERE sight = 'cloaked' ORDER BY vantage, row
"""


def require_usable(config: Config) -> None:
    """Refuse, before anything is fetched, a vantage that could not ask.

    Raises:
        SettingsError: one of its settings cannot be used.
    """
    for vantage in config.vantages:
        Fetcher(vantage.applied(config.fetch))  # checks its settings and opens nothing yet


def look_from_vantages(
    folder: Folder, past: Sequence[SealedPart], seed: int, config: Config, watch: Watch
) -> None:
    """Ask for some rows of an observed run from each vantage; what was done before is kept.

    Args:
        folder: the run.
        past: the snapshot's parts.
        seed: of the choice.
        config: settings, with the vantages.
        watch: told about progress.

    Raises:
        IncompleteError: interrupted, or the disk is full; the same call continues.
    """
    chosen = folder.path / _CHOSEN
    _choose(folder.path, past, seed, config.audit.vantage_rows, chosen)
    rows = rows_in(chosen)
    starts = range(0, rows, _STRETCH)
    # Numbered after the snapshot's parts: `Folder.sweep` takes a journal with the number of a finished part
    # of the rows for one that outlived it.
    shards = [
        View(len(past) + number * len(starts) + place, vantage, chosen, first, min(_STRETCH, rows - first))
        for number, vantage in enumerate(config.vantages)
        for place, first in enumerate(starts)
    ]
    task = partial(look_again, folder=folder.path, config=config)
    work = Work(VANTAGES, VANTAGES, "sight", task, shards, rows * len(config.vantages))
    work_through(folder, work, config.run, watch)
    folder.sweep(VANTAGES)
    with storage(chosen):
        chosen.unlink()


def forget_vantages(folder: Path) -> None:
    """Remove what was seen from elsewhere of rows that were chosen by what is no longer so.

    Raises:
        StorageError: it cannot be removed.
    """
    with storage(folder):
        (folder / _CHOSEN).unlink(missing_ok=True)
        if (folder / VANTAGES).exists():
            shutil.rmtree(folder / VANTAGES)


def sights(folder: Path, vantages: Sequence[VantageSettings]) -> dict[str, dict[str, int]]:
    """How many rows had which sight from each vantage, also from one that was asked for no row."""
    found: dict[str, Counter[str]] = {vantage.name: Counter() for vantage in vantages}
    for part in sorted((folder / VANTAGES).glob("[0-9]*.parquet")):
        table = read_part(part, ["vantage", "sight"])
        for vantage, sight in zip(table["vantage"].to_pylist(), table["sight"].to_pylist(), strict=True):
            found[vantage][sight] += 1
    return {
        vantage: {sight.value: counts[sight] for sight in Sight} for vantage, counts in sorted(found.items())
    }


def cloaked_rows(folder: Path) -> int:
    """Rows that some vantage was served another picture of."""
    found: set[int] = set()
    for part in sorted((folder / VANTAGES).glob("[0-9]*.parquet")):
        table = read_part(part, ["row", "sight"])
        rows = zip(table["row"].to_pylist(), table["sight"].to_pylist(), strict=True)
        found.update(row for row, sight in rows if sight == Sight.CLOAKED)
    return len(found)


def cloaking(folder: Path) -> list[Found]:
    """The findings of a run's vantages: one for each vantage and domain that cloaks; none without any."""
    if not any((folder / VANTAGES).glob("[0-9]*.parquet")):
        return []
    with tables(folder, VANTAGES) as connection:
        groups, rows = rows_of(connection, _BY_DOMAIN), rows_of(connection, _CLOAKED)
    members = defaultdict(list)
    for row in rows:
        members[row["domain"], row["vantage"]].append(row)
    return [
        _found(f"cloaking-{number:04d}", group, members[group["domain"], group["vantage"]])
        for number, group in enumerate(groups, start=1)
    ]


def name_cloaked_domains(folder: Path, domains: Path) -> None:
    """Add to the reasons of each domain that cloaks from which vantages, and for how many rows."""
    words: dict[str | None, list[str]] = defaultdict(list)
    if any((folder / VANTAGES).glob("[0-9]*.parquet")):
        with tables(folder, VANTAGES) as connection:
            for group in rows_of(connection, _BY_DOMAIN):
                words[group["domain"]].append(f"cloaking: {_words(group)}")
    if not words:
        return
    table = read_part(domains)
    pairs = zip(table["domain"].to_pylist(), table["reasons"].to_pylist(), strict=True)
    reasons = [[*before, *words.get(domain, [])] for domain, before in pairs]
    place = table.schema.get_field_index("reasons")
    field = table.schema.field(place)
    write_table(table.set_column(place, field, pa.array(reasons, field.type)), domains)


def _found(name: str, group: Row, rows: Sequence[Row]) -> Found:
    lines = [
        {"finding_id": name, "row": row["row"], "key": row["key"], "box": None, "score": row["score"]}
        for row in rows
    ]
    where = f"{group['domain'] or 'URLs without a domain'}: {_words(group)}"
    return Found(Finding(name, Kind.CLOAKING, float(len(rows)), len(rows), where), lines)


def _words(group: Row) -> str:
    return (
        f"{group['vantage']} was served something else than we were for {group['cloaked']} of "
        f"{group['asked']} rows asked for from there"
    )


def _choose(run: Path, past: Sequence[SealedPart], seed: int, rows: int, out: Path) -> None:
    """Write the snapshot's lines of the rows to be asked for, in their order."""
    doubtful = [v.value for v in Verdict if v.group is Group.SUSPICIOUS or v is Verdict.BLOCKED]
    facts: Mapping[str, Any] = {"seed": int(seed), "doubtful": doubtful, "rows": rows, "half": rows // 2}
    with tables(run, OBSERVED) as connection:
        chosen = pa.array([row["row"] for row in rows_of(connection, _CHOOSE.format(**facts))], pa.int64())
    # Read from the parts themselves, and not by SQL over their paths: what is compared with must be what
    # was sealed.
    lines = [table.filter(pc.is_in(table["row"], chosen)) for table in (part.read() for part in past)]
    write_table(pa.concat_tables(lines, promote_options="default").sort_by("row"), out)
