"""hunt: embed a dataset, ask every detector, merge what they found."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poisonscan.config import Config, as_dict
from poisonscan.errors import UsageError
from poisonscan.extras import require
from poisonscan.files import storage, write_text
from poisonscan.hunt.detectors import detectors, lacking
from poisonscan.hunt.index import use_threads
from poisonscan.hunt.merge import merge
from poisonscan.hunt.model import Need
from poisonscan.reporting.html import write_report
from poisonscan.stages.common import Summary, counts_on_disk, on_this_machine, pace
from poisonscan.stages.embed.descriptions import Descriptions
from poisonscan.stages.embed.run import (
    EMBED_DOCUMENT,
    SUMMARY,
    embed_missing,
    embedding_of,
    exit_code_of_lost,
    now,
)
from poisonscan.stages.embed.task import VECTORS
from poisonscan.stages.hunt.corpus import Loaded, load
from poisonscan.stages.hunt.found import forget_found, found_path, read_found, write_found
from poisonscan.stages.hunt.writing import write_findings
from poisonscan.stages.rows import Done, close_rows, progress_of, require_complete, state_after
from poisonscan.stages.watch import Silent, Watch
from poisonscan.store.folder import (
    INCOMPLETE,
    RUN_DOCUMENT,
    SETTLED,
    Folder,
    open_folder,
    read_document,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from poisonscan.hunt.merge import Ranked
    from poisonscan.hunt.model import Corpus, Detector, Suspicion
    from poisonscan.stages.embed.run import Embedding

WORK = "work"
_STATE = "source_state"


def hunt_dataset(
    source: Path,
    out: Path,
    *,
    encoder: str | None = None,
    kind: str | None = None,
    describing: Descriptions = Descriptions(),
    keep_work: bool = False,
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Look for poison in pictures, captions and labels; write findings, exhibits and report.

    Args:
        source: image folder, img2dataset shards, a snapshot with kept bytes, or a folder that `embed` wrote.
        out: the run folder; one that is unfinished is continued.
        encoder: `onnx:FILE` or `openclip:MODEL:WEIGHTS`; None leaves out the detectors that need vectors.
        kind: "images", "shards" or "snapshot"; None to see for oneself.
        describing: where captions and labels come from.
        keep_work: keep the working pixels in `out`/work.
        config: settings.
        watch: told about progress.

    Raises:
        UsageError: the source, the encoder or the captions cannot be used, or no detector can work.
        RunMismatchError: `out` was started with something else, or was finished with more rows without a
            picture than are accepted now.
        IncompleteError: interrupted, or the disk is full; the same call continues.
    """
    started = time.monotonic()
    on_this_machine("hunt", config.run)
    chosen = detectors(config.hunt)
    job = _job(source, out, encoder, kind, describing)
    if encoder or job.embedding is None:
        require("hunt", "hunting with vectors", "faiss")
    identity = {"command": "hunt", **job.identity(config, out), "hunt": as_dict(config)["hunt"]}
    _refuse_idle(chosen, vectors=bool(encoder) or job.embedding is None, pixels=job.embedding is not None)
    with open_folder(out, RUN_DOCUMENT, identity) as folder:
        if folder.finished:
            require_complete(folder, folder.document["counts"], config)
            return _summary_of(folder)
        done = None
        if job.embedding is None:
            _follow_source(folder, job.state)
        else:
            done = embed_missing(folder, job.embedding, config, watch, squares=True)
            if done.asked_again:
                forget_found(out)  # by detectors that saw fewer pictures
        loaded = load(job.vectors(out), out)
        reports = _ask_all(folder, chosen, loaded.corpus, config, watch)
        ranked = merge(reports.found, loaded.corpus.keys, config.hunt)
        write_findings(out, ranked, loaded)
        summary = _summary(folder, job, loaded, ranked, reports, time.monotonic() - started, done, config)
        summary = _close(folder, summary, done, config, keep_work=keep_work)
        write_report(out)
        return summary


@dataclass(frozen=True, slots=True)
class _Job:
    """What to hunt through: pictures that are still to be embedded, or what `embed` wrote.

    Attributes:
        source: as named.
        embedding: of the pictures; None for what is embedded already.
        state: digest of what is embedded already.
    """

    source: Path
    embedding: Embedding | None
    state: str = ""

    def vectors(self, out: Path) -> Path:
        """The folder that holds the vectors."""
        return out if self.embedding is not None else self.source

    def identity(self, config: Config, out: Path) -> dict[str, object]:
        """What a run must have been started with to be continued.

        An incomplete hunt is continued although its source has changed: what it lacked may have come.
        """
        if self.embedding is not None:
            return self.embedding.identity(config)
        state = self.state
        if (out / RUN_DOCUMENT).exists():
            begun = read_document(out, RUN_DOCUMENT)
            if begun["state"] == INCOMPLETE:
                state = begun["identity"].get(_STATE, state)
        return {"source": str(self.source.resolve()), _STATE: state}


@dataclass(frozen=True, slots=True)
class _Reports:
    """What the detectors said.

    Attributes:
        found: suspicions, each with the name of its detector.
        seconds: of each detector that ran in this attempt.
        skipped: what each detector lacked that could not run.
    """

    found: Sequence[tuple[str, Suspicion]]
    seconds: Mapping[str, float]
    skipped: Mapping[str, Sequence[str]]


