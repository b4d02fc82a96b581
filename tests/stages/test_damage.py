"""What a bad disk or a power failure leaves of a run: it is named, done again, and never sealed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from poisonscan.engine.shards import ShardDone, interrupted
from poisonscan.errors import InterruptedRunError, SnapshotInvalidError, StorageError
from poisonscan.stages import rows as working
from poisonscan.stages.snapshot import take
from poisonscan.stages.snapshot.take import snapshot_images
from poisonscan.stages.verify import verify
from poisonscan.stages.watch import Silent
from poisonscan.store.folder import journal_path
from poisonscan.store.journal import rows_in_journal
from poisonscan.store.receipts import receipt_path

from .test_loop import copied
from .world import draw_pictures, leftovers, offline, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from poisonscan.engine.shards import Event, Task

PICTURES, SHARD_ROWS, BEGUN = 60, 25, 10


class Told(Silent):
    """Keeps what a person is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, words: str) -> None:
        self.notes.append(words)


class Asked:
    """The context of a task that is told to stop when it is about to take one more picture than these."""

    share = 1

    def __init__(self, pictures: int) -> None:
        self._left = pictures

    def advance(self, counts: Mapping[str, int]) -> None:
        pass

    def stopping(self) -> bool:
        self._left -= 1
        return self._left < 0


class StoppedInShard1:
    """An engine in this process that is stopped at a place that does not depend on how fast it works."""

    def run(self, task: Task[Any], shards: Sequence[Any]) -> Iterator[Event[Any]]:
        for shard in shards[:2]:
            task(shard, Asked(PICTURES if shard.index == 0 else BEGUN))
            yield ShardDone(shard)
        raise interrupted()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "images"
    draw_pictures(folder, PICTURES, (64, 48))
    return folder


def take_it(images: Path, out: Path) -> list[str]:
    """Take or go on with the snapshot; what a person is told."""
    told = Told()
    snapshot_images(images, out, keep_bytes=True, config=offline(SHARD_ROWS), watch=told)
    return told.notes


