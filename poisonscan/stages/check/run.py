"""check: fetch a snapshot's rows again and say of each what became of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from poisonscan.config import Config, as_dict
from poisonscan.errors import SnapshotInvalidError, UsageError
from poisonscan.files import file_digest, write_text
from poisonscan.records import Group, Verdict
from poisonscan.reporting.html import write_report
from poisonscan.stages.check.judging import DOMAINS, VERDICTS, judge_run
from poisonscan.stages.check.owners import known_domains
from poisonscan.stages.check.plan import close_audit, drawn_rows
from poisonscan.stages.check.recheck import OBSERVED, Part, recheck
from poisonscan.stages.check.vantage_run import (
    cloaked_rows,
    look_from_vantages,
    name_cloaked_domains,
    require_usable,
    sights,
)
from poisonscan.stages.common import Summary, counts_on_disk, pace, run_missing, versions
from poisonscan.stages.watch import Silent, Watch
from poisonscan.store.folder import (
    FINISHED,
    RUN_DOCUMENT,
    SNAPSHOT_DOCUMENT,
    Folder,
    open_folder,
    read_document,
)
from poisonscan.store.parts import read_part, rows_in
from poisonscan.store.query import rows_of, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poisonscan.stages.check.audit import Audit
    from poisonscan.stages.check.owners import Known

SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a snapshot a check looks at.

    Attributes:
        sample: how many rows, drawn at random; None for all.
        seed: of the draw.
        only_failed: an earlier run; only its rows without an answer are looked at.
        audit: draw of each domain as many rows as it takes to notice a swap; None for no such draw.
    """

    sample: int | None = None
    seed: int = 0
    only_failed: Path | None = None
    audit: Audit | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be selected."""
        if self.sample is not None and self.sample < 1:
            raise UsageError(f"--sample {self.sample}: at least one row must be looked at")
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: choose a whole number from 0")
        if self.audit is not None and (self.sample is not None or self.only_failed is not None):
            raise UsageError("an audit draws rows of its own; leave out --sample and --only-failed")


def check(
    snapshot: Path,
    out: Path,
    *,
    selection: Selection = Selection(),
    domains: Path | None = None,
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Fetch, compare and judge; write verdicts, quarantine, domains, summary and report.

    With `config.vantages` some rows are asked for from there too, and with an audit the details of the
    summary say what it guarantees.

    Args:
        snapshot: a finished snapshot folder.
        out: the run folder; one that is unfinished is continued.
        selection: which rows to look at.
        domains: what the verb `domains` wrote about the snapshot's domains; makes the judgement on
            domains sharper.
        config: settings.
        watch: told about progress.

    Raises:
        UsageError: `domains` or the evidence of an audit is no such file.
        SettingsError: a vantage cannot ask as it is set.
        SnapshotInvalidError: the snapshot is unfinished, damaged or altered.
        RunMismatchError: `out` was started from another snapshot, selection or evidence.
        IncompleteError: interrupted, or the disk is full; the same call continues.
    """
    started = time.monotonic()
    document = finished_snapshot(snapshot)
    require_usable(config)
    known = known_domains(domains, document)
    with open_folder(out, RUN_DOCUMENT, _identity(snapshot, document, selection, config, known)) as folder:
        before = counts_on_disk(out, OBSERVED, "verdict")
        if not folder.finished:
            parts = _parts(snapshot, document, selection, out)
            folder.sweep(OBSERVED)
            folder.update(**_origin(snapshot, document))
            _observe_all(folder, parts, before, config, watch)
            if config.vantages:
                past = [snapshot / name for name in sorted(document["parts"]) if name.startswith("rows/")]
                look_from_vantages(folder, past, selection.seed, config, watch)
            judge_run(out, document["created_at"][:10], config, known)
            name_cloaked_domains(out, out / DOMAINS)
        summary = _summarise(folder, time.monotonic() - started, before.total(), config)
        if selection.audit is not None:
            reached = close_audit(out, selection.audit).as_dict(selection.audit)
            summary = replace(summary, details={**summary.details, "audit": reached})
        _close(folder, summary)
        write_report(out, snapshot)
        return summary


