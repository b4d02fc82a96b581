"""Account for every file of a checkpoint, and compare two accounts."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from poisonscan.authenticity.model import Defect, Entry, Listing, Problem
from poisonscan.errors import UsageError
from poisonscan.files import file_digest, storage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""sha256 of no bytes: what a link to a folder is listed with."""


def take_listing(root: Path) -> Listing:
    """Account for every file under a folder, or for one file.

    Links are not followed into folders; a link to a file inside is listed with that file's content.

    Args:
        root: a folder, or one file.

    Raises:
        UsageError: there is nothing there.
        StorageError: a file or a folder cannot be read.
    """
    if not root.exists():
        raise UsageError(f"{root}: there is no such folder or file; give a checkpoint")
    if root.is_file():
        return Listing({root.name: _entry(root)})
    entries: dict[str, Entry] = {}
    defects: list[Defect] = []
    inside = root.resolve()
    for path in sorted(_walk(root)):
        name = path.relative_to(root).as_posix()
        found = _look(path, name, inside)
        if isinstance(found, Defect):
            defects.append(found)
        else:
            entries[name] = found
    return Listing(entries, tuple(defects))


def _walk(root: Path) -> Iterator[Path]:
    """Everything under a folder that is no folder; links are not followed."""

    def fail(error: OSError) -> None:
        raise error

    with storage(root):
        for folder, folders, files in os.walk(root, onerror=fail):
            here = root / os.path.relpath(folder, root)
            yield from (here / name for name in files)
            yield from (here / name for name in folders if (here / name).is_symlink())


def _look(path: Path, name: str, inside: Path) -> Entry | Defect:
    if path.is_symlink():
        return _look_at_link(path, name, inside)
    with storage(path):
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        return Defect(name, Problem.SPECIAL, "neither a file nor a folder: a socket, pipe or device")
    return _entry(path)


def _look_at_link(path: Path, name: str, inside: Path) -> Entry | Defect:
    with storage(path):
        link = os.fspath(path.readlink())
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # a loop is a RuntimeError before Python 3.13
        return Defect(name, Problem.SYMLINK, f"a link to {link}, which leads nowhere")
    if not target.is_relative_to(inside):
        return Defect(name, Problem.SYMLINK, f"a link to {link}, which is outside of the folder")
    if target.is_dir():
        return Entry(0, _NOTHING, link)
    if not target.is_file():
        return Defect(name, Problem.SPECIAL, f"a link to {link}, which is a socket, pipe or device")
    return _entry(target, link)


def _entry(path: Path, link: str = "") -> Entry:
    with storage(path):
        size = path.stat().st_size
    return Entry(size, file_digest(path), link)


def compare_listings(said: Mapping[str, Entry], found: Mapping[str, Entry], where: str) -> Iterator[Defect]:
    """How what is there differs from what was said.

    Args:
        said: what a manifest says.
        found: what is there.
        where: what said it, for the words, e.g. "the manifest".
    """
    for name in sorted(said.keys() | found.keys()):
        if name not in found:
            yield Defect(name, Problem.MISSING, f"{where} has it, and it is not there")
        elif name not in said:
            yield Defect(name, Problem.EXTRA, f"{where} knows no such file")
        elif said[name] != found[name]:
            yield Defect(name, Problem.CHANGED, _difference(said[name], found[name], where))


def _difference(said: Entry, found: Entry, where: str) -> str:
    if said.link != found.link:
        was, now = (f"a link to {entry.link}" if entry.link else "a file" for entry in (said, found))
        return f"{where} says {was}, it is {now}"
    if said.size != found.size:
        return f"{where} says {said.size:,} bytes, it has {found.size:,}"
    return f"its sha256 is not the one in {where}"


def compare_digests(
    said: Mapping[str, str], found: Mapping[str, str], where: str, left_out: Collection[str] = ()
) -> Iterator[Defect]:
    """As `compare_listings`, where only digests are known.

    Args:
        said: digest by path.
        found: the same of what is there.
        where: what said it.
        left_out: paths that `where` leaves out on purpose; git's own files there are noted, others are extra.
    """
    for name in sorted(said.keys() | found.keys()):
        if name not in found:
            yield Defect(name, Problem.MISSING, f"{where} has it, and it is not there")
        elif name in said:
            if said[name] != found[name]:
                yield Defect(name, Problem.CHANGED, f"its digest is not the one in {where}")
        elif not _under(name, left_out):
            yield Defect(name, Problem.EXTRA, f"{where} knows no such file")
        elif _under(name, GIT):
            yield Defect(name, Problem.LEFT_OUT, f"{where} leaves git's own files out")
        else:
            yield Defect(name, Problem.EXTRA, f"{where} leaves it out on purpose, so nobody vouches for it")


GIT = (".git", ".gitattributes", ".github", ".gitignore")
"""What model-signing leaves out of a signature unless told otherwise (its `hashing.Config`, 1.1)."""


def _under(name: str, places: Collection[str]) -> bool:
    """Whether a path is one of some places, or in one of them."""
    return any(name == place or name.startswith(f"{place.rstrip('/')}/") for place in places)
