"""The shard tasks of `snapshot`: each turns the rows of one shard into one part of the snapshot."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.fetch.url import domain_of
from poisonscan.manifest.model import Entry
from poisonscan.manifest.planning import read_slice
from poisonscan.records import DecodeFailure, Verdict
from poisonscan.stages.examine import Question, examine_safely, wanted
from poisonscan.stages.lanes import each
from poisonscan.stages.recorder import Recorder
from poisonscan.stages.worker import worker
from poisonscan.store import schema
from poisonscan.store.receipts import is_done
from poisonscan.store.rows import fetch_row, fingerprint_row, published_row, ref_row

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from poisonscan.config import Config
    from poisonscan.engine.shards import Context
    from poisonscan.manifest.dedup import UrlDedup
    from poisonscan.manifest.model import Manifest, Slice
    from poisonscan.records import FetchResult, Fingerprint, Published
    from poisonscan.sources.model import Picture, PictureSlice, PictureSource
    from poisonscan.stages.worker import Worker
    from poisonscan.store.rows import Row

ROWS, BYTES = "rows", "bytes"


@dataclass(frozen=True, slots=True)
class Job:
    """What every shard of a snapshot is to be done with."""

    folder: Path
    keep_bytes: bool
    config: Config

    @property
    def beside(self) -> tuple[str, ...]:
        """The tables that are written with the rows."""
        return (BYTES,) if self.keep_bytes else ()

    def done(self, index: int) -> bool:
        """Whether a shard is complete, as when a worker was killed before it could say so."""
        return is_done(self.folder, ROWS, index)

    def recorder(self, index: int, context: Context, rows: Collection[int]) -> Recorder:
        """Where the rows of a shard go, given their numbers."""
        extras = (BYTES, schema.BYTES) if self.keep_bytes else None
        return Recorder(self.folder, index, (ROWS, schema.SNAPSHOT_ROWS), extras, "state", context, rows)


def from_web(part: Slice, context: Context, job: Job, manifest: Manifest, adoptions: UrlDedup) -> None:
    """Fetch and fingerprint a slice of a manifest; each URL once, however many rows have it."""
    if job.done(part.index):
        return
    entries = list(read_slice(manifest, part, adoptions))
    recorder = job.recorder(part.index, context, [entry.ref.row for entry in entries])
    done = recorder.done()
    by_url: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.ref.row in done:
            continue
        if entry.ref.url:
            by_url[entry.ref.url].append(entry)
        else:
            recorder.add(_lost_row(entry, Verdict.REFUSED, entry.issue or "the row names no URL"))

    async def work(tools: Worker) -> None:
        async def handle(result: FetchResult) -> None:
            body = result.body
            rows = await _fetched_rows(tools, by_url[result.url], result, job.config)
            for row in rows:
                recorder.add(row, _kept(row, body) if job.keep_bytes else None)

        async with recorder.flushing():
            await tools.fetcher.fetch_all(by_url, handle, context.stopping)

    worker(job.config.fetch, job.config.decode, context.share).run(work)
    recorder.finish()


def from_pictures(part: PictureSlice, context: Context, job: Job, source: PictureSource) -> None:
    """Fingerprint a slice of pictures that are already on disk."""
    if job.done(part.index):
        return
    recorder = job.recorder(part.index, context, source.rows(part))
    done = recorder.done()
    pictures = (picture for picture in source.read(part) if picture.ref.row not in done)

    async def work(tools: Worker) -> None:
        async def handle(picture: Picture) -> None:
            row = await _picture_row(tools, picture, job.config)
            recorder.add(row, _kept(row, picture.body) if job.keep_bytes else None)

        async with recorder.flushing():
            await each(pictures, handle, context.stopping)

    worker(job.config.fetch, job.config.decode, context.share).run(work)
    recorder.finish()


def from_hashes(part: Slice, context: Context, job: Job, manifest: Manifest) -> None:
    """Remember the published hashes of a slice; nothing is fetched."""
    if job.done(part.index):
        return
    entries = list(read_slice(manifest, part))
    recorder = job.recorder(part.index, context, [entry.ref.row for entry in entries])
    done = recorder.done()
    for entry in entries:
        if entry.ref.row not in done:
            recorder.add(_published_row(entry))
    recorder.finish()


async def _fetched_rows(
    tools: Worker, entries: Sequence[Entry], result: FetchResult, config: Config
) -> list[Row]:
    """One row for each entry that has the URL."""
    evidence = fetch_row(result)
    if result.body is None:
        lost = result.outcome.lost or Verdict.UNREACHABLE
        return [_lost_row(entry, lost, result.reason) | evidence for entry in entries]
    answer = await _examine(tools, result.body, wanted([entry.ref.published for entry in entries]), config)
    if isinstance(answer, DecodeFailure):
        return [_lost_row(entry, answer.verdict, answer.reason) | evidence for entry in entries]
    return [_seen_row(entry, answer) | evidence for entry in entries]


async def _picture_row(tools: Worker, picture: Picture, config: Config) -> Row:
    entry = Entry(picture.ref)
    if picture.body is None:
        return _lost_row(entry, Verdict.UNREACHABLE, picture.reason)
    answer = await _examine(tools, picture.body, picture.ref.published, config)
    if isinstance(answer, DecodeFailure):
        return _lost_row(entry, answer.verdict, answer.reason)
    return _seen_row(entry, answer)


async def _examine(
    tools: Worker, body: bytes, published: Published, config: Config
) -> Fingerprint | DecodeFailure:
    question = Question(body, published, (), config.decode.max_pixels, config.compare)
    answer = await examine_safely(tools.examiner, question)
    return answer if isinstance(answer, DecodeFailure) else answer.fingerprint


def _base_row(entry: Entry, state: str, reason: str) -> Row:
    ref = entry.ref
    row = ref_row(ref, domain_of(ref.url))
    words = "; ".join(part for part in (reason, entry.issue) if part)
    return row | published_row(ref.published) | {"state": state, "reason": words or None}


def _lost_row(entry: Entry, verdict: Verdict, reason: str) -> Row:
    return _base_row(dataclasses.replace(entry, issue=""), verdict.value, reason)


def _published_row(entry: Entry) -> Row:
    if entry.ref.published:
        return _base_row(entry, schema.HASHED, "")
    return _base_row(entry, Verdict.NO_BASELINE.value, "the published hash is empty")


def _seen_row(entry: Entry, seen: Fingerprint) -> Row:
    row = _base_row(entry, schema.FINGERPRINTED, _contradiction(entry.ref.published, seen))
    return row | fingerprint_row(seen)


def _contradiction(published: Published, seen: Fingerprint) -> str:
    """Words for a trusted moment that already contradicts the publisher; empty where it does not."""
    pairs = {
        "sha256": (published.sha256, seen.sha256),
        "sha512": (published.sha512, seen.sha512),
        "md5": (published.md5, seen.md5),
    }
    names = [name for name, (said, found) in pairs.items() if said and said != found]
    return f"already differs from the published {' and '.join(names)}" if names else ""


def _kept(row: Row, body: bytes | None) -> Row | None:
    """The picture to keep beside a row; none for rows without a picture."""
    return {"sha256": row["sha256"], "bytes": body} if row.get("sha256") else None
