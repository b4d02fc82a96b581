"""What every stage does around its own work: run shards, count, and say how it ended."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from poisonscan._version import __version__
from poisonscan.engine.local import LocalEngine
from poisonscan.engine.ray import RayEngine
from poisonscan.engine.shards import Progress
from poisonscan.errors import IncompleteError, SettingsError
from poisonscan.extras import require
from poisonscan.files import storage
from poisonscan.store.parts import read_part, whole_batches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from poisonscan.config import RunSettings
    from poisonscan.engine.shards import Engine, Task
    from poisonscan.stages.watch import Watch
    from poisonscan.store.folder import Folder

_LIBRARIES = ("Pillow", "ImageHash", "numpy", "pyarrow", "duckdb", "httptools", "aiodns", "tldextract")


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended; its fields are the JSON line on stdout and `summary.json`.

    Attributes:
        verb: which verb ran.
        out: the folder written.
        rows: rows judged or remembered.
        counts: rows by verdict or state.
        seconds: wall clock of this attempt.
        rows_per_s: rows done in this attempt per second.
        exit_code: as documented: 0 clean, 1 findings, 3 incomplete.
        details: further facts of this verb.
    """

    verb: str
    out: str
    rows: int
    counts: Mapping[str, int]
    seconds: float
    rows_per_s: float
    exit_code: int
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `details` are laid flat."""
        names = ("verb", "out", "rows", "counts", "seconds", "rows_per_s", "exit_code")
        return {name: getattr(self, name) for name in names} | dict(self.details)


def pace(rows: int, seconds: float) -> float:
    """Rows a second, as a summary tells it."""
    return round(rows / max(seconds, 1e-9), 1)


def versions() -> dict[str, str]:
    """Versions of this program, of Python and of the libraries that can change a result."""
    libraries = {name: version(name) for name in _LIBRARIES}
    return {"poisonscan": __version__, "python": platform.python_version(), **libraries}


class Indexed(Protocol):
    """What the stages' shards have in common."""

    @property
    def index(self) -> int:
        """Number of the shard and of its parts."""


X = TypeVar("X", bound=Indexed)


def run_missing(
    folder: Folder, kind: str, task: Task[X], shards: Sequence[X], run: RunSettings, watch: Watch
) -> None:
    """Run the shards that have no part of a kind yet in worker processes.

    Args:
        folder: where the parts go.
        kind: of the part whose existence marks a shard as done.
        task: what to do with a shard.
        shards: all of them.
        run: how many processes, and where.
        watch: has been started; told about progress and stopped, however this ends.

    Raises:
        IncompleteError: some are still missing; the same command continues.
    """
    missing = _missing(folder, kind, shards)
    engine: Engine[X] = _engine(run)
    try:
        for event in engine.run(task, missing):
            if isinstance(event, Progress):
                watch.advance(event.counts)
            else:
                watch.shard_done(event.shard.index)
    finally:
        watch.stop()
    if left := _missing(folder, kind, shards):
        raise IncompleteError(f"{len(left)} shards of {folder.path} are unfinished; repeat the same command")


def on_this_machine(verb: str, run: RunSettings) -> None:
    """See that nobody asks a verb which holds all its data at once for a cluster.

    Raises:
        SettingsError: somebody does.
    """
    if run.engine != "local":
        raise SettingsError(f"{verb} works on this machine alone, so setting engine must be local")


def _engine(run: RunSettings) -> Engine[X]:
    if run.engine == "ray":
        require("ray", "--engine ray", "ray")
        return RayEngine(run.workers)
    return LocalEngine(run.workers)


def _missing(folder: Folder, kind: str, shards: Sequence[X]) -> list[X]:
    return [shard for shard in shards if not folder.part(kind, shard.index).exists()]


def counts_on_disk(folder: Path, kind: str, column: str) -> Counter[str]:
    """Rows by a column's value in finished parts and unfinished journals of one kind.

    Raises:
        SnapshotInvalidError: a part is damaged.
    """
    counts: Counter[str] = Counter()
    for part in sorted((folder / kind).glob("[0-9]*.parquet")):
        counts.update(read_part(part, [column])[column].to_pylist())
    with storage(folder):
        for journal in sorted((folder / kind).glob(".*.journal")):
            for batch in whole_batches(journal):
                counts.update(batch.column(column).to_pylist())
    return counts
