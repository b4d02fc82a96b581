"""Copying a manifest without some of its rows: the bytes of each line, or the cells of each Parquet row.

A record of a text file may take several lines; where each begins is for the manifest's own reader to
say, so that a row here is the row that was fetched.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poisonscan.files import beside
from poisonscan.manifest import text
from poisonscan.manifest.files import open_parquet, open_text, translated
from poisonscan.manifest.model import Format
from poisonscan.manifest.tables import is_quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from poisonscan.manifest.model import Manifest, ManifestFile

_BATCH_ROWS = 65_536


class Chosen:
    """Row numbers to keep, read along with the rows so that memory does not grow with them.

    Args:
        batches: the row numbers, ascending, in arrays of any length.
    """

    def __init__(self, batches: Iterable[NDArray[np.int64]]) -> None:
        self._batches = iter(batches)
        self._numbers = np.empty(0, np.int64)

    def mask(self, first: int, count: int) -> NDArray[np.bool_]:
        """Which of the rows [first, first + count) to keep; `first` must not go back between calls."""
        parts = [self._numbers]
        while not len(parts[-1]) or parts[-1][-1] < first + count:
            batch = next(self._batches, None)
            if batch is None:
                break
            parts.append(batch)
        numbers = np.concatenate(parts)
        end = int(np.searchsorted(numbers, first + count))
        self._numbers = numbers[end:]
        mask = np.zeros(count, np.bool_)
        wanted = numbers[:end]
        mask[wanted[wanted >= first] - first] = True
        return mask


def copy_rows(manifest: Manifest, folder: Path, chosen: Chosen) -> tuple[int, int]:
    """Write each file of a manifest below `folder` under its own name, with the chosen rows alone.

    Columns, header, quoting, compression and order stay as they are.

    Returns:
        How many rows the manifest has, and how many of them were written.

    Raises:
        ManifestError: a file vanished or is damaged.
        StorageError: `folder` cannot be written.
    """
    seen = written = 0
    for file, name in zip(manifest.files, _names(manifest.files), strict=True):
        copy = _copy_parquet if file.format is Format.PARQUET else _copy_text
        with translated(file.path), beside(folder / name) as temporary:
            rows, kept = copy(manifest, file, temporary, seen, chosen)
        seen, written = seen + rows, written + kept
    return seen, written


def _names(files: Iterable[ManifestFile]) -> list[str]:
    """Paths of the files relative to the folder that they share."""
    paths = [file.path for file in files]
    root = os.path.commonpath([path.rpartition("/")[0] for path in paths]) if len(paths) > 1 else ""
    return [path[len(root) :].lstrip("/") if root else path.rpartition("/")[2] for path in paths]


def _copy_parquet(_: Manifest, file: ManifestFile, out: Path, first: int, chosen: Chosen) -> tuple[int, int]:
    row, kept = first, 0
    with open_parquet(file.path) as table, _like(table, out) as writer:
        for batch in table.iter_batches(_BATCH_ROWS):
            part = batch.cast(writer.schema).filter(pa.array(chosen.mask(row, batch.num_rows)))
            writer.write_batch(part)
            row, kept = row + batch.num_rows, kept + part.num_rows
    return row - first, kept


def _like(table: pq.ParquetFile, out: Path) -> pq.ParquetWriter:
    """A file of the same columns and compression.

    Views become plain strings, since Parquet stores both alike and Arrow cannot select rows of views yet.
    """
    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    fields = [field.with_type(plain.get(field.type, field.type)) for field in table.schema_arrow]
    schema = pa.schema(fields, table.schema_arrow.metadata)
    return pq.ParquetWriter(out, schema, compression=_codec(table))


def _codec(table: pq.ParquetFile) -> str:
    """The compression of the first column; a file without rows names none."""
    if not table.metadata.num_row_groups or not table.metadata.num_columns:
        return "zstd"
    codec = str(table.metadata.row_group(0).column(0).compression).lower()
    return "none" if codec == "uncompressed" else codec


def _copy_text(
    manifest: Manifest, file: ManifestFile, out: Path, first: int, chosen: Chosen
) -> tuple[int, int]:
    row, kept = first, 0
    with open_text(file) as stream, _writing(out, file.compression) as sink, open_text(file) as source:
        starts = _record_starts(manifest, file, source)
        ahead = next(starts, None)
        keeping = True  # what comes before the first record is the header
        number = 0
        for piece in text.pieces(stream):
            if piece.begins:
                number += 1
                if number == ahead:
                    keeping = bool(chosen.mask(row, 1)[0])
                    row, kept, ahead = row + 1, kept + keeping, next(starts, None)
            if keeping:
                sink.write(piece.raw)
    return row - first, kept


def _record_starts(manifest: Manifest, file: ManifestFile, source: BinaryIO) -> Iterator[int]:
    """Number of the first line of each record, as the manifest's reader cuts them."""
    lines = itertools.islice(text.lines(source), file.preamble, None)
    separated = file.format in {Format.CSV, Format.TSV}
    if separated and is_quoted(manifest, file):
        numbers = (number for number, _ in text.separated(lines, file.delimiter, quoted=True))
    else:
        numbers = (line.number for line in lines if line.text is None or line.text.strip("\r\n"))
    return itertools.islice(numbers, 1 if separated and not manifest.headerless else 0, None)


@contextlib.contextmanager
def _writing(path: Path, compression: str | None) -> Iterator[BinaryIO]:
    with path.open("wb") as raw:
        if compression is None:
            yield raw
        else:
            with pa.CompressedOutputStream(raw, compression) as stream:
                yield stream
