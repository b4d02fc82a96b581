"""calibrate: what the thresholds do to the user's own pictures, and which thresholds would suit them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from poisonscan.config import Config, as_dict
from poisonscan.errors import UsageError
from poisonscan.files import write_text
from poisonscan.records import Group, Verdict
from poisonscan.redteam.edits import Kind, named
from poisonscan.sources.images import ImageFolder
from poisonscan.sources.model import PictureSlice
from poisonscan.stages.calibrate.curves import draw_curves
from poisonscan.stages.calibrate.task import HALVES, TRIALS, Experiment, try_pictures
from poisonscan.stages.calibrate.thresholds import (
    CHOSEN,
    CURRENT,
    Factors,
    Rate,
    Trials,
    as_toml,
    choose,
    rates,
    scaled,
    share,
)
from poisonscan.stages.common import Summary, counts_on_disk, pace
from poisonscan.stages.diff.sides import Kind as SideKind
from poisonscan.stages.diff.sides import Side, state_of
from poisonscan.stages.rows import Done, Work, work_through
from poisonscan.stages.watch import Silent, Watch
from poisonscan.store.folder import FINISHED, Folder, open_folder
from poisonscan.store.parts import read_part, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


CALIBRATION_DOCUMENT = "calibration.json"
RATES, PLOT, THRESHOLDS = "rates.parquet", "rates.svg", "thresholds.toml"
RATES_SCHEMA = pa.schema(
    [
        pa.field("setting", pa.string(), nullable=False),
        pa.field("factor", pa.float64()),
        pa.field("edit", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("pairs", pa.int64(), nullable=False),
        pa.field("suspicious", pa.int64(), nullable=False),
        pa.field("rate", pa.float64(), nullable=False),
    ]
)
"""rates.parquet: the reporting half, per edit and threshold."""

_PICTURES_A_SHARD = 4


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a calibration ended.

    Attributes:
        summary: for the JSON line.
        rates: the reporting half at the current and the chosen thresholds, per edit.
    """

    summary: Summary
    rates: Sequence[Rate]


