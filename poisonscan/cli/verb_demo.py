"""The verb `demo`."""

# ruff: noqa: PLC0415 - stages are imported only by the verb that runs, so that --help is quick

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from poisonscan.cli import render

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from poisonscan.cli.flags import Parser


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "demo",
        help="the whole loop on sample pictures and a loopback web",
        description="Take a snapshot of sample pictures from an embedded loopback web, let that web change, "
        "check, and compare the verdicts with what really happened.",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-out"),
        metavar="DIR",
        help="folder to write (default: demo-out)",
    )
    parser.set_defaults(run=_run)


def _program() -> str:
    """The command as it can be typed: by its name where the shell finds it, else by its path."""
    started = Path(sys.argv[0])
    found = shutil.which(started.name)
    return started.name if found and Path(found).samefile(started) else str(started)


def _run(parsed: argparse.Namespace, console: Console) -> int:
    from poisonscan.cli.watching import Several
    from poisonscan.stages.demo import demo

    shown = demo(parsed.out, watch=Several([]))
    render.demonstration(console, shown)
    render.suspects(console, shown.summary)
    console.print(f"report: {shown.run / 'report.html'}", soft_wrap=True, highlight=False)
    command = f"{_program()} explore {shown.run}"
    console.print(f"look closer: {command}", soft_wrap=True, highlight=False, markup=False)
    render.json_line(shown.summary)
    return 0 if shown.correct else 1