def _identity(
    snapshot: Path, document: Mapping[str, Any], selection: Selection, config: Config, known: Known
) -> dict[str, object]:
    """What a check must have been started with to be continued."""
    settings = as_dict(config)
    identity: dict[str, object] = {
        "command": "check",
        "snapshot": str(snapshot.resolve()),
        "snapshot_digest": document["digest"],
        "sample": selection.sample,
        "seed": selection.seed,
        "only_failed": str(selection.only_failed.resolve()) if selection.only_failed else None,
        "compare": settings["compare"],
    }
    if selection.audit is not None:
        identity["audit"] = selection.audit.identity()
    if config.vantages:
        identity["vantages"] = [*settings["vantages"], config.audit.vantage_rows]
    if known.file is not None:
        identity["domains"] = {"path": str(known.file.resolve()), "sha256": file_digest(known.file)}
    return identity


def finished_snapshot(path: Path) -> dict[str, Any]:
    """The document of a snapshot that is complete.

    Raises:
        SnapshotInvalidError: it is missing, damaged, altered or unfinished.
    """
    document = read_document(path, SNAPSHOT_DOCUMENT)
    if document["state"] != FINISHED:
        raise SnapshotInvalidError(f"snapshot {path} is unfinished; repeat the command that started it")
    return document


def _origin(snapshot: Path, document: Mapping[str, Any]) -> dict[str, object]:
    """What the run is about, for run.json and the report's head."""
    identity = document["identity"]
    return {
        "manifest": {"source": identity["source"], "sha256": identity.get("manifest")},
        "snapshot": {"path": str(snapshot.resolve()), "created_at": document["created_at"]},
    }


def _observe_all(
    folder: Folder, parts: Sequence[Part], before: Mapping[str, int], config: Config, watch: Watch
) -> None:
    started = folder.document.get("started_at", datetime.now(UTC).isoformat(timespec="seconds"))
    folder.update(command="check", started_at=started, settings=as_dict(config), versions=versions())
    total = sum(_count(part) for part in parts)
    watch.start("check", total, before)
    task = partial(recheck, folder=folder.path, config=config)
    run_missing(folder, OBSERVED, task, parts, config.run, watch)


def _count(part: Part) -> int:
    return len(part.rows) if part.rows is not None else rows_in(part.path)


def _parts(snapshot: Path, document: Mapping[str, Any], selection: Selection, out: Path) -> list[Part]:
    """The snapshot's parts as shards, each with the rows selected in it."""
    digests = {int(Path(name).stem): name for name in document["parts"] if name.startswith("rows/")}
    parts = [Part(index, snapshot / name, document["parts"][name]) for index, name in sorted(digests.items())]
    for part in parts:
        if not part.path.exists():
            raise SnapshotInvalidError(f"{part.path} is missing from the snapshot; restore it")
    chosen = _selected(parts, selection, out)
    if chosen is None:
        return parts
    parts = [Part(part.index, part.path, part.sha256, rows) for part, rows in zip(parts, chosen, strict=True)]
    return [part for part in parts if part.rows] or parts[:1]  # nothing selected is a run of no rows


def _selected(parts: Sequence[Part], selection: Selection, out: Path) -> list[frozenset[int]] | None:
    """Row numbers by part, or None when every row is looked at."""
    if selection == Selection(seed=selection.seed):
        return None
    rows = [_row_numbers(part) for part in parts]
    if selection.audit is not None:
        chosen = drawn_rows([part.path for part in parts], selection.audit, selection.seed, out)
        rows = [numbers[np.isin(numbers, chosen)] for numbers in rows]
    if selection.only_failed is not None:
        failed = _failed_rows(selection.only_failed)
        rows = [numbers[np.isin(numbers, failed)] for numbers in rows]
    if selection.sample is not None:
        everything = np.concatenate(rows)
        generator = np.random.default_rng(selection.seed)
        size = min(selection.sample, len(everything))
        drawn = generator.choice(everything, size=size, replace=False)
        rows = [numbers[np.isin(numbers, drawn)] for numbers in rows]
    return [frozenset(numbers.tolist()) for numbers in rows]


def _row_numbers(part: Part) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(read_part(part.path, ["row"])["row"].to_numpy())


