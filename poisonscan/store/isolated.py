"""A question to a run in a process of its own, which is killed at its limits.

DuckDB holds its own buffers to a limit, but a function may build one value of many gigabytes beside them
(`repeat`, `range`), and a call that does so cannot be interrupted. What a person types, or a page sends,
is therefore asked here; questions of ours are put to `Views` directly.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from poisonscan import errors
from poisonscan.store.views import open_views

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY_BYTES = 4 << 30
"""Address space of a question's process: DuckDB's own limit of 1 GiB, its code and threads, and values."""

_REFUSED = 3  # exit code of a process whose error is on its stderr
_CUT = 64 << 10  # bytes read of what a process says as it fails
_OUT_OF_MEMORY = (b"MemoryError", b"bad_alloc", b"bad allocation", b"ut of memory")


@contextmanager
def ask_isolated(
    run: Path,
    sql: str,
    *,
    snapshot: Path | None = None,
    timeout_s: float | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Iterator[pa.RecordBatchReader]:
    """Put one SELECT to the tables of a run and read its answer, a batch of rows in memory at a time.

    Args:
        run: a run or snapshot folder.
        sql: as for `Views.ask`.
        snapshot: where the run's snapshot lies, if it was moved.
        timeout_s: seconds after which the process is killed; None lets it run.
        memory_bytes: address space that the process may take.

    Raises:
        UsageError: the statement is wrong, or its process was killed at a limit; one line.
        SnapshotInvalidError: `run` is no such folder.
        StorageError: a file of the run cannot be read.
    """
    asked = {"run": str(run), "snapshot": snapshot and str(snapshot), "sql": sql, "memory": memory_bytes}
    with subprocess.Popen(  # noqa: S603 - ourselves; the SQL goes in by stdin
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"MALLOC_ARENA_MAX": "2"},  # each further arena reserves 64 MiB of address space
    ) as process:
        timer = threading.Timer(timeout_s or 0, process.kill)
        try:
            if timeout_s is not None:
                timer.start()
            question = _Question(process, timer, memory_bytes)
            stream = question.begin(json.dumps(asked).encode())
            yield pa.RecordBatchReader.from_batches(stream.schema, question.batches(stream))
        finally:
            timer.cancel()
            process.kill()


class _Question:
    """One question on its way through its process.

    Args:
        process: answers as an Arrow stream on its stdout.
        timer: kills it.
        memory_bytes: what it may take, for messages.
    """

    def __init__(self, process: subprocess.Popen[bytes], timer: threading.Timer, memory_bytes: int) -> None:
        self._process, self._timer, self._memory = process, timer, memory_bytes

    def begin(self, asked: bytes) -> pa.RecordBatchReader:
        """Hand the question over; its answer as far as its columns."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        with self._translated():
            self._process.stdin.write(asked + b"\n")
            self._process.stdin.flush()  # and stays open: its end tells the process that we have gone
            return pa.ipc.open_stream(self._process.stdout)

    def batches(self, stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        """The batches of the answer; that a process failed half way is an error, not the end."""
        while True:
            with self._translated():
                batch = next(stream, None)
                if batch is None and self._process.wait():
                    raise EOFError("the process failed")
            if batch is None:
                return
            yield batch

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, EOFError) as error:
            raise self._failure() from error

    def _failure(self) -> errors.PoisonscanError:
        assert self._process.stderr is not None  # noqa: S101 - it was asked for
        said = self._process.stderr.read(_CUT)
        code = self._process.wait()
        if code == _REFUSED:
            told: dict[str, str] = json.loads(said)
            kind = {"StorageError": errors.StorageError, "SnapshotInvalidError": errors.SnapshotInvalidError}
            return kind.get(told["kind"], errors.UsageError)(told["words"])
        if code < 0 and self._timer.finished.is_set():
            return errors.UsageError(
                f"the question took longer than {self._timer.interval:g} s; ask for less, e.g. with LIMIT"
            )
        if code >= 0 and not any(word in said for word in _OUT_OF_MEMORY):
            raise RuntimeError(f"the process of a question failed: {said.decode(errors='replace')}")
        return errors.UsageError(
            f"the question took more than {self._memory / (1 << 30):.3g} GiB of memory and was stopped; "
            "ask for less"
        )


def main() -> int:
    """Answer the question on stdin as an Arrow stream on stdout; the exit code."""
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory"], asked["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    snapshot = asked["snapshot"] and Path(asked["snapshot"])
    try:
        with (
            open_views(Path(asked["run"]), snapshot) as views,
            views.ask(asked["sql"]) as reader,
            pa.ipc.new_stream(sys.stdout.buffer, reader.schema) as sink,
        ):
            for batch in reader:
                sink.write_batch(batch)
    except errors.PoisonscanError as error:
        print(json.dumps({"kind": type(error).__name__, "words": str(error)}), file=sys.stderr)  # noqa: T201 - read by who asked
        return _REFUSED
    return 0


def _end_with_parent() -> None:
    # Not through sys.stdin, whose lock a thread that waits in it would hold while Python shuts down.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)  # DuckDB's threads and the one above are not waited for
