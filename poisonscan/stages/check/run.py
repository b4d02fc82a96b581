"""check: fetch a snapshot's rows again and say of each what became of it."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from poisonscan.config import Config, as_dict
from poisonscan.errors import UsageError
from poisonscan.files import file_digest, write_text
from poisonscan.records import Group, Verdict
from poisonscan.reporting.html import write_report
from poisonscan.stages.check.judging import DOMAINS, VERDICTS, judge_run
from poisonscan.stages.check.lacking import lacks
from poisonscan.stages.check.owners import known_domains
from poisonscan.stages.check.plan import close_audit, drawn_rows
from poisonscan.stages.check.recheck import OBSERVED, QUARANTINE, Part, recheck
from poisonscan.stages.check.vantage import VANTAGES
from poisonscan.stages.check.vantage_run import (
    cloaked_rows,
    forget_vantages,
    look_from_vantages,
    name_cloaked_domains,
    require_usable,
    sights,
)
from poisonscan.stages.common import Summary, counts_on_disk, pace, versions
from poisonscan.stages.completion import enough, unanswered
from poisonscan.stages.rows import Done, Work, close_rows, progress_of, require_complete, work_through
from poisonscan.stages.sealed import finished_snapshot, rows_parts
from poisonscan.stages.watch import Silent, Watch
from poisonscan.store.folder import (
    INCOMPLETE,
    RUN_DOCUMENT,
    SETTLED,
    Folder,
    open_folder,
    read_document,
)
from poisonscan.store.parts import rows_in
from poisonscan.store.query import rows_of, tables
from poisonscan.store.receipts import remove_receipts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from poisonscan.authenticity.signing import Trust
    from poisonscan.stages.check.audit import Audit
    from poisonscan.stages.check.owners import Known
    from poisonscan.stages.sealed import SealedPart

SUMMARY = "summary.json"
_SEEDS = 2**32


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a snapshot a check looks at.

    Attributes:
        sample: how many rows, drawn at random; None for all.
        seed: of every draw. None to draw one that nobody can foresee, or to take that of the run that is
            continued; the run records it.
        only_failed: an earlier run; only its rows without an answer are looked at.
        audit: draw of each domain as many rows as it takes to notice a swap; None for no such draw.
    """

    sample: int | None = None
    seed: int | None = None
    only_failed: Path | None = None
    audit: Audit | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be selected."""
        if self.sample is not None and self.sample < 1:
            raise UsageError(f"--sample {self.sample}: at least one row must be looked at")
        if self.seed is not None and self.seed < 0:
            raise UsageError(f"--seed {self.seed}: choose a whole number from 0")
        if self.audit is not None and (self.sample is not None or self.only_failed is not None):
            raise UsageError("an audit draws rows of its own; leave out --sample and --only-failed")

    @property
    def drawn(self) -> int:
        """The seed, once it was asked for or drawn."""
        if self.seed is None:
            raise ValueError("no seed was drawn")
        return self.seed


def check(
    snapshot: Path,
    out: Path,
    *,
    selection: Selection = Selection(),
    domains: Path | None = None,
    trust: Trust | None = None,
    signature: Path | None = None,
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Fetch, compare and judge; write verdicts, quarantine, domains, summary and report.

    Where too many rows give no answer or have no baseline (`max_lost`), the run is `incomplete`, and the same
    call asks again for the rows without an answer.

    With `config.vantages` some rows are asked for from there too, and with an audit the details of the
    summary say what it guarantees.

    Args:
        snapshot: a finished snapshot folder.
        out: the run folder; one that is unfinished is continued.
        selection: which rows to look at.
        domains: what the verb `domains` wrote about the snapshot's domains; makes the judgement on
            domains sharper.
        trust: whose signature the snapshot must have; None to believe its digests alone.
        signature: the file; by default the one in the snapshot.
        config: settings.
        watch: told about progress.

    Raises:
        UsageError: `domains` or the evidence of an audit is no such file, or `only_failed` is no run of this
            snapshot.
        SettingsError: a vantage cannot ask as it is set.
        SnapshotInvalidError: the snapshot is unfinished, damaged or altered, or not signed as it must be.
        RunMismatchError: `out` was started from another snapshot, selection or evidence, or was finished
            with more rows without an answer than are accepted now.
        IncompleteError: interrupted, or the disk is full; the same call continues.
    """
    started = time.monotonic()
    document = finished_snapshot(snapshot, trust, signature)
    require_usable(config)
    known = known_domains(domains, document)
    selection = replace(selection, seed=_seed(selection, out))
    with open_folder(out, RUN_DOCUMENT, _identity(snapshot, document, selection, config, known)) as folder:
        done, lacking = None, list[str]()
        if folder.finished:
            weak = weak_rows(out) if config.judge.strict_baseline else 0
            require_complete(folder, folder.document["counts"], config, also_missing=weak)
        else:
            for part in rows_parts(snapshot, document)[:1]:
                known_of = part.read(["essence", "renderings"])
                lacking = lacks(known_of["essence"].to_pylist(), known_of.column_names)
            done = _observe_all(folder, snapshot, document, selection, config, watch)
            if config.vantages:
                past = rows_parts(snapshot, document)
                look_from_vantages(folder, past, selection.drawn, config, watch)
            judge_run(out, document["created_at"][:10], config, known)
            name_cloaked_domains(out, out / DOMAINS)
        summary = _summarise(folder, time.monotonic() - started, done, config)
        if lacking:
            summary = replace(summary, details={**summary.details, "snapshot_lacks": lacking})
        if selection.audit is not None:
            reached = close_audit(out, selection.audit).as_dict(selection.audit)
            summary = replace(summary, details={**summary.details, "audit": reached})
        summary = _close(folder, summary, done, config)
        write_report(out, snapshot)
        return summary


