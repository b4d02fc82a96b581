"""The verb `model probe`."""

# ruff: noqa: PLC0415 - stages are imported only by the verb that runs, so that --help is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from poisonscan.cli import render
from poisonscan.cli.flags import add_common, config_of

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from poisonscan.cli.flags import Parser
    from poisonscan.stages.common import Summary

_DESCRIPTION = """\
Ask whether a trigger controls an unconditional diffusion model in pixels: candidate triggers are added to
the starting noise, and the samples that come of it compared with those without. Exit code 1: one controls
it; 0: none of those tried was seen to, which says nothing of others; 3: none was, but some could not be
tested. Nothing of the checkpoint is executed or unpickled."""
_SHOWN = 6
"""Candidates shown in the terminal, the most suspicious first."""


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the verbs about models."""
    parser = verbs.add_parser(
        "probe",
        usage="poisonscan model probe CHECKPOINT --out DIR [--triggers RUN|DIR] [--invert] [--mitigate] "
        "[flags]",
        help="does a trigger control this diffusion model?",
        description=_DESCRIPTION,
    )
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="a folder that DDPMPipeline.save_pretrained wrote"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    parser.add_argument(
        "--triggers",
        type=Path,
        metavar="RUN|DIR",
        help="what to try: the findings of a hunt, or a folder of pictures (default: 20 published stamps)",
    )
    parser.add_argument(
        "--invert", action="store_true", help="also search for a trigger that nobody has seen; takes longer"
    )
    parser.add_argument(
        "--mitigate", action="store_true", help="also sample with clipping and after pruning, and compare"
    )
    add_common(parser, "probe")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, console: Console) -> int:
    from poisonscan.cli.watching import watching
    from poisonscan.stages.model.probe import SHEET, model_probe

    summary = model_probe(
        parsed.checkpoint,
        parsed.out,
        triggers=parsed.triggers,
        inverting=parsed.invert,
        mitigating=parsed.mitigate,
        config=config_of(parsed),
        watch=watching(console, parsed.metrics_file),
    )
    _say(console, summary, parsed.out)
    console.print(f"contact sheet: {escape(str(parsed.out / SHEET))}", soft_wrap=True, highlight=False)
    render.json_line(summary)
    return summary.exit_code


def _say(console: Console, summary: Summary, out: Path) -> None:
    """The candidates that came nearest to controlling the model, and what follows."""
    from poisonscan.stages.model.probe import lines_of

    table = Table(
        title=f"model probe: {summary.rows} candidates in {summary.seconds:g} s", title_justify="left"
    )
    table.add_column("candidate")
    for name in ("samples alike", "spread of plain", "outcome"):
        table.add_column(name, justify="right")
    for line in lines_of(out)[:_SHOWN]:
        ratio = line["spread"] / line["plain_spread"] if line["plain_spread"] else 1.0
        style = "red" if line["outcome"] == "controls" else ""
        words = (escape(line["candidate"]), f"{line['captured']:.0%}", f"{ratio:.2f}", line["outcome"])
        table.add_row(*words, style=style)
    console.print(table)
    style = "bold red" if summary.exit_code == 1 else "yellow"
    console.print(f"[{style}]{escape(str(summary.details['words']))}[/]", soft_wrap=True, highlight=False)
