from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from poisonscan.errors import RunMismatchError, SnapshotInvalidError, StorageError, UsageError
from poisonscan.store.folder import (
    FINISHED,
    RUN_DOCUMENT,
    SNAPSHOT_DOCUMENT,
    Folder,
    document_digest,
    journal_path,
    open_folder,
    part_path,
    read_document,
)
from poisonscan.store.receipts import Receipt, receipt_path, write_receipt

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = {"command": "check", "sample": 10, "compare": {"local_score": 12.0}}


def started(path: Path, **changes: object) -> None:
    with open_folder(path, RUN_DOCUMENT, IDENTITY | changes):
        pass


def rewritten(path: Path, **changes: object) -> None:
    """Change the document and its digest with it."""
    document = json.loads((path / RUN_DOCUMENT).read_text()) | changes
    document["digest"] = document_digest(document)
    (path / RUN_DOCUMENT).write_text(json.dumps(document))


def test_a_folder_is_created_and_continued(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with open_folder(out, RUN_DOCUMENT, IDENTITY) as folder:
        assert not folder.finished
        folder.update(state=FINISHED, counts={"gone": 1})
    with open_folder(out, RUN_DOCUMENT, IDENTITY) as folder:
        assert folder.finished
        assert folder.document["counts"] == {"gone": 1}
    assert read_document(out, RUN_DOCUMENT)["identity"] == IDENTITY


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sample": 11}, r"started with another sample \(10, now 11\)"),
        ({"sample": None}, r"another sample \(10, now null\)"),
        ({"seed": 1}, r"another seed \(null, now 1\)"),
        ({"compare": {"local_score": 13.0}}, r"another compare \(\{\"local_score\": 12.0\}, now"),
    ],
)
def test_other_input_is_refused_and_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    started(tmp_path)
    before = (tmp_path / RUN_DOCUMENT).read_bytes()
    with pytest.raises(RunMismatchError, match=words):
        started(tmp_path, **changes)
    assert (tmp_path / RUN_DOCUMENT).read_bytes() == before


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match=r"not empty.*it holds thesis\.tex.*choose another --out"):
        started(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"thesis.tex", ".lock"}


def test_a_snapshot_is_no_place_for_a_run(tmp_path: Path) -> None:
    with open_folder(tmp_path, SNAPSHOT_DOCUMENT, {}):
        pass
    with pytest.raises(UsageError, match=r"it holds snapshot\.json"):
        started(tmp_path)


