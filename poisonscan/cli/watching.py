"""Ways to show a running stage: a progress bar, a line a shard, a metrics file."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from poisonscan.files import storage
from poisonscan.records import group_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from poisonscan.stages.watch import Watch


class Tally:
    """Base of the watches: counts rows by label and keeps the time."""

    def start(self, stage: str, rows: int, done: Mapping[str, int]) -> None:
        """Begin to count, from what an earlier attempt did."""
        self.stage, self.rows, self.counts = stage, rows, Counter(done)
        self.resumed = self.counts.total()
        self.started = time.monotonic()

    def advance(self, counts: Mapping[str, int]) -> None:
        """Count finished rows."""
        self.counts.update(counts)

    def shard_done(self, index: int) -> None:
        """Nothing to count: rows are."""

    def note(self, words: str) -> None:
        """Nothing to count."""

    def stop(self) -> None:
        """Nothing to close."""

    @property
    def rate(self) -> float:
        """Rows per second since the start of this attempt."""
        return (self.counts.total() - self.resumed) / max(time.monotonic() - self.started, 1e-9)


class Bar(Tally):
    """A progress bar on a terminal with rate, time left and counts by verdict."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]} rows/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[counts]}"),
            console=console,
        )
        self._task: TaskID | None = None

    def start(self, stage: str, rows: int, done: Mapping[str, int]) -> None:
        """Show the bar."""
        super().start(stage, rows, done)
        self._progress.start()
        self._task = self._progress.add_task(stage, total=rows, completed=self.resumed, rate="-", counts="")

    def advance(self, counts: Mapping[str, int]) -> None:
        """Move the bar."""
        super().advance(counts)
        if self._task is not None:
            words = "  ".join(f"{name} {n:,}" for name, n in self.counts.most_common(4))
            done = self.counts.total()
            self._progress.update(self._task, completed=done, rate=f"{self.rate:,.0f}", counts=words)

    def note(self, words: str) -> None:
        """Print it above the bar."""
        print_note(self._console, words)

    def stop(self) -> None:
        """Leave the bar as it stands."""
        self._progress.stop()


class Lines(Tally):
    """One NDJSON line on the console for each finished shard: for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def shard_done(self, index: int) -> None:
        """Print a line."""
        line = {
            "stage": self.stage,
            "shard": index,
            "rows_done": self.counts.total(),
            "rows": self.rows,
            "rows_per_s": round(self.rate, 1),
            "counts": dict(sorted(self.counts.items())),
        }
        self._console.print(json.dumps(line), soft_wrap=True, markup=False, highlight=False)

    def note(self, words: str) -> None:
        """Print it."""
        print_note(self._console, words)


class Metrics(Tally):
    """A file in Prometheus' text format, rewritten for each finished shard and at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._registry = CollectorRegistry()
        labels = ("stage",)
        self._total = Gauge("poisonscan_rows", "Rows to do", labels, registry=self._registry)
        self._rate = Gauge("poisonscan_rows_per_second", "Rows per second", labels, registry=self._registry)
        self._updated = Gauge(
            "poisonscan_last_update_timestamp_seconds",
            "When this was written",
            labels,
            registry=self._registry,
        )
        self._done = Gauge(
            "poisonscan_rows_done",
            "Rows done by verdict",
            ("stage", "verdict", "group"),
            registry=self._registry,
        )

    def start(self, stage: str, rows: int, done: Mapping[str, int]) -> None:
        """Write the file, so that a run that never finishes a shard is seen too."""
        super().start(stage, rows, done)
        self._write()

    def shard_done(self, index: int) -> None:  # noqa: ARG002 - the protocol's signature
        """Write the file."""
        self._write()

    def stop(self) -> None:
        """Write the file with the last numbers."""
        self._write()

    def _write(self) -> None:
        self._total.labels(self.stage).set(self.rows)
        self._rate.labels(self.stage).set(self.rate)
        self._updated.labels(self.stage).set(time.time())
        for name, n in self.counts.items():
            group = group_of(name) or ""
            self._done.labels(self.stage, name, group).set(n)
        with storage(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_to_textfile(str(self._path), self._registry)


class Several:
    """Several watches as one."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches

    def start(self, stage: str, rows: int, done: Mapping[str, int]) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.start(stage, rows, done)

    def advance(self, counts: Mapping[str, int]) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.advance(counts)

    def shard_done(self, index: int) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.shard_done(index)

    def note(self, words: str) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.note(words)

    def stop(self) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.stop()


def print_note(console: Console, words: str) -> None:
    """Print a sentence for a person."""
    console.print(f"poisonscan: {words}", soft_wrap=True, markup=False, highlight=False, emoji=False)


def watching(console: Console, metrics: Path | None) -> Several:
    """The watch that fits: a bar on a terminal, lines otherwise, and metrics if asked for."""
    watches: list[Watch] = [Bar(console) if console.is_terminal else Lines(console)]
    if metrics is not None:
        watches.append(Metrics(metrics))
    return Several(watches)
