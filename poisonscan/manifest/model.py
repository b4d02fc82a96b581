"""What the parts of this package hand to each other: small, frozen and picklable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import pyarrow as pa

from poisonscan.records import Algorithm, ImageRef

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST_ROWS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("caption", pa.string()),
        *[pa.field(f"published_{algorithm}", pa.string()) for algorithm in Algorithm],
        # what could not be read of the row, in words; null for the sound ones
        pa.field("issue", pa.string()),
    ]
)
"""The normalised manifest: what every dialect becomes. One column a field of `Entry`."""


class Format(StrEnum):
    """How a file of a manifest is written."""

    PARQUET = "parquet"
    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    TXT = "txt"


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file of a manifest.

    Attributes:
        path: a local path or an fsspec URL.
        format: how it is written.
        compression: "gzip", "bz2" or "zstd", told by the file's first bytes; None when plain.
        size: bytes as stored.
        version: changes whenever the file is known to have changed (`fsspec`'s `ukey`).
        delimiter: what separates the fields of a CSV or TSV file; empty for the other formats.
        preamble: lines before the header or the first row: "sep=;" as Excel writes it, and comments.
    """

    path: str
    format: Format
    compression: str | None
    size: int
    version: str
    delimiter: str = ""
    preamble: int = 0


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Which column of the manifest holds what; None for what the manifest does not have."""

    url: str
    caption: str | None = None
    key: str | None = None
    sha256: str | None = None
    sha512: str | None = None
    md5: str | None = None
    phash: str | None = None

    def items(self) -> Iterator[tuple[str, str]]:
        """Pairs of canonical name and column, for the columns that exist."""
        for canonical in CANONICAL:
            column = getattr(self, canonical)
            if column is not None:
                yield canonical, column


CANONICAL = ("url", "caption", "key", *[str(algorithm) for algorithm in Algorithm])
"""The names by which a caller may map columns: the fields of `ColumnMap`."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was found out about a manifest by opening it.

    Attributes:
        source: what the caller named: a file, a folder, a glob or a URL.
        files: its files, sorted by path.
        columns: which column holds what.
        dialect: "laion", "coyo", "datacomp", "cc3m", "cc12m", "sbu", "img2dataset", "generic" or "custom".
        headerless: names given to the columns of text files without a header line; empty when the first
            line of each file, or the file itself, names the columns.
    """

    source: str
    files: tuple[ManifestFile, ...]
    columns: ColumnMap
    dialect: str
    headerless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slice:
    """One shard of a manifest: the rows [start, start + count) of one Parquet file.

    Attributes:
        index: position among the slices, from 0.
        path: the Parquet file: one of the manifest's own, or a normalised part under `spill`.
        start: first row within that file.
        count: number of rows.
        first_row: number of its first row in the whole manifest.
        normalised: whether the file has the columns of MANIFEST_ROWS.
    """

    index: int
    path: str
    start: int
    count: int
    first_row: int
    normalised: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the manifest and what could not be read of it.

    Attributes:
        ref: the row; its URL is empty when the line could not be parsed or named none.
        issue: in words, naming the line or column ("line 7: 5 fields instead of 3"); empty when the
            row is sound.
    """

    ref: ImageRef
    issue: str = ""
