"""verify: is a snapshot what it was when it was sealed?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from poisonscan.errors import SnapshotInvalidError
from poisonscan.files import file_digest
from poisonscan.stages.sealed import finished_snapshot
from poisonscan.stages.snapshot.remember import BYTES
from poisonscan.store.folder import SNAPSHOT_DOCUMENT, SNAPSHOT_SIGNATURE
from poisonscan.store.receipts import is_receipt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from poisonscan.authenticity.signing import Trust


def verify(snapshot: Path, trust: Trust | None = None, signature: Path | None = None) -> list[str]:
    """Recompute every digest of a snapshot.

    Args:
        snapshot: the folder.
        trust: whose signature its document must have; None to look at the digests alone.
        signature: the file; by default the one in the folder.

    Returns:
        What is wrong, a sentence each, naming the file; empty when all is as it was sealed.

    Raises:
        SnapshotInvalidError: there is no sealed snapshot to look at, its document was altered, or is not
            signed as it must be.
    """
    return list(_problems(snapshot, finished_snapshot(snapshot, trust, signature)["parts"]))


def require_intact(snapshot: Path, trust: Trust | None = None, signature: Path | None = None) -> int:
    """Verify, and give the number of files verified. Arguments as of `verify`.

    Raises:
        SnapshotInvalidError: something is wrong; the message names all of it.
    """
    parts = finished_snapshot(snapshot, trust, signature)["parts"]
    problems = list(_problems(snapshot, parts))
    if problems:
        raise SnapshotInvalidError("; ".join(problems))
    return len(parts) + 1


def _problems(snapshot: Path, parts: dict[str, str]) -> Iterator[str]:
    found = {
        path.relative_to(snapshot).as_posix()
        for path in snapshot.rglob("*")
        # Receipts are removed after the seal is written; nothing reads those that a kill left behind.
        if path.is_file() and not is_receipt(path.name)
    }
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
