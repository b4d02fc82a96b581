"""The last step of a check: what only the whole run can tell.

Rows were judged one by one in the shards. Here they are looked at together: one new picture under many
URLs is a stand-in, one mark on many pictures is a footprint, many replaced pictures on one domain are a
swap. Reads `observed/` and `quarantine/`, writes `verdicts/`, `domains.parquet`, `findings.parquet` and
`members.parquet`; running it again gives the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from poisonscan.records import Verdict
from poisonscan.stages.check.footprints import find_footprints
from poisonscan.stages.check.owners import DOMAINS, FINDINGS, MEMBERS, VERDICTS, Known, write_domains
from poisonscan.stages.check.recheck import OBSERVED
from poisonscan.stages.check.stand_ins import stand_ins
from poisonscan.stages.check.vantage_run import cloaking
from poisonscan.store import schema
from poisonscan.store.parts import read_part, release_memory, write_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from poisonscan.config import Config
    from poisonscan.stages.check.found import Found
    from poisonscan.stages.check.stand_ins import StandIns

__all__ = ["DOMAINS", "FINDINGS", "MEMBERS", "VERDICTS", "judge_run"]


def judge_run(folder: Path, since: str, config: Config, known: Known = Known()) -> None:
    """Write verdicts, domains and findings of a run whose rows are all observed.

    Args:
        folder: the run folder.
        since: date of the snapshot, for the words.
        config: thresholds of the comparison and of the judgement.
        known: evidence about the domains, by default none.
    """
    shared = stand_ins(folder, config.judge)
    marked = find_footprints(folder, config)
    aside = {
        line["row"]: f"the mark is {found.finding.finding_id}"
        for found in marked.found
        for line in found.members
    } | {row: f"its mark could not be measured: {why}" for row, why in marked.failed.items()}
    for part in sorted((folder / OBSERVED).glob("[0-9]*.parquet")):
        write_table(_verdicts(read_part(part), shared, aside), folder / VERDICTS / part.name)
        release_memory()
    _write_findings(folder, [*shared.found, *marked.found, *cloaking(folder)])
    write_domains(folder, since, config.judge, known)


def _verdicts(observed: pa.Table, shared: StandIns, asides: Mapping[int, str]) -> pa.Table:
    """The verdicts of one part: as observed, but for stand-ins, and with what is said aside of some rows."""
    columns = {name: observed[name] for name in schema.VERDICTS.names if name in observed.column_names}
    known = pa.array(list(shared.reasons), pa.string())
    stand_in = pc.and_(
        pc.equal(observed["verdict"], Verdict.REPLACED.value),
        pc.fill_null(pc.is_in(observed["sha256"], known), False),  # noqa: FBT003 - Arrow's own signature
    )
    unread = {sha256: f"its look could not be read: {why}" for sha256, why in shared.failed.items()}
    facts = (stand_in, *(observed[name] for name in ("reason", "sha256", "row")))
    reasons = [
        shared.reasons[sha256] if is_stand_in else _with(reason, asides.get(row) or unread.get(sha256))
        for is_stand_in, reason, sha256, row in zip(*(fact.to_pylist() for fact in facts), strict=True)
    ]
    verdicts = pc.if_else(stand_in, Verdict.PLACEHOLDER.value, observed["verdict"])
    columns |= {"verdict": verdicts, "reason": reasons, "new_sha256": observed["sha256"]}
    return pa.table({name: columns[name] for name in schema.VERDICTS.names}).cast(schema.VERDICTS)


def _with(reason: str, aside: str | None) -> str:
    return f"{reason}; {aside}" if aside else reason


def _write_findings(folder: Path, found: Sequence[Found]) -> None:
    findings = [{name: getattr(item.finding, name) for name in schema.FINDINGS.names} for item in found]
    members = [line for item in found for line in item.members]
    write_table(pa.Table.from_pylist(findings, schema=schema.FINDINGS), folder / FINDINGS)
    write_table(pa.Table.from_pylist(members, schema=schema.MEMBERS), folder / MEMBERS)
