"""query: SQL over a run, written to a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.errors import UsageError
from poisonscan.files import beside
from poisonscan.stages.answers import Form, form_of, write_answer
from poisonscan.store.isolated import ask_isolated

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query wrote.

    Attributes:
        out: the file.
        form: its format.
        columns: their names.
        rows: how many.
    """

    out: Path
    form: Form
    columns: tuple[str, ...]
    rows: int


def query(
    run: Path, sql: str, out: Path, *, form: Form | None = None, snapshot: Path | None = None
) -> Answer:
    """Put one SELECT to the tables of a run and write the answer, whole or not at all.

    The run is only read, and the statement can reach nothing else. For notebooks, `open_run` gives the
    same answers as DataFrames.

    Args:
        run: a run or snapshot folder.
        sql: one SELECT over the tables `verdicts`, `rows`, `observed`, `quarantine`, `originals`, `domains`,
            `findings`, `members`, `embeddings` and `marks`, as far as the run has them.
        out: the file to write.
        form: CSV, JSON or PARQUET; by default what the file's name ends in.
        snapshot: where the run's snapshot lies, if it was moved.

    Raises:
        UsageError: the statement is no SELECT, is wrong, names a table that the run lacks, or takes more
            memory than a question may.
        SnapshotInvalidError: `run` is no such folder, or damaged.
        StorageError: a file cannot be read or written.
    """
    form = form or form_of(out)
    if form is Form.TABLE:
        raise UsageError(f"a table is for people to look at; write {out} as csv, json or parquet")
    with ask_isolated(run, sql, snapshot=snapshot) as reader, beside(out) as temporary:
        columns = tuple(reader.schema.names)
        with temporary.open("wb") as sink:
            rows = write_answer(reader, form, sink)
    return Answer(out, form, columns, rows)
