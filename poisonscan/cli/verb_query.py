"""The verb `query`."""

# ruff: noqa: PLC0415 - stages are imported only by the verb that runs, so that --help is quick

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from poisonscan.cli import render
from poisonscan.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    import pyarrow as pa
    from rich.console import Console

    from poisonscan.cli.flags import Parser

MAX_LINES = 100
"""Rows of an answer that a table shows; more scroll past unread."""
MAX_CELL = 120
"""Characters of one cell."""
LEAST_CELL = 16
"""Characters that a longer value must have room for; else rows are shown with a line a column."""

_NUMBERS = ("int", "uint", "float", "double", "decimal")

_DESCRIPTION = """\
Put one SELECT to a run: DuckDB over its Parquet, read-only, with the file system, the network and
extensions closed. --list shows the tables, their columns and ten useful queries. The answer goes to stdout,
or to --out."""


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("query", help="SQL over a run", description=_DESCRIPTION)
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="a run or snapshot folder")
    parser.add_argument("sql", nargs="?", metavar="SQL", help="one SELECT; - reads it from stdin")
    parser.add_argument("--list", action="store_true", help="show tables, columns and useful queries")
    parser.add_argument(
        "--format",
        choices=("table", "csv", "json", "parquet"),
        help="of the answer (default: what --out ends in, else table)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the answer there")
    parser.add_argument("--snapshot", type=Path, metavar="SNAP", help="the run's snapshot, if it was moved")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, console: Console) -> int:
    if parsed.list:
        _list(parsed)
        return 0
    if parsed.sql is None:
        raise UsageError(f"no SQL given; see poisonscan query {parsed.run_folder} --list")
    sql = sys.stdin.read() if parsed.sql == "-" else parsed.sql
    if parsed.out:
        _write(parsed, sql, console)
    else:
        _print(parsed, sql)
    return 0


def _write(parsed: argparse.Namespace, sql: str, console: Console) -> None:
    from poisonscan.stages.answers import Form
    from poisonscan.stages.query import query

    form = Form(parsed.format) if parsed.format else None
    answer = query(parsed.run_folder, sql, parsed.out, form=form, snapshot=parsed.snapshot)
    words = f"{answer.rows:,} rows written to {answer.out}"
    console.print(words, soft_wrap=True, highlight=False, markup=False)
    columns = list(answer.columns)
    render.json_object({"verb": "query", "out": str(answer.out), "rows": answer.rows, "columns": columns})


def _print(parsed: argparse.Namespace, sql: str) -> None:
    from poisonscan.stages.answers import Form, write_answer
    from poisonscan.store.isolated import ask_isolated

    form = Form(parsed.format or Form.TABLE)
    if form is Form.PARQUET and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal; add --out FILE or a pipe")
    with ask_isolated(parsed.run_folder, sql, snapshot=parsed.snapshot) as reader, render.unread():
        if form is Form.TABLE:
            _show(reader)
        else:
            write_answer(reader, form, sys.stdout.buffer)


def _show(reader: pa.RecordBatchReader) -> None:
    """Draw an answer for a person: its first rows, and how many there are."""
    from poisonscan.stages.answers import values_of

    lines: list[list[Text]] = []
    rows = 0
    for batch in reader:
        if rows < MAX_LINES:
            lines += [
                [_shown(value) for value in line] for line in values_of(batch.slice(0, MAX_LINES - rows))
            ]
        rows += batch.num_rows
    names = [_shown(name) for name in reader.schema.names]
    numeric = [str(kind).startswith(_NUMBERS) for kind in reader.schema.types]
    terminal = render.Terminal()
    if _fits(names, lines, terminal.width):
        terminal.print(_across(names, numeric, lines))
    else:
        for line in lines:
            terminal.print(_downwards(names, line))
    rest = (
        f", {rows - MAX_LINES:,} not shown: add LIMIT, --out FILE or --format csv" if rows > MAX_LINES else ""
    )
    terminal.print(f"{rows:,} row{'' if rows == 1 else 's'}{rest}", highlight=False)


def _fits(names: Sequence[Text], lines: Sequence[Sequence[Text]], width: int) -> bool:
    """Whether a table would be readable: each column as wide as its name and a bit of its longest value."""
    longest = [max((len(line[place]) for line in lines), default=0) for place in range(len(names))]
    needed = [max(len(name), min(most, LEAST_CELL)) for name, most in zip(names, longest, strict=True)]
    return sum(needed) + 3 * len(needed) <= width


def _across(names: Sequence[Text], numeric: Sequence[bool], lines: Sequence[Sequence[Text]]) -> Table:
    """A line a row."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name, right in zip(names, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table


def _downwards(names: Sequence[Text], line: Sequence[Text]) -> Table:
    """One row with a line a column."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in zip(names, line, strict=True):
        table.add_row(name, value)
    table.add_row("", "")
    return table


def _shown(value: object) -> Text:
    """A value in a cell: short, and without characters that a terminal would obey."""
    from poisonscan.reporting.text import plain

    if value is None:
        return Text("")
    text = plain(value if isinstance(value, str) else json.dumps(_rounded(value), ensure_ascii=False))
    return Text(text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "\u2026")


def _rounded(value: object) -> object:
    """A number, or those of a list, to as many digits as anybody reads; --format has all of them."""
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _list(parsed: argparse.Namespace) -> None:
    """Print the tables of a run with their columns, what it lacks, and useful queries."""
    from poisonscan.stages.recipes import RECIPES
    from poisonscan.store.sources import TABLES
    from poisonscan.store.views import open_views

    terminal = render.Terminal(highlight=False, markup=False, soft_wrap=True)
    with open_views(parsed.run_folder, parsed.snapshot) as views:
        terminal.print("tables", style="bold")
        for table in TABLES:
            columns = views.columns.get(table.name)
            if columns is None:
                terminal.print(f"  {table.name}: absent: {table.needs}", style="dim")
                continue
            terminal.print(f"  {table.name}: {table.about}")
            terminal.print(f"    {', '.join(f'{name} {kind}' for name, kind in columns)}", style="cyan")
        terminal.print("useful queries", style="bold")
        for recipe in RECIPES:
            lacking = [name for name in recipe.needs if name not in views]
            note = f" (this run has no {' and no '.join(lacking)})" if lacking else ""
            terminal.print(f"  {recipe.title}{note}")
            terminal.print(f"    {recipe.sql}", style="cyan")