def test_what_was_killed_while_it_wrote_the_first_document_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / f".{RUN_DOCUMENT}.123.tmp").write_text("{")
    (tmp_path / ".lock").touch()
    started(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {RUN_DOCUMENT, ".lock"}


def test_temporaries_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    started(tmp_path)
    (tmp_path / "rows").mkdir()
    for name in (
        ".run.json.7.tmp",
        "rows/.00000.parquet.7.tmp",
        "rows/.00001.tmp",
        "work/found/.labels.json.7.tmp",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "rows" / "00000.parquet").touch()
    started(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        ".lock",
        "00000.parquet",
        RUN_DOCUMENT,
    ]


def test_journals_are_swept_once_their_shard_is_done(tmp_path: Path) -> None:
    with open_folder(tmp_path, RUN_DOCUMENT, IDENTITY) as folder:
        for kind in ("observed", "quarantine"):
            (tmp_path / kind).mkdir()
            for index in range(3):
                journal_path(tmp_path, kind, index).touch()
            (tmp_path / kind / ".00000.parquet.77.tmp").touch()
        write_receipt(Receipt(0, {}, {}), receipt_path(tmp_path, "observed", 1))
        part_path(tmp_path, "observed", 2).touch()  # without a receipt: the journals are needed
        part_path(tmp_path, "quarantine", 2).touch()
        folder.sweep("observed")
        left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/.*l"))
    assert left == [f"{kind}/.0000{index}.journal" for kind in ("observed", "quarantine") for index in (0, 2)]


HOLD = """
import sys, pathlib
from poisonscan.store.folder import open_folder
with open_folder(pathlib.Path(sys.argv[1]), "run.json", {}):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(UsageError, match="another process is working in"),
            open_folder(tmp_path, RUN_DOCUMENT, {}),
        ):
            pass
        holder.kill()
    with open_folder(tmp_path, RUN_DOCUMENT, {}) as folder:
        assert not folder.finished


def test_the_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_folder(tmp_path, RUN_DOCUMENT, IDENTITY):
        raise ZeroDivisionError
    started(tmp_path)


def test_a_mistake_before_anything_was_started_leaves_the_folder_free(tmp_path: Path) -> None:
    def mistaken() -> None:
        with open_folder(tmp_path, RUN_DOCUMENT, IDENTITY):
            (tmp_path / ".plan").mkdir()
            raise UsageError("the manifest is truncated")

    with pytest.raises(UsageError, match="truncated"):
        mistaken()
    assert [path.name for path in tmp_path.iterdir()] in ([], [".lock"])
    started(tmp_path, sample=11)


def test_a_mistake_later_costs_nothing_that_was_done(tmp_path: Path) -> None:
    def mistaken() -> None:
        with open_folder(tmp_path, RUN_DOCUMENT, IDENTITY):
            (tmp_path / "rows").mkdir(exist_ok=True)
            raise UsageError("a file of the manifest vanished")

    for _ in range(2):
        with pytest.raises(UsageError, match="vanished"):
            mistaken()
    assert (tmp_path / RUN_DOCUMENT).exists()
    started(tmp_path)


def test_a_document_with_any_byte_flipped_is_refused(tmp_path: Path) -> None:
    with open_folder(tmp_path, RUN_DOCUMENT, IDENTITY) as folder:
        folder.update(state=FINISHED, note="Zürich", counts={"gone": 3})
    path = tmp_path / RUN_DOCUMENT
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x01]) + content[at + 1 :])
        with pytest.raises(SnapshotInvalidError, match=r"run\.json"):
            read_document(tmp_path, RUN_DOCUMENT)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "3", '"text"', "{}", '{"digest": null}', "[" * 100_000]
)
def test_a_damaged_document_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / RUN_DOCUMENT).write_text(content)
    with pytest.raises(SnapshotInvalidError, match=r"run\.json"):
        read_document(tmp_path, RUN_DOCUMENT)


def test_other_versions_are_refused(tmp_path: Path) -> None:
    started(tmp_path)
    for version in (2, None):
        rewritten(tmp_path, schema_version=version)
        with pytest.raises(SnapshotInvalidError, match=f"has schema version {version}, this program reads 1"):
            read_document(tmp_path, RUN_DOCUMENT)


def test_what_is_no_folder_of_ours_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SnapshotInvalidError, match=r"is no snapshot folder: it has no snapshot\.json"):
        read_document(tmp_path, SNAPSHOT_DOCUMENT)
    (tmp_path / "file").touch()
    with pytest.raises(SnapshotInvalidError):
        read_document(tmp_path / "file", SNAPSHOT_DOCUMENT)
    (tmp_path / SNAPSHOT_DOCUMENT).mkdir()
    with pytest.raises(SnapshotInvalidError, match="cannot be read"):
        read_document(tmp_path, SNAPSHOT_DOCUMENT)


@pytest.mark.parametrize("place", ["file/below", "/proc/poisonscan", "/dev/null/x"])
def test_where_no_folder_can_be_is_a_storage_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="free space or fix it"):
        started(tmp_path / place)


def test_names_that_are_no_utf8_can_be_written(tmp_path: Path) -> None:
    odd: Any = os.fsdecode(b"\xff\xfe")
    started(tmp_path, source=odd)
    assert read_document(tmp_path, RUN_DOCUMENT)["identity"]["source"] == odd
    started(tmp_path, source=odd)


def test_parts_are_listed_and_digested_in_order(tmp_path: Path) -> None:
    with open_folder(tmp_path, RUN_DOCUMENT, IDENTITY) as folder:
        assert isinstance(folder, Folder)
        (tmp_path / "rows").mkdir()
        for index in (10, 2):
            folder.part("rows", index).write_bytes(b"abc")
        assert [path.name for path in folder.parts("rows")] == ["00002.parquet", "00010.parquet"]
