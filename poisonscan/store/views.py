"""A run as SQL tables: read-only, and nothing else of the machine within reach.

The views read the run's own Parquet files and no other: DuckDB's file system is closed but for them, no
extension is loaded, and the configuration is locked. A question is one SELECT in a read-only transaction,
since the files that may be read could otherwise be overwritten by COPY. What comes from a stranger's SQL
box can therefore neither change the run nor look beside it.
"""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from poisonscan.errors import StorageError, UsageError
from poisonscan.store.marks import read_marks
from poisonscan.store.sources import TABLES, files_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MEMORY_LIMIT = "1GiB"
"""What DuckDB may hold before it spills to a temporary folder."""

Row = dict[str, Any]

_MISSING = re.compile(r"Table with name \"?(\w+)\"? does not exist")
_NEEDS = {table.name: table.needs for table in TABLES}


class Views:
    """The tables of one run. Safe to share between threads: each question has a cursor of its own.

    Args:
        connection: a locked DuckDB connection with a view for each table; see `open_views`.
        run: the folder, for messages.
        columns: names and SQL types of the columns of each table that is there.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        run: Path,
        columns: Mapping[str, Sequence[tuple[str, str]]],
    ) -> None:
        self._connection = connection
        self._writing = threading.RLock()
        self.run = run
        self.columns = columns

    def __contains__(self, table: str) -> bool:
        """Whether the run has a table of that name."""
        return table in self.columns

    def require(self, *tables: str) -> None:
        """Make sure that the run has these tables.

        Raises:
            UsageError: it lacks one; says what to do.
        """
        for name in tables:
            if name not in self:
                raise UsageError(self._absence(name))

    @contextmanager
    def ask(
        self, sql: str, values: Sequence[object] = (), *, timeout_s: float | None = None
    ) -> Iterator[pa.RecordBatchReader]:
        """Put one SELECT and read its answer, a batch of rows in memory at a time.

        Args:
            sql: one SELECT statement, which WITH, FROM, DESCRIBE, SHOW and SUMMARIZE also are.
            values: for the `?` in it.
            timeout_s: seconds after which the question is broken off; None lets it run.

        Raises:
            UsageError: it is no such statement, is wrong, names a table that the run lacks, or takes too
                long; one line.
            StorageError: a file of the run cannot be read.
        """
        cursor = self._connection.cursor()
        timer = threading.Timer(timeout_s or 0, cursor.interrupt)
        try:
            with self._translated(timer):
                self._require_select(cursor, sql)
                cursor.execute("BEGIN TRANSACTION READ ONLY")
                if timeout_s is not None:
                    timer.start()
                stream = pa.RecordBatchReader.from_stream(cursor.sql(sql, params=list(values) or None))
            yield pa.RecordBatchReader.from_batches(stream.schema, self._batches(stream, timer))
        finally:
            timer.cancel()
            cursor.close()

    def rows(self, sql: str, *values: object) -> list[Row]:
        """The answer to one SELECT as dictionaries. Raises as `ask` does."""
        with self.ask(sql, values) as reader:
            lines: list[Row] = reader.read_all().to_pylist()
            return lines

    def table(self, sql: str, *values: object) -> pa.Table:
        """The answer to one SELECT as an Arrow table. Raises as `ask` does."""
        with self.ask(sql, values) as reader:
            return reader.read_all()

    def reload_marks(self) -> None:
        """Take over the marks that lie in the run folder now.

        Raises:
            StorageError: they cannot be read.
        """
        with self._writing:  # or the older of two readings could come last
            self.remember("marks", read_marks(self.run))

    def remember(self, name: str, lines: pa.Table) -> None:
        """Hold a table in memory, under a name of ours, for later questions; an earlier one is replaced."""
        with self._writing:
            cursor = self._connection.cursor()
            try:
                cursor.register("remembered", lines)
                cursor.execute(f"CREATE OR REPLACE TABLE {name} AS FROM remembered")
            finally:
                cursor.close()

    def define(self, name: str, sql: str) -> None:
        """Give a SELECT of ours a name for later questions."""
        cursor = self._connection.cursor()
        try:
            cursor.execute(f"CREATE OR REPLACE VIEW {name} AS {sql}")
        finally:
            cursor.close()

    def _batches(self, stream: pa.RecordBatchReader, timer: threading.Timer) -> Iterator[pa.RecordBatch]:
        """The batches of an answer; errors of reading them are translated, not those of their use."""
        while True:
            with self._translated(timer):
                batch = next(stream, None)
            if batch is None:
                return
            yield batch

    def _require_select(self, cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
        statements = cursor.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise UsageError(
                "a question is one SELECT statement (also WITH, FROM, DESCRIBE, SHOW TABLES, SUMMARIZE; "
                "PIVOT with its values listed by IN); the run is only read"
            )

    @contextmanager
    def _translated(self, timer: threading.Timer) -> Iterator[None]:
        """The one place where DuckDB's errors become ours."""
        try:
            yield
        except duckdb.IOException as error:
            raise StorageError(f"{self.run} cannot be queried: {_one_line(error)}") from error
        except duckdb.OutOfMemoryException as error:
            raise UsageError(
                f"the question takes more memory than there is; ask for less ({_one_line(error)})"
            ) from error
        except duckdb.Error as error:
            raise UsageError(self._words(error, timer)) from error
        except (pa.ArrowException, OSError) as error:  # DuckDB's, met after the first rows
            raise UsageError(self._words(error, timer)) from error

    def _words(self, error: Exception, timer: threading.Timer) -> str:
        if "INTERRUPT" in str(error) and timer.finished.is_set():
            return f"the question took longer than {timer.interval:g} s; ask for less, e.g. with LIMIT"
        missing = _MISSING.search(str(error))
        if missing and missing[1].lower() in _NEEDS:
            return self._absence(missing[1].lower())
        return f"the question cannot be answered: {_one_line(error)}"

    def _absence(self, table: str) -> str:
        there = ", ".join(self.columns)
        return f"{self.run} has no table {table}: {_NEEDS[table]} (it has: {there})"


