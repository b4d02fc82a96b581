"""export: the manifest without the rows that a check found wanting, and a list of those with reasons."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from poisonscan.errors import ManifestError, SnapshotInvalidError, UsageError
from poisonscan.files import beside, storage
from poisonscan.manifest.files import digest
from poisonscan.manifest.model import CANONICAL
from poisonscan.manifest.tables import open_manifest
from poisonscan.stages.common import Summary, pace
from poisonscan.stages.diff.sides import sealed_parts
from poisonscan.stages.export.choosing import kept_verdicts
from poisonscan.stages.export.cleaning import Chosen, copy_rows
from poisonscan.stages.export.fates import Fates, Rules, split
from poisonscan.stages.export.flaps import require_history_of
from poisonscan.stages.export.readmission import readmitted
from poisonscan.stages.sealed import finished_snapshot
from poisonscan.store.folder import FINISHED, RUN_DOCUMENT, RUNNING, SETTLED, open_folder, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from poisonscan.manifest.model import Manifest

EXPORT_DOCUMENT = "export.json"
MANIFEST, UIDS = "manifest", "uids.npy"
UID_TYPE = np.dtype("u8,u8")
"""A DataComp uid: the high and the low half of 32 hexadecimal digits, as its resharder reads them
(https://github.com/mlfoundations/datacomp, resharder.py)."""

_WORK = ".work"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows of a run an export keeps.

    Attributes:
        keep, drop: names of groups and verdicts; see `choosing.kept_verdicts`.
        readmit: SQL conditions over the verdicts; a row for which one is true is kept whatever its verdict.
    """

    keep: tuple[str, ...] = ("clean",)
    drop: tuple[str, ...] = ()
    readmit: tuple[str, ...] = ()


def export(
    run: Path,
    out: Path,
    *,
    choice: Choice = Choice(),
    history: Path | None = None,
    manifest: str | None = None,
) -> Summary:
    """Write the cleaned manifest, the quarantine list, refreshed hashes and, for DataComp, the uids.

    Every row of the manifest ends in exactly one of `manifest/` and `quarantine.parquet`. Rows that were
    marked keep or drop in the explorer go where the mark says; those marked watch are listed in
    `watched.parquet`.

    Args:
        run: the finished folder of a check.
        out: the folder to write; one that holds an export of the same run is written anew.
        choice: which rows to keep.
        history: folder that `history` wrote, with the run among its looks: rows that it says to drop are
            quarantined, and so are those that the run saw while they showed something else for a while; rows
            that it says to take from the later look stay where the run saw that picture.
        manifest: where the manifest lies now, if it is not where the snapshot found it.

    Raises:
        UsageError: the run is unfinished or no check, a name or rule of the choice makes no sense, or
            the history does not know the run.
        SnapshotInvalidError: the run's snapshot is missing, damaged or another one.
        ManifestError: the manifest is missing, or not the one of which the snapshot was taken.
        RunMismatchError: `out` holds the export of another run.
        StorageError: `out` cannot be written.
    """
    started = time.monotonic()
    kept = kept_verdicts(choice.keep, choice.drop)
    document = _finished_check(run)
    if history is not None:
        require_history_of(run, history)
    snapshot = _snapshot_of(document)
    source = _unaltered_manifest(finished_snapshot(snapshot)["identity"], manifest)
    identity = {"command": "export", "run": str(run.resolve()), "run_digest": document["digest"]}
    with open_folder(out, EXPORT_DOCUMENT, identity) as folder:
        work = out / _WORK
        told = {} if history is None else {"history": str(history.resolve())}
        folder.update(state=RUNNING, choice=asdict(choice) | told)
        rules = Rules(kept, readmitted(run, choice.readmit, work), history)
        fates = split(run, sealed_parts(snapshot), rules, out, work)
        _copy(source, out, fates)
        uids = _write_uids(fates, out / UIDS) if _has_uids(source) else None
        with storage(work):
            shutil.rmtree(work)
        folder.update(state=FINISHED, kept=fates.kept, quarantined=fates.quarantined)
    return _summary(out, fates, uids, time.monotonic() - started)


def _finished_check(run: Path) -> dict[str, Any]:
    document = read_document(run, RUN_DOCUMENT)
    if document["identity"].get("command") != "check":
        raise UsageError(f"{run} is no run of check, so it has no manifest to clean; name one that is")
    if document["state"] not in SETTLED:
        raise UsageError(f"run {run} is unfinished; repeat the command that started it")
    return document


def _snapshot_of(document: Mapping[str, Any]) -> Path:
    """The snapshot that a run was checked against."""
    identity = document["identity"]
    path = Path(identity["snapshot"])
    if finished_snapshot(path)["digest"] != identity["snapshot_digest"]:
        raise SnapshotInvalidError(f"{path} is no longer the snapshot that the run was made of; restore it")
    return path


def _unaltered_manifest(identity: Mapping[str, Any], source: str | None) -> Manifest:
    """The manifest of a snapshot, opened as it was then."""
    if "manifest" not in identity:
        raise UsageError(
            f"the run's snapshot was taken of {identity['source']}, which is no manifest to clean"
        )
    custom = identity["dialect"] == "custom"
    columns = {name: identity["columns"].get(name, "") for name in CANONICAL} if custom else None
    manifest = open_manifest(source or identity["source"], columns)
    if digest(manifest) != identity["manifest"]:
        raise ManifestError(
            f"{manifest.source} was altered since the snapshot was taken; restore it, or name a copy "
            "with --manifest"
        )
    return manifest


def _copy(manifest: Manifest, out: Path, fates: Fates) -> None:
    """Write the cleaned manifest and make sure that no row was lost on the way."""
    seen, written = copy_rows(manifest, out / MANIFEST, Chosen(_numbers(fates.kept_rows)))
    if seen != fates.rows or written != fates.kept:
        raise ManifestError(
            f"{manifest.source} has {seen} rows, of which {written} were to be kept, but the snapshot has "
            f"{fates.rows} and {fates.kept}; take the snapshot anew"
        )


def _numbers(path: Path) -> Iterator[NDArray[np.int64]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield batch.column("row").to_numpy()


def _has_uids(manifest: Manifest) -> bool:
    return (manifest.columns.key or "").lower() == "uid"


def _write_uids(fates: Fates, path: Path) -> int:
    """Write the kept uids, sorted, as DataComp's tools take a subset; how many there are."""
    with pq.ParquetFile(fates.kept_uids) as file, beside(path) as temporary:
        count = file.metadata.num_rows
        with temporary.open("wb") as stream:
            header = {
                "descr": np.lib.format.dtype_to_descr(UID_TYPE),
                "fortran_order": False,
                "shape": (count,),
            }
            np.lib.format.write_array_header_1_0(stream, header)
            for batch in file.iter_batches():
                halves = [(int(uid[:16], 16), int(uid[16:], 16)) for uid in batch.column("uid").to_pylist()]
                stream.write(np.array(halves, UID_TYPE).tobytes())
    return int(count)


def _summary(out: Path, fates: Fates, uids: int | None, seconds: float) -> Summary:
    details: dict[str, Any] = {
        "readmitted": fates.readmitted,
        "refreshed": fates.refreshed,
        "unseen": fates.unseen,
        "history": {"dropped": fates.flapped, "taken_later": fates.taken_later},
        "marks": {"keep": fates.marked_keep, "drop": fates.marked_drop, "watch": fates.marked_watch},
    }
    if uids is not None:
        details |= {"uids": uids, "without_uid": fates.kept - uids}
    return Summary(
        verb="export",
        out=str(out),
        rows=fates.rows,
        counts={"kept": fates.kept, "quarantined": fates.quarantined},
        seconds=round(seconds, 2),
        rows_per_s=pace(fates.rows, seconds),
        exit_code=0,
        details=details,
    )
