from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.manifest.tables import normalised_batches, open_manifest
from poisonscan.stages.export.cleaning import Chosen, copy_rows

if TYPE_CHECKING:
    from pathlib import Path

CSV = b'\xef\xbb\xbfurl,text\nhttp://h/0,zero\n\nhttp://h/1,"one,\n""two"" lines"\nhttp://h/2,"open\nhttp://h/3,three'


def chosen(*rows: int) -> Chosen:
    return Chosen([np.array(rows, np.int64)])


def copy(tmp_path: Path, name: str, content: bytes, *rows: int) -> bytes:
    (tmp_path / name).write_bytes(content)
    manifest = open_manifest(str(tmp_path / name))
    known = sum(batch.num_rows for batch in normalised_batches(manifest, manifest.files[0], 0))
    assert copy_rows(manifest, tmp_path / "out", chosen(*rows)) == (known, len(rows))
    return (tmp_path / "out" / name).read_bytes()


def test_csv_keeps_header_quotes_and_lines(tmp_path: Path) -> None:
    head = b"\xef\xbb\xbfurl,text\n"
    two_lines = b'http://h/1,"one,\n""two"" lines"\n'
    assert copy(tmp_path, "a.csv", CSV, 0, 1, 2, 3) == CSV
    assert copy(tmp_path, "a.csv", CSV, 1) == head + two_lines
    assert copy(tmp_path, "a.csv", CSV, 2, 3) == head + b'http://h/2,"open\nhttp://h/3,three'
    assert copy(tmp_path, "a.csv", CSV) == head


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("cc3m.tsv", [b'a "quoted caption\thttp://h/%d\n', b"\thttp://h/%d\r\n"]),
        ("list.txt", [b"http://h/%d\n", b"http://h/%d?x\r\n"]),
        ("list.jsonl", [b'{"url": "http://h/%d", "text": null, "more": [1]}\n', b"not json %d\n"]),
    ],
)
def test_lines_without_a_header_stay_without_one(tmp_path: Path, name: str, lines: list[bytes]) -> None:
    every = [lines[n % 2] % n for n in range(6)]
    blank = [*every[:2], b"\n", *every[2:]]
    assert copy(tmp_path, name, b"".join(blank), 3, 5) == every[3] + every[5]


def test_views_become_strings(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": pa.array(["a", "b", "c"], pa.string_view())}), tmp_path / "a.parquet")
    manifest = open_manifest(str(tmp_path / "a.parquet"))
    assert copy_rows(manifest, tmp_path / "out", chosen(0, 2)) == (3, 2)
    assert pq.read_table(tmp_path / "out" / "a.parquet").to_pydict() == {"url": ["a", "c"]}


def test_carriage_returns_and_preambles_are_copied(tmp_path: Path) -> None:
    assert copy(tmp_path, "a.csv", b"sep=;\rurl;t\rhttp://h/0;a\rhttp://h/1;b\r", 1) == (
        b"sep=;\rurl;t\rhttp://h/1;b\r"
    )


def test_compressed_stays_compressed(tmp_path: Path) -> None:
    assert gzip.decompress(copy(tmp_path, "a.csv.gz", gzip.compress(CSV), 0)).endswith(b"http://h/0,zero\n\n")


def test_parquet_keeps_schema_metadata_and_codec(tmp_path: Path) -> None:
    table = pa.table(
        {"URL": [f"http://h/{n}" for n in range(5)], "sizes": [[n] for n in range(5)]}
    ).replace_schema_metadata({"made": "by us"})
    for name, part in (("0.parquet", table.slice(0, 3)), ("1.parquet", table.slice(3))):
        (tmp_path / "in").mkdir(exist_ok=True)
        pq.write_table(part, tmp_path / "in" / name, compression="gzip")
    assert copy_rows(open_manifest(str(tmp_path / "in")), tmp_path / "out", chosen(1, 2, 4)) == (5, 3)
    parts = [pq.ParquetFile(tmp_path / "out" / name) for name in ("0.parquet", "1.parquet")]
    assert [part.schema_arrow for part in parts] == [table.schema] * 2
    assert parts[0].schema_arrow.metadata == table.schema.metadata
    assert pa.concat_tables([part.read() for part in parts]).equals(table.take([1, 2, 4]))
    assert parts[0].metadata.row_group(0).column(0).compression == "GZIP"


@given(st.sets(st.integers(0, 60)), st.lists(st.integers(1, 9), min_size=1), st.integers(1, 7))
def test_masks_name_the_chosen_rows_however_they_are_cut(
    rows: set[int], counts: list[int], size: int
) -> None:
    ascending = sorted(rows)
    reader = Chosen(np.array(ascending[at : at + size], np.int64) for at in range(0, len(rows), size))
    found, first = [], 0
    for count in counts:
        found += [first + int(at) for at in np.flatnonzero(reader.mask(first, count))]
        first += count
    assert found == [row for row in ascending if row < first]
