"""Whatever happens to a journal: what is read back of it was written, in that order, from the start."""

from __future__ import annotations

import errno
import itertools
import os
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poisonscan.errors import StorageError
from poisonscan.store.journal import Journal, JournalReader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from poisonscan.store.rows import Row

SCHEMA = pa.schema([pa.field("row", pa.int64(), nullable=False), pa.field("url", pa.string())])
FOLDER_PER_EXAMPLE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
BATCHES, ROWS_A_BATCH = 12, 5


def rows(*numbers: int) -> list[Row]:
    return [{"row": number, "url": f"http://a.test/{number}.jpg"} for number in numbers]


def written(path: Path) -> list[int]:
    """A journal of several batches; the place in the file where each frame ends, the schema's first."""
    journal = Journal(path, SCHEMA, [])
    ends = [path.stat().st_size]
    for number in range(BATCHES):
        journal.append(rows(*range(number * ROWS_A_BATCH, (number + 1) * ROWS_A_BATCH)))
        ends.append(path.stat().st_size)
    journal.close()
    return ends


def read(path: Path) -> tuple[list[int], str]:
    reader = JournalReader(path, SCHEMA)
    return [n for batch in reader for n in batch.rows["row"].to_pylist()], reader.damage


@FOLDER_PER_EXAMPLE
@given(st.data())
def test_damage_anywhere_costs_what_is_behind_it_and_is_named(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "journal"
    ends = written(path)
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.sampled_from([1, 8, 512, 4096]))
    noise = data.draw(st.one_of(st.just(bytes(length)), st.binary(min_size=length, max_size=length)))
    spoilt = content[:place] + noise[: len(content) - place] + content[place + length :]
    path.write_bytes(spoilt)
    found, damage = read(path)
    first = next(
        (at for at, pair in enumerate(zip(content, spoilt, strict=True)) if len(set(pair)) > 1), None
    )
    if first is None:
        assert (len(found), damage) == (BATCHES * ROWS_A_BATCH, "")
        return
    sound = sum(end <= first for end in ends[1:])
    assert found == list(range(sound * ROWS_A_BATCH))
    assert "byte" in damage


@FOLDER_PER_EXAMPLE
@given(st.data())
def test_frames_that_are_swapped_lost_or_repeated_are_damage(tmp_path: Path, data: st.DataObject) -> None:
    """Each frame has its own checksum; what shows the order is that it goes on from the one before."""
    path = tmp_path / "journal"
    ends = [0, *written(path)]
    content = path.read_bytes()
    frames = [content[start:end] for start, end in itertools.pairwise(ends)]
    order = data.draw(st.permutations(range(1, len(frames))))
    kept = [0, *order[: data.draw(st.integers(1, len(order)))]]
    if data.draw(st.booleans()):
        kept.append(kept[-1])
    path.write_bytes(b"".join(frames[number] for number in kept))
    in_order = next((n for n, number in enumerate(kept) if number != n), len(kept))
    found, damage = read(path)
    assert found == list(range((in_order - 1) * ROWS_A_BATCH))
    assert bool(damage) == (in_order < len(kept))


def test_a_journal_that_breaks_off_is_no_damage(tmp_path: Path) -> None:
    """A killed process leaves that; a tail of zeros is what a power failure leaves."""
    path = tmp_path / "journal"
    ends = written(path)
    content = path.read_bytes()
    for length in (0, 10, ends[0], ends[3] + 1, ends[5], len(content) - 1):
        path.write_bytes(content[:length])
        assert read(path) == (list(range(max(sum(end <= length for end in ends) - 1, 0) * ROWS_A_BATCH)), "")
    path.write_bytes(content[: ends[4]] + bytes(4096))
    found, damage = read(path)
    assert found == list(range(4 * ROWS_A_BATCH))
    assert f"byte {ends[4]:,} is no frame" in damage


def test_a_journal_of_other_columns_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    written(path)
    reader = JournalReader(path, pa.schema([("row", pa.int64())]))
    assert list(reader) == []
    assert "other columns" in reader.damage


def test_what_a_row_needs_beside_it_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, SCHEMA, [pa.RecordBatch.from_pylist(rows(0), schema=SCHEMA)], needs=3) as journal:
        journal.append(rows(1), needs=4)
    assert [batch.needs for batch in JournalReader(path)] == [3, 4]


def test_a_journal_damaged_while_it_is_in_use_becomes_no_part(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, SCHEMA, [])
    journal.append(rows(1, 2))
    journal.append(rows(3))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"was damaged while it was in use .* asks for the rows"):
        journal.write_part(tmp_path / "part.parquet", sort_by="row")
    assert not (tmp_path / "part.parquet").exists()


def test_the_first_cause_of_a_failed_write_is_what_every_later_one_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal", SCHEMA, [])
    journal.append(rows(1))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        with pytest.raises(StorageError, match="No space left on device; free space"):
            journal.append(rows(2))
    with pytest.raises(StorageError, match="No space left on device; free space"):
        journal.append(rows(3))
    with pytest.raises(StorageError, match="No space left on device; free space"):
        journal.sync()
    journal.close()
    assert read(tmp_path / "journal") == ([1], "")


def test_a_frame_that_the_file_system_takes_in_pieces_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writev = os.writev

    def little(handle: int, pieces: Sequence[memoryview]) -> int:
        return writev(handle, [pieces[0][:7]])

    monkeypatch.setattr(os, "writev", little)
    written(tmp_path / "journal")
    assert read(tmp_path / "journal") == (list(range(BATCHES * ROWS_A_BATCH)), "")