def _job(source: Path, out: Path, encoder: str | None, kind: str | None, describing: Descriptions) -> _Job:
    if kind is not None or not (source / EMBED_DOCUMENT).exists():
        return _Job(source, embedding_of(source, out, encoder, kind=kind, describing=describing))
    if encoder or describing != Descriptions():
        raise UsageError(f"SOURCE {source} is embedded already: leave out --encoder, captions and labels")
    document = read_document(source, EMBED_DOCUMENT)
    if document["state"] not in SETTLED:
        raise UsageError(f"SOURCE {source} is unfinished; repeat the command that started it")
    return _Job(source, None, document["digest"])


def _follow_source(folder: Folder, state: str) -> None:
    """Forget what detectors said of a source that has changed since."""
    identity = folder.document["identity"]
    if identity[_STATE] != state:
        forget_found(folder.path)
        folder.update(identity={**identity, _STATE: state})


def _ask_all(
    folder: Folder, chosen: Sequence[Detector], corpus: Corpus, config: Config, watch: Watch
) -> _Reports:
    """Ask each detector that can work and has not answered yet. Its chance depends on its name alone."""
    skipped = {one.name: [need.value for need in lacking(one, corpus)] for one in chosen}
    able = [one for one in chosen if not skipped[one.name]]
    _refuse_if_all_lack(skipped)
    if corpus.vectors is not None:
        use_threads(config.hunt.faiss_threads)
    done = [one.name for one in able if found_path(folder.path, one.name).exists()]
    watch.start("hunt", len(able), Counter(done))
    seconds: dict[str, float] = {}
    try:
        for number, one in enumerate(able):
            if one.name in done:
                continue
            began = time.monotonic()
            rng = np.random.default_rng([config.hunt.seed, zlib.crc32(one.name.encode())])
            write_found(one.find(corpus, rng), found_path(folder.path, one.name))
            seconds[one.name] = round(time.monotonic() - began, 2)
            watch.advance({one.name: 1})
            watch.shard_done(number)
    finally:
        watch.stop()
    found = [(one.name, item) for one in able for item in read_found(found_path(folder.path, one.name))]
    return _Reports(found, seconds, {name: lack for name, lack in skipped.items() if lack})


def _refuse_idle(chosen: Sequence[Detector], *, vectors: bool, pixels: bool) -> None:
    """See before anything is decoded that some detector can work, as far as the command line tells.

    Raises:
        UsageError: none can.
    """
    absent = set() if vectors else {Need.VECTORS, Need.TEXTS}
    absent |= set() if pixels else {Need.PIXELS}
    _refuse_if_all_lack({one.name: sorted(one.needs & absent) for one in chosen})


def _refuse_if_all_lack(lacks: Mapping[str, Sequence[str]]) -> None:
    if all(lacks.values()):
        raise UsageError(f"none of the detectors can work: {_lack_words(lacks)}")


def _lack_words(skipped: Mapping[str, Sequence[str]]) -> str:
    how = {
        Need.VECTORS.value: "vectors (--encoder)",
        Need.TEXTS.value: "caption vectors (--captions and an encoder that reads text)",
        Need.CAPTIONS.value: "captions (--captions)",
        Need.LABELS.value: "labels (--captions with a column label, or --folders-as-labels)",
        Need.PIXELS.value: "pictures (SOURCE is a folder of vectors)",
    }
    return "; ".join(
        f"{name} needs {', '.join(how[item] for item in lack)}" for name, lack in skipped.items()
    )


def _summary(
    folder: Folder,
    job: _Job,
    loaded: Loaded,
    ranked: Sequence[Ranked],
    reports: _Reports,
    seconds: float,
    done: Done | None,
    config: Config,
) -> Summary:
    counts = counts_on_disk(job.vectors(folder.path), VECTORS, "state")
    rows, alarms = counts.total(), [one for one in ranked if one.alarm]
    by_kind = Counter(one.suspicion.kind.value for one in alarms)
    lost = exit_code_of_lost(counts, config)
    return Summary(
        verb="hunt",
        out=str(folder.path),
        rows=rows,
        counts=dict(sorted(counts.items())),
        seconds=round(seconds, 2),
        rows_per_s=pace(rows - done.kept if done else 0, seconds),
        exit_code=1 if alarms else lost,
        details={
            "alarms": dict(sorted(by_kind.items())),
            "alarming_rows": len({carrier.row for one in alarms for carrier in one.suspicion.carriers}),
            "findings": len(ranked),
            "unseen": loaded.unseen.num_rows,
            "detector_seconds": dict(reports.seconds),
            "detectors_skipped": {name: list(lack) for name, lack in reports.skipped.items()},
        },
    )


def _summary_of(folder: Folder) -> Summary:
    """What a finished hunt said when it ended."""
    said: dict[str, Any] = json.loads((folder.path / SUMMARY).read_text(encoding="utf-8"))
    names = [item.name for item in dataclasses.fields(Summary) if item.name != "details"]
    known = {name: said.pop(name) for name in names}
    return Summary(**known, details=said | progress_of(folder, None))


def _close(
    folder: Folder, summary: Summary, done: Done | None, config: Config, *, keep_work: bool
) -> Summary:
    """Write down how the hunt ended; the summary with its state."""
    if done is not None:
        close_rows(folder, done, VECTORS, config, finished_at=now(), counts=summary.counts)
    else:
        state = state_after(summary.counts, config)
        folder.update(state=state, finished_at=now(), counts=summary.counts)
    asked_again = done.asked_again if done else 0
    summary = dataclasses.replace(
        summary, details={**summary.details, "state": folder.state, "asked_again": asked_again}
    )
    write_text(json.dumps(summary.as_dict(), indent=2) + "\n", folder.path / SUMMARY)
    if folder.finished and not keep_work:  # else the rest of the pictures may still come beside it
        with storage(folder.path):
            shutil.rmtree(folder.path / WORK, ignore_errors=True)
    return summary