def _failed_rows(run: Path) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows of an earlier run whose verdict is no answer."""
    read_document(run, RUN_DOCUMENT)
    if not list((run / VERDICTS).glob("[0-9]*.parquet")):
        raise UsageError(f"--only-failed {run}: that run has no verdicts yet; finish it first")
    lost = [verdict.value for verdict in Verdict if verdict.group is Group.LOST]
    with tables(run, VERDICTS) as connection:
        query = "SELECT row FROM verdicts WHERE list_contains(?, verdict)"
        rows = [row["row"] for row in rows_of(connection, query, lost)]
    return np.array(rows, dtype=np.int64)


def _summarise(folder: Folder, seconds: float, done_before: int, config: Config) -> Summary:
    counts = counts_on_disk(folder.path, VERDICTS, "verdict")
    groups, suspects = by_group(counts), suspected_domains(folder.path)
    rows = counts.total()
    seen = sights(folder.path, config.vantages)
    cloaked, weak = cloaked_rows(folder.path), weak_rows(folder.path)
    return Summary(
        verb="check",
        out=str(folder.path),
        rows=rows,
        counts=dict(sorted(counts.items())),
        seconds=round(seconds, 2),
        rows_per_s=pace(rows - done_before, seconds),
        exit_code=exit_code(groups, len(suspects), rows, config, cloaked, weak),
        details={
            "groups": groups,
            "suspected_domains": suspects,
            "warned_domains": warned_domains(folder.path),
            "unanswered": groups[Group.LOST],
            **({"weak_baselines": weak} if weak else {}),
            **({"vantages": seen, "cloaked": cloaked} if seen else {}),
        },
    )


def exit_code(
    groups: Mapping[str, int], suspects: int, rows: int, config: Config, cloaked: int = 0, weak: int = 0
) -> int:
    """1 for findings at or above `fail_on`, else 3 if too many rows gave no answer, else 0.

    A row that is served differently elsewhere counts as a suspicious one. With `strict_baseline` one of the
    `weak` rows, for which only a digest speaks that can be forged, counts as one without an answer.
    """
    suspicious = suspects + groups[Group.SUSPICIOUS] + cloaked
    unanswered = groups[Group.LOST] + (weak if config.judge.strict_baseline else 0)
    found = {
        "never": False,
        "swap": suspects > 0,
        "suspicious": suspicious > 0,
        "unanswered": suspicious + unanswered + groups[Group.UNKNOWN] > 0,
    }
    if found[config.judge.fail_on]:
        return 1
    return 3 if rows and unanswered / rows > config.judge.max_lost else 0


def weak_rows(folder: Path) -> int:
    """Rows of a judged run for which only a digest speaks that can be forged."""
    with tables(folder, VERDICTS) as connection:
        return int(rows_of(connection, "SELECT count(*) AS n FROM verdicts WHERE weak_baseline")[0]["n"])


def by_group(counts: Mapping[str, int]) -> dict[str, int]:
    """Rows by group, from rows by verdict."""
    return {group.value: sum(counts.get(v.value, 0) for v in Verdict if v.group is group) for group in Group}


def suspected_domains(folder: Path) -> list[str]:
    """The domains of a judged run that seem to be in other hands, most certain first."""
    table = pq.read_table(folder / DOMAINS, columns=["domain", "swap_suspected", "score", "rows"])
    suspects = [row for row in table.to_pylist() if row["swap_suspected"]]
    return [
        row["domain"]
        for row in sorted(suspects, key=lambda row: (-row["score"], -row["rows"], row["domain"]))
    ]


def warned_domains(folder: Path) -> list[str]:
    """The domains of a judged run that are in new hands and not suspected, by name."""
    table = pq.read_table(folder / DOMAINS, columns=["domain", "warnings"])
    return sorted(row["domain"] for row in table.to_pylist() if row["warnings"])


def _close(folder: Folder, summary: Summary) -> None:
    if not folder.finished:
        write_text(json.dumps(summary.as_dict(), indent=2) + "\n", folder.path / SUMMARY)
        folder.sweep(OBSERVED)
        folder.update(
            state=FINISHED,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            counts=summary.counts,
        )
