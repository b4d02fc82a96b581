"""The shard task of `check`: fetch the rows of one snapshot part again and compare each with then."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.compare.ladder import Baseline, judge_bytes
from poisonscan.fingerprint.hashes import byte_digests
from poisonscan.records import Comparison, DecodeFailure, Group, Verdict
from poisonscan.stages.examine import Question, examine_safely, wanted
from poisonscan.stages.recorder import Recorder
from poisonscan.stages.worker import worker
from poisonscan.store import schema
from poisonscan.store.receipts import is_done
from poisonscan.store.rows import fetch_row, fingerprint_of, fingerprint_row, judgement_row, published_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from poisonscan.config import Config
    from poisonscan.engine.shards import Context
    from poisonscan.records import FetchResult, Fingerprint
    from poisonscan.stages.sealed import SealedPart
    from poisonscan.stages.worker import Worker
    from poisonscan.store.rows import Row

OBSERVED, QUARANTINE = "observed", "quarantine"
_REFERENCE = tuple(field.name for field in schema.REF)
_BASELINE_COLUMNS = [field.name for field in (*schema.REF, *schema.PUBLISHED, *schema.FINGERPRINT)] + [
    "state",
    "reason",
]


@dataclass(frozen=True, slots=True)
class Part:
    """A shard of a check: one part of the snapshot.

    Attributes:
        sealed: the part.
        rows: row numbers to look at; None for all.
    """

    sealed: SealedPart
    rows: frozenset[int] | None = None

    @property
    def index(self) -> int:
        """Number of the part, and of the shard."""
        return self.sealed.index


@dataclass(frozen=True, slots=True)
class Then:
    """A row of the snapshot."""

    row: Row
    baseline: Baseline


def recheck(part: Part, context: Context, folder: Path, config: Config) -> None:
    """Fetch the rows of a part again; each URL once, however many rows have it."""
    if is_done(folder, OBSERVED, part.index):
        return  # by a worker that was killed before it could say so
    baselines = list(_baselines(part))
    kinds = (OBSERVED, schema.OBSERVED), (QUARANTINE, schema.QUARANTINE)
    rows = [then.row["row"] for then in baselines]
    recorder = Recorder(folder, part.index, *kinds, "verdict", context, rows)
    done = recorder.done()
    by_url: dict[str, list[Then]] = defaultdict(list)
    for then in baselines:
        if then.row["row"] not in done:
            by_url[then.row["url"]].append(then)

    async def work(tools: Worker) -> None:
        async def handle(result: FetchResult) -> None:
            for row, picture in await _observe(tools, by_url[result.url], result, config):
                recorder.add(row, picture)

        async with recorder.flushing():
            await tools.fetcher.fetch_all(by_url, handle, context.stopping)

    worker(config.fetch, config.decode, context.share).run(work)
    recorder.finish()


def _baselines(part: Part) -> Iterator[Then]:
    for row in part.sealed.read(_BASELINE_COLUMNS).to_pylist():
        if part.rows is None or row["row"] in part.rows:
            yield Then(row, Baseline(fingerprint_of(row), published_of(row)))


async def _observe(
    tools: Worker, rows: Sequence[Then], result: FetchResult, config: Config
) -> list[tuple[Row, Row | None]]:
    """The observed row of each snapshot row that has the URL, with what goes to quarantine."""
    if result.body is None:
        lost = result.outcome.lost or Verdict.UNREACHABLE
        return [(_lost_row(then, lost, result), None) for then in rows]
    asked = wanted([then.baseline.published for then in rows])
    digests = byte_digests(result.body, asked)
    early = [judge_bytes(then.baseline, digests) for then in rows]
    if all(early):
        return [
            (_known_row(then, comparison, result, digests["sha256"]), None)
            for then, comparison in zip(rows, early, strict=True)
            if comparison
        ]
    baselines = tuple(then.baseline for then in rows)
    question = Question(result.body, asked, baselines, config.decode.max_pixels, config.compare)
    answer = await examine_safely(tools.examiner, question)
    if isinstance(answer, DecodeFailure):
        undecoded = {"sha256": digests["sha256"]}
        return [(_lost_row(then, answer.verdict, result, answer.reason) | undecoded, None) for then in rows]
    return [
        _seen(then, comparison, result, answer.fingerprint)
        for then, comparison in zip(rows, answer.comparisons, strict=True)
    ]


def _row(then: Then, comparison: Comparison, result: FetchResult) -> Row:
    reference = {name: then.row[name] for name in _REFERENCE}
    old = {"old_sha256": then.row["sha256"] or then.row["published_sha256"]}
    return reference | judgement_row(comparison) | old | fetch_row(result)


def _lost_row(then: Then, verdict: Verdict, result: FetchResult, reason: str = "") -> Row:
    return _row(then, Comparison(verdict, reason or result.reason, 0.0), result)


def _known_row(then: Then, comparison: Comparison, result: FetchResult, sha256: str) -> Row:
    """A row whose bytes are those of the snapshot, so that its sizes are known without decoding."""
    sizes = {name: then.row[name] for name in ("width", "height", "format")}
    return _row(then, comparison, result) | sizes | {"sha256": sha256}


def _seen(
    then: Then, comparison: Comparison, result: FetchResult, new: Fingerprint
) -> tuple[Row, Row | None]:
    if comparison.verdict is Verdict.NO_BASELINE and not then.baseline and then.row["reason"]:
        before = f"nothing to compare with: the snapshot has it as {then.row['state']} ({then.row['reason']})"
        comparison = Comparison(Verdict.NO_BASELINE, before, 0.0)
    row = _row(then, comparison, result) | fingerprint_row(new)
    if comparison.verdict.group is not Group.SUSPICIOUS:
        return row, None
    quarantined: Row = {name: row[name] for name in ("row", "key", "url", "verdict")}
    quarantined |= {f"old_{field.name}": then.row[field.name] for field in schema.FINGERPRINT}
    quarantined |= {f"new_{name}": value for name, value in fingerprint_row(new).items()}
    return row, quarantined | {"bytes": result.body}