@contextmanager
def open_views(run: Path, snapshot: Path | None = None) -> Iterator[Views]:
    """The tables of a run, a snapshot or what `embed` wrote, for the length of a `with` block.

    Args:
        run: the folder.
        snapshot: where the run's snapshot lies, if it was moved.

    Raises:
        SnapshotInvalidError: it is no such folder.
        StorageError: a file of it cannot be read.
    """
    files = files_of(run, snapshot)
    with TemporaryDirectory(prefix="poisonscan-query-") as spill:
        connection = duckdb.connect(
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": spill,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            }
        )
        try:
            with _readable(run):
                columns = _define(connection, run, files)
                _lock(connection, files)
            yield Views(connection, run, columns)
        finally:
            connection.close()


def _define(
    connection: duckdb.DuckDBPyConnection, run: Path, files: Mapping[str, Sequence[Path]]
) -> dict[str, list[tuple[str, str]]]:
    """Create the views; the columns of each."""
    connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    columns = {}
    for table in TABLES:
        if table.name == "marks":
            connection.register("kept_marks", read_marks(run))
            connection.execute("CREATE TABLE marks AS FROM kept_marks; DROP VIEW kept_marks")
        elif paths := files[table.name]:
            source = connection.read_parquet([literal(path) for path in paths], hive_partitioning=False)
            source.create_view(table.name)
        else:
            continue
        described = connection.execute(f"DESCRIBE {table.name}").fetchall()
        columns[table.name] = [(str(line[0]), str(line[1])) for line in described]
    return columns


def _lock(connection: duckdb.DuckDBPyConnection, files: Mapping[str, Sequence[Path]]) -> None:
    """Close the file system but for the files of the run, for good."""
    paths = [path for paths in files.values() for path in paths]
    allowed = sorted({*map(str, paths), *map(literal, paths)})  # DuckDB checks pattern and file
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in allowed)
    connection.execute(f"SET allowed_paths = [{quoted}]")
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")


@contextmanager
def _readable(run: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise StorageError(f"{run} cannot be queried: {_one_line(error)}; restore the file") from error


def literal(path: Path) -> str:
    """A path as DuckDB takes it, which would read `[`, `*` and `?` in it as wildcards."""
    return re.sub(r"[\[*?]", r"[\g<0>]", str(path))


def _one_line(error: Exception) -> str:
    """The words of a DuckDB error without the picture of the statement below them."""
    return " ".join(str(error).partition("\n\nLINE")[0].split())[:600]
