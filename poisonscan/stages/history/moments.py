"""The looks at a list that a history is made of: snapshots and runs, in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poisonscan.errors import SnapshotInvalidError, UsageError
from poisonscan.stages.diff.sides import sealed_parts
from poisonscan.stages.sealed import finished_snapshot
from poisonscan.store.folder import RUN_DOCUMENT, SETTLED, SNAPSHOT_DOCUMENT, read_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST_MOMENTS = 3
"""A picture, something else, and the picture again."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at all rows of a list.

    Attributes:
        name: the folder, as it was named by whoever asked.
        path: the same, resolved.
        at: when it was started, ISO 8601 in UTC.
        origin: digest of the snapshot that it is, or was compared with.
        list_digest: of the list; of the snapshot where there is no list.
        is_snapshot: whether it is a snapshot.
    """

    name: str
    path: Path
    at: str
    origin: str
    list_digest: str
    is_snapshot: bool

    def parts(self, kind: str) -> list[Path]:
        """The parts of a run of that kind, or those that hold a snapshot's rows.

        Raises:
            SnapshotInvalidError: a snapshot's part does not have its sealed digest, or a run's are missing.
        """
        if self.is_snapshot:
            return sealed_parts(self.path)
        found = sorted((self.path / kind).glob("[0-9]*.parquet"))
        if not found:
            raise SnapshotInvalidError(f"run {self.name} has lost its {kind}; restore it")
        return found


def moments_of(folders: Sequence[Path]) -> list[Moment]:
    """The runs and snapshots named, with the snapshots of the runs, oldest first.

    Raises:
        UsageError: a folder is an unfinished run or none of a check, is named twice, belongs to another
            list than the first, or there are fewer than three looks.
        SnapshotInvalidError: a folder is neither run nor snapshot, is damaged, or a run's snapshot is
            missing or was changed.
    """
    found: dict[Path, Moment] = {}
    for folder in folders:
        if folder.resolve() in found:
            raise UsageError(f"{folder} is named twice; name each run once")
        found[folder.resolve()] = _moment(folder)
    for run in [moment for moment in found.values() if not moment.is_snapshot]:
        snapshot = _snapshot_of(run)
        found.setdefault(snapshot.path, snapshot)
    moments = sorted(found.values(), key=lambda moment: (moment.at, moment.name))
    _require_one_list(moments)
    if len(moments) < LEAST_MOMENTS:
        raise UsageError(
            f"a picture that went and came back takes three looks, snapshots included, and these are "
            f"{len(moments)}; name further runs of the same list"
        )
    return moments


def _moment(folder: Path) -> Moment:
    if (folder / SNAPSHOT_DOCUMENT).exists():
        return _snapshot(folder)
    document = read_document(folder, RUN_DOCUMENT)
    if document["identity"].get("command") != "check":
        raise UsageError(f"{folder} is no run of check; name runs of check and snapshots")
    if document["state"] not in SETTLED:
        raise UsageError(f"run {folder} is unfinished; repeat the command that started it")
    origin = document["identity"]["snapshot_digest"]
    digest = document["manifest"]["sha256"] or origin
    return Moment(str(folder), folder.resolve(), document["started_at"], origin, digest, is_snapshot=False)


def _snapshot(folder: Path) -> Moment:
    document = finished_snapshot(folder)
    digest = document["identity"].get("manifest") or document["digest"]
    return Moment(
        str(folder), folder.resolve(), document["created_at"], document["digest"], digest, is_snapshot=True
    )


def _snapshot_of(run: Moment) -> Moment:
    identity: Mapping[str, Any] = read_document(run.path, RUN_DOCUMENT)["identity"]
    snapshot = _snapshot(Path(identity["snapshot"]))
    if snapshot.origin != run.origin:
        raise SnapshotInvalidError(
            f"{snapshot.name} is no longer the snapshot that run {run.name} was made of; restore it"
        )
    return snapshot


def _require_one_list(moments: Sequence[Moment]) -> None:
    first = moments[0]
    for other in moments[1:]:
        if other.list_digest != first.list_digest:
            raise UsageError(
                f"{other.name} is of another list than {first.name} (sha256 {other.list_digest[:12]}..., "
                f"not {first.list_digest[:12]}...); name looks at one list"
            )
