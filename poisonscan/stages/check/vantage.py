"""The shard task of vantages: ask for a picture as we do and as somebody else would, and compare.

A host that cloaks serves one picture to a checker and another to a trainer. Two answers that differ are
no proof of it: a host may show another picture each time. So both sides ask twice more, in the order here,
there, there, here, here, there, and only what each side saw three times, and the other side not at all,
counts. The order keeps a host that serves two pictures in turn from passing for one that cloaks; one that
draws one of two at random passes in 1 case of 32.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from poisonscan.compare.ladder import Baseline
from poisonscan.fetch.client import Fetcher
from poisonscan.records import Comparison, DecodeFailure, Group, Published, Sight, Verdict
from poisonscan.stages.examine import Question, examine_safely
from poisonscan.stages.recorder import Recorder
from poisonscan.stages.worker import worker
from poisonscan.store import schema
from poisonscan.store.parts import read_part
from poisonscan.store.receipts import is_done
from poisonscan.store.rows import fingerprint_of, fingerprint_row, published_of

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.config import Config, VantageSettings
    from poisonscan.engine.shards import Context
    from poisonscan.records import FetchResult, Fingerprint
    from poisonscan.stages.worker import Worker
    from poisonscan.store.rows import Row

VANTAGES = "vantages"
CONFIRMATIONS = 2
"""How often both sides ask again where their first answers differ."""


@dataclass(frozen=True, slots=True)
class View:
    """A shard: some of the chosen rows from one vantage.

    Attributes:
        index: of the shard and its part.
        vantage: how to ask.
        chosen: Parquet file with all chosen rows, as columns of SNAPSHOT_ROWS.
        first, count: which of its rows.
    """

    index: int
    vantage: VantageSettings
    chosen: Path
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What one side was served.

    Attributes:
        result: of the fetch, without its body.
        picture: None where it was not decoded or is none.
        now: against the snapshot's row: a comparison, or why there is no picture. None where it was not
            looked at, since the other side was served the same bytes.
        others: comparisons with what else was asked about.
    """

    result: FetchResult
    picture: Fingerprint | None = None
    now: Comparison | None = None
    others: tuple[Comparison, ...] = ()

    @property
    def lost(self) -> bool:
        """Whether no picture was served."""
        return self.now is not None and self.now.verdict.group is Group.LOST


@dataclass(frozen=True, slots=True)
class Pair:
    """What was served here and there, and what that says."""

    here: Answer
    there: Answer
    sight: Sight
    comparison: Comparison | None


def first_sight(here: Answer, there: Answer, compared: Comparison | None) -> Sight:
    """What one answer a side says. Pure.

    Args:
        here: served to us.
        there: served to the vantage.
        compared: the two pictures; None where a side has none.
    """
    if here.lost and there.lost:
        return Sight.LOST
    if compared is not None:
        return Sight.CLOAKED if compared.verdict.group is Group.SUSPICIOUS else Sight.SAME
    turned_away = here.lost and there.now is not None and there.now.verdict.group is Group.SUSPICIOUS
    return Sight.CLOAKED if turned_away else Sight.ONE_SIDED


def stays(before: Answer, again: Answer) -> bool:
    """Whether a side was served the same again; `again` was compared with the picture of `before`. Pure."""
    if before.picture is None or again.picture is None:
        return before.lost and again.lost
    return again.others[-1].verdict.group is Group.CLEAN


def look_again(part: View, context: Context, folder: Path, config: Config) -> None:
    """Ask for the rows of a shard from here and from its vantage."""
    if is_done(folder, VANTAGES, part.index):
        return  # by a worker that was killed before it could say so
    rows = read_part(part.chosen).slice(part.first, part.count).to_pylist()
    kind, numbers = (VANTAGES, schema.VANTAGES), [row["row"] for row in rows]
    recorder = Recorder(folder, part.index, kind, None, "sight", context, numbers)
    done = recorder.done()
    by_url: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["row"] not in done:
            by_url[row["url"]].append(row)

    # Each of our requests is followed by one of the vantage's to the same host, and sometimes by four that
    # confirm it: these take turns of their own, which both sides share, at the other half of the rate.
    paced = replace(config.fetch, per_host_rate=config.fetch.per_host_rate / 2)

    async def work(tools: Worker) -> None:
        applied = part.vantage.applied(paced)
        async with Fetcher(applied, shared=tools.fetcher.shared) as far, recorder.flushing():
            asker = _Asker(tools, far, config)

            async def handle(result: FetchResult) -> None:
                for row in by_url[result.url]:
                    pair = await asker.pair(row, result)
                    recorder.add(_line(row, part.vantage.name, pair))

            await tools.fetcher.fetch_all(by_url, handle, context.stopping)

    worker(paced, config.decode, context.share).run(work)
    recorder.finish()


