"""The verb `hunt`."""

# ruff: noqa: PLC0415 - stages are imported only by the verb that runs, so that --help is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from poisonscan.cli import render
from poisonscan.cli.flags import add_common, config_of
from poisonscan.cli.verb_embed import ENCODER_HELP, add_describing

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from poisonscan.cli.flags import Parser
    from poisonscan.stages.common import Summary

_DESCRIPTION = """\
Look for poison in a dataset nobody has trained on yet: what recurs on pictures that have nothing in common,
what stands out, and what contradicts its caption or label. SOURCE is a folder of pictures, what img2dataset
downloaded, a snapshot that kept its pictures, or a folder that embed wrote. An interrupted hunt is
continued by the same command."""


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "hunt",
        usage="poisonscan hunt SOURCE --out RUN [--encoder ENCODER] [--captions FILE] [flags]",
        help="what recurs and what stands out, before anyone trains on it",
        description=_DESCRIPTION,
    )
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="the pictures, or what embed made of them"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run folder to write")
    words = f"{ENCODER_HELP}; without one, detectors that need vectors are left out and named"
    parser.add_argument("--encoder", metavar="ENCODER", help=words)
    add_describing(parser)
    parser.add_argument("--keep-work", action="store_true", help="keep the working pixels in RUN/work")
    add_common(parser, "hunt", "embed", "decode", "run")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, console: Console) -> int:
    from poisonscan.cli.watching import watching
    from poisonscan.stages.embed.descriptions import Descriptions
    from poisonscan.stages.hunt.run import hunt_dataset

    summary = hunt_dataset(
        parsed.source,
        parsed.out,
        encoder=parsed.encoder,
        kind=parsed.kind,
        describing=Descriptions(parsed.captions, parsed.folders_as_labels),
        keep_work=parsed.keep_work,
        config=config_of(parsed),
        watch=watching(console, parsed.metrics_file),
    )
    render.counts_table(console, summary)
    render.standing(console, summary)
    _say(console, summary, parsed.out)
    page = escape(str(parsed.out / "report.html"))
    console.print(f"report: {page}", soft_wrap=True, highlight=False)
    render.json_line(summary)
    return summary.exit_code


def _say(console: Console, summary: Summary, out: Path) -> None:
    """The findings that raise the alarm, and what nobody looked for."""
    from poisonscan.stages.hunt.writing import alarms

    for line in alarms(out):
        words = f"[bold red]{line['finding_id']}[/] ({line['n_members']:,} rows): {escape(line['summary'])}"
        console.print(words, soft_wrap=True, highlight=False, emoji=False)
    for name, lack in summary.details["detectors_skipped"].items():
        console.print(f"[yellow]not looked for:[/] {name}, for want of {', '.join(lack)}", soft_wrap=True)
