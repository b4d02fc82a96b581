"""What every source of pictures offers: a plan in slices, and the pictures of a slice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from poisonscan.records import ImageRef

MAX_BYTES = 256 << 20
"""Largest picture read from disk, bytes; the largest pictures that publishers ship are near 100 MB."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture on disk, or why there is none.

    Attributes:
        ref: the row it belongs to. Its URL is empty where the source knows none.
        body: the file's bytes; None when it could not be read or was never downloaded.
        reason: why there is no body; beside a body, what else of the row could not be read.
    """

    ref: ImageRef
    body: bytes | None = field(repr=False)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PictureSlice:
    """One shard of a source.

    Attributes:
        index: position among the slices, from 0.
        first_row: its lowest row number.
        count: number of rows, those without a picture included.
        names: what its source needs to find them: relative paths, or the name of one shard.
        start: rows to skip within that shard.
        last: its highest row number, where its numbers do not follow each other.
    """

    index: int
    first_row: int
    count: int
    names: tuple[str, ...]
    start: int = 0
    last: int | None = None

    @property
    def rows(self) -> range:
        """Its row numbers, where a source numbers its pictures in the order in which it is read."""
        return range(self.first_row, self.first_row + self.count)

    @property
    def last_row(self) -> int:
        """Its highest row number."""
        return self.first_row + self.count - 1 if self.last is None else self.last


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """How a source is cut.

    Attributes:
        slices: its shards; together they hold every picture once, rows numbered from 0 without gaps.
        skipped: what was left out by rule and how often, in words ("3 hidden files").
    """

    slices: tuple[PictureSlice, ...]
    skipped: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of all slices."""
        return sum(part.count for part in self.slices)


class PictureSource(Protocol):
    """Pictures already on disk; picklable, so that worker processes may read slices of it."""

    def plan(self, shard_rows: int) -> PicturePlan:
        """Cut into slices of at most `shard_rows` rows.

        Raises:
            ManifestError: there is nothing to read.
        """
        ...

    def rows(self, part: PictureSlice) -> Collection[int]:
        """The numbers of all rows of a slice, those without a picture included.

        Raises:
            SnapshotInvalidError: the source is a snapshot, and the part is damaged.
        """
        ...

    def read(self, part: PictureSlice) -> Iterator[Picture]:
        """The pictures of a slice in row order, one in memory at a time."""
        ...
