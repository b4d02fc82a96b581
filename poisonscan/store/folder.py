"""Snapshot and run folders: a JSON document, parts, journals, and a lock.

The document says what the folder was started with. A folder started with other input is refused, a
finished shard is never redone, an unfinished one goes on where its journal ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from poisonscan.errors import (
    IncompleteError,
    RunMismatchError,
    SnapshotInvalidError,
    StorageError,
    UsageError,
)
from poisonscan.files import make_folder, storage, write_text
from poisonscan.records import SCHEMA_VERSION
from poisonscan.store.parts import part_name
from poisonscan.store.receipts import is_done

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SNAPSHOT_DOCUMENT = "snapshot.json"
SNAPSHOT_SIGNATURE = "snapshot.sig"
RUN_DOCUMENT = "run.json"
RUNNING, INTERRUPTED, INCOMPLETE, FINISHED = "running", "interrupted", "incomplete", "finished"
"""States of a folder; `stages.completion` says what each means."""
SETTLED = (INCOMPLETE, FINISHED)
"""States in which every row was asked for, so that the tables are whole."""

_JOURNAL = ".journal"


class Folder:
    """A snapshot or run folder that this process holds the lock of.

    Args:
        path: the folder.
        document_name: `SNAPSHOT_DOCUMENT` or `RUN_DOCUMENT`.
        document: its content.
    """

    def __init__(self, path: Path, document_name: str, document: dict[str, Any]) -> None:
        self.path = path
        self.document = document
        self._document_path = path / document_name

    @property
    def state(self) -> str:
        """Where the folder's work stands: one of the states above."""
        return str(self.document["state"])

    @property
    def finished(self) -> bool:
        """Whether the folder's work is complete."""
        return self.state == FINISHED

    def update(self, **values: object) -> None:
        """Change the document and write it, sealed with a digest of itself."""
        self.document |= values
        self.document.pop("digest", None)
        self.document["digest"] = document_digest(self.document)
        write_text(json.dumps(self.document, indent=2) + "\n", self._document_path)

    def part(self, kind: str, index: int) -> Path:
        """Path of a shard's finished part, e.g. rows/00003.parquet."""
        return part_path(self.path, kind, index)

    def parts(self, kind: str) -> list[Path]:
        """The finished parts of one kind, in order."""
        return sorted((self.path / kind).glob("[0-9]*.parquet"))

    def sweep(self, kind: str) -> None:
        """Remove what killed workers left: temporaries, and journals that outlived their shards.

        Args:
            kind: whose receipts mark shards as done.
        """
        _remove_temporaries(self.path)
        with storage(self.path):
            for journal in self.path.glob(f"*/.*{_JOURNAL}"):
                if is_done(self.path, kind, int(journal.stem.removeprefix("."))):
                    journal.unlink()


def part_path(folder: Path, kind: str, index: int) -> Path:
    """Path of a shard's finished part."""
    return folder / kind / part_name(index)


def journal_path(folder: Path, kind: str, index: int) -> Path:
    """Path of a shard's journal, which exists only while the shard is unfinished."""
    return folder / kind / f".{index:05d}{_JOURNAL}"


@contextmanager
def open_folder(path: Path, document_name: str, identity: Mapping[str, object]) -> Iterator[Folder]:
    """Create a folder, or continue one that was started with the same `identity`.

    A block that ends in an `IncompleteError` leaves the folder `interrupted`.

    Raises:
        UsageError: another process is working in it, or it holds something else.
        RunMismatchError: it was started with other input; names what differs.
        StorageError: it cannot be written.
    """
    with storage(path):
        make_folder(path)
        lock = FileLock(path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise UsageError(
                f"another process is working in {path}; wait for it or choose another --out"
            ) from error
    fresh = not (path / document_name).exists()
    try:
        folder = _start_or_continue(path, document_name, json.loads(json.dumps(identity)))
        _remove_temporaries(path)
        try:
            yield folder
        except IncompleteError:
            _note_interruption(folder)
            raise
    except UsageError:
        if fresh:
            _undo(path, document_name)
        raise
    finally:
        lock.release()


def _note_interruption(folder: Folder) -> None:
    """Write down that a run stopped early, where that can be written."""
    if folder.state == RUNNING:
        with contextlib.suppress(StorageError):  # on a full disk the first cause is what is to be told
            folder.update(state=INTERRUPTED)


def _undo(path: Path, document_name: str) -> None:
    """Forget a folder in which nothing was started, so that the command put right may use it."""
    inside = [item for item in path.iterdir() if item.is_dir()]
    if all(item.name.startswith(".") for item in inside):
        with storage(path):
            (path / document_name).unlink(missing_ok=True)
            for item in inside:
                shutil.rmtree(item)


def _remove_temporaries(path: Path) -> None:
    """Remove what a killed process was writing; the lock is ours, so nobody is writing now."""
    with storage(path):
        for pattern in (".*.tmp", "*/.*.tmp", "*/*/.*.tmp"):
            for temporary in path.glob(pattern):
                temporary.unlink()


def _start_or_continue(path: Path, document_name: str, identity: dict[str, Any]) -> Folder:
    if not (path / document_name).exists():
        # A process killed while it wrote the very first document leaves a temporary and no stranger.
        ours = {".lock", *[item.name for item in path.glob(f".{document_name}.*.tmp")]}
        strangers = sorted({item.name for item in path.iterdir()} - ours)
        if strangers:
            raise UsageError(
                f"{path} is not empty and no folder of ours (it holds {strangers[0]}); choose another --out"
            )
        folder = Folder(path, document_name, {"schema_version": SCHEMA_VERSION, "state": RUNNING})
        folder.update(identity=identity)
        return folder
    folder = Folder(path, document_name, read_document(path, document_name))
    before = folder.document["identity"]
    for name in sorted({*before, *identity}):
        if before.get(name) != identity.get(name):
            old, new = _brief(before.get(name)), _brief(identity.get(name))
            raise RunMismatchError(
                f"{path} was started with another {name} ({old}, now {new}); "
                "repeat the old command or choose another --out"
            )
    return folder


def read_document(path: Path, document_name: str) -> dict[str, Any]:
    """Read and check a folder's document.

    Raises:
        SnapshotInvalidError: it is missing, damaged, altered, or of a newer version.
    """
    return parse_document(document_bytes(path, document_name), path / document_name)


def document_bytes(path: Path, document_name: str) -> bytes:
    """A folder's document as it lies there.

    Raises:
        SnapshotInvalidError: it is missing or cannot be read.
    """
    try:
        return (path / document_name).read_bytes()
    except FileNotFoundError as error:
        what = document_name.removesuffix(".json")
        raise SnapshotInvalidError(f"{path} is no {what} folder: it has no {document_name}") from error
    except OSError as error:
        raise SnapshotInvalidError(f"{path / document_name} cannot be read: {error}") from error


def parse_document(content: bytes, file: Path) -> dict[str, Any]:
    """Check a document that was read.

    Args:
        content: of the file.
        file: where it lay, for the words.

    Raises:
        SnapshotInvalidError: it is damaged, altered, or of a newer version.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SnapshotInvalidError(f"{file} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("digest") != document_digest(document):
        raise SnapshotInvalidError(f"{file} was altered: its digest does not fit its content")
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise SnapshotInvalidError(
            f"{file} has schema version {version}, this program reads {SCHEMA_VERSION}; "
            "use the poisonscan that wrote it"
        )
    return document


def document_digest(document: Mapping[str, object]) -> str:
    """sha256 over the document in canonical JSON, its own digest left out."""
    rest = {name: value for name, value in document.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _brief(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - what fits a terminal line twice
