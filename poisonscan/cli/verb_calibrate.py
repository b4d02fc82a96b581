"""The verb `calibrate`."""

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
    from collections.abc import Sequence

    from rich.console import Console

    from poisonscan.cli.flags import Parser
    from poisonscan.stages.calibrate.run import Calibration
    from poisonscan.stages.calibrate.thresholds import Rate

_DESCRIPTION = """\
Apply innocent and malicious edits to pictures of your own, compare each with its original, and say how
often each edit is called suspicious. Half of the pictures choose thresholds, the other half is reported.
Writes trials/, rates.parquet, rates.svg and thresholds.toml, which check --config takes. An unfinished
calibration is continued by the same command."""


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "calibrate",
        usage="poisonscan calibrate SOURCE --out DIR [flags]",
        help="try the thresholds on your own pictures",
        description=_DESCRIPTION,
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a folder of pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    parser.add_argument("--edits", metavar="NAME,...", help="edits to apply (default: all)")
    parser.add_argument(
        "--pictures", type=int, default=100, metavar="N", help="pictures drawn at random (default: 100)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of draw and edits (default: 0)")
    parser.add_argument(
        "--false-positives",
        type=float,
        default=0.005,
        metavar="SHARE",
        help="share of innocent edits that the chosen thresholds may flag (default: 0.005)",
    )
    add_common(parser, "compare", "decode", "run")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, console: Console) -> int:
    from poisonscan.cli.watching import watching
    from poisonscan.redteam.edits import EDITS
    from poisonscan.stages.calibrate.run import calibrate
    from poisonscan.stages.calibrate.task import Experiment

    edits = tuple(name.strip() for name in parsed.edits.split(",")) if parsed.edits else tuple(EDITS)
    ended = calibrate(
        parsed.source,
        parsed.out,
        experiment=Experiment(edits, parsed.pictures, parsed.seed, parsed.false_positives),
        config=config_of(parsed),
        watch=watching(console, parsed.metrics_file),
    )
    _show(console, ended)
    render.json_line(ended.summary)
    return ended.summary.exit_code


def _show(console: Console, ended: Calibration) -> None:
    facts = ended.summary.details
    table = Table(title="suspicious, on the half to report", title_justify="left")
    table.add_column("edit")
    table.add_column("kind")
    for name in ("pairs", "current thresholds", "chosen thresholds"):
        table.add_column(name, justify="right")
    for edit, rates in _by_edit(ended.rates).items():
        cells = [f"{rate.suspicious / rate.pairs:.1%}" for rate in rates]
        table.add_row(edit, rates[0].kind, f"{rates[0].pairs:,}", *cells)
    console.print(table)
    for at, share in facts["false_positives"].items():
        console.print(
            f"{at} thresholds: {_percent(share)} of innocent edits flagged, "
            f"{_percent(facts['recall'][at])} of malicious ones found",
            highlight=False,
        )
    words = ", ".join(f"{name} x {factor:g}" for name, factor in facts["factors"].items())
    file = escape(f"{ended.summary.out}/thresholds.toml")
    console.print(f"chosen: {words}, written to {file}", soft_wrap=True, highlight=False)
    for name, words in (
        ("unusable", "trials gave no picture; trials/ has the reasons"),
        ("unexplained", "verdicts do not follow from the two scores, so the sweep is off by as many"),
    ):
        if facts[name]:
            console.print(f"[yellow]{facts[name]:,} {words}[/]", soft_wrap=True)


def _by_edit(rates: Sequence[Rate]) -> dict[str, list[Rate]]:
    found: dict[str, list[Rate]] = {}
    for rate in rates:
        found.setdefault(rate.edit, []).append(rate)
    return found


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.2%}"
