"""Starting our own program and killing it at a moment that is seen on disk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from poisonscan.store.journal import rows_in_journal

from .world import read

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_S = 60.0


def rows_of(folder: Path, kind: str) -> int:
    """Rows on disk so far, in parts and journals."""
    journals = [*(folder / kind).glob(".*.journal")]
    in_journals: int = sum(batch.num_rows for journal in journals for batch in rows_in_journal(journal))
    return in_journals + len(read(folder, kind))


def wait_until(seen: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something is seen, or the process has ended, or patience has."""
    deadline = time.monotonic() + PATIENCE_S
    while not seen() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
