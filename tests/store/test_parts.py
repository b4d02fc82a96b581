from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poisonscan.errors import SnapshotInvalidError, StorageError
from poisonscan.files import beside, file_digest, storage, write_text
from poisonscan.store.journal import Journal, rows_in_journal
from poisonscan.store.parts import part_name, read_part, rows_in, write_table

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.store.rows import Row

SCHEMA = pa.schema([pa.field("row", pa.int64(), nullable=False), pa.field("url", pa.string())])
FOLDER_PER_EXAMPLE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


def rows(*numbers: int) -> list[Row]:
    return [{"row": number, "url": f"http://a.test/{number}.jpg"} for number in numbers]


def numbers_in(journal: Path) -> list[int]:
    return [number for batch in rows_in_journal(journal) for number in batch.column("row").to_pylist()]


def filled(path: Path, *batches: list[Row]) -> Journal:
    journal = Journal(path, SCHEMA)
    for batch in batches:
        journal.append(batch)
    return journal


def test_a_journal_is_readable_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "rows" / ".00000.journal"
    with filled(path, rows(3, 1)) as journal:
        assert numbers_in(path) == [3, 1]
        journal.append(rows(2))
        assert numbers_in(path) == [3, 1, 2]
        assert journal.rows == 3


def test_a_journal_cut_at_any_byte_gives_back_whole_batches_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    ends = [0]
    journal = Journal(path, SCHEMA)
    for number in range(4):
        journal.append(rows(2 * number, 2 * number + 1))
        ends.append(path.stat().st_size)
    content = path.read_bytes()
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        n_whole = sum(end <= length for end in ends[1:])
        with Journal(path, SCHEMA) as resumed:
            assert resumed.rows == 2 * n_whole, length
            resumed.append(rows(99))
        assert numbers_in(path) == [*range(2 * n_whole), 99], length


@FOLDER_PER_EXAMPLE
@given(
    batches=st.lists(st.lists(st.integers(0, 999), min_size=1, max_size=5), max_size=5),
    cuts=st.lists(st.floats(0, 1), max_size=4),
)
def test_after_any_number_of_deaths_the_rows_are_a_prefix(
    tmp_path: Path, batches: list[list[int]], cuts: list[float]
) -> None:
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    filled(path, *[rows(*batch) for batch in batches]).close()
    expected = [number for batch in batches for number in batch]
    for cut in cuts:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * cut)])
        with Journal(path, SCHEMA):
            found = numbers_in(path)
        assert found == expected[: len(found)]
        expected = found


def test_garbage_where_a_journal_should_be_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for garbage in (b"", b"\0" * 100, b"\xff" * 100, os.urandom(5000)):
        path.write_bytes(garbage)
        with Journal(path, SCHEMA) as journal:
            assert journal.rows == 0
            journal.append(rows(1))
        assert numbers_in(path) == [1]


def test_a_journal_begins_with_what_is_carried_over(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    filled(path, rows(1, 2), rows(3)).close()
    with Journal(path, SCHEMA, [pa.RecordBatch.from_pylist(rows(2), schema=SCHEMA)]) as journal:
        assert journal.rows == 1
    assert numbers_in(path) == [2]


@pytest.mark.parametrize("sort_by", ["row", None])
def test_a_journal_becomes_a_part_and_goes_only_when_told(tmp_path: Path, sort_by: str | None) -> None:
    journal = filled(tmp_path / ".00000.journal", rows(3, 1), rows(2))
    part = tmp_path / part_name(0)
    journal.write_part(part, sort_by=sort_by)
    expected = [1, 2, 3] if sort_by else [3, 1, 2]
    assert read_part(part)["row"].to_pylist() == expected
    assert read_part(part).schema.equals(SCHEMA)
    assert journal.path.exists()
    journal.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["00000.parquet"]


def test_an_empty_journal_becomes_an_empty_part(tmp_path: Path) -> None:
    for sort_by in ("row", None):
        journal = Journal(tmp_path / "journal", SCHEMA)
        journal.write_part(tmp_path / "part.parquet", sort_by=sort_by)
        assert rows_in(tmp_path / "part.parquet") == 0


def test_a_part_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text("old", target)

    def fail_half_way() -> None:
        with beside(target) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_parts_have_five_digits() -> None:
    assert [part_name(index) for index in (0, 41, 123_456)] == [
        "00000.parquet",
        "00041.parquet",
        "123456.parquet",
    ]


def test_a_path_that_looks_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    part = tmp_path / "day=1" / "part.parquet"
    write_table(pa.Table.from_pylist(rows(1), schema=SCHEMA), part)
    assert read_part(part).column_names == ["row", "url"]


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped footer", "text"])
def test_a_damaged_part_is_named(tmp_path: Path, damage: str) -> None:
    part = tmp_path / "00000.parquet"
    write_table(pa.Table.from_pylist(rows(1, 2), schema=SCHEMA), part)
    content = part.read_bytes()
    part.unlink()
    spoilt = {
        "empty": b"",
        "cut": content[:-7],
        "flipped footer": content[:-20] + bytes(byte ^ 0xFF for byte in content[-20:-8]) + content[-8:],
        "text": b"<html>",
    }
    if damage in spoilt:
        part.write_bytes(spoilt[damage])
    for read in (read_part, rows_in):
        with pytest.raises(SnapshotInvalidError, match=r"00000\.parquet cannot be read"):
            read(part)


def test_what_the_file_system_refuses_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file.*(Not a directory|File exists); free space or fix it"):
        write_text("x", tmp_path / "file" / "below.txt")
    with pytest.raises(StorageError, match="No such file"):
        file_digest(tmp_path / "absent")
    with pytest.raises(StorageError, match="it broke"), storage(tmp_path):
        raise OSError("it broke")


FULL_DISK = """
import pathlib, resource, sys
import pyarrow as pa
from poisonscan.errors import StorageError
from poisonscan.store.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
schema = pa.schema([("row", pa.int64()), ("url", pa.string())])
journal = Journal(pathlib.Path(sys.argv[1]), schema)
for number in range(1000):
    try:
        journal.append([{"row": number, "url": "x" * 500}])
    except StorageError as error:
        print(number, error)
        break
try:
    journal.append([{"row": 0, "url": ""}])
except StorageError:
    print("refused")
"""


def test_a_full_disk_costs_nothing_that_was_written(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands in for a disk: writing beyond it fails in the same place."""
    path = tmp_path / "journal"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=600, check=True
    )
    first, second = done.stdout.splitlines()
    assert "free space or fix it, then repeat" in first
    assert second == "refused"
    with Journal(path, pa.schema([("row", pa.int64()), ("url", pa.string())])) as journal:
        assert journal.rows == int(first.split()[0])
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_memory_stays_flat_while_pictures_are_moved(tmp_path: Path) -> None:
    """More than one row group, in the order of arrival."""
    schema = pa.schema([pa.field("sha256", pa.string()), pa.field("bytes", pa.binary())])
    journal = Journal(tmp_path / "journal", schema)
    for number in range(5):
        journal.append([{"sha256": str(number), "bytes": bytes(20 << 20)}])
    journal.write_part(tmp_path / "part.parquet")
    assert pq.read_metadata(tmp_path / "part.parquet").num_row_groups > 1
    assert read_part(tmp_path / "part.parquet", ["sha256"])["sha256"].to_pylist() == list("01234")
