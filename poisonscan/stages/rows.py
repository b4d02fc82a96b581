"""Work through the rows of a run: resume, ask again, verify. What is decided in `completion` is done here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from poisonscan.engine.local import LocalEngine
from poisonscan.engine.ray import RayEngine
from poisonscan.engine.shards import Progress
from poisonscan.errors import IncompleteError, RunMismatchError, StorageError
from poisonscan.extras import require
from poisonscan.files import storage
from poisonscan.stages.completion import Step, Traces, enough, may_be_asked_again, next_step, unanswered
from poisonscan.store.folder import FINISHED, INCOMPLETE, RUNNING, journal_path, part_path
from poisonscan.store.journal import JournalReader
from poisonscan.store.receipts import (
    again_path,
    damaged_part,
    read_receipt,
    receipt_path,
    remove_receipts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from poisonscan.config import Config, RunSettings
    from poisonscan.engine.shards import Engine, Task
    from poisonscan.stages.watch import Watch
    from poisonscan.store.folder import Folder
    from poisonscan.store.receipts import Receipt

MAX_ROUNDS = 3
"""How often shards whose parts do not read back are done again before the disk is blamed."""


class Indexed(Protocol):
    """What the stages' shards have in common."""

    @property
    def index(self) -> int:
        """Number of the shard and of its parts."""


X = TypeVar("X", bound=Indexed)


