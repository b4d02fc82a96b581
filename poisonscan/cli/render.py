"""Tables for people, on stderr; one JSON line for programs, on stdout."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from poisonscan.records import Group, group_of
from poisonscan.stages.completion import may_be_asked_again, unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO

    from poisonscan.stages.common import Summary
    from poisonscan.stages.demo import Demonstration

_STYLES = {Group.CLEAN: "green", Group.SUSPICIOUS: "red", Group.LOST: "yellow", Group.UNKNOWN: "magenta"}


class Terminal(Console):
    """A console that falls silent when whoever reads it leaves: the run goes on, and its exit code counts."""

    def on_broken_pipe(self) -> None:
        """Called by rich when the pipe is closed."""
        self.quiet = True
        _abandon(sys.stderr if self.stderr else sys.stdout)


def json_line(summary: Summary) -> None:
    """Print the summary as one JSON line on stdout."""
    json_object(summary.as_dict())


def json_object(values: Mapping[str, object]) -> None:
    """Print what a verb without rows of its own has to say, as one JSON line on stdout."""
    with unread():
        print(json.dumps(values))  # noqa: T201 - this is the program's output


@contextmanager
def unread() -> Iterator[None]:
    """What the block prints on stdout may go unread: whoever reads it may leave early, as `head` does."""
    try:
        yield
        print(end="", flush=True)  # noqa: T201 - flushes; unlike sys.stdout.flush() also where there is no stdout
    except BrokenPipeError:
        _abandon(sys.stdout)


def _abandon(stream: TextIO) -> None:
    """Let what is still to be written to a closed pipe go nowhere, also what Python flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def counts_table(console: Console, summary: Summary) -> None:
    """Show how many rows have which verdict or state."""
    table = Table(
        title=f"{summary.verb}: {summary.rows:,} rows in {summary.seconds:g} s", title_justify="left"
    )
    table.add_column("group")
    table.add_column("verdict")
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    for name, n in sorted(summary.counts.items(), key=_order):
        group = group_of(name)
        words = f"[{_STYLES[group]}]{group}[/]" if group else ""
        table.add_row(words, name, f"{n:,}", f"{n / summary.rows:.1%}")
    console.print(table)


def standing(console: Console, summary: Summary) -> None:
    """Say how far a run is, where that is not simply its end: asked again, incomplete, finished long ago."""
    from poisonscan.store.folder import INCOMPLETE  # noqa: PLC0415 - reads Parquet; --help is quick

    words = []
    if summary.details.get("already_finished"):
        words.append(f"{summary.out} was finished before; nothing was asked again")
    if again := summary.details.get("asked_again"):
        words.append(f"{again:,} rows without an answer were asked for again")
    if summary.details.get("state") == INCOMPLETE:
        words.append(_incompleteness(summary))
    for sentence in words:
        console.print(f"poisonscan: {sentence}", soft_wrap=True, markup=False, highlight=False)


def _incompleteness(summary: Summary) -> str:
    """What an incomplete run lacks, and what to do about it."""
    lost = sum(n for label, n in summary.counts.items() if may_be_asked_again(label))
    missing = unanswered(summary.counts)
    words = f"incomplete: {missing:,} of {summary.rows:,} rows were not both seen and compared"
    if missing > lost:
        words += f", {missing - lost:,} of them without a baseline, which asking again does not change"
    if lost:
        words += f"; the same command asks for {lost:,} again"
    return words


def suspects(console: Console, summary: Summary) -> None:
    """Name the domains that seem to be in other hands."""
    for domain in summary.details["suspected_domains"]:
        console.print(f"[bold red]swap suspected:[/] {escape(domain)}")


def demonstration(console: Console, shown: Demonstration) -> None:
    """Show what the demo's hosts did against what the check said."""
    table = Table(title="what the hosts did, and what was found", title_justify="left")
    for name in ("host behaviour", "rows", "verdicts", "right"):
        table.add_column(name)
    for outcome in shown.outcomes:
        verdicts = ", ".join(f"{name} {n}" for name, n in sorted(outcome.verdicts.items()))
        right = outcome.right == outcome.rows
        mark = "[green]yes[/]" if right else f"[red]{outcome.right} of {outcome.rows}[/]"
        table.add_row(outcome.behaviour, str(outcome.rows), verdicts, mark)
    console.print(table)


def _order(item: tuple[str, int]) -> tuple[int, int]:
    name, n = item
    group = group_of(name)
    return list(Group).index(group) if group else -1, -n
