"""The pictures that a snapshot kept (`--keep-bytes`)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from poisonscan.errors import ManifestError, SnapshotInvalidError
from poisonscan.records import ImageRef
from poisonscan.sources.model import Picture, PicturePlan, PictureSlice
from poisonscan.store.parts import read_part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BATCH_ROWS = 16
"""Pictures held in memory at once."""
_COLUMNS = ["row", "key", "url", "caption", "sha256", "state", "reason"]


@dataclass(frozen=True, slots=True)
class KeptBytes:
    """A snapshot with kept bytes. A slice is a part of it, however many rows that has.

    Pictures come in the order in which they were kept, then the rows that have none.
    """

    root: Path

    def plan(self, shard_rows: int) -> PicturePlan:  # noqa: ARG002 - the snapshot is cut already
        """One slice for each part of the snapshot.

        Raises:
            ManifestError: the snapshot kept no pictures.
        """
        names = [path.name for path in sorted((self.root / "rows").glob("[0-9]*.parquet"))]
        if not any((self.root / "bytes" / name).exists() for name in names):
            raise ManifestError(f"snapshot {self.root} kept no pictures; take it again with --keep-bytes")
        slices = [_slice(self.root / "rows" / name, index) for index, name in enumerate(names)]
        return PicturePlan(tuple(slices))

    def rows(self, part: PictureSlice) -> list[int]:
        """The numbers of the rows of a part, which need not follow each other.

        Raises:
            SnapshotInvalidError: the part is damaged.
        """
        (name,) = part.names
        numbers: list[int] = read_part(self.root / "rows" / name, ["row"])["row"].to_pylist()
        return numbers

    def read(self, part: PictureSlice) -> Iterator[Picture]:
        """The pictures of a part. One that many rows share is given for each of them.

        Raises:
            SnapshotInvalidError: a part is damaged, or a picture does not have its digest.
        """
        (name,) = part.names
        by_digest: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in read_part(self.root / "rows" / name, _COLUMNS).to_pylist():
            by_digest[row["sha256"] or ""].append(row)
        for digest, body in _bodies(self.root / "bytes" / name):
            for row in by_digest.pop(digest, []):
                yield Picture(_ref(row), body)
        for rows in by_digest.values():
            for row in rows:
                yield Picture(_ref(row), None, row["reason"] or f"the snapshot has it as {row['state']}")


def _slice(path: Path, index: int) -> PictureSlice:
    """A part as a slice. Its rows need not follow each other: those of one URL are in one part."""
    numbers = read_part(path, ["row"])["row"]
    span = pc.min_max(numbers).as_py()
    first, last = (span["min"], span["max"]) if len(numbers) else (0, -1)
    return PictureSlice(index, first, len(numbers), (path.name,), last=last)


def _bodies(path: Path) -> Iterator[tuple[str, bytes]]:
    if not path.exists():
        return  # a part whose rows have no picture
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS):
            for digest, body in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if hashlib.sha256(body).hexdigest() != digest:
                    raise SnapshotInvalidError(f"{path} was altered: a picture lacks its digest; restore it")
                yield digest, body


def _ref(row: dict[str, Any]) -> ImageRef:
    return ImageRef(row["row"], row["key"], row["url"] or "", row["caption"])