@dataclass(frozen=True, slots=True)
class Work(Generic[X]):
    """The rows that a stage is to work through.

    Attributes:
        stage: its name, for the progress.
        kind: folder name of the rows' parts, whose receipts mark shards as done.
        label: column of the rows that is counted.
        task: what to do with a shard.
        shards: all of them.
        rows: of all of them, as planned.
        beside: folder names of the tables that are written with the rows.
    """

    stage: str
    kind: str
    label: str
    task: Task[X]
    shards: Sequence[X]
    rows: int
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What is on disk when all rows are.

    Attributes:
        receipts: of each shard, by number.
        kept: rows that were there before.
        asked_again: rows that had no answer before and were asked for again.
    """

    receipts: Mapping[int, Receipt]
    kept: int
    asked_again: int

    @property
    def counts(self) -> Counter[str]:
        """Rows by label."""
        return sum((Counter(receipt.counts) for receipt in self.receipts.values()), Counter())

    @property
    def digests(self) -> dict[str, str]:
        """sha256 of every part, by path below the folder."""
        return {
            name: part.sha256
            for _, receipt in sorted(self.receipts.items())
            for name, part in sorted(receipt.parts.items())
        }


def progress_of(folder: Folder, done: Done | None) -> dict[str, object]:
    """What a summary says of how far a run is.

    Args:
        folder: as the run left it.
        done: its rows; None where the run was finished before, and nothing was done.
    """
    return {
        "state": folder.state,
        "asked_again": done.asked_again if done else 0,
        **({} if done else {"already_finished": True}),
    }


def work_through(
    folder: Folder, work: Work[X], run: RunSettings, watch: Watch, *, ask_again: bool = False
) -> Done:
    """Do the shards that are not done yet, in worker processes, and read back what they wrote.

    Args:
        folder: where the parts go.
        work: what to do.
        run: how many processes, and where.
        watch: told about progress and damage.
        ask_again: whether rows without an answer are asked for again.

    Raises:
        IncompleteError: some shards are still missing; the same command continues.
        StorageError: what is written does not read back.
    """
    folder.sweep(work.kind)
    asked_again = sum(_prepare(folder.path, work, watch, ask_again=ask_again).values())
    folder.update(state=RUNNING)
    before = _rows_there(folder.path, work)
    watch.start(work.stage, work.rows, before)
    try:
        for _ in range(MAX_ROUNDS):
            _run(folder, work, run, watch)
            receipts = _receipts(folder.path, work)
            if not _start_damaged_anew(folder.path, work, receipts, watch):
                _require_planned(folder.path, work, receipts)
                return Done(receipts, before.total(), asked_again)
    finally:
        watch.stop()
    raise StorageError(
        f"parts of {folder.path} did not read back {MAX_ROUNDS} times; "
        "check the disk and the memory, then repeat"
    )


def close_rows(
    folder: Folder, done: Done, kind: str, config: Config, *, also_missing: int = 0, **facts: object
) -> None:
    """Write down that every row was asked for, and whether enough of them answered.

    Args:
        folder: of the run.
        done: its rows.
        kind: whose receipts mark shards as done.
        config: says how many rows may lack an answer.
        also_missing: rows that count as unanswered beside those whose label says so.
        facts: further fields of the document.

    Raises:
        StorageError: it cannot be written.
    """
    state = state_after(done.counts, config, also_missing=also_missing)
    folder.sweep(kind)
    folder.update(state=state, parts=done.digests, **facts)
    if state == FINISHED:
        remove_receipts(folder.path, kind)


def state_after(counts: Mapping[str, int], config: Config, *, also_missing: int = 0) -> str:
    """FINISHED if enough of the rows that were asked for answered, else INCOMPLETE; see `close_rows`."""
    missing = unanswered(counts) + also_missing
    return FINISHED if enough(missing, sum(counts.values()), config.judge.max_lost) else INCOMPLETE


def require_complete(
    folder: Folder, counts: Mapping[str, int], config: Config, *, also_missing: int = 0
) -> None:
    """Refuse to call a finished run finished under settings by which too many of its rows lack an answer.

    Args:
        folder: of the run, which is not opened again.
        counts: its rows by label.
        config: says how many rows may lack an answer.
        also_missing: see `close_rows`.

    Raises:
        RunMismatchError: too many do.
    """
    missing, rows = unanswered(counts) + also_missing, sum(counts.values())
    if not enough(missing, rows, config.judge.max_lost):
        raise RunMismatchError(
            f"{folder.path} was finished although {missing:,} of its {rows:,} rows lack an answer or a "
            f"baseline, more than --max-lost {config.judge.max_lost:g} accepts now, and what is finished is "
            "not opened again; repeat the old command or choose another --out"
        )


def _prepare(folder: Path, work: Work[X], watch: Watch, *, ask_again: bool) -> Counter[int]:
    """Make each shard's files say what is to be done with it; rows to be asked for again, by shard."""
    again: Counter[int] = Counter()
    for shard in work.shards:
        traces = _traces(folder, work, shard.index)
        step, damage = next_step(traces, ask_again=ask_again)
        if step is Step.ASK_AGAIN and traces.receipt is not None:
            name = damaged_part(folder, traces.receipt)
            step, damage = (Step.START_ANEW, f"{name} is not what was written") if name else (step, "")
        if step is Step.START_ANEW:
            _start_anew(folder, work, shard.index, damage, watch)
        elif step is Step.ASK_AGAIN and traces.receipt is not None:
            with storage(folder):
                done, reopened = (path(folder, work.kind, shard.index) for path in (receipt_path, again_path))
                done.replace(reopened)
            again[shard.index] = sum(
                n for name, n in traces.receipt.counts.items() if may_be_asked_again(name)
            )
        elif step is Step.GO_ON and traces.journal:
            _name_damage(folder, work, shard.index, watch)
    return again


def _traces(folder: Path, work: Work[X], index: int) -> Traces:
    receipt = read_receipt(receipt_path(folder, work.kind, index))
    again = again_path(folder, work.kind, index)
    paths = [part_path(folder, kind, index) for kind in (work.kind, *work.beside)]
    with storage(folder):
        return Traces(
            receipt=receipt,
            receipt_damaged=receipt is None and receipt_path(folder, work.kind, index).exists(),
            opened_again=again.exists() and read_receipt(again) is not None,
            journal=journal_path(folder, work.kind, index).exists(),
            sizes={
                path.relative_to(folder).as_posix(): path.stat().st_size for path in paths if path.exists()
            },
        )


