"""What a Parquet footer claims, held against itself before any of it is believed.

Readers differ in which count they go by, so a footer that contradicts itself would show each of them
another list; one that claims what its file cannot hold would be planned, or allocated, without end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poisonscan.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow.parquet as pq

_ROWS_A_BYTE = 10_000
"""Rows a byte of the file; a list of URLs, even of one repeated, has fewer."""
_LONG_CELL = 64 << 10
"""Bytes a cell on average from which a column that is compressed like repeated text is read as a dictionary,
each value in memory once. Captions of LAION, COYO and CC12M average 60 to 200."""
_REPEATED = 20
"""Bytes a compressed byte: zstd makes a fourth of prose, and nothing of pictures."""


def counted_rows(path: str, table: pq.ParquetFile, size: int) -> int:
    """The rows of a file, where all counts of its footer agree.

    Args:
        path: of the file, for messages.
        table: the file, opened.
        size: of the file, bytes.

    Raises:
        ManifestError: two counts differ, or there are more rows than the file has room for.
    """
    metadata = table.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    rows, total = int(metadata.num_rows), sum(group.num_rows for group in groups)
    if rows != total or any(group.num_rows < 0 for group in groups):
        raise ManifestError(
            f"{path} contradicts itself: {rows} rows, but {total} in its row groups; write it anew"
        )
    flat = [
        place for place in range(metadata.num_columns) if not table.schema.column(place).max_repetition_level
    ]
    for number, group in enumerate(groups):
        for place in flat:
            column = group.column(place)
            if column.num_values != group.num_rows:
                raise ManifestError(
                    f"{path} contradicts itself: row group {number} has {group.num_rows} rows, but "
                    f"{column.num_values} values of column {column.path_in_schema}; write it anew"
                )
    if rows > max(size, 1) * _ROWS_A_BYTE:
        raise ManifestError(f"{path} claims {rows} rows, which its {size} bytes cannot hold; fetch it again")
    return rows


def long_columns(metadata: pq.FileMetaData) -> Sequence[str]:
    """The columns that hold few long values, to be read as dictionaries.

    A dictionary of one caption of 100 MB stands for gigabytes as soon as each row gets its own copy.
    """
    found: dict[str, None] = {}
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(metadata.num_columns):
            column = group.column(place)
            plain, packed = column.total_uncompressed_size, column.total_compressed_size
            long = plain > _LONG_CELL * max(group.num_rows, 1) and plain > _REPEATED * packed
            if column.physical_type == "BYTE_ARRAY" and long:
                found[column.path_in_schema] = None
    return tuple(found)
