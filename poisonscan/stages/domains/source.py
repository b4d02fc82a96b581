"""What the verb `domains` may be given: a list, a snapshot or a run; each yields batches of URLs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from poisonscan.errors import SnapshotInvalidError, UsageError
from poisonscan.manifest.model import ColumnMap
from poisonscan.manifest.tables import normalised_batches, open_manifest
from poisonscan.stages.check.owners import VERDICTS
from poisonscan.stages.sealed import finished_snapshot
from poisonscan.stages.snapshot.remember import ROWS
from poisonscan.store.folder import RUN_DOCUMENT, SETTLED, SNAPSHOT_DOCUMENT, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from poisonscan.manifest.model import Manifest


class Origin(StrEnum):
    """What was given."""

    MANIFEST = "manifest"
    SNAPSHOT = "snapshot"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Source:
    """Where URLs come from.

    Attributes:
        origin: what it is.
        path: as given.
        since: the moment at which its pictures were trusted: of the snapshot, or the list's date.
        manifest: the opened list; None for folders.
    """

    origin: Origin
    path: str
    since: datetime | None
    manifest: Manifest | None = None

    def urls(self) -> Iterator[pa.Array]:
        """The URLs of all rows, a batch at a time; null where a row names none.

        Raises:
            ManifestError: a file is damaged.
            SnapshotInvalidError: a part is damaged.
        """
        if self.manifest is None:
            return _of_folder(Path(self.path) / (ROWS if self.origin is Origin.SNAPSHOT else VERDICTS))
        return _of_list(self.manifest)


def open_source(path: str, columns: Mapping[str, str] | None, list_date: datetime | None) -> Source:
    """Find out what a path is.

    Args:
        path: a list in any form that `open_manifest` takes, a finished snapshot, or a finished check.
        columns: of a list, where its dialect is not recognised.
        list_date: of a list.

    Raises:
        UsageError: the run is unfinished or no check, or a folder is given what only a list has.
        ManifestError: the list cannot be used.
        SnapshotInvalidError: the snapshot is unfinished or damaged.
    """
    folder = Path(path)
    for name, origin in ((SNAPSHOT_DOCUMENT, Origin.SNAPSHOT), (RUN_DOCUMENT, Origin.RUN)):
        if (folder / name).is_file():
            if columns or list_date:
                raise UsageError(f"--columns and --list-date describe a list, and {path} is a {origin}")
            return Source(origin, path, _since(folder, origin))
    manifest = open_manifest(path, columns)
    only_urls = dataclasses.replace(manifest, columns=ColumnMap(manifest.columns.url))
    return Source(Origin.MANIFEST, path, list_date, only_urls)


def parse_date(text: str) -> datetime:
    """A date such as 2021-08-20, as its end in UTC, so that nothing of that day counts as later.

    Raises:
        UsageError: it is no date.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--list-date {text}: write a date as 2021-08-20") from error
    whole_day = len(text) <= len("2021-08-20")
    moment = moment.replace(hour=23, minute=59, second=59) if whole_day else moment
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _since(folder: Path, origin: Origin) -> datetime:
    if origin is Origin.SNAPSHOT:
        return datetime.fromisoformat(finished_snapshot(folder)["created_at"])
    document = read_document(folder, RUN_DOCUMENT)
    if document["identity"].get("command") != "check":
        raise UsageError(f"{folder} is no run of check; give a list, a snapshot or a check")
    if document["state"] not in SETTLED:
        raise UsageError(f"run {folder} is unfinished; repeat the command that started it")
    return datetime.fromisoformat(document["snapshot"]["created_at"])


def _of_list(manifest: Manifest) -> Iterator[pa.Array]:
    for file in manifest.files:
        for batch in normalised_batches(manifest, file, 0):
            yield batch.column("url")


def _of_folder(folder: Path) -> Iterator[pa.Array]:
    for part in sorted(folder.glob("[0-9]*.parquet")):
        try:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(columns=["url"]):
                    yield batch.column("url")
        except OSError as error:
            raise SnapshotInvalidError(f"{part} cannot be read: {error}; restore the file") from error