def _name_damage(folder: Path, work: Work[X], index: int, watch: Watch) -> None:
    """Say what of a shard's journals cannot be believed; the shard's task leaves it out by itself."""
    for kind in (work.kind, *work.beside):
        reader = JournalReader(journal_path(folder, kind, index))
        rows = sum(batch.rows.num_rows for batch in reader)
        if reader.damage:
            watch.note(
                f"{reader.path} is damaged: {reader.damage}; the {rows:,} rows before it are kept, "
                f"the others of shard {index} are done again"
            )


def _start_anew(folder: Path, work: Work[X], index: int, damage: str, watch: Watch) -> None:
    watch.note(f"shard {index} of {folder} is damaged: {damage}; it is done again")
    with storage(folder):
        receipt_path(folder, work.kind, index).unlink(missing_ok=True)
        again_path(folder, work.kind, index).unlink(missing_ok=True)
        for kind in (work.kind, *work.beside):
            journal_path(folder, kind, index).unlink(missing_ok=True)
            part_path(folder, kind, index).unlink(missing_ok=True)


def _rows_there(folder: Path, work: Work[X]) -> Counter[str]:
    """Rows by label that need not be done: of finished shards, of journals, and answered ones."""
    found: Counter[str] = Counter()
    for shard in work.shards:
        receipt = read_receipt(receipt_path(folder, work.kind, shard.index))
        reopened = read_receipt(again_path(folder, work.kind, shard.index))
        if receipt is not None:
            found.update(receipt.counts)
        elif reopened is not None:
            found.update({name: n for name, n in reopened.counts.items() if not may_be_asked_again(name)})
        else:
            for batch in JournalReader(journal_path(folder, work.kind, shard.index)):
                found.update(map(str, batch.rows.column(work.label).to_pylist()))
    return found


def _run(folder: Folder, work: Work[X], run: RunSettings, watch: Watch) -> None:
    """Run the shards without a receipt.

    Raises:
        IncompleteError: some are still missing.
    """
    engine: Engine[X] = _engine(run)
    for event in engine.run(work.task, _missing(folder.path, work)):
        if isinstance(event, Progress):
            watch.advance(event.counts)
        else:
            watch.shard_done(event.shard.index)
    if left := _missing(folder.path, work):
        raise IncompleteError(f"{len(left)} shards of {folder.path} are unfinished; repeat the same command")


def _missing(folder: Path, work: Work[X]) -> list[X]:
    return [shard for shard in work.shards if not receipt_path(folder, work.kind, shard.index).exists()]


def _engine(run: RunSettings) -> Engine[X]:
    if run.engine == "ray":
        require("ray", "--engine ray", "ray")
        return RayEngine(run.workers)
    return LocalEngine(run.workers)


def _receipts(folder: Path, work: Work[X]) -> dict[int, Receipt]:
    found = {shard.index: read_receipt(receipt_path(folder, work.kind, shard.index)) for shard in work.shards}
    return {index: receipt for index, receipt in found.items() if receipt is not None}


def _start_damaged_anew(folder: Path, work: Work[X], receipts: Mapping[int, Receipt], watch: Watch) -> bool:
    """Read every part again and forget the shards that are not what was written; whether there were any."""
    found = False
    for shard in work.shards:
        receipt = receipts.get(shard.index)
        name = damaged_part(folder, receipt) if receipt else ""
        if receipt is None or name:
            damage = f"{name} is not what was written" if name else "its receipt is damaged"
            _start_anew(folder, work, shard.index, damage, watch)
            found = True
    return found


def _require_planned(folder: Path, work: Work[X], receipts: Mapping[int, Receipt]) -> None:
    """See that as many rows are there as were planned.

    Raises:
        IncompleteError: more or fewer are there.
    """
    rows = sum(receipt.rows for receipt in receipts.values())
    if rows != work.rows:
        raise IncompleteError(
            f"{folder} holds {rows:,} rows, {work.rows:,} were planned: the source changed while it was "
            "read; choose another --out"
        )