@pytest.fixture(scope="module")
def right(images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("right") / "then"
    assert take_it(images, out) == []
    return contents(out)


@pytest.fixture(scope="module")
def begun(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One shard is done, the second has a journal."""
    out = tmp_path_factory.mktemp("begun") / "then"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(working, "_engine", lambda _: StoppedInShard1())
        with pytest.raises(InterruptedRunError):
            take_it(images, out)
    assert receipt_path(out, "rows", 0).exists()
    found = [batch.num_rows for batch in rows_in_journal(journal_path(out, "rows", 1))]
    assert sum(found) == BEGUN
    assert not journal_path(out, "rows", 2).exists()
    return out


def contents(out: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows, and the pictures in an order that does not depend on which was decoded first."""
    return {"rows": read(out, "rows"), "bytes": sorted(read(out, "bytes"), key=lambda row: row["sha256"])}


def assert_right(out: Path, right: Mapping[str, object]) -> None:
    assert contents(out) == right
    assert verify(out) == []
    assert leftovers(out) == []


def hole(share: float, size: int = 4096) -> Callable[[bytes], bytes]:
    def spoil(content: bytes) -> bytes:
        place = int(len(content) * share)
        return content[:place] + bytes(min(size, len(content) - place)) + content[place + size :]

    return spoil


def bit(share: float) -> Callable[[bytes], bytes]:
    def spoil(content: bytes) -> bytes:
        place = int(len(content) * share)
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    return spoil


DAMAGE: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("rows/.00001.journal", bit(0.02), "00001.journal is damaged"),
    ("rows/.00001.journal", bit(0.7), "00001.journal is damaged"),
    ("rows/.00001.journal", hole(0.4), "00001.journal is damaged"),
    ("rows/.00001.journal", hole(0.0), "the 0 rows before it are kept"),
    ("bytes/.00001.journal", bit(0.5), "bytes/.00001.journal is damaged"),
    ("bytes/.00001.journal", hole(0.5), "bytes/.00001.journal is damaged"),
    ("bytes/.00001.journal", lambda _: b"", ""),
    ("rows/.00001.journal", lambda content: content[: len(content) // 2], ""),
    ("rows/.00000.done", bit(0.5), "its receipt is damaged"),
    ("rows/.00000.done", lambda _: b"", "its receipt is damaged"),
    ("rows/00000.parquet", lambda _: b"", "has 0 bytes"),
    ("rows/00000.parquet", lambda content: content[:20_000], "has 20,000 bytes"),
    ("rows/00000.parquet", hole(0.5), "is not what was written"),
    ("bytes/00000.parquet", bit(0.5), "is not what was written"),
]


@pytest.mark.parametrize(("name", "spoil", "words"), DAMAGE)
def test_damage_is_named_and_done_again(
    begun: Path,
    images: Path,
    right: Mapping[str, object],
    tmp_path: Path,
    name: str,
    spoil: Callable[[bytes], bytes],
    words: str,
) -> None:
    out = copied(begun, tmp_path / "then")
    (out / name).write_bytes(spoil((out / name).read_bytes()))
    told = take_it(images, out)
    assert any(words in note for note in told) if words else told == []
    assert_right(out, right)


@pytest.mark.parametrize("name", ["rows/.00000.done", "rows/00000.parquet", "bytes/00000.parquet"])
def test_what_a_power_failure_took_is_done_again(
    begun: Path, images: Path, right: Mapping[str, object], tmp_path: Path, name: str
) -> None:
    out = copied(begun, tmp_path / "then")
    (out / name).unlink()
    (note,) = take_it(images, out)
    assert "shard 0" in note
    assert "done again" in note
    assert_right(out, right)


def test_rows_of_another_shard_are_not_believed(
    begun: Path, images: Path, right: Mapping[str, object], tmp_path: Path
) -> None:
    """A journal whose checksums are all right, under another shard's name."""
    out = copied(begun, tmp_path / "then")
    for kind in ("rows", "bytes"):
        journal_path(out, kind, 1).rename(journal_path(out, kind, 2))
    take_it(images, out)
    assert_right(out, right)


def test_a_part_that_does_not_read_back_is_not_sealed(
    images: Path, right: Mapping[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk damages a part after it was written: the digest taken while writing shows it."""
    run, rounds = working._run, []

    def on_a_bad_disk(*arguments: Any) -> None:  # noqa: ANN401 - of the function that it stands in for
        run(*arguments)
        rounds.append(1)
        if len(rounds) == 1:
            part = arguments[0].part("rows", 1)
            part.write_bytes(hole(0.5)(part.read_bytes()))

    monkeypatch.setattr(working, "_run", on_a_bad_disk)
    (note,) = take_it(images, tmp_path / "then")
    assert "rows/00001.parquet is not what was written; it is done again" in note
    assert len(rounds) == 2
    assert_right(tmp_path / "then", right)


def test_a_disk_that_never_reads_back_is_blamed(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "damaged_part", lambda *_: "rows/00000.parquet")
    with pytest.raises(StorageError, match="did not read back 3 times; check the disk"):
        take_it(images, tmp_path / "then")
    document = json.loads((tmp_path / "then" / "snapshot.json").read_text())
    assert document["state"] == "interrupted"
    assert "parts" not in document


def test_a_damaged_document_is_refused(begun: Path, images: Path, tmp_path: Path) -> None:
    out = copied(begun, tmp_path / "then")
    document = out / "snapshot.json"
    document.write_bytes(bit(0.5)(document.read_bytes()))
    with pytest.raises(SnapshotInvalidError, match=r"snapshot\.json"):
        take_it(images, out)


def test_killed_after_the_seal_and_before_its_receipts_are_gone(
    images: Path, right: Mapping[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "then"
    with monkeypatch.context() as patch:
        patch.setattr(take, "remove_receipts", lambda *_: None)
        take_it(images, out)
    assert verify(out) == []
    assert contents(out) == right