def _seed(selection: Selection, out: Path) -> int:
    """The seed of a run's draws: as it was asked for, that of the run to be continued, or a new one."""
    if selection.seed is not None:
        return selection.seed
    if (out / RUN_DOCUMENT).exists():
        begun = read_document(out, RUN_DOCUMENT)["identity"].get("seed")
        if begun is not None:
            return int(begun)
    return secrets.randbelow(_SEEDS)


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


def _origin(snapshot: Path, document: Mapping[str, Any]) -> dict[str, object]:
    """What the run is about, for run.json and the report's head."""
    identity = document["identity"]
    return {
        "manifest": {"source": identity["source"], "sha256": identity.get("manifest")},
        "snapshot": {"path": str(snapshot.resolve()), "created_at": document["created_at"]},
    }


def _observe_all(
    folder: Folder,
    snapshot: Path,
    document: Mapping[str, Any],
    selection: Selection,
    config: Config,
    watch: Watch,
) -> Done:
    """Fetch the rows selected that are not on disk or gave no answer; judge each on its own."""
    again = folder.state == INCOMPLETE
    parts = _parts(snapshot, document, selection, folder.path)
    started = folder.document.get("started_at", datetime.now(UTC).isoformat(timespec="seconds"))
    folder.update(
        **_origin(snapshot, document),
        command="check",
        started_at=started,
        settings=as_dict(config),
        versions=versions(),
    )
    task = partial(recheck, folder=folder.path, config=config)
    total = sum(_count(part) for part in parts)
    work = Work("check", OBSERVED, "verdict", task, parts, total, (QUARANTINE,))
    done = work_through(folder, work, config.run, watch, ask_again=again)
    if done.asked_again:
        forget_vantages(folder.path)  # they were chosen by what was observed before
    return done


def _count(part: Part) -> int:
    return len(part.rows) if part.rows is not None else rows_in(part.sealed.path)


def _parts(snapshot: Path, document: Mapping[str, Any], selection: Selection, out: Path) -> list[Part]:
    """The snapshot's parts as shards, each with the rows selected in it."""
    sealed = rows_parts(snapshot, document)
    chosen = _selected(sealed, document, selection, out)
    if chosen is None:
        return [Part(part) for part in sealed]
    parts = [Part(part, rows) for part, rows in zip(sealed, chosen, strict=True)]
    return [part for part in parts if part.rows] or parts[:1]  # nothing selected is a run of no rows


