"""The verb `export`."""

# ruff: noqa: PLC0415 - stages are imported only by the verb that runs, so that --help is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from poisonscan.cli import render
from poisonscan.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from poisonscan.cli.flags import Parser
    from poisonscan.stages.common import Summary

_DESCRIPTION = """\
Write what a check leaves of its manifest: manifest/ with the rows to train on, in the columns, format and
order of the original; quarantine.parquet with the others and why; refreshed.parquet with the new hashes of
kept rows whose bytes changed; and uids.npy, DataComp's subset file, where the manifest has uids. Every row
is in exactly one of the first two. Rows without an answer are quarantined unless they are kept by name.
Rows marked keep or drop in the explorer go where the mark says; those marked watch are listed in
watched.parquet. --format writes what was found for another tool instead."""


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "export", help="the cleaned manifest and the quarantine list", description=_DESCRIPTION
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="a finished run folder of check")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    for flag, default, words in (
        ("keep", "clean", "groups and verdicts whose rows stay"),
        ("drop", "", "those whose rows do not, e.g. --keep clean --drop cropped; verdicts overrule groups"),
    ):
        text = f"{words}, separated by commas (default: {default or 'none but what is not kept'})"
        parser.add_argument(f"--{flag}", default=default, metavar="NAME,...", help=text)
    parser.add_argument(
        "--readmit",
        action="append",
        default=[],
        metavar="RULE",
        help="keep also rows for which this SQL condition over the verdicts is true, e.g. "
        "\"verdict = 'edited' AND domain = 'example.org'\"; repeatable",
    )
    parser.add_argument(
        "--format",
        choices=("manifest", "fiftyone", "croissant", "sarif"),
        default="manifest",
        help="manifest: the cleaned list (default); fiftyone: suspicious pictures with their boxes; "
        "croissant: the snapshot and its verdicts in JSON-LD; sarif: findings for code-scanning dashboards",
    )
    parser.add_argument(
        "--history",
        type=Path,
        metavar="DIR",
        help="what history wrote, with RUN among its looks: leave out the rows that it says to drop, keep "
        "those that show again what they did before",
    )
    parser.add_argument("--manifest", metavar="MANIFEST", help="where the manifest lies now, if it was moved")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, console: Console) -> int:
    return _clean(parsed, console) if parsed.format == "manifest" else _hand_over(parsed, console)


def _hand_over(parsed: argparse.Namespace, console: Console) -> int:
    from poisonscan.stages.export.formats import Format, export_as

    if parsed.readmit or parsed.drop or parsed.keep != "clean" or parsed.history or parsed.manifest:
        raise UsageError(
            f"--format {parsed.format} writes every row; --keep, --drop, --readmit, --history and --manifest "
            "choose none"
        )
    written = export_as(parsed.run_folder, parsed.out, Format(parsed.format))
    console.print(f"written: {written.file}", soft_wrap=True, highlight=False, markup=False)
    facts = {"verb": "export", "format": written.form, "out": str(written.out), "file": str(written.file)}
    render.json_object(facts | {"items": written.items})
    return 0


def _clean(parsed: argparse.Namespace, console: Console) -> int:
    from poisonscan.stages.export.run import Choice, export

    choice = Choice(_names(parsed.keep), _names(parsed.drop), tuple(parsed.readmit))
    summary = export(
        parsed.run_folder, parsed.out, choice=choice, history=parsed.history, manifest=parsed.manifest
    )
    render.counts_table(console, summary)
    for line in _remarks(summary):
        console.print(line, soft_wrap=True, highlight=False)
    render.json_line(summary)
    return summary.exit_code


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _remarks(summary: Summary) -> list[str]:
    facts = summary.details
    lines = [f"written: {escape(summary.out)}"]
    if facts["unseen"]:
        lines.append(f"[yellow]{facts['unseen']:,} rows have no verdict, as this run did not look at them[/]")
    if facts["readmitted"]:
        lines.append(f"{facts['readmitted']:,} rows were let in by --readmit")
    if any(facts["history"].values()):
        dropped, later = facts["history"]["dropped"], facts["history"]["taken_later"]
        lines.append(
            f"by the history {dropped:,} rows were left out, and {later:,} kept that show their old picture"
        )
    if any(facts["marks"].values()):
        marks = ", ".join(f"{count:,} {name}" for name, count in facts["marks"].items() if count)
        lines.append(f"marks set by hand were respected: {marks}")
    if facts["refreshed"]:
        lines.append(f"{facts['refreshed']:,} kept rows have new hashes: see refreshed.parquet")
    if facts.get("without_uid"):
        lines.append(f"[yellow]{facts['without_uid']:,} kept rows have no uid and are not in uids.npy[/]")
    return lines
