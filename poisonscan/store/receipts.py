"""Receipts: a shard is done when its receipt is there, which holds the digests of what was written.

A part alone proves nothing: after a power failure a name may outlive the bytes behind it. The receipt is
written last, after the parts were synced, and its digests were taken while they were written.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from poisonscan.files import file_digest, storage, write_text
from poisonscan.store.parts import Digested

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_NAME = re.compile(r"\.(\d+)\.(?:done|again)")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known of a shard that is done.

    Attributes:
        rows: how many it has.
        counts: rows by label (verdict or state).
        parts: its files by path below the folder, as they were written.
    """

    rows: int
    counts: Mapping[str, int]
    parts: Mapping[str, Digested]


def receipt_path(folder: Path, kind: str, index: int) -> Path:
    """Where the receipt of a shard is."""
    return folder / kind / f".{index:05d}.done"


def again_path(folder: Path, kind: str, index: int) -> Path:
    """Where the receipt lies of a shard whose rows without an answer are to be asked for again."""
    return folder / kind / f".{index:05d}.again"


def is_done(folder: Path, kind: str, index: int) -> bool:
    """Whether a shard is complete, as when a worker was killed before it could say so."""
    return receipt_path(folder, kind, index).exists()


def is_receipt(name: str) -> bool:
    """Whether a file name is that of a receipt."""
    return _NAME.fullmatch(name) is not None


def write_receipt(receipt: Receipt, path: Path) -> None:
    """Write a receipt with a checksum of itself.

    Raises:
        StorageError: it cannot be written.
    """
    said = {
        "rows": receipt.rows,
        "counts": dict(receipt.counts),
        "parts": {name: [part.sha256, part.size] for name, part in receipt.parts.items()},
    }
    write_text(json.dumps(said | {"crc32": _checksum(said)}) + "\n", path)


def read_receipt(path: Path) -> Receipt | None:
    """Read a receipt; None where there is none, or none that is whole.

    Raises:
        StorageError: it cannot be read.
    """
    if not path.exists():
        return None
    with storage(path):
        content = path.read_bytes()
    try:
        said = json.loads(content)
        if said.pop("crc32") != _checksum(said):
            return None
        parts = {name: Digested(sha256, size) for name, (sha256, size) in said["parts"].items()}
        return Receipt(int(said["rows"]), said["counts"], parts)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _checksum(said: Mapping[str, object]) -> int:
    return crc32(json.dumps(said, sort_keys=True).encode())


def numbers_of(folder: Path, kind: str) -> Iterator[int]:
    """The shards of which a receipt is there, read or to be asked again."""
    for path in sorted((folder / kind).glob(".*")):
        if found := _NAME.fullmatch(path.name):
            yield int(found[1])


def damaged_part(folder: Path, receipt: Receipt) -> str:
    """Read the parts of a shard again: the path of one that is no longer what was written, or nothing.

    Raises:
        StorageError: a part cannot be read.
    """
    for name, part in receipt.parts.items():
        if not (folder / name).is_file() or file_digest(folder / name) != part.sha256:
            return name
    return ""


def remove_receipts(folder: Path, kind: str) -> None:
    """Remove the receipts of a folder whose document holds all that they say.

    Raises:
        StorageError: one cannot be removed.
    """
    with storage(folder):
        for number in list(numbers_of(folder, kind)):
            receipt_path(folder, kind, number).unlink(missing_ok=True)
            again_path(folder, kind, number).unlink(missing_ok=True)
