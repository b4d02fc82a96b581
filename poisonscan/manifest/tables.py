"""Opening a manifest, and reading the tables it is made of batch by batch."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from poisonscan.errors import ManifestError
from poisonscan.manifest import text
from poisonscan.manifest.dialects import map_columns
from poisonscan.manifest.files import find_files, open_parquet, open_text, translated
from poisonscan.manifest.hashes import check_type, check_values, digests_as_text
from poisonscan.manifest.layout import layout_of, with_delimiter
from poisonscan.manifest.model import Format, Manifest, ManifestFile
from poisonscan.manifest.normalise import as_text, check_text, normalise
from poisonscan.records import Algorithm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow.parquet as pq

    from poisonscan.manifest.model import ColumnMap

BATCH_ROWS = 4096
BATCH_CHARACTERS = 16 << 20
"""A batch ends at whichever comes first, so that long captions do not swell memory."""

_SAMPLE = 100
"""Rows looked at to tell a hash from something else."""


def open_manifest(
    source: str,
    columns: Mapping[str, str] | None = None,
    hashes: Mapping[str, Algorithm] | None = None,
) -> Manifest:
    """Find the files of a manifest and decide which column holds what. Reads a few rows.

    Args:
        source: a file, a folder, a glob or an fsspec URL of CSV, TSV, JSONL or Parquet files or bare
            lists of URLs (.txt), text also compressed with gzip, bzip2 or zstd.
        columns: canonical name to column; overrules the recognised dialect. An empty column name takes
            away what the dialect would have taken.
        hashes: column to algorithm, for published hashes that no dialect announces.

    Raises:
        ManifestError: nothing to read there, an unknown column, or a hash column that holds no such hash.
        MissingDependencyError: the package for the URL's scheme is not installed.
    """
    asked = {column for column in (*(columns or {}).values(), *(hashes or {})) if column}
    files = tuple(with_delimiter(file, asked) for file in find_files(source))
    for file in files:
        with translated(file.path):
            layout = layout_of(file, asked)
            if not layout.names:
                continue
            found, mapped = map_columns(file.path, layout.names, columns or {}, hashes or {})
            name = found if found == "custom" else layout.dialect or found
            manifest = Manifest(source, files, mapped, name, layout.headerless)
            sample = next(raw_batches(manifest, file), None)
        if sample is not None:
            _check_hashes(mapped, sample[0])
            return manifest
    raise ManifestError(f"{source} is empty: no file in it has a row that can be read")


def raw_batches(manifest: Manifest, file: ManifestFile) -> Iterator[tuple[dict[str, pa.Array], pa.Array]]:
    """Cells by canonical name, and issues, of a whole file."""
    if file.format is Format.PARQUET:
        with open_parquet(file.path) as table:
            check_schema(manifest.columns, file.path, table.schema_arrow)
            yield from parquet_batches(table, dict(manifest.columns.items()), 0, table.metadata.num_rows)
        return
    wanted = dict(manifest.columns.items())
    for batch in _batches(_records(manifest, file)):
        issues = pa.array([record.issue or None for record in batch], pa.string())
        cells = zip(*(record.cells for record in batch), strict=True)
        yield {what: pa.array(cell, pa.string()) for what, cell in zip(wanted, cells, strict=True)}, issues


def normalised_batches(manifest: Manifest, file: ManifestFile, first_row: int) -> Iterator[pa.RecordBatch]:
    """A whole file in the form of MANIFEST_ROWS, its first row numbered `first_row`.

    Raises:
        ManifestError: the file is truncated or damaged, or lacks a column.
    """
    with translated(file.path):
        for cells, issues in raw_batches(manifest, file):
            batch = normalise(manifest.columns, cells, issues, first_row)
            first_row += batch.num_rows
            yield batch


def parquet_batches(
    table: pq.ParquetFile, wanted: Mapping[str, str], start: int, count: int
) -> Iterator[tuple[dict[str, pa.Array], pa.Array]]:
    """Cells by name of the rows [start, start + count), reading only the row groups they lie in."""
    groups, skip = _groups(table, start, count)
    for batch in table.iter_batches(BATCH_ROWS, groups, list(dict.fromkeys(wanted.values()))):
        part = batch.slice(skip, count)
        skip = max(0, skip - batch.num_rows)
        count -= part.num_rows
        if part.num_rows:
            yield _bounded({what: (column, part.column(column)) for what, column in wanted.items()})
        if not count:
            return
    if count > 0:
        raise ManifestError(f"a file ends {count} rows before its footer says; it is damaged, fetch it again")


def _bounded(columns: Mapping[str, tuple[str, pa.Array]]) -> tuple[dict[str, pa.Array], pa.Array]:
    """Cells by canonical name, and issues; a cell longer than a line of text may be is one."""
    cells: dict[str, pa.Array] = {}
    issues = pa.nulls(len(next(iter(columns.values()))[1]), pa.string())
    for what, (column, array) in columns.items():
        cells[what] = array
        if pa.types.is_dictionary(array.type):  # few long values, see `footers.long_columns`
            values = array.dictionary
            fits = pc.less_equal(pc.binary_length(values), text.MAX_LINE)
            kept = pa.DictionaryArray.from_arrays(array.indices, pc.if_else(fits, values, None))
            cells[what] = kept.dictionary_decode()
            too_long = pc.and_(pc.is_valid(array), pc.is_null(cells[what]))
            reason = f"column {column} holds a cell longer than {text.MAX_LINE} bytes"
            issues = pc.if_else(pc.and_(too_long, pc.is_null(issues)), reason, issues)
    return cells, issues


def check_schema(columns: ColumnMap, path: str, schema: pa.Schema) -> None:
    """Refuse a Parquet file that lacks a column of the manifest or has it in an impossible type.

    Raises:
        ManifestError: naming the file and the column.
    """
    for what, column in columns.items():
        if column not in schema.names:
            raise ManifestError(
                f"{path} has no column {column}, unlike the first file; it has: {', '.join(schema.names)}"
            )
        kind = schema.field(column).type
        if what in set(Algorithm):
            check_type(column, Algorithm(what), kind)
        else:
            check_text(path, column, kind, numbers=what != "url")


def _groups(table: pq.ParquetFile, start: int, count: int) -> tuple[list[int], int]:
    """The row groups that hold the rows, and how many rows of the first to skip."""
    groups: list[int] = []
    skip = first = 0
    for group in range(table.num_row_groups):
        after = first + table.metadata.row_group(group).num_rows
        if first < start + count and start < after:
            if not groups:
                skip = start - first
            groups.append(group)
        first = after
    return groups, skip


def _records(manifest: Manifest, file: ManifestFile) -> Iterator[text.Record]:
    columns = tuple(column for _, column in manifest.columns.items())
    with open_text(file) as stream:
        lines = itertools.islice(text.lines(stream), file.preamble, None)
        if file.format is Format.TXT:
            yield from text.bare(lines)
        elif file.format is Format.JSONL:
            yield from text.objects(lines, columns)
        else:
            yield from _separated_records(manifest, file, lines, columns)


def is_quoted(manifest: Manifest, file: ManifestFile) -> bool:
    """Whether quotes enclose fields. CC3M and CC12M do not quote: a quote there belongs to the caption."""
    return file.format is Format.CSV or not manifest.headerless


def _separated_records(
    manifest: Manifest, file: ManifestFile, lines: Iterator[text.Line], columns: tuple[str, ...]
) -> Iterator[text.Record]:
    rows = text.separated(lines, file.delimiter, quoted=is_quoted(manifest, file))
    names = manifest.headerless or _header(rows)
    if not names:
        return
    missing = [column for column in columns if column not in names]
    if missing:
        raise ManifestError(
            f"{file.path} has no column {missing[0]}, unlike the first file; it has: {', '.join(names)}"
        )
    positions = tuple(names.index(column) for column in columns)
    yield from text.pick(rows, len(names), positions)


def _header(rows: Iterator[tuple[int, list[str] | str]]) -> tuple[str, ...]:
    _, fields = next(rows, (0, []))
    return () if isinstance(fields, str) else tuple(fields)


def _batches(records: Iterable[text.Record]) -> Iterator[list[text.Record]]:
    batch: list[text.Record] = []
    characters = 0
    for record in records:
        batch.append(record)
        characters += sum([len(cell) for cell in record.cells if cell])
        if len(batch) == BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _check_hashes(columns: ColumnMap, cells: Mapping[str, pa.Array]) -> None:
    for what, column in columns.items():
        if what in set(Algorithm):
            known = as_text(digests_as_text(cells[what], Algorithm(what))).drop_null()
            check_values(column, Algorithm(what), known.slice(0, _SAMPLE))
