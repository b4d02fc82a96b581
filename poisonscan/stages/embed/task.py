"""The shard task of `embed` and `hunt`: one pass over the pictures of a shard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.embed.views import View, pixels_of
from poisonscan.fetch.scheduler import together
from poisonscan.fetch.url import domain_of
from poisonscan.hunt.model import SIDE
from poisonscan.records import DecodeFailure, Verdict
from poisonscan.stages.embed.decoders import decoders, encoder
from poisonscan.stages.embed.squares import open_squares
from poisonscan.stages.recorder import Recorder
from poisonscan.store import schema
from poisonscan.store.receipts import is_done
from poisonscan.store.rows import ref_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from poisonscan.config import Config
    from poisonscan.embed.encoder import Encoder, Spec
    from poisonscan.engine.shards import Context
    from poisonscan.sources import Picture, PictureSlice, PictureSource
    from poisonscan.stages.embed.decoders import Decoders
    from poisonscan.stages.embed.descriptions import Descriptions
    from poisonscan.stages.embed.squares import Squares
    from poisonscan.store.rows import Row

VECTORS = "vectors"
_LANES = 24
"""Pictures being decoded at once for each sandbox: more than a bundle holds, so that none waits."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every shard is to be done with.

    Attributes:
        folder: where the parts go.
        source: of the pictures.
        spec: the encoder; None to do without vectors.
        describing: captions and labels.
        squares: whether working pixels are kept too.
        config: settings.
    """

    folder: Path
    source: PictureSource
    spec: Spec | None
    describing: Descriptions
    squares: bool
    config: Config


@dataclass(frozen=True, slots=True)
class _Seen:
    """A decoded picture that waits for its batch."""

    row: Row
    view: View


@dataclass
class _Pass:
    """One pass over the rows of a shard that are not on disk yet."""

    job: Job
    encoder: Encoder | None
    tools: Decoders
    recorder: Recorder
    context: Context
    squares: Squares | None
    waiting: list[_Seen] = field(default_factory=list)
    encoding: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, pictures: Iterator[Picture]) -> None:
        async def lane() -> None:
            while not self.context.stopping() and (picture := next(pictures, None)) is not None:
                await self._take(picture)

        async with self.recorder.flushing():
            await together(lane() for _ in range(_LANES * self.job.config.run.workers))
            await self._encode(self.waiting)

    async def _take(self, picture: Picture) -> None:
        row = _row(picture, self.job.describing)
        if picture.body is None:
            self.recorder.add(row | {"state": Verdict.UNREACHABLE.value, "reason": picture.reason})
            return
        preparation = self.encoder.preparation if self.encoder else None
        seen = await self.tools.view(picture.body, preparation, square=self.squares is not None)
        if isinstance(seen, DecodeFailure):
            self.recorder.add(row | {"state": seen.verdict.value, "reason": seen.reason})
            return
        row |= {"state": schema.DECODED, "width": seen.width, "height": seen.height}
        if self.squares is not None:
            self.squares.put(row["row"], pixels_of(seen.square, SIDE))
        self.waiting.append(_Seen(row, seen))
        if len(self.waiting) >= self.job.config.embed.batch_rows:
            full, self.waiting = self.waiting, []
            await self._encode(full)

    async def _encode(self, batch: Sequence[_Seen]) -> None:
        """Encode a batch in a thread, so that decoding goes on, and record its rows."""
        if not batch:
            return
        rows = [seen.row for seen in batch]
        if self.encoder is not None:
            async with self.encoding:
                rows = await asyncio.to_thread(_encoded, self.encoder, batch)
        for row in rows:
            self.recorder.add(row)


def embed_shard(part: PictureSlice, context: Context, job: Job) -> None:
    """Decode, describe and encode the pictures of a shard; keep their working pixels if asked to.

    Raises:
        UsageError: the encoder cannot be loaded, or the table of captions not be used.
    """
    if is_done(job.folder, VECTORS, part.index):
        return
    tools = decoders(job.config.run.workers, job.config.decode)
    model = encoder(job.spec, job.config.embed) if job.spec else None
    job.describing.of("", None)  # reads the table: its faults are to show before anything is written
    kind = VECTORS, schema.EMBEDDED
    rows = job.source.rows(part)
    recorder = Recorder(job.folder, part.index, kind, None, "state", context, rows)
    done = recorder.done()
    squares = open_squares(job.folder, part.index, rows, begun=bool(done)) if job.squares else None
    pictures = (picture for picture in job.source.read(part) if picture.ref.row not in done)
    work = _Pass(job, model, tools, recorder, context, squares)
    tools.run(lambda: work.run(pictures))
    if squares is not None:
        squares.sync()
    recorder.finish()


def _row(picture: Picture, describing: Descriptions) -> Row:
    said = describing.of(picture.ref.key, picture.ref.caption)
    row = ref_row(picture.ref, domain_of(picture.ref.url))
    return row | {"caption": said.caption, "label": said.label}


def _encoded(model: Encoder, batch: Sequence[_Seen]) -> list[Row]:
    """The rows of a batch with their vectors; captions only where the encoder reads them."""
    crops = np.stack([pixels_of(seen.view.crop, model.preparation.side) for seen in batch])
    rows = [seen.row for seen in batch]
    for row, vector in zip(rows, model.images(crops).astype(np.float16), strict=True):
        row["vector"] = vector
    captioned = [row for row in rows if row["caption"]]
    if model.has_text and captioned:
        texts = model.texts([row["caption"] for row in captioned]).astype(np.float16)
        for row, vector in zip(captioned, texts, strict=True):
            row["text_vector"] = vector
    return rows
