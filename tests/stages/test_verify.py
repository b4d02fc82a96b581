"""A snapshot is believed only as long as it is what was sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from poisonscan.errors import PoisonscanError, SnapshotInvalidError
from poisonscan.stages.check.run import Selection, check
from poisonscan.stages.snapshot.take import snapshot_images
from poisonscan.stages.verify import require_intact, verify
from poisonscan.store.folder import SNAPSHOT_DOCUMENT, open_folder

from .test_loop import copied
from .world import config_for, files_in, offline

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Loop


@pytest.fixture
def sealed(loop: Loop, tmp_path: Path) -> Path:
    return copied(loop.snapshot, tmp_path / "sealed")


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x01
    path.write_bytes(content)


def test_an_untouched_snapshot_is_intact(sealed: Path) -> None:
    assert verify(sealed) == []
    assert require_intact(sealed) == len([name for name in files_in(sealed) if name != ".lock"])


def test_one_flipped_byte_anywhere_is_found_and_the_file_named(sealed: Path) -> None:
    names = [name for name in files_in(sealed) if name != ".lock"]
    assert len(names) > 4
    for name in names:
        path = sealed / name
        content = path.read_bytes()
        for at in (0, len(content) // 2, len(content) - 1):
            flip(path, at)
            with pytest.raises(SnapshotInvalidError, match=name) as caught:
                require_intact(sealed)
            assert caught.value.exit_code == 4
            path.write_bytes(content)
    assert verify(sealed) == []


def test_a_missing_and_a_foreign_file_are_named_together(sealed: Path) -> None:
    (sealed / "rows" / "00001.parquet").rename(sealed / "rows" / "00007.parquet")
    (sealed / "rows" / ".hidden").write_text("")
    with pytest.raises(SnapshotInvalidError) as caught:
        require_intact(sealed)
    words = str(caught.value)
    assert "00001.parquet is missing" in words
    assert "00007.parquet does not belong" in words
    assert ".hidden does not belong" in words


def test_a_missing_document_is_no_snapshot(sealed: Path) -> None:
    (sealed / SNAPSHOT_DOCUMENT).unlink()
    with pytest.raises(SnapshotInvalidError, match="is no snapshot folder"):
        verify(sealed)


def test_an_unfinished_snapshot_is_neither_verified_nor_checked(tmp_path: Path) -> None:
    with open_folder(tmp_path / "half", SNAPSHOT_DOCUMENT, {"kind": "web"}):
        pass
    with pytest.raises(SnapshotInvalidError, match="is unfinished; repeat the command that started it"):
        verify(tmp_path / "half")
    with pytest.raises(SnapshotInvalidError, match="is unfinished"):
        check(tmp_path / "half", tmp_path / "run")


@pytest.mark.parametrize(("at", "selection"), [(100, Selection()), (-100, Selection(sample=100))])
def test_a_check_does_not_believe_an_altered_part(
    loop: Loop, sealed: Path, tmp_path: Path, at: int, selection: Selection
) -> None:
    """Wherever the byte lies: in a column or in the footer that is read first."""
    flip(sealed / "rows" / "00001.parquet", at)
    with pytest.raises(SnapshotInvalidError, match=r"00001\.parquet") as caught:
        check(sealed, tmp_path / "run", selection=selection, config=config_for(loop.web))
    assert caught.value.exit_code == 4


def test_a_check_does_not_believe_a_part_that_was_written_anew(
    loop: Loop, sealed: Path, tmp_path: Path
) -> None:
    """A sound Parquet file with another baseline in it, as a patient attacker would leave."""
    part = sealed / "rows" / "00000.parquet"
    table = pq.read_table(part)
    pq.write_table(table.take(list(reversed(range(table.num_rows)))), part)
    with pytest.raises(SnapshotInvalidError, match=r"00000\.parquet was altered"):
        check(sealed, tmp_path / "run", config=config_for(loop.web))


def test_a_check_of_a_snapshot_with_a_part_missing_is_refused(
    loop: Loop, sealed: Path, tmp_path: Path
) -> None:
    (sealed / "rows" / "00000.parquet").unlink()
    with pytest.raises(SnapshotInvalidError, match=r"00000\.parquet is missing from the snapshot"):
        check(sealed, tmp_path / "run", config=config_for(loop.web))


def test_a_kept_picture_must_have_the_digest_it_is_filed_under(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if whoever exchanged it could write the seal anew."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(pictures[0].read_bytes())
    taken = tmp_path / "taken"
    snapshot_images(folder, taken, keep_bytes=True, config=offline())
    part = taken / "bytes" / "00000.parquet"
    table = pq.read_table(part)
    pq.write_table(table.set_column(1, table.schema.field(1), [[b"another picture"]]), part)
    monkeypatch.setattr("poisonscan.stages.verify.file_digest", lambda path: sealed_digest(taken, path))
    assert [problem.split(": ")[1][:26] for problem in verify(taken)] == [
        "the picture filed as " + digest_of(taken)
    ]


def digest_of(taken: Path) -> str:
    return str(pq.read_table(taken / "bytes" / "00000.parquet")["sha256"][0].as_py())[:5]


def sealed_digest(taken: Path, path: Path) -> str:
    from poisonscan.store.folder import read_document  # noqa: PLC0415 - for the forged seal alone

    parts: dict[str, str] = read_document(taken, SNAPSHOT_DOCUMENT)["parts"]
    return parts[path.relative_to(taken).as_posix()]


def test_all_of_it_is_one_kind_of_error(sealed: Path) -> None:
    flip(sealed / SNAPSHOT_DOCUMENT, 40)
    with pytest.raises(PoisonscanError):
        require_intact(sealed)
