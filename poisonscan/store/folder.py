"""Snapshot and run folders: a JSON document, parts, journals, and a lock.

The document says what the folder was started with. A folder started with other input is refused, a
finished shard is never redone, an unfinished one goes on where its journal ends.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from poisonscan.errors import RunMismatchError, SnapshotInvalidError, UsageError
from poisonscan.files import file_digest, storage, write_text
from poisonscan.records import SCHEMA_VERSION
from poisonscan.store.parts import part_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SNAPSHOT_DOCUMENT = "snapshot.json"
SNAPSHOT_SIGNATURE = "snapshot.sig"
RUN_DOCUMENT = "run.json"
RUNNING, FINISHED = "running", "finished"

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
    def finished(self) -> bool:
        """Whether the folder's work is complete."""
        return bool(self.document["state"] == FINISHED)

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
            kind: whose parts mark shards as done.
        """
        _remove_temporaries(self.path)
        with storage(self.path):
            for journal in self.path.glob(f"*/.*{_JOURNAL}"):
                if self.part(kind, int(journal.stem.removeprefix("."))).exists():
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

    Raises:
        UsageError: another process is working in it, or it holds something else.
        RunMismatchError: it was started with other input; names what differs.
        StorageError: it cannot be written.
    """
    with storage(path):
        path.mkdir(parents=True, exist_ok=True)
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
        yield folder
    except UsageError:
        if fresh:
            _undo(path, document_name)
        raise
    finally:
        lock.release()


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
        for pattern in (".*.tmp", "*/.*.tmp"):
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
    file = path / document_name
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        what = document_name.removesuffix(".json")
        raise SnapshotInvalidError(f"{path} is no {what} folder: it has no {document_name}") from error
    except (OSError, ValueError, RecursionError) as error:
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


def digest_parts(folder: Path, paths: list[Path]) -> dict[str, str]:
    """sha256 of each part, by path relative to the folder."""
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in paths}


def _brief(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - what fits a terminal line twice
