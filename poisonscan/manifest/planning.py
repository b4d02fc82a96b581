"""Cutting a manifest into slices and reading them back."""

from __future__ import annotations

import itertools
import operator
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from poisonscan.errors import ManifestError
from poisonscan.files import beside
from poisonscan.manifest.files import open_parquet, translated
from poisonscan.manifest.footers import counted_rows
from poisonscan.manifest.model import MANIFEST_ROWS, Format, Slice
from poisonscan.manifest.normalise import entries
from poisonscan.manifest.slices import slice_batches
from poisonscan.manifest.spill import Marker, identity
from poisonscan.manifest.tables import check_schema, normalised_batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from poisonscan.manifest.dedup import UrlDedup
    from poisonscan.manifest.model import Entry, Manifest, ManifestFile


def plan(manifest: Manifest, shard_rows: int, spill: Path) -> list[Slice]:
    """Cut a manifest into slices of `shard_rows` rows; the last slice of each file may be shorter.

    Parquet is planned by its footers alone. Text is streamed once into normalised Parquet parts of one
    slice each below `spill`; a rerun on the same file reuses them.

    Raises:
        ManifestError: a file is truncated, damaged or lacks a column, or the manifest has no row.
        StorageError: `spill` cannot be written.
    """
    slices: list[Slice] = []
    row = 0
    for number, file in enumerate(manifest.files):
        if file.format is Format.PARQUET:
            counts, folder = _cut(_count_rows(manifest, file), shard_rows), None
        else:
            folder = spill / f"{number:05d}"
            counts = _spill(manifest, file, row, shard_rows, folder)
        start = 0
        for part, count in enumerate(counts):
            path = file.path if folder is None else str(_part(folder, part))
            offset = start if folder is None else 0
            slices.append(Slice(len(slices), path, offset, count, row, normalised=folder is not None))
            start, row = start + count, row + count
    if not slices:
        raise ManifestError(f"{manifest.source} is empty: no file in it has a row")
    return slices


def read_slice(manifest: Manifest, part: Slice, adoptions: UrlDedup | None = None) -> Iterator[Entry]:
    """The rows of one slice, sorted by row number; memory does not grow with the slice.

    Args:
        manifest: what the slice was planned from.
        part: the slice.
        adoptions: with these, rows that an earlier slice adopted are left out and rows adopted from
            later slices follow; over all slices each row still occurs exactly once.

    Raises:
        ManifestError: the file vanished or is damaged.
    """
    away = adoptions.moved_from(part) if adoptions else None
    for batch in slice_batches(manifest, part):
        yield from entries(batch if away is None else batch.filter(pc.invert(pc.is_in(batch["row"], away))))
    if adoptions:
        for batch in adoptions.adopted_by(part):
            yield from entries(batch)


def _count_rows(manifest: Manifest, file: ManifestFile) -> int:
    with translated(file.path), open_parquet(file.path) as table:
        check_schema(manifest.columns, file.path, table.schema_arrow)
        return counted_rows(file.path, table, file.size)


def _cut(rows: int, size: int) -> list[int]:
    return [min(size, rows - start) for start in range(0, rows, size)]


def _part(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.parquet"


def _spill(
    manifest: Manifest, file: ManifestFile, first_row: int, shard_rows: int, folder: Path
) -> list[int]:
    """Normalise a text file into parts, unless that was done before; rows of each part."""
    made_from = identity(file, manifest.columns, manifest.headerless, first_row, shard_rows)
    marker = Marker(folder / "parts.json")
    known = marker.read(made_from)
    if known is not None and all(_part(folder, number).is_file() for number in range(len(known))):
        return known
    marker.clear()
    pieces = _pieces(normalised_batches(manifest, file, first_row), shard_rows)
    parts = itertools.groupby(pieces, key=operator.itemgetter(0))
    counts = [_write_part((piece for _, piece in part), _part(folder, number)) for number, part in parts]
    marker.write(made_from, counts)
    return counts


def _pieces(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cut batches where parts of `size` rows end; pairs of part number and piece."""
    row = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, size - row % size)
            yield row // size, piece
            row, start = row + piece.num_rows, start + piece.num_rows


def _write_part(pieces: Iterable[pa.RecordBatch], path: Path) -> int:
    rows = 0
    with beside(path) as temporary, pq.ParquetWriter(temporary, MANIFEST_ROWS, compression="zstd") as writer:
        for piece in pieces:
            writer.write_batch(piece)
            rows += piece.num_rows
    return rows
