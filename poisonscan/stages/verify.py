"""verify: is a snapshot what it was when it was sealed?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from poisonscan.errors import SnapshotInvalidError
from poisonscan.files import file_digest
from poisonscan.stages.check.run import finished_snapshot
from poisonscan.stages.snapshot.remember import BYTES
from poisonscan.store.folder import SNAPSHOT_DOCUMENT, SNAPSHOT_SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def verify(snapshot: Path) -> list[str]:
    """Recompute every digest of a snapshot.

    Returns:
        What is wrong, a sentence each, naming the file; empty when all is as it was sealed.

    Raises:
        SnapshotInvalidError: there is no finished snapshot to look at, or its document was altered.
    """
    document = finished_snapshot(snapshot)
    return list(_problems(snapshot, document["parts"]))


def require_intact(snapshot: Path) -> int:
    """Verify, and give the number of files verified.

    Raises:
        SnapshotInvalidError: something is wrong; the message names all of it.
    """
    problems = verify(snapshot)
    if problems:
        raise SnapshotInvalidError("; ".join(problems))
    return len(finished_snapshot(snapshot)["parts"]) + 1


def _problems(snapshot: Path, parts: dict[str, str]) -> Iterator[str]:
    found = {path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()}
    for name in sorted(found - set(parts) - {SNAPSHOT_DOCUMENT, SNAPSHOT_SIGNATURE, ".lock"}):
        yield f"{snapshot / name} does not belong to the snapshot"
    for name, digest in parts.items():
        path = snapshot / name
        if name not in found:
            yield f"{path} is missing"
        elif file_digest(path) != digest:
            yield f"{path} was altered: its sha256 is not the sealed one"
        elif name.startswith(f"{BYTES}/"):
            yield from _picture_problems(path)


def _picture_problems(path: Path) -> Iterator[str]:
    """Kept pictures whose bytes do not have the digest they are filed under."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=64):
            for digest, body in zip(batch["sha256"].to_pylist(), _bodies(batch), strict=True):
                if hashlib.sha256(body).hexdigest() != digest:
                    yield f"{path}: the picture filed as {digest} has another digest"


def _bodies(batch: pa.RecordBatch) -> Iterator[bytes]:
    return (value.as_py() for value in batch["bytes"])
