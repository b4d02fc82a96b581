"""snapshot: remember a dataset at a moment that is trusted."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from poisonscan.config import Config, as_dict
from poisonscan.files import storage
from poisonscan.fingerprint.decode import decoder_version
from poisonscan.manifest.dedup import adoptions
from poisonscan.manifest.files import digest
from poisonscan.manifest.planning import plan
from poisonscan.manifest.tables import open_manifest
from poisonscan.sources.images import ImageFolder
from poisonscan.sources.img2dataset import Img2datasetShards
from poisonscan.stages.common import Summary, pace, versions
from poisonscan.stages.completion import enough, unanswered
from poisonscan.stages.rows import Done, Work, progress_of, require_complete, work_through
from poisonscan.stages.snapshot import remember
from poisonscan.stages.watch import Silent, Watch
from poisonscan.store.folder import FINISHED, INCOMPLETE, SNAPSHOT_DOCUMENT, Folder, open_folder
from poisonscan.store.receipts import remove_receipts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from poisonscan.engine.shards import Context
    from poisonscan.manifest.model import Manifest
    from poisonscan.records import Algorithm
    from poisonscan.sources.model import PictureSource

_SPILL = ".plan"


def snapshot(
    source: str,
    out: Path,
    *,
    columns: Mapping[str, str] | None = None,
    keep_bytes: bool = False,
    seal_incomplete: bool = False,
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Fetch and fingerprint every row of a manifest.

    Where too many rows give no picture (`max_lost`), the snapshot is not sealed, and the same call asks for
    those rows again.

    Args:
        source: manifest file, folder, glob or fsspec URL.
        out: the snapshot folder; one that is unfinished is continued.
        columns: canonical name to column, where the dialect is not recognised.
        keep_bytes: store the pictures too.
        seal_incomplete: seal it however many rows have no picture.
        config: settings.
        watch: told about progress.

    Raises:
        ManifestError: the manifest cannot be used.
        RunMismatchError: `out` was started from another manifest or with other options, or was sealed with
            more rows without a picture than are accepted now.
        IncompleteError: interrupted, or the disk is full; the same call continues.
    """
    manifest = open_manifest(source, columns)
    identity = _manifest_identity(manifest) | {"kind": "web", "keep_bytes": keep_bytes}

    def prepare(folder: Folder) -> _Plan:
        slices = plan(manifest, config.run.shard_rows, folder.path / _SPILL)
        job = remember.Job(folder.path, keep_bytes, config)
        moved = adoptions(manifest, slices, folder.path / _SPILL)
        rows = sum(part.count for part in slices)
        return _Plan(
            slices, rows, partial(remember.from_web, job=job, manifest=manifest, adoptions=moved), job.beside
        )

    return _take(out, identity, prepare, config, watch, seal_incomplete=seal_incomplete)