def calibrate(
    source: Path,
    out: Path,
    *,
    experiment: Experiment = Experiment(),
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Calibration:
    """Edit pictures, compare each with itself, and choose thresholds.

    Half of the pictures serve to choose thresholds; all rates reported are of the other half.

    Args:
        source: a folder of pictures.
        out: the folder to write: trials/, rates.parquet, rates.svg, thresholds.toml. An unfinished one is
            continued.
        experiment: what to try.
        config: settings; those of the comparison are the ones put to the test.
        watch: told about progress.

    Raises:
        UsageError: too few pictures for the rate asked for.
        ManifestError: the source holds no picture.
        RunMismatchError: `out` was started with other pictures, edits or settings.
        IncompleteError: interrupted, or the disk is full; the same call continues.
    """
    started = time.monotonic()
    slices = _drawn(source, experiment)
    with open_folder(out, CALIBRATION_DOCUMENT, _identity(source, experiment, config)) as folder:
        done = _try_all(folder, slices, source, experiment, config, watch)
        return _conclude(folder, experiment, config, time.monotonic() - started, done.kept)


def _identity(source: Path, experiment: Experiment, config: Config) -> dict[str, object]:
    return {
        "command": "calibrate",
        "source": str(source.resolve()),
        "source_state": state_of(Side("SOURCE", source, SideKind.IMAGES)),
        "edits": list(experiment.edits),
        "pictures": experiment.pictures,
        "seed": experiment.seed,
        "compare": as_dict(config)["compare"],
    }


def _drawn(source: Path, experiment: Experiment) -> list[PictureSlice]:
    """The pictures of the experiment in random order, a few a shard.

    Raises:
        UsageError: a false-positive rate as small as asked for could not be told from zero.
    """
    (everything,) = ImageFolder(source).plan(1 << 62).slices
    generator = np.random.default_rng(experiment.seed)
    size = min(experiment.pictures, everything.count)
    names = [everything.names[place] for place in generator.choice(everything.count, size, replace=False)]
    innocent = sum(named(edit).kind is Kind.INNOCENT for edit in experiment.edits)
    pairs = (size // 2) * innocent
    if pairs * experiment.false_positives < 1:
        raise UsageError(
            f"--false-positives {experiment.false_positives:g} cannot be told from zero on {pairs} innocent "
            "pairs; take more pictures or edits, or a higher rate"
        )
    return [
        PictureSlice(index, first, len(part), tuple(part))
        for index, first in enumerate(range(0, size, _PICTURES_A_SHARD))
        if (part := names[first : first + _PICTURES_A_SHARD])
    ]


def _try_all(
    folder: Folder,
    slices: Sequence[PictureSlice],
    source: Path,
    experiment: Experiment,
    config: Config,
    watch: Watch,
) -> Done:
    total = sum(part.count for part in slices) * len(experiment.edits)
    task = partial(
        try_pictures, folder=folder.path, source=ImageFolder(source), experiment=experiment, config=config
    )
    work = Work("calibrate", TRIALS, "verdict", task, slices, total)
    return work_through(folder, work, config.run, watch)


def _conclude(
    folder: Folder, experiment: Experiment, config: Config, seconds: float, done_before: int
) -> Calibration:
    """Choose thresholds on one half, measure on the other, write everything down."""
    table = pa.concat_tables([read_part(part) for part in folder.parts(TRIALS)])
    halves = {half: _trials(table, half) for half in HALVES}
    for half, trials in halves.items():
        if Kind.INNOCENT.value not in trials.kind:
            raise UsageError(
                f"no picture of the half to {half} could be decoded; name a folder with more pictures"
            )
    chosen = choose(halves["choose"], experiment.false_positives)
    found = rates(halves["report"], chosen)
    write_table(_rates_table(found), folder.path / RATES)
    write_text(draw_curves(found, chosen), folder.path / PLOT)
    notes = [
        f"poisonscan calibrate, {len(halves['choose'].edit):,} trials, seed {experiment.seed}:",
        f"chosen for at most {experiment.false_positives:.2%} of innocent edits flagged;",
        f"on the other half of the pictures it was {share(found, CHOSEN, Kind.INNOCENT):.2%}",
    ]
    write_text(as_toml(config.compare, chosen, notes), folder.path / THRESHOLDS)
    folder.update(state=FINISHED)
    summary = _summary(folder, table, halves, found, chosen, config, seconds, done_before)
    return Calibration(summary, [rate for rate in found if rate.setting in {CURRENT, CHOSEN}])


def _trials(table: pa.Table, half: str) -> Trials:
    """The trials of one half of which there is a verdict on pictures."""
    rows: list[dict[str, Any]] = [row for row in table.to_pylist() if row["half"] == half]
    rows = [row for row in rows if Verdict(row["verdict"]).group in (Group.CLEAN, Group.SUSPICIOUS)]
    return Trials(
        edit=np.array([row["edit"] for row in rows], np.str_),
        kind=np.array([row["kind"] for row in rows], np.str_),
        suspicious=np.array([Verdict(row["verdict"]).group is Group.SUSPICIOUS for row in rows], np.bool_),
        same=np.array([row["same"] for row in rows], np.bool_),
        local=np.array([row["local"] for row in rows], np.float64),
        overall=np.array([row["overall"] for row in rows], np.float64),
    )


def _rates_table(found: Sequence[Rate]) -> pa.Table:
    rows = [rate._asdict() | {"rate": rate.suspicious / rate.pairs} for rate in found]
    return pa.Table.from_pylist(rows, schema=RATES_SCHEMA)


def _summary(
    folder: Folder,
    table: pa.Table,
    halves: dict[str, Trials],
    found: Sequence[Rate],
    chosen: Factors,
    config: Config,
    seconds: float,
    done_before: int,
) -> Summary:
    apart = sum(
        int((trials.suspicious_at(Factors()) != trials.suspicious).sum()) for trials in halves.values()
    )
    counts = counts_on_disk(folder.path, TRIALS, "verdict")
    return Summary(
        verb="calibrate",
        out=str(folder.path),
        rows=table.num_rows,
        counts=dict(sorted(counts.items())),
        seconds=round(seconds, 2),
        rows_per_s=pace(table.num_rows - done_before, seconds),
        exit_code=0,
        details={
            "unusable": table.num_rows - sum(len(trials.edit) for trials in halves.values()),
            "unexplained": apart,
            "factors": chosen._asdict(),
            "thresholds": scaled(config.compare, chosen),
            "false_positives": {at: share(found, at, Kind.INNOCENT) for at in (CURRENT, CHOSEN)},
            "recall": {at: share(found, at, Kind.MALICIOUS) for at in (CURRENT, CHOSEN)},
        },
    )
