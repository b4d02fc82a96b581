"""A folder of pictures: every file below it is a row, its relative path is the key."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from poisonscan.errors import ManifestError
from poisonscan.records import ImageRef
from poisonscan.sources.files import printable, read_file
from poisonscan.sources.model import MAX_BYTES, Picture, PicturePlan, PictureSlice

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPANIONS = frozenset(
    {".csv", ".html", ".json", ".jsonl", ".md", ".npy", ".npz", ".parquet", ".pkl", ".tsv", ".txt", ".xml"}
)
"""Suffixes of what lies beside pictures. Any other file is taken for a picture, to be on the safe side."""


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """Pictures in a folder and the folders below it.

    Files whose name, or a folder's in their path, begins with a dot are skipped and counted, and so are
    captions, tables and pages lying beside the pictures. Links to folders are not followed; they and
    links that leave the folder become rows without a body.
    """

    root: Path
    max_bytes: int = field(default=MAX_BYTES)

    def plan(self, shard_rows: int) -> PicturePlan:
        """Cut the files, sorted by relative path, into slices.

        Raises:
            ManifestError: the folder does not exist, cannot be listed or holds no picture.
        """
        skipped: Counter[str] = Counter()
        names = sorted(self._walk(skipped))
        if not names:
            raise ManifestError(f"{self.root} holds no picture; check the path")
        slices = tuple(
            PictureSlice(index, first, len(part), tuple(part))
            for index, first in enumerate(range(0, len(names), shard_rows))
            if (part := names[first : first + shard_rows])
        )
        return PicturePlan(slices, tuple(f"{count} {what}" for what, count in sorted(skipped.items())))

    def rows(self, part: PictureSlice) -> range:
        """The numbers of the rows of a slice."""
        return part.rows

    def read(self, part: PictureSlice) -> Iterator[Picture]:
        """The pictures of a slice; what cannot be read has no body but a reason."""
        for row, name in enumerate(part.names, start=part.first_row):
            found = self._read(name)
            ref = ImageRef(row, printable(name), url="")
            yield Picture(ref, found) if isinstance(found, bytes) else Picture(ref, None, f"the file {found}")

    def _read(self, name: str) -> bytes | str:
        if (self.root / name).is_symlink() and (self.root / name).is_dir():
            return "is a link to a folder, which is not followed"
        return read_file(self.root, name, self.max_bytes)

    def _walk(self, skipped: Counter[str]) -> Iterator[str]:
        for folder, folders, files in os.walk(self.root, onerror=_refuse):
            hidden = [name for name in folders if name.startswith(".")]
            skipped.update(["hidden folders"] * len(hidden))
            folders[:] = [name for name in folders if name not in hidden]
            links = [name for name in folders if (Path(folder) / name).is_symlink()]
            for name in (*files, *links):
                rule = _rule(name)
                if rule is None:
                    yield (Path(folder) / name).relative_to(self.root).as_posix()
                else:
                    skipped[rule] += 1


def _rule(name: str) -> str | None:
    """Why a file is skipped; None when it is taken for a picture."""
    if name.startswith("."):
        return "hidden files"
    suffix = PurePosixPath(name).suffix.lower()
    return f"{suffix} files beside the pictures" if suffix in _COMPANIONS else None


def _refuse(error: OSError) -> None:
    raise ManifestError(f"{error.filename} cannot be listed ({error.strerror}); check the path") from error