class _Asker:
    """Asks both sides and compares.

    The vantage's requests run inside our own request's turn, and in turns of single requests, so that a host
    has no more of them in flight than `per_host` allows, nor has one that many redirect to.
    """

    def __init__(self, tools: Worker, far: Fetcher, config: Config) -> None:
        self._tools = tools
        self._far = far
        self._config = config

    async def pair(self, row: Row, result: FetchResult) -> Pair:
        """What is served here and there, asked again where it differs."""
        here, there = await self._both(row, result)
        if there.now is None:
            comparison = Comparison(Verdict.IDENTICAL, "the same bytes", 0.0)
            return Pair(here, there, Sight.SAME, comparison)
        compared = there.others[-1] if there.others else None
        sight = first_sight(here, there, compared)
        if sight is Sight.CLOAKED and not await self._confirmed(row, here, there):
            sight = Sight.UNSTABLE
        return Pair(here, there, sight, compared)

    async def _both(self, row: Row, result: FetchResult) -> tuple[Answer, Answer]:
        """The answers here and there; not looked at where the bytes are the same."""
        async with self._far.fetched(result.url) as there_result:
            if result.body is not None and result.body == there_result.body:
                return Answer(without_body(result)), Answer(without_body(there_result))
            here = await self._examine(row, result)
            return here, await self._examine(row, there_result, here.picture)

    async def _confirmed(self, row: Row, here: Answer, there: Answer) -> bool:
        """Whether each side is served its own again, whoever asks first."""
        sides = [(self._far, there), (self._tools.fetcher, here)]
        for _ in range(CONFIRMATIONS):
            for fetcher, before in sides:
                async with fetcher.fetched(row["url"]) as result:
                    again = await self._examine(row, result, before.picture)
                if not stays(before, again):
                    return False
            sides.reverse()
        return True

    async def _examine(self, row: Row, result: FetchResult, other: Fingerprint | None = None) -> Answer:
        """One answer against the snapshot's row, and against another picture if there is one."""
        if result.body is None:
            lost = result.outcome.lost or Verdict.UNREACHABLE
            return Answer(result, now=Comparison(lost, result.reason, 0.0))
        told = without_body(result)
        published = published_of(row)
        baselines = [Baseline(fingerprint_of(row), published)]
        baselines += [Baseline(other, Published())] if other else []
        limit, compare = self._config.decode.max_pixels, self._config.compare
        question = Question(result.body, published, tuple(baselines), limit, compare)
        found = await examine_safely(self._tools.examiner, question)
        if isinstance(found, DecodeFailure):
            return Answer(told, now=Comparison(found.verdict, found.reason, 0.0))
        return Answer(told, found.fingerprint, found.comparisons[0], found.comparisons[1:])


def without_body(result: FetchResult) -> FetchResult:
    """What is told of a result whose body has been looked at and is to be kept no longer."""
    return replace(result, body=None)


def _line(row: Row, vantage: str, pair: Pair) -> Row:
    line = {field.name: row[field.name] for field in schema.REF[:-1]}
    line |= {"vantage": vantage, "sight": pair.sight, "reason": words_for(pair, vantage)}
    line |= {"score": pair.comparison.score if pair.comparison else None}
    for side, answer in (("here", pair.here), ("there", pair.there)):
        line |= {f"{side}_verdict": answer.now.verdict if answer.now else None}
        facts = ("status", "final_url", "address", "fetched_at")
        line |= {f"{side}_{name}": getattr(answer.result, name) for name in facts}
        known = fingerprint_row(answer.picture) if answer.picture else {}
        line |= {f"{side}_{name}": value for name, value in known.items()}
    return line


def words_for(pair: Pair, vantage: str) -> str:
    """What a pair says, for a person. Pure."""
    here, there = (side.now.reason if side.now else "" for side in (pair.here, pair.there))
    if pair.sight is Sight.SAME:
        return pair.comparison.reason if pair.comparison else ""
    if pair.comparison is None:
        return f"here: {here}; {vantage}: {there}"
    words = f"{vantage} is served something else than we are: {pair.comparison.reason}"
    if pair.sight is Sight.UNSTABLE:
        words = f"differs from one request to the next: {pair.comparison.reason}"
    return f"{words}; against the snapshot, here: {here}; {vantage}: {there}"
