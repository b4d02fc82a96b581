"""What every stage does around its own work: count, and say how it ended."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from poisonscan._version import __version__
from poisonscan.errors import SettingsError
from poisonscan.store.parts import read_part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from poisonscan.config import RunSettings

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


def on_this_machine(verb: str, run: RunSettings) -> None:
    """See that nobody asks a verb which holds all its data at once for a cluster.

    Raises:
        SettingsError: somebody does.
    """
    if run.engine != "local":
        raise SettingsError(f"{verb} works on this machine alone, so setting engine must be local")


def counts_on_disk(folder: Path, kind: str, column: str) -> Counter[str]:
    """Rows by a column's value in finished parts of one kind.

    Raises:
        SnapshotInvalidError: a part is damaged.
    """
    counts: Counter[str] = Counter()
    for part in sorted((folder / kind).glob("[0-9]*.parquet")):
        counts.update(read_part(part, [column])[column].to_pylist())
    return counts
