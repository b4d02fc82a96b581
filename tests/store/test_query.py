from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest

from poisonscan.errors import StorageError
from poisonscan.store.parts import write_table
from poisonscan.store.query import rows_of, tables

if TYPE_CHECKING:
    from pathlib import Path


def filled(folder: Path) -> Path:
    for index in range(2):
        table = pa.table({"row": [2 * index, 2 * index + 1], "verdict": ["gone", "identical"]})
        write_table(table, folder / "verdicts" / f"{index:05d}.parquet")
    return folder


@pytest.mark.parametrize("name", ["run", "run [1]", "wh*t?", "o'clock", "row=5", "Zürich"])
def test_all_parts_are_one_table_wherever_the_folder_is(tmp_path: Path, name: str) -> None:
    folder = filled(tmp_path / name)
    with tables(folder, "verdicts") as connection:
        found = rows_of(connection, "SELECT row FROM verdicts WHERE verdict = ? ORDER BY row", "gone")
    assert found == [{"row": 0}, {"row": 2}]


def test_hidden_files_are_no_parts(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    (folder / "verdicts" / ".00009.parquet.1.tmp").write_bytes(b"half a part")
    with tables(folder, "verdicts") as connection:
        assert rows_of(connection, "SELECT count(*) AS n FROM verdicts") == [{"n": 4}]


def test_a_missing_or_damaged_part_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be queried"), tables(tmp_path, "verdicts"):
        pass
    folder = filled(tmp_path)
    (folder / "verdicts" / "00001.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(StorageError, match="cannot be queried"), tables(folder, "verdicts") as connection:
        rows_of(connection, "SELECT sum(row) FROM verdicts")


def test_a_plain_error_is_one_of_files_and_a_wrong_statement_is_ours(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Footer length"), tables(filled(tmp_path), "verdicts"):
        raise duckdb.Error("Footer length error in file")
    with pytest.raises(duckdb.ParserException), tables(tmp_path, "verdicts") as connection:
        rows_of(connection, "SELEC 1")


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with tables(filled(tmp_path), "verdicts") as connection:
        rows_of(connection, "SELECT verdict, count(*) FROM verdicts GROUP BY verdict")
    assert [path.name for path in tmp_path.iterdir()] == ["verdicts"]
