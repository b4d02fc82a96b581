"""diff: two copies of a dataset that are already on disk, compared row by row."""

from __future__ import annotations

import dataclasses
import shutil
import time
from functools import partial
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from poisonscan.config import Config, as_dict
from poisonscan.errors import UsageError
from poisonscan.files import beside, storage
from poisonscan.stages.check.judging import VERDICTS, judge_run
from poisonscan.stages.check.recheck import OBSERVED
from poisonscan.stages.check.run import by_group, exit_code, suspected_domains, weak_rows
from poisonscan.stages.common import Summary, counts_on_disk, pace
from poisonscan.stages.diff.comparing import AtHand, Stretch, compare
from poisonscan.stages.diff.pairing import pair
from poisonscan.stages.diff.sides import Side, fingerprints, pictures_of, side, state_of
from poisonscan.stages.rows import Done, Work, work_through
from poisonscan.stages.watch import Silent, Watch
from poisonscan.store import schema
from poisonscan.store.folder import RUN_DOCUMENT, Folder, open_folder
from poisonscan.store.parts import read_part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


PAIRS = "pairs.parquet"
_SINCE = "OLD"
"""What a domain's pictures are said to have changed since; folders do not know their date."""


def diff(
    old: Path,
    new: Path,
    out: Path,
    *,
    old_kind: str | None = None,
    new_kind: str | None = None,
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Say of each picture of NEW whether it is still the one of OLD.

    Works in a folder named like `out` with `.work` added, which an interrupted diff is continued from
    and which is removed at the end. An `out` that exists is replaced whole.

    Args:
        old: the trusted copy: an image folder, img2dataset shards or a snapshot.
        new: the copy in doubt, likewise.
        out: the Parquet file to write; the columns of `schema.VERDICTS`.
        old_kind: "images", "shards" or "snapshot"; None to see for oneself.
        new_kind: likewise.
        config: settings.
        watch: told about progress.

    Raises:
        UsageError: a side is not what it should be, or nothing matches.
        SnapshotInvalidError: a side is a snapshot that is unfinished, damaged or altered.
        RunMismatchError: the work folder was started with other sides or settings, or a side changed.
        IncompleteError: interrupted, or the disk is full; the same call continues.
    """
    started = time.monotonic()
    sides = side("OLD", old, old_kind), side("NEW", new, new_kind)
    work = out.with_name(f"{out.name}.work")
    for part in sides:
        if work.resolve().is_relative_to(part.path.resolve()):
            raise UsageError(f"--out {out} lies inside {part.name} {part.path}; write it elsewhere")
    with open_folder(work, RUN_DOCUMENT, _identity(sides, config)) as folder:
        _pair_all(folder, sides, config, watch)
        done = _compare_all(folder, sides[1], config, watch)
        judge_run(work, _SINCE, config)
        _publish(folder, out)
        summary = _summary(folder, out, time.monotonic() - started, done.kept, config)
    with storage(work):
        shutil.rmtree(work)
    return summary


def _identity(sides: Sequence[Side], config: Config) -> dict[str, object]:
    """What a diff must have been started with to be continued."""
    settings = as_dict(config)
    identity: dict[str, object] = {
        "command": "diff",
        "compare": settings["compare"],
        "decode": settings["decode"],
    }
    for part in sides:
        name = part.name.lower()
        identity |= {
            name: str(part.path.resolve()),
            f"{name}_kind": part.kind,
            f"{name}_state": state_of(part),
        }
    return identity


def _pair_all(folder: Folder, sides: Sequence[Side], config: Config, watch: Watch) -> None:
    """Fingerprint what has no fingerprints yet and match the sides, unless that was done before."""
    if "matching" in folder.document and (folder.path / PAIRS).exists():
        return
    old, new = (fingerprints(part, folder.path / part.name.lower(), config, watch) for part in sides)
    matching = pair(old, new, folder.path / PAIRS, config.run.shard_rows)
    folder.update(matching=dataclasses.asdict(matching))


def _compare_all(folder: Folder, new: Side, config: Config, watch: Watch) -> Done:
    pairs = pq.read_metadata(folder.path / PAIRS)
    by = folder.document["matching"]["by"]
    source = pictures_of(new)
    at_hand = AtHand(source, source.plan(config.run.shard_rows).slices) if source else None
    every = [
        Stretch(index, folder.path / PAIRS, by, at_hand and at_hand.among(*_rows_of(pairs, index)))
        for index in range(pairs.num_row_groups)
    ]
    task = partial(compare, folder=folder.path, config=config)
    work = Work("diff", OBSERVED, "verdict", task, every, pairs.num_rows)
    return work_through(folder, work, config.run, watch)


def _rows_of(pairs: pq.FileMetaData, index: int) -> tuple[int, int]:
    """The first and the last row number of a row group; the pairs are in their order."""
    group = pairs.row_group(index)
    columns = [group.column(at) for at in range(group.num_columns)]
    (known,) = (column.statistics for column in columns if column.path_in_schema == "row")
    return known.min, known.max


def _publish(folder: Folder, out: Path) -> None:
    """Put the verdicts of all shards into one file."""
    with beside(out) as temporary, pq.ParquetWriter(temporary, schema.VERDICTS, compression="zstd") as writer:
        for part in folder.parts(VERDICTS):
            writer.write_table(read_part(part).cast(schema.VERDICTS))


def _summary(folder: Folder, out: Path, seconds: float, done_before: int, config: Config) -> Summary:
    counts = counts_on_disk(folder.path, VERDICTS, "verdict")
    groups, suspects = by_group(counts), suspected_domains(folder.path)
    rows, weak = counts.total(), weak_rows(folder.path)
    return Summary(
        verb="diff",
        out=str(out),
        rows=rows,
        counts=dict(sorted(counts.items())),
        seconds=round(seconds, 2),
        rows_per_s=pace(rows - done_before, seconds),
        exit_code=exit_code(groups, len(suspects), rows, config, weak=weak),
        details={
            "groups": groups,
            "suspected_domains": suspects,
            "matching": folder.document["matching"],
            **({"weak_baselines": weak} if weak else {}),
        },
    )
