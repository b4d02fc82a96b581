"""The two sides of a diff: what each is, and its fingerprints, whether stored before or taken now."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from poisonscan.errors import SnapshotInvalidError, UsageError
from poisonscan.files import file_digest, storage
from poisonscan.sources.images import ImageFolder
from poisonscan.sources.img2dataset import Img2datasetShards
from poisonscan.sources.kept import KeptBytes
from poisonscan.stages.sealed import finished_snapshot
from poisonscan.stages.snapshot.remember import ROWS
from poisonscan.stages.snapshot.take import snapshot_images, snapshot_shards
from poisonscan.store.folder import RUN_DOCUMENT, SNAPSHOT_DOCUMENT

if TYPE_CHECKING:
    from poisonscan.config import Config
    from poisonscan.sources.model import PictureSource
    from poisonscan.stages.watch import Watch

_SHARD = re.compile(r".*\.tar|\d{5,}\.parquet")
"""Names that only img2dataset's output has: a tar, or the table beside a shard."""


class Kind(StrEnum):
    """What a side of a diff is."""

    IMAGES = "images"
    SHARDS = "shards"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a diff.

    Attributes:
        name: "OLD" or "NEW", for messages.
        path: the folder.
        kind: what it holds.
    """

    name: str
    path: Path
    kind: Kind


def side(name: str, path: Path, kind: str | None) -> Side:
    """A side of the kind asked for, or of the kind that the folder looks like.

    Raises:
        UsageError: the folder does not exist, is no side of a diff, or the kind is unknown.
    """
    if not path.is_dir():
        raise UsageError(
            f"{name} {path} is no folder; name an image folder, img2dataset shards or a snapshot"
        )
    if kind is None:
        return Side(name, path, _detected(name, path))
    if kind not in set(Kind):
        raise UsageError(f"{name} cannot be of kind {kind!r}; use one of {', '.join(Kind)}")
    return Side(name, path, Kind(kind))


def _detected(name: str, path: Path) -> Kind:
    if (path / SNAPSHOT_DOCUMENT).exists():
        return Kind.SNAPSHOT
    if (path / RUN_DOCUMENT).exists():
        raise UsageError(f"{name} {path} is a run folder, which keeps no baseline; name a snapshot instead")
    return Kind.SHARDS if any(_SHARD.fullmatch(item.name) for item in path.iterdir()) else Kind.IMAGES


def state_of(part: Side) -> str:
    """A digest that changes when the side changes: so that a diff is not continued on other pictures.

    For a snapshot its own digest; for pictures the names, sizes and times of change of all files.
    """
    if part.kind is Kind.SNAPSHOT:
        return str(finished_snapshot(part.path)["digest"])
    total = hashlib.sha256()
    with storage(part.path):
        for folder, folders, files in os.walk(part.path):
            folders.sort()
            for name in sorted(files):
                path = Path(folder) / name
                found = path.lstat()
                total.update(os.fsencode(path.relative_to(part.path)))
                total.update(f"\0{found.st_size} {found.st_mtime_ns}\0".encode())
    return total.hexdigest()


def fingerprints(part: Side, folder: Path, config: Config, watch: Watch) -> list[Path]:
    """Parquet parts with the columns of SNAPSHOT_ROWS, one line a row of the side.

    Pictures are fingerprinted into a snapshot at `folder`, which a second call continues.

    Raises:
        SnapshotInvalidError: the side is a snapshot that is unfinished, damaged or altered.
        ManifestError: the side holds no picture.
        IncompleteError: interrupted, or the disk is full; the same call continues.
    """
    if part.kind is Kind.SNAPSHOT:
        return sealed_parts(part.path)
    take = snapshot_images if part.kind is Kind.IMAGES else snapshot_shards
    take(part.path, folder, config=config, watch=watch)
    return sorted((folder / ROWS).glob("[0-9]*.parquet"))


def pictures_of(part: Side) -> PictureSource | None:
    """Where the pictures of a side are on disk; None of a snapshot that kept none."""
    if part.kind is Kind.SNAPSHOT:
        kept = finished_snapshot(part.path)["identity"].get("keep_bytes")
        return KeptBytes(part.path) if kept else None
    return ImageFolder(part.path) if part.kind is Kind.IMAGES else Img2datasetShards(part.path)


def sealed_parts(snapshot: Path) -> list[Path]:
    """The parts of a snapshot that hold rows, in order.

    Raises:
        SnapshotInvalidError: the snapshot is unfinished, or a part does not have its sealed digest.
    """
    parts: dict[str, str] = finished_snapshot(snapshot)["parts"]
    rows = {name: digest for name, digest in parts.items() if name.startswith(f"{ROWS}/")}
    for name, digest in rows.items():
        path = snapshot / name
        if not path.exists() or file_digest(path) != digest:
            raise SnapshotInvalidError(
                f"{path} is missing or was altered: its digest does not fit {SNAPSHOT_DOCUMENT}; restore it"
            )
    return [snapshot / name for name in sorted(rows)]
