"""embed: pictures and captions to vectors, once, for whoever wants them later."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from poisonscan.config import Config, RunSettings, as_dict
from poisonscan.embed.opening import parse_spec
from poisonscan.embed.weights import digest_of
from poisonscan.errors import UsageError
from poisonscan.files import file_digest, write_text
from poisonscan.fingerprint.decode import decoder_version
from poisonscan.stages.common import Summary, counts_on_disk, on_this_machine, pace, versions
from poisonscan.stages.completion import enough, unanswered
from poisonscan.stages.diff.sides import Kind
from poisonscan.stages.embed.descriptions import Descriptions
from poisonscan.stages.embed.origin import origin
from poisonscan.stages.embed.task import VECTORS, Job, embed_shard
from poisonscan.stages.rows import Done, Work, close_rows, progress_of, require_complete, work_through
from poisonscan.stages.watch import Silent, Watch
from poisonscan.store.folder import INCOMPLETE, Folder, open_folder
from poisonscan.store.parts import read_part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from poisonscan.embed.encoder import Spec
    from poisonscan.stages.embed.origin import Origin

EMBED_DOCUMENT = "embed.json"
SUMMARY = "summary.json"
_LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "open_clip_torch", "torch", "faiss-cpu", "faiss-gpu-cu12")
_ONE_ENCODER = RunSettings(workers=1)
"""One process encodes, and keeps the encoder once in memory; the decoders beside it are many."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """What is to be embedded and how; shared by `embed` and `hunt`.

    Attributes:
        origin: the pictures.
        spec: the encoder; None to do without.
        describing: captions and labels.
    """

    origin: Origin
    spec: Spec | None
    describing: Descriptions

    def identity(self, config: Config) -> dict[str, object]:
        """What a folder must have been started with to be continued."""
        table = self.describing.table
        return {
            "source": str(self.origin.path.resolve()),
            "source_kind": self.origin.kind.value,
            "source_state": self.origin.state,
            "encoder": self.spec.text if self.spec else None,
            "encoder_digest": digest_of(self.spec) if self.spec else None,
            "precision": [config.embed.device, config.embed.precision] if self.spec else None,
            "captions": file_digest(table) if table else None,
            "folders_as_labels": self.describing.folders_as_labels,
            "max_pixels": config.decode.max_pixels,
            "shard_rows": config.run.shard_rows,
        }


def embedding_of(
    source: Path,
    out: Path,
    encoder: str | None,
    *,
    kind: str | None = None,
    describing: Descriptions = Descriptions(),
) -> Embedding:
    """Read what a command line says.

    Raises:
        UsageError: the source, the encoder or the table of captions cannot be used.
    """
    describing.of("", None)  # reads the table
    return Embedding(origin(source, kind, out), parse_spec(encoder) if encoder else None, describing)


def embed_pictures(
    source: Path,
    out: Path,
    encoder: str,
    *,
    kind: str | None = None,
    describing: Descriptions = Descriptions(),
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Write a vector for each picture, and for each caption if the encoder reads text.

    Args:
        source: image folder, img2dataset shards, or a snapshot with kept bytes.
        out: the folder to write; one that is unfinished is continued.
        encoder: `onnx:FILE` or `openclip:MODEL:WEIGHTS`.
        kind: "images", "shards" or "snapshot"; None to see for oneself.
        describing: where captions and labels come from.
        config: settings.
        watch: told about progress.

    Raises:
        UsageError: the source, the encoder or the captions cannot be used.
        RunMismatchError: `out` was started with something else, or was finished with more rows without a
            picture than are accepted now.
        IncompleteError: interrupted, or the disk is full; the same call continues.
    """
    started = time.monotonic()
    on_this_machine("embed", config.run)
    todo = embedding_of(source, out, encoder, kind=kind, describing=describing)
    with open_folder(out, EMBED_DOCUMENT, {"command": "embed", **todo.identity(config)}) as folder:
        done = None
        if folder.finished:
            require_complete(folder, counts_on_disk(out, VECTORS, "state"), config)
        else:
            done = embed_missing(folder, todo, config, watch, squares=False)
            close_rows(folder, done, VECTORS, config, finished_at=now(), width=_width(folder))
        summary = _summary(folder, time.monotonic() - started, done, config)
        write_text(json.dumps(summary.as_dict(), indent=2) + "\n", out / SUMMARY)
        return summary


def embed_missing(folder: Folder, todo: Embedding, config: Config, watch: Watch, *, squares: bool) -> Done:
    """Embed the rows that are not on disk yet; of an incomplete folder again those without a picture.

    Raises:
        ManifestError: the source holds no picture, or none of the captions belongs to one.
        IncompleteError: interrupted; the same call continues.
    """
    again = folder.state == INCOMPLETE
    cut = todo.origin.source.plan(config.run.shard_rows)
    if todo.origin.kind is Kind.IMAGES and not todo.describing.covers(_names(cut.slices)):
        raise UsageError(
            f"--captions {todo.describing.table}: none of its keys is the path of a picture below SOURCE"
        )
    started = folder.document.get("started_at", now())
    used = versions() | _optional_versions()
    folder.update(
        started_at=started,
        settings=as_dict(config),
        versions=used,
        decoder=decoder_version(),
        skipped=list(cut.skipped),
    )
    job = Job(folder.path, todo.origin.source, todo.spec, todo.describing, squares, config)
    stage = "embed" if todo.spec else "decode"
    work = Work(stage, VECTORS, "state", partial(embed_shard, job=job), cut.slices, cut.rows)
    return work_through(folder, work, _ONE_ENCODER, watch, ask_again=again)


def now() -> str:
    """The time in words."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _names(slices: Any) -> Any:  # noqa: ANN401 - names of all slices, one after the other
    return (name for part in slices for name in part.names)


def _optional_versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _width(folder: Folder) -> int:
    """Dimensions of the vectors; 0 if no picture has one."""
    for part in folder.parts(VECTORS):
        for vector in read_part(part, ["vector"])["vector"]:
            if vector.is_valid:
                return len(vector)
    return 0


def _summary(folder: Folder, seconds: float, done: Done | None, config: Config) -> Summary:
    counts = counts_on_disk(folder.path, VECTORS, "state")
    rows = counts.total()
    return Summary(
        verb="embed",
        out=str(folder.path),
        rows=rows,
        counts=dict(sorted(counts.items())),
        seconds=round(seconds, 2),
        rows_per_s=pace(rows - done.kept if done else 0, seconds),
        exit_code=exit_code_of_lost(counts, config),
        details={
            "encoder": folder.document["identity"]["encoder"],
            "width": folder.document["width"],
            **progress_of(folder, done),
        },
    )


def exit_code_of_lost(counts: Mapping[str, int], config: Config) -> int:
    """3 if too many rows could not be looked at, else 0; from rows by state."""
    return 0 if enough(unanswered(counts), sum(counts.values()), config.judge.max_lost) else 3