def snapshot_hashes(
    source: str,
    out: Path,
    hashes: Mapping[str, Algorithm],
    *,
    columns: Mapping[str, str] | None = None,
    seal_incomplete: bool = False,
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Remember published hashes alone; nothing is fetched. Arguments and errors as in `snapshot`.

    Args:
        source: see `snapshot`.
        out: see `snapshot`.
        hashes: column name to the algorithm of its values.
        columns: see `snapshot`.
        seal_incomplete: see `snapshot`.
        config: see `snapshot`.
        watch: see `snapshot`.
    """
    manifest = open_manifest(source, columns, hashes)
    identity = _manifest_identity(manifest) | {"kind": "hashes"}

    def prepare(folder: Folder) -> _Plan:
        slices = plan(manifest, config.run.shard_rows, folder.path / _SPILL)
        job = remember.Job(folder.path, keep_bytes=False, config=config)
        rows = sum(part.count for part in slices)
        return _Plan(slices, rows, partial(remember.from_hashes, job=job, manifest=manifest), job.beside)

    return _take(out, identity, prepare, config, watch, seal_incomplete=seal_incomplete)


def snapshot_images(
    folder: Path,
    out: Path,
    *,
    keep_bytes: bool = False,
    seal_incomplete: bool = False,
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Fingerprint a folder of pictures; keys are relative paths. Arguments and errors as in `snapshot`."""
    return _take_pictures(
        "images",
        ImageFolder(folder),
        folder,
        out,
        keep_bytes=keep_bytes,
        seal_incomplete=seal_incomplete,
        config=config,
        watch=watch,
    )


def snapshot_shards(
    folder: Path,
    out: Path,
    *,
    keep_bytes: bool = False,
    seal_incomplete: bool = False,
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Fingerprint what img2dataset downloaded. Arguments and errors as in `snapshot`."""
    return _take_pictures(
        "shards",
        Img2datasetShards(folder),
        folder,
        out,
        keep_bytes=keep_bytes,
        seal_incomplete=seal_incomplete,
        config=config,
        watch=watch,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """The shards of a snapshot, what to do with each, and which tables are written beside the rows."""

    shards: Sequence[Any]
    rows: int
    task: Callable[[Any, Context], None]
    beside: tuple[str, ...]


def _take_pictures(
    kind: str,
    source: PictureSource,
    root: Path,
    out: Path,
    *,
    keep_bytes: bool,
    seal_incomplete: bool,
    config: Config,
    watch: Watch,
) -> Summary:
    def prepare(folder: Folder) -> _Plan:
        cut = source.plan(config.run.shard_rows)
        folder.update(skipped=list(cut.skipped))
        job = remember.Job(folder.path, keep_bytes, config)
        task = partial(remember.from_pictures, job=job, source=source)
        return _Plan(cut.slices, cut.rows, task, job.beside)

    identity = {"kind": kind, "source": str(root.resolve()), "keep_bytes": keep_bytes}
    return _take(out, identity, prepare, config, watch, seal_incomplete=seal_incomplete)


def _take(
    out: Path,
    identity: Mapping[str, object],
    prepare: Callable[[Folder], _Plan],
    config: Config,
    watch: Watch,
    *,
    seal_incomplete: bool,
) -> Summary:
    """Open the folder, work through the rows, and seal the result if enough of them gave a picture."""
    started = time.monotonic()
    with open_folder(out, SNAPSHOT_DOCUMENT, {**identity, "shard_rows": config.run.shard_rows}) as folder:
        if folder.finished:
            if not seal_incomplete:
                require_complete(folder, folder.document["counts"], config)
            return _summary(folder, time.monotonic() - started, None, config)
        again = folder.state == INCOMPLETE
        _note_start(folder, config)
        todo = prepare(folder)
        work = Work("snapshot", remember.ROWS, "state", todo.task, todo.shards, todo.rows, todo.beside)
        done = work_through(folder, work, config.run, watch, ask_again=again)
        missing = unanswered(done.counts)
        if seal_incomplete or enough(missing, todo.rows, config.judge.max_lost):
            _seal(folder, done)
        else:
            folder.update(state=INCOMPLETE, rows=todo.rows, counts=dict(sorted(done.counts.items())))
        return _summary(folder, time.monotonic() - started, done, config)


def _manifest_identity(manifest: Manifest) -> dict[str, object]:
    columns = dict(manifest.columns.items())
    return {
        "source": manifest.source,
        "manifest": digest(manifest),
        "dialect": manifest.dialect,
        "columns": columns,
    }


def _note_start(folder: Folder, config: Config) -> None:
    started = folder.document.get("created_at", datetime.now(UTC).isoformat(timespec="seconds"))
    folder.update(
        created_at=started, settings=as_dict(config), versions=versions(), decoder=decoder_version()
    )


def _seal(folder: Folder, done: Done) -> None:
    """Write the digest of every part into the document: from now on a flipped byte shows.

    The digests were taken while the parts were written, and the parts were read back since.
    """
    folder.sweep(remember.ROWS)
    with storage(folder.path):
        shutil.rmtree(folder.path / _SPILL, ignore_errors=True)
    folder.update(
        state=FINISHED,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=done.counts.total(),
        counts=dict(sorted(done.counts.items())),
        parts=done.digests,
    )
    remove_receipts(folder.path, remember.ROWS)


def _summary(folder: Folder, seconds: float, done: Done | None, config: Config) -> Summary:
    """How it went; without `done` of a snapshot that was sealed before."""
    counts, rows = folder.document["counts"], folder.document["rows"]
    missing = unanswered(counts)
    complete = enough(missing, rows, config.judge.max_lost)
    return Summary(
        verb="snapshot",
        out=str(folder.path),
        rows=rows,
        counts=counts,
        seconds=round(seconds, 2),
        rows_per_s=pace(rows - done.kept if done else 0, seconds),
        exit_code=0 if folder.finished else 3,
        details={
            "remembered": rows - missing,
            "created_at": folder.document["created_at"],
            **progress_of(folder, done),
            **({} if complete else {"unanswered": missing}),
        },
    )
