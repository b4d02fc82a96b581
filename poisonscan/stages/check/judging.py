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
    names = {line["row"]: found.finding.finding_id for found in marked for line in found.members}
    for part in sorted((folder / OBSERVED).glob("[0-9]*.parquet")):
        write_table(_verdicts(read_part(part), shared.reasons, names), folder / VERDICTS / part.name)
        release_memory()
    _write_findings(folder, [*shared.found, *marked, *cloaking(folder)])
    write_domains(folder, since, config.judge, known)


def _verdicts(observed: pa.Table, stand_ins: Mapping[str, str], footprints: Mapping[int, str]) -> pa.Table:
    """The verdicts of one part: as observed, but for stand-ins, and with the names of footprints."""
    columns = {name: observed[name] for name in schema.VERDICTS.names if name in observed.column_names}
    known = pa.array(list(stand_ins), pa.string())
    shared = pc.and_(
        pc.equal(observed["verdict"], Verdict.REPLACED.value),
        pc.fill_null(pc.is_in(observed["sha256"], known), False),  # noqa: FBT003 - Arrow's own signature
    )
    facts = (shared, *(observed[name] for name in ("reason", "sha256", "row")))
    reasons = [
        stand_ins[sha256] if is_shared else _with_name(reason, footprints.get(row))
        for is_shared, reason, sha256, row in zip(*(fact.to_pylist() for fact in facts), strict=True)
    ]
    verdicts = pc.if_else(shared, Verdict.PLACEHOLDER.value, observed["verdict"])
    columns |= {"verdict": verdicts, "reason": reasons, "new_sha256": observed["sha256"]}
    return pa.table({name: columns[name] for name in schema.VERDICTS.names}).cast(schema.VERDICTS)


def _with_name(reason: str, footprint: str | None) -> str:
    return f"{reason}; the mark is {footprint}" if footprint else reason


def _write_findings(folder: Path, found: Sequence[Found]) -> None:
    findings = [{name: getattr(item.finding, name) for name in schema.FINDINGS.names} for item in found]
    members = [line for item in found for line in item.members]
    write_table(pa.Table.from_pylist(findings, schema=schema.FINDINGS), folder / FINDINGS)
    write_table(pa.Table.from_pylist(members, schema=schema.MEMBERS), folder / MEMBERS)
