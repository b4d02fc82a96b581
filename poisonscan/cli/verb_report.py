"""The verb `report`."""

# ruff: noqa: PLC0415 - stages are imported only by the verb that runs, so that --help is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from poisonscan.cli import render

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from poisonscan.cli.flags import Parser

_DESCRIPTION = """\
Write one page about a finished check or hunt, a table that domains wrote, a history, or a probed model, or
about several of them joined: one file without scripts that loads nothing, safe to open and to mail. Nothing
is fetched."""


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "report",
        usage="poisonscan report RUN [--join OTHER ...] [--since RUN] [--out FILE]",
        help="one page to read and to mail, of one run or of several joined",
        description=_DESCRIPTION,
    )
    parser.add_argument(
        "run_folder",
        type=Path,
        metavar="RUN",
        help="a run of check or hunt, a FILE.parquet of domains, or the folder of a history or a model probe",
    )
    parser.add_argument(
        "--join",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="OTHER",
        help="others of these to tell of on the same page, one of each kind",
    )
    parser.add_argument(
        "--since", type=Path, metavar="RUN", help="an earlier check of the same list: say what changed"
    )
    parser.add_argument("--snapshot", type=Path, metavar="SNAP", help="for the pictures from before")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (default: report.html in RUN, or FILE.report.html)"
    )
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, console: Console) -> int:
    from poisonscan.stages.report import report

    given = parsed.run_folder, parsed.snapshot
    told = report(*given, join=parsed.join, since=parsed.since, out=parsed.out)
    console.print(told.answer, soft_wrap=True, highlight=False, markup=False)
    console.print(f"report: {escape(str(told.page))}", soft_wrap=True, highlight=False)
    size = told.page.stat().st_size
    render.json_object({"verb": "report", "out": str(told.page), "answer": told.answer, "bytes": size})
    return 0
