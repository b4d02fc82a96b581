"""The shard task of calibrate: each picture under every edit, compared with what it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from poisonscan.errors import UsageError
from poisonscan.records import DecodeFailure, Verdict
from poisonscan.redteam.edits import EDITS, Kind, named
from poisonscan.stages.calibrate.measuring import Original, Trial, prepare, try_edit
from poisonscan.stages.recorder import Recorder
from poisonscan.stages.worker import worker
from poisonscan.store.receipts import is_done

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from poisonscan.config import Config
    from poisonscan.engine.shards import Context
    from poisonscan.sources.images import ImageFolder
    from poisonscan.sources.model import Picture, PictureSlice
    from poisonscan.stages.worker import Worker
    from poisonscan.store.rows import Row

TRIALS = "trials"
TRIALS_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("edit", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("half", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("same", pa.bool_()),
        pa.field("local", pa.float64()),
        pa.field("overall", pa.float64()),
    ]
)
"""trials/NNNNN.parquet: a line for each picture and edit."""
HALVES = ("choose", "report")
"""Of the pictures, by turns: thresholds are chosen on one, everything is reported of the other."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """What a calibration tries.

    Attributes:
        edits: names of edits; every edit of `redteam.edits` by default.
        pictures: how many pictures of the source, drawn at random; all if it has fewer.
        seed: of the draw and of the edits.
        false_positives: share of innocent trials that the chosen thresholds may flag.
    """

    edits: tuple[str, ...] = tuple(EDITS)
    pictures: int = 100
    seed: int = 0
    false_positives: float = 0.005

    def __post_init__(self) -> None:
        """Refuse what cannot be tried.

        Raises:
            UsageError: a number is out of range, or no edit is innocent.
            SettingsError: there is no edit of a name.
        """
        if self.pictures < 2:  # noqa: PLR2004 - a half to choose on and a half to report
            raise UsageError(f"--pictures {self.pictures}: at least two are needed, one for each half")
        if not 0 < self.false_positives < 1:
            raise UsageError(f"--false-positives {self.false_positives} must lie between 0 and 1")
        if not any(named(edit).kind is Kind.INNOCENT for edit in self.edits):
            raise UsageError(
                "--edits names no innocent edit, so there is nothing to set a threshold by; add one"
            )


def try_pictures(
    part: PictureSlice,
    context: Context,
    folder: Path,
    source: ImageFolder,
    experiment: Experiment,
    config: Config,
) -> None:
    """Apply every edit to the pictures of a slice: the shard task."""
    if is_done(folder, TRIALS, part.index):
        return  # by a worker that was killed before it could say so
    edits = len(experiment.edits)
    rows = range(part.first_row * edits, (part.first_row + part.count) * edits)
    recorder = Recorder(folder, part.index, (TRIALS, TRIALS_SCHEMA), None, "verdict", context, rows)
    done = recorder.done()

    async def work(tools: Worker) -> None:
        async with recorder.flushing():
            for picture in source.read(part):
                first = picture.ref.row * len(experiment.edits)
                left = [number for number in range(len(experiment.edits)) if first + number not in done]
                if left and not context.stopping():
                    await _try_picture(tools, picture, left)

    async def _try_picture(tools: Worker, picture: Picture, left: Sequence[int]) -> None:
        original = await _original(tools, picture, config)
        for number in left:
            if context.stopping():
                return
            trial = await _trial(tools, original, picture.ref.row, number, experiment, config)
            row = picture.ref.row * len(experiment.edits) + number
            recorder.add(_trial_row(row, picture, experiment.edits[number], trial))

    worker(config.fetch, config.decode, context.share).run(work)
    recorder.finish()


async def _original(tools: Worker, picture: Picture, config: Config) -> Original | DecodeFailure:
    if picture.body is None:
        return DecodeFailure(Verdict.UNREACHABLE, picture.reason)
    answer = await tools.sandbox.call(prepare, picture.body, config.decode.max_pixels)
    if isinstance(answer, Original | DecodeFailure):
        return answer
    return DecodeFailure(Verdict.UNDECODABLE, answer.reason)


async def _trial(
    tools: Worker,
    original: Original | DecodeFailure,
    picture: int,
    number: int,
    experiment: Experiment,
    config: Config,
) -> Trial:
    if isinstance(original, DecodeFailure):
        return Trial(original.verdict, original.reason)
    seed = (experiment.seed, picture, number)
    answer = await tools.sandbox.call(try_edit, original, experiment.edits[number], seed, config.compare)
    return answer if isinstance(answer, Trial) else Trial(Verdict.UNDECODABLE, answer.reason)


def _trial_row(row: int, picture: Picture, edit: str, trial: Trial) -> Row:
    return {
        "row": row,
        "key": picture.ref.key,
        "edit": edit,
        "kind": named(edit).kind.value,
        "half": HALVES[picture.ref.row % 2],
        "verdict": trial.verdict.value,
        "reason": trial.reason,
        "same": trial.same,
        "local": trial.local,
        "overall": trial.overall,
    }
