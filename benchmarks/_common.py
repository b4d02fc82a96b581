"""What the benchmarks share: the machine in one line, medians, tables, and where the real data is."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "benchmarks"
"""Where the benchmarks leave what they may use again; not under version control."""

LISTS = (
    "laion400m_sample_10k",
    "cc3m_validation",
    "pubfig_url_md5",
    "nlvr2_url_average_hash",
    "reddit_url_120k",
)
"""The real URL lists, by their names in the real data."""

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Goal:
    """Something a benchmark is to show.

    Attributes:
        words: what it is.
        measured: as shown.
        target: as shown.
        met: whether it was reached.
    """

    words: str
    measured: str
    target: str
    met: bool


def machine() -> str:
    """Cores, processor, memory, system and Python in one line, and the date."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    today = datetime.now(UTC).date().isoformat()
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    cores = len(os.sched_getaffinity(0))
    python = f"Python {platform.python_version()}"
    return f"{cores} cores ({_processor()}), {memory:.0f} GiB, {system}, {python}, {today}"


def shared_data(*parts: str) -> Path:
    """A file or folder of the real data that lies beside the repository.

    Raises:
        SystemExit: it is not there.
    """
    path = ROOT.parent.joinpath("shared", "data", *parts)
    if not path.exists():
        name = "/".join(("../shared/data", *parts))
        sys.exit(f"this benchmark needs {name} beside the repository, which is not there")
    return path


def photos() -> list[Path]:
    """The real photos, sorted.

    Raises:
        SystemExit: there are none.
    """
    return sorted(shared_data("images").rglob("*.jpg"))


def fresh(name: str) -> Path:
    """An empty folder under the cache folder."""
    path = CACHE / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def wall_s(command: Sequence[str], env: dict[str, str] | None = None, *, log: Path, limit_s: float) -> float:
    """Run a command to its end with its output in a log file; seconds of wall clock.

    Raises:
        SystemExit: it failed or took longer than `limit_s`.
    """
    started = time.perf_counter()
    with log.open("wb") as stream:
        try:
            ended = subprocess.run(  # noqa: S603 - the commands are the benchmark's own
                command,
                env={**os.environ, **(env or {})},
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            sys.exit(f"{command[0]} took longer than {limit_s:g} s; see {log}")
    if ended.returncode:
        sys.exit(f"{' '.join(command[:4])} ended with exit code {ended.returncode}; see {log}")
    return time.perf_counter() - started


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times faster we are: the median over interleaved pairs of seconds."""
    return median(their / our for our, their in zip(ours, theirs, strict=True))


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table that is also valid Markdown; all columns but the first are right-aligned."""
    table = Table(title=title, title_justify="left", box=box.MARKDOWN)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(width=200, highlight=False).print(table)


def verdict_on(goals: Sequence[Goal]) -> int:
    """Print the goals; exit code 0 when all were met, else 1."""
    show(
        "goals",
        ("goal", "measured", "target", "met"),
        [(goal.words, goal.measured, goal.target, "yes" if goal.met else "NO") for goal in goals],
    )
    return 0 if all(goal.met for goal in goals) else 1


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
