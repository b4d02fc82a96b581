"""Files written whole or not at all, and the one place where the file system's errors are translated."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from poisonscan.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """The one place where the file system's errors become `StorageError`s.

    Raises:
        StorageError: with the path, the system's words and what to do.
    """
    try:
        yield
    except OSError as error:
        words = error.strerror or str(error)
        raise StorageError(f"{error.filename or path}: {words}; free space or fix it, then repeat") from error


@contextmanager
def beside(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path next to `path`, renamed onto it when the block ends without an error.

    Args:
        path: the file to write.
        durable: whether the file must survive a power failure once the block has ended: file and folder
            are then synced. A rename alone may outlive the bytes that it names.

    Raises:
        StorageError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage(path):
        make_folder(path.parent)
        try:
            yield temporary
            if durable:
                sync(temporary)
            temporary.replace(path)
            if durable:
                sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Create a folder, and those above it, so that it survives a power failure.

    Raises:
        OSError: it cannot be created.
    """
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk.

    Raises:
        OSError: the disk did not take them.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(text: str, path: Path) -> None:
    """Write one text file, whole or not at all."""
    with beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def file_digest(path: Path) -> str:
    """sha256 of a file, hex, read in pieces.

    Raises:
        StorageError: the file cannot be read.
    """
    with storage(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