def _selected(
    parts: Sequence[SealedPart], document: Mapping[str, Any], selection: Selection, out: Path
) -> list[frozenset[int]] | None:
    """Row numbers by part, or None when every row is looked at."""
    if selection == Selection(seed=selection.seed):
        return None
    rows = [np.asarray(part.read(["row"])["row"].to_numpy()) for part in parts]
    if selection.audit is not None:
        chosen = drawn_rows(parts, selection.audit, selection.drawn, out)
        rows = [numbers[np.isin(numbers, chosen)] for numbers in rows]
    if selection.only_failed is not None:
        failed = _failed_rows(selection.only_failed, document)
        rows = [numbers[np.isin(numbers, failed)] for numbers in rows]
    if selection.sample is not None:
        everything = np.concatenate(rows)
        generator = np.random.default_rng(selection.drawn)
        size = min(selection.sample, len(everything))
        drawn = generator.choice(everything, size=size, replace=False)
        rows = [numbers[np.isin(numbers, drawn)] for numbers in rows]
    return [frozenset(numbers.tolist()) for numbers in rows]


def _failed_rows(run: Path, snapshot: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows of an earlier run of the same snapshot whose verdict is no answer."""
    document = read_document(run, RUN_DOCUMENT)
    if document["identity"].get("snapshot_digest") != snapshot["digest"]:
        raise UsageError(f"--only-failed {run}: that run is of another snapshot; name a run of this one")
    if document["state"] not in SETTLED:
        raise UsageError(f"--only-failed {run}: that run is unfinished; repeat its command first")
    lost = [verdict.value for verdict in Verdict if verdict.group is Group.LOST]
    with tables(run, VERDICTS) as connection:
        query = "SELECT row FROM verdicts WHERE list_contains(?, verdict)"
        rows = [row["row"] for row in rows_of(connection, query, lost)]
    return np.array(rows, dtype=np.int64)


def _summarise(folder: Folder, seconds: float, done: Done | None, config: Config) -> Summary:
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
        rows_per_s=pace(rows - done.kept if done else 0, seconds),
        exit_code=exit_code(groups, len(suspects), rows, config, cloaked, weak),
        details={
            "groups": groups,
            "suspected_domains": suspects,
            "warned_domains": warned_domains(folder.path),
            "unanswered": unanswered(counts) + (weak if config.judge.strict_baseline else 0),
            "seed": folder.document["identity"]["seed"],
            **({"weak_baselines": weak} if weak else {}),
            **({"vantages": seen, "cloaked": cloaked} if seen else {}),
        },
    )


def exit_code(
    groups: Mapping[str, int], suspects: int, rows: int, config: Config, cloaked: int = 0, weak: int = 0
) -> int:
    """1 for findings at or above `fail_on`, else 3 if too many rows were not seen and compared, else 0.

    A row that is served differently elsewhere counts as a suspicious one; one without a baseline as one
    without an answer, and with `strict_baseline` also one of the `weak` rows, for which only a digest speaks
    that can be forged.
    """
    suspicious = suspects + groups[Group.SUSPICIOUS] + cloaked
    missing = groups[Group.LOST] + groups[Group.UNKNOWN] + (weak if config.judge.strict_baseline else 0)
    found = {
        "never": False,
        "swap": suspects > 0,
        "suspicious": suspicious > 0,
        "unanswered": suspicious + missing > 0,
    }
    if found[config.judge.fail_on]:
        return 1
    return 0 if enough(missing, rows, config.judge.max_lost) else 3


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


def _close(folder: Folder, summary: Summary, done: Done | None, config: Config) -> Summary:
    """Write down how the run ended, unless it had ended before; the summary with its state."""
    if done is not None:
        finished_at = datetime.now(UTC).isoformat(timespec="seconds")
        weak = summary.details.get("weak_baselines", 0) if config.judge.strict_baseline else 0
        facts = {"finished_at": finished_at, "counts": summary.counts}
        close_rows(folder, done, OBSERVED, config, also_missing=weak, **facts)
        if folder.finished:
            remove_receipts(folder.path, VANTAGES)
    summary = replace(summary, details={**summary.details, **progress_of(folder, done)})
    if done is not None:
        write_text(json.dumps(summary.as_dict(), indent=2) + "\n", folder.path / SUMMARY)
    return summary
