"""The shard task of `diff`: the verdict on each pair of one row group.

Both sides are remembered by their grids. Where these had to be interpolated, or agree, and the pictures of
NEW are still at hand, they are read once more, since a picture that is at hand shows what its grids hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from poisonscan.errors import RunMismatchError
from poisonscan.fingerprint.hashes import byte_digests
from poisonscan.records import Comparison, DecodeFailure, Published, Verdict
from poisonscan.stages.check.recheck import OBSERVED
from poisonscan.stages.diff.pairing import baseline_of, decide
from poisonscan.stages.examine import Question, examine_safely
from poisonscan.stages.lanes import each
from poisonscan.stages.recorder import Recorder
from poisonscan.stages.worker import worker
from poisonscan.store import schema
from poisonscan.store.receipts import is_done
from poisonscan.store.rows import judgement_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from poisonscan.config import Config
    from poisonscan.engine.shards import Context
    from poisonscan.sources.model import Picture, PictureSlice, PictureSource
    from poisonscan.stages.worker import Worker
    from poisonscan.store.rows import Row


@dataclass(frozen=True, slots=True)
class Stretch:
    """A shard of a diff: one row group of the pairs.

    Attributes:
        index: of the row group.
        pairs: the Parquet file.
        by: the column that matched them.
        at_hand: the pictures of NEW among them; None where NEW kept none.
    """

    index: int
    pairs: Path
    by: str
    at_hand: AtHand | None


@dataclass(frozen=True, slots=True)
class AtHand:
    """Pictures of NEW on disk.

    Attributes:
        source: reads them.
        slices: of it.
    """

    source: PictureSource
    slices: tuple[PictureSlice, ...]

    def among(self, first: int, last: int) -> AtHand:
        """The slices that may hold any of these rows: a folder's hold the names of all its files."""
        parts = (part for part in self.slices if part.first_row <= last and first <= part.last_row)
        return AtHand(self.source, tuple(parts))

    def read(self, rows: Mapping[int, object]) -> Iterator[Picture]:
        """The pictures of these rows, in the order of the slices."""
        for part in self.slices:
            wanted = sum(row in rows for row in self.source.rows(part))
            for picture in self.source.read(part) if wanted else ():
                if picture.ref.row in rows:
                    yield picture
                    wanted -= 1
                    if not wanted:
                        break


def compare(part: Stretch, context: Context, folder: Path, config: Config) -> None:
    """Compare the pairs of one row group.

    Raises:
        RunMismatchError: a picture of NEW is no longer what it was.
    """
    if is_done(folder, OBSERVED, part.index):
        return  # by a worker that was killed before it could say so
    with pq.ParquetFile(part.pairs) as file:
        rows = file.read_row_group(part.index).to_pylist()
    kind, numbers = (OBSERVED, schema.OBSERVED), [row["row"] for row in rows]
    recorder = Recorder(folder, part.index, kind, None, "verdict", context, numbers)
    done = recorder.done()
    unsettled: dict[int, Row] = {}
    for row in rows:
        if context.stopping():
            break
        if row["row"] in done:
            continue
        found = decide(row, part.by, config.compare)
        if _unsettled(found) and part.at_hand:
            unsettled[row["row"]] = row
        else:
            recorder.add(_observed(row, found))
    recorder.flush()
    if part.at_hand and unsettled:
        _closer(unsettled, part.at_hand, recorder, context, config)
    recorder.finish()


def _unsettled(found: Comparison) -> bool:
    """Whether the picture of NEW says more than its grids: where these were interpolated, or agree so far."""
    return found.interpolated or found.verdict in {Verdict.REENCODED, Verdict.CROPPED}


def _closer(
    unsettled: Mapping[int, Row], at_hand: AtHand, recorder: Recorder, context: Context, config: Config
) -> None:
    """Compare pairs again with the picture of NEW at hand."""

    async def work(tools: Worker) -> None:
        async def handle(picture: Picture) -> None:
            row = unsettled[picture.ref.row]
            recorder.add(_observed(row, await _looked_at(tools, picture, row, config)))

        async with recorder.flushing():
            await each(at_hand.read(unsettled), handle, context.stopping)

    worker(config.fetch, config.decode, context.share).run(work)


async def _looked_at(tools: Worker, picture: Picture, row: Row, config: Config) -> Comparison:
    if picture.body is None or byte_digests(picture.body, Published())["sha256"] != row["sha256"]:
        raise RunMismatchError(
            f"{picture.ref.key} of NEW changed while it was compared; let nothing write to NEW and start anew"
        )
    question = Question(
        picture.body, Published(), (baseline_of(row),), config.decode.max_pixels, config.compare
    )
    answer = await examine_safely(tools.examiner, question)
    if isinstance(answer, DecodeFailure):  # which it was not the first time, as under load
        return Comparison(answer.verdict, answer.reason, 0.0)
    (comparison,) = answer.comparisons
    return comparison


def _observed(row: Row, found: Comparison) -> Row:
    """The line of a pair in the form in which `check` leaves what it saw."""
    seen = {field.name: row[field.name] for field in (*schema.REF, *schema.FETCH, *schema.FINGERPRINT)}
    old = row["old_sha256"] or row["old_published_sha256"]
    return seen | judgement_row(found) | {"old_sha256": old}
