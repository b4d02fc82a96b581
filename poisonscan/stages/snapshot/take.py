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
from poisonscan.manifest.adoption import adoptions
from poisonscan.manifest.files import digest
from poisonscan.manifest.planning import plan
from poisonscan.manifest.tables import open_manifest
from poisonscan.records import Verdict
from poisonscan.sources.images import ImageFolder
from poisonscan.sources.img2dataset import Img2datasetShards
from poisonscan.stages.common import Summary, counts_on_disk, run_missing, versions
from poisonscan.stages.snapshot import remember
from poisonscan.stages.watch import Silent, Watch
from poisonscan.store import schema
from poisonscan.store.folder import FINISHED, SNAPSHOT_DOCUMENT, Folder, digest_parts, open_folder

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
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Fetch and fingerprint every row of a manifest.

    Args:
        source: manifest file, folder, glob or fsspec URL.
        out: the snapshot folder; one that is unfinished is continued.
        columns: canonical name to column, where the dialect is not recognised.
        keep_bytes: store the pictures too.
        config: settings.
        watch: told about progress.

    Raises:
        ManifestError: the manifest cannot be used.
        RunMismatchError: `out` was started from another manifest or with other options.
        IncompleteError: interrupted, or the disk is full; the same call continues.
    """
    manifest = open_manifest(source, columns)
    identity = _manifest_identity(manifest) | {"kind": "web", "keep_bytes": keep_bytes}

    def prepare(folder: Folder) -> _Plan:
        slices = plan(manifest, config.run.shard_rows, folder.path / _SPILL)
        job = remember.Job(folder.path, keep_bytes, config)
        moved = adoptions(manifest, slices, folder.path / _SPILL)
        rows = sum(part.count for part in slices)
        return _Plan(slices, rows, partial(remember.from_web, job=job, manifest=manifest, adoptions=moved))

    return _take(out, identity, prepare, config, watch)


def snapshot_hashes(
    source: str,
    out: Path,
    hashes: Mapping[str, Algorithm],
    *,
    columns: Mapping[str, str] | None = None,
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Remember published hashes alone; nothing is fetched. Arguments and errors as in `snapshot`.

    Args:
        source: see `snapshot`.
        out: see `snapshot`.
        hashes: column name to the algorithm of its values.
        columns: see `snapshot`.
        config: see `snapshot`.
        watch: see `snapshot`.
    """
    manifest = open_manifest(source, columns, hashes)
    identity = _manifest_identity(manifest) | {"kind": "hashes"}

    def prepare(folder: Folder) -> _Plan:
        slices = plan(manifest, config.run.shard_rows, folder.path / _SPILL)
        job = remember.Job(folder.path, keep_bytes=False, config=config)
        rows = sum(part.count for part in slices)
        return _Plan(slices, rows, partial(remember.from_hashes, job=job, manifest=manifest))

    return _take(out, identity, prepare, config, watch)


def snapshot_images(
    folder: Path, out: Path, *, keep_bytes: bool = False, config: Config = Config(), watch: Watch = Silent()
) -> Summary:
    """Fingerprint a folder of pictures; keys are relative paths. Arguments and errors as in `snapshot`."""
    return _take_pictures(
        "images", ImageFolder(folder), folder, out, keep_bytes=keep_bytes, config=config, watch=watch
    )


def snapshot_shards(
    folder: Path, out: Path, *, keep_bytes: bool = False, config: Config = Config(), watch: Watch = Silent()
) -> Summary:
    """Fingerprint what img2dataset downloaded. Arguments and errors as in `snapshot`."""
    source = Img2datasetShards(folder)
    return _take_pictures("shards", source, folder, out, keep_bytes=keep_bytes, config=config, watch=watch)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The shards of a snapshot and what to do with each."""

    shards: Sequence[Any]
    rows: int
    task: Callable[[Any, Context], None]


def _take_pictures(
    kind: str, source: PictureSource, root: Path, out: Path, *, keep_bytes: bool, config: Config, watch: Watch
) -> Summary:
    def prepare(folder: Folder) -> _Plan:
        cut = source.plan(config.run.shard_rows)
        folder.update(skipped=list(cut.skipped))
        job = remember.Job(folder.path, keep_bytes, config)
        return _Plan(cut.slices, cut.rows, partial(remember.from_pictures, job=job, source=source))

    identity = {"kind": kind, "source": str(root.resolve()), "keep_bytes": keep_bytes}
    return _take(out, identity, prepare, config, watch)


def _take(
    out: Path,
    identity: Mapping[str, object],
    prepare: Callable[[Folder], _Plan],
    config: Config,
    watch: Watch,
) -> Summary:
    """Open the folder, run the shards that are missing, seal the result."""
    started = time.monotonic()
    with open_folder(out, SNAPSHOT_DOCUMENT, {**identity, "shard_rows": config.run.shard_rows}) as folder:
        done_before = 0
        if not folder.finished:
            folder.sweep(remember.ROWS)
            _note_start(folder, config)
            todo = prepare(folder)
            before = counts_on_disk(out, remember.ROWS, "state")
            done_before = before.total()
            watch.start("snapshot", todo.rows, before)
            run_missing(folder, remember.ROWS, todo.task, todo.shards, config.run, watch)
            _seal(folder)
        return _summary(folder, time.monotonic() - started, done_before, config)


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


def _seal(folder: Folder) -> None:
    """Write the digest of every part into the document: from now on a flipped byte shows."""
    folder.sweep(remember.ROWS)
    paths = [*folder.parts(remember.ROWS), *folder.parts(remember.BYTES)]
    counts = counts_on_disk(folder.path, remember.ROWS, "state")
    with storage(folder.path):
        digests = digest_parts(folder.path, paths)
        shutil.rmtree(folder.path / _SPILL, ignore_errors=True)
    folder.update(
        state=FINISHED,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=counts.total(),
        counts=dict(sorted(counts.items())),
        parts=digests,
    )


def _summary(folder: Folder, seconds: float, done_before: int, config: Config) -> Summary:
    counts = folder.document["counts"]
    rows = folder.document["rows"]
    remembered = counts.get(schema.FINGERPRINTED, 0) + counts.get(schema.HASHED, 0)
    lost = rows - remembered - counts.get(Verdict.NO_BASELINE.value, 0)
    incomplete = rows > 0 and lost / rows > config.judge.max_lost
    return Summary(
        verb="snapshot",
        out=str(folder.path),
        rows=rows,
        counts=counts,
        seconds=round(seconds, 2),
        rows_per_s=round((rows - done_before) / max(seconds, 1e-9), 1),
        exit_code=3 if incomplete else 0,
        details={"remembered": remembered, "created_at": folder.document["created_at"]},
    )
