"""Questions to Parquet files: everything is counted in DuckDB, only what a page shows comes back."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import duckdb
import pyarrow as pa

from poisonscan.errors import StorageError
from poisonscan.records import Verdict
from poisonscan.store.schema import LATER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MEMORY_LIMIT = "1GiB"
"""What DuckDB may hold before it spills to a temporary folder."""

Row = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Top(Generic[T]):
    """The first lines of a longer answer, and how many there are in all."""

    lines: tuple[T, ...]
    total: int

    @property
    def more(self) -> int:
        """Lines beyond those here."""
        return self.total - len(self.lines)


class Tables:
    """Named tables over Parquet files. A table without files is empty.

    Args:
        connection: a DuckDB connection of its own, see `connected`.
        home: the folder or file that the tables belong to, for messages.

    Raises:
        StorageError: from every method: a file is damaged or cannot be read.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, home: Path) -> None:
        self._connection = connection
        self._home = home

    def define(self, name: str, files: Sequence[Path], columns: pa.Schema) -> None:
        """Give files a name; `columns` are those of the empty table where there are none.

        Of `schema.LATER`, columns that files of an earlier version lack are null.
        """
        if not files:
            empty = columns.append(pa.field("filename", pa.string())).empty_table()
            self._connection.register(name, empty)
            return
        with self._translated():
            source = [_literal(path) for path in files]
            view = self._connection.read_parquet(source, filename=True, hive_partitioning=False)
            lacking = [
                f"NULL AS {column}"
                for column in columns.names
                if column in LATER and column not in view.columns
            ]
            view.project(", ".join(["*", *lacking])).create_view(name)

    def ask(self, query: str, *values: object) -> list[Row]:
        """The answer to a query as dictionaries. Moments have to be asked for as `epoch_ms(...)`."""
        with self._translated():
            cursor = self._connection.execute(query, list(values))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, line, strict=True)) for line in cursor.fetchall()]

    def top(self, query: str, *values: object) -> Top[Row]:
        """The answer to a query that has a limit and a column `total`."""
        lines = self.ask(query, *values)
        return Top(tuple(lines), int(lines[0]["total"]) if lines else 0)

    def verdict(self, value: str) -> Verdict:
        """The verdict of that name.

        Raises:
            StorageError: there is none.
        """
        try:
            return Verdict(value)
        except ValueError as error:
            raise StorageError(
                f"{self._home} holds the unknown verdict {value!r}; read it with the version that wrote it"
            ) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            first_line = str(error).partition("\n")[0]
            raise StorageError(
                f"{self._home} cannot be read ({first_line}); restore it or repeat the command that wrote it"
            ) from error


@contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that spills into a temporary folder and loads nothing from the network."""
    with TemporaryDirectory(prefix="poisonscan-report-") as spill:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": spill,
            "autoinstall_known_extensions": False,
        }
        with duckdb.connect(":memory:", config=settings) as database:
            database.execute("SET enable_progress_bar = false")  # it would go to stdout
            yield database


def parts(folder: Path) -> list[Path]:
    """The finished parts of a folder; whatever else lies there was never finished."""
    return sorted(path for path in folder.glob("*.parquet") if path.stem.isdigit())


def one(path: Path) -> list[Path]:
    """The file, if it is there."""
    return [path] if path.exists() else []


def moment(milliseconds: int | None) -> datetime | None:
    """What `epoch_ms(...)` gives, as a moment in UTC."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _literal(path: Path) -> str:
    """A path as DuckDB takes it, which would read `[`, `*` and `?` in it as wildcards."""
    return re.sub(r"[\[*?]", r"[\g<0>]", str(path.absolute()))
