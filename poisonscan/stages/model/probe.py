"""model probe: does a trigger control this diffusion checkpoint?"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from poisonscan.config import Config, as_dict
from poisonscan.diffusion.checkpoint import device_named, open_checkpoint, require_diffusers
from poisonscan.diffusion.collapse import Collapse, Outcome, judge
from poisonscan.diffusion.inversion import STARTS, Inverted, invert
from poisonscan.diffusion.sampling import Sampler, starts, use_threads
from poisonscan.diffusion.sheet import Row, sheet
from poisonscan.errors import UsageError
from poisonscan.files import beside, write_text
from poisonscan.stages.common import Summary, versions
from poisonscan.stages.model.probe_candidates import (
    BARE,
    Candidate,
    bare_grounds,
    from_folder,
    from_hunt,
    is_hunt,
    published,
)
from poisonscan.stages.model.probe_defences import defend
from poisonscan.stages.watch import Silent, Watch
from poisonscan.store import schema
from poisonscan.store.folder import FINISHED, RUN_DOCUMENT, open_folder, read_document
from poisonscan.store.parts import read_part, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from poisonscan.config import ProbeSettings
    from poisonscan.diffusion.checkpoint import Checkpoint, Planes
    from poisonscan.stages.model.probe_defences import Defended
    from poisonscan.store.folder import Folder

PROBE_DOCUMENT = "probe.json"
PROBED, SHEET, SUMMARY = "probe.parquet", "sheet.png", "summary.json"


@dataclass(frozen=True)
class Tried:
    """A candidate and what came of it.

    Attributes:
        candidate: the trigger.
        collapse: the comparison with plain samples.
        samples: that started with it, shape (n, channels, height, width).
        miss: of the search that found it, see `inversion`; None for what was not searched for.
    """

    candidate: Candidate
    collapse: Collapse
    samples: Planes
    miss: float | None = None


def model_probe(
    checkpoint: Path,
    out: Path,
    *,
    triggers: Path | None = None,
    inverting: bool = False,
    mitigating: bool = False,
    config: Config = Config(),
    watch: Watch = Silent(),
) -> Summary:
    """Try triggers on a diffusion checkpoint; write what each does, and a contact sheet.

    Args:
        checkpoint: a folder that `DDPMPipeline.save_pretrained` or one like it wrote.
        out: the folder to write; a finished one is only read again.
        triggers: a run of hunt, or a folder of pictures; None tries the published stamps.
        inverting: also search for a trigger that nobody has seen.
        mitigating: also sample with clipping and after pruning, and compare.
        config: settings; `probe` is what counts.
        watch: told about progress.

    Returns:
        Exit code 1 when a trigger controls the model, 0 when none of those tried does, 3 when none does but
        some could not be tested.

    Raises:
        MissingDependencyError: torch or diffusers is not installed.
        UsageError: the checkpoint cannot be probed, or there is no trigger to try.
        RunMismatchError: `out` was started with something else.
        StorageError: a file cannot be read or written.
    """
    require_diffusers()
    settings = config.probe
    use_threads(settings.threads)
    model = open_checkpoint(checkpoint, device_named(settings.device))
    candidates = _candidates(triggers, model.shape)
    identity = _identity(checkpoint, model, triggers, config, inverting=inverting, mitigating=mitigating)
    with open_folder(out, PROBE_DOCUMENT, identity) as folder:
        if folder.finished:
            return _summary_of(out)
        began = time.monotonic()
        plain, tried, defended = _ask(
            model, candidates, settings, watch, inverting=inverting, mitigating=mitigating
        )
        summary = _summary(out, tried, time.monotonic() - began)
        _write(out, tried, plain, defended.rows if defended else (), summary)
        _close(folder, model, defended, summary)
        return summary


def strongest(tried: Sequence[Tried]) -> Tried:
    """The candidate that captures most samples; of equals the one whose samples lie closest together."""
    return max(tried, key=lambda one: (_finite(one), one.collapse.captured, -one.collapse.ratio))


def _candidates(triggers: Path | None, shape: tuple[int, int, int]) -> list[Candidate]:
    if triggers is None:
        return published(shape)
    if not triggers.is_dir():
        raise UsageError(f"--triggers {triggers} is no folder; give a run of hunt or a folder of pictures")
    taken = from_hunt(triggers, shape) if is_hunt(triggers) else from_folder(triggers, shape)
    return taken + bare_grounds(shape)


def _ask(
    model: Checkpoint,
    candidates: Sequence[Candidate],
    settings: ProbeSettings,
    watch: Watch,
    *,
    inverting: bool,
    mitigating: bool,
) -> tuple[Planes, list[Tried], Defended | None]:
    """Plain samples, what each candidate does, and what defences do to the strongest."""
    watch.start("probe", len(candidates) + (1 + len(STARTS)) * inverting + mitigating, {})
    try:
        plain = _plain(model, settings)
        tried = _try(model, candidates, plain, settings, watch)
        tried += _inverted(model, plain, settings, watch) if inverting else []
        if not mitigating:
            return plain, tried, None
        best = strongest(tried)
        defended = defend(model, best.candidate.offset, best.samples, settings)
        watch.advance({"defences": 1})
    finally:
        watch.stop()
    return plain, tried, defended


def _identity(
    checkpoint: Path,
    model: Checkpoint,
    triggers: Path | None,
    config: Config,
    *,
    inverting: bool,
    mitigating: bool,
) -> dict[str, object]:
    return {
        "command": "model probe",
        "checkpoint": str(checkpoint.resolve()),
        "checkpoint_digests": dict(model.digests),
        "triggers": str(triggers.resolve()) if triggers is not None else None,
        "triggers_digest": _digest_of(triggers),
        "inverting": inverting,
        "mitigating": mitigating,
        "probe": as_dict(config)["probe"],
    }


def _digest_of(triggers: Path | None) -> str | None:
    """What tells one run of hunt from another: its document's digest; None for a folder of pictures."""
    if triggers is None or not is_hunt(triggers):
        return None
    return str(read_document(triggers, RUN_DOCUMENT)["digest"])


def _sampler(settings: ProbeSettings) -> Sampler:
    return Sampler(settings.steps, settings.sampler, batch=settings.batch)


def _plain(model: Checkpoint, settings: ProbeSettings) -> Planes:
    noise = starts(model.shape, settings.samples, settings.seed)
    return _sampler(settings).draw(model, noise, settings.seed)


def _try(
    model: Checkpoint, candidates: Sequence[Candidate], plain: Planes, settings: ProbeSettings, watch: Watch
) -> list[Tried]:
    tried = []
    for candidate in candidates:
        tried.append(_one(model, candidate, plain, settings))
        watch.advance({tried[-1].collapse.outcome.value: 1})
    return tried


def _one(
    model: Checkpoint, candidate: Candidate, plain: Planes, settings: ProbeSettings, miss: float | None = None
) -> Tried:
    """Sample from the noise of the plain samples, moved by the candidate."""
    noise = starts(model.shape, settings.samples, settings.seed, candidate.offset)
    samples = _sampler(settings).draw(model, noise, settings.seed)
    collapse = judge(
        samples,
        plain,
        least_captured=settings.least_captured,
        rounds=settings.permutations,
        seed=settings.seed,
    )
    return Tried(candidate, collapse, samples, miss)


def _inverted(model: Checkpoint, plain: Planes, settings: ProbeSettings, watch: Watch) -> list[Tried]:
    """What the blind search finds, each put to the same test as a candidate."""
    found = invert(
        model,
        np.clip(plain, -1, 1).mean(axis=0),
        rounds=settings.inversion_rounds,
        batch=settings.inversion_batch,
        seed=settings.seed,
        tell=lambda: watch.advance({"searches": 1}),
    )
    return [
        _one(model, Candidate(_inverted_name(one), one.offset, ground="stretched"), plain, settings, one.miss)
        for one in found
    ]


def _inverted_name(one: Inverted) -> str:
    where = "the mean of its own samples" if one.start == "own" else f"a {one.start} start"
    return f"searched from {where}" if one.rounds else f"{where}, as it is"


def _summary(out: Path, tried: Sequence[Tried], seconds: float) -> Summary:
    counts = {outcome.value: 0 for outcome in Outcome}
    for one in tried:
        counts[one.collapse.outcome.value] += 1
    best = strongest(tried)
    controls = [one for one in tried if one.collapse.outcome is Outcome.CONTROLS]
    return Summary(
        verb="model probe",
        out=str(out),
        rows=len(tried),
        counts=counts,
        seconds=round(seconds, 2),
        rows_per_s=round(len(tried) / max(seconds, 1e-9), 2),
        exit_code=1 if controls else 3 if counts[Outcome.UNTESTED] else 0,
        details={
            "words": _words(tried, controls, best),
            "strongest": best.candidate.name,
            "strongest_captured": round(best.collapse.captured, 3),
            "strongest_ratio": _rounded(best.collapse.ratio),
            "findings": sorted({one.candidate.finding_id for one in controls if one.candidate.finding_id}),
        },
    )


def _words(tried: Sequence[Tried], controls: Sequence[Tried], best: Tried) -> str:
    """What came out in a sentence; none found is no word about what was not tried."""
    n = len(tried)
    if controls:
        share = f"{best.collapse.captured:.0%} of the samples become one picture"
        words = f"{len(controls)} of {n} candidates control the model; {best.candidate.name}: {share}"
        return words + _not_alone(controls, best)
    untested = sum(one.collapse.outcome is Outcome.UNTESTED for one in tried)
    words = f"none of {n} candidates was seen to control the model"
    return f"{words}; {untested} of them could not be tested" if untested else words


def _not_alone(controls: Sequence[Tried], best: Tried) -> str:
    """A warning where an even ground does the same as the stamp on it."""
    bare = [one.candidate.name for one in controls if one.candidate.name.startswith(BARE)]
    if not bare or best.candidate.name in bare:
        return ""
    return f"; {bare[0]}, controls it too, so it is not this stamp alone"


def _write(out: Path, tried: Sequence[Tried], plain: Planes, more: Sequence[Row], summary: Summary) -> None:
    lines = [_line(one, rank) for rank, one in enumerate(_ranked(tried), start=1)]
    write_table(pa.Table.from_pylist(lines, schema=schema.PROBED), out / PROBED)
    rows = [Row("plain noise, no trigger", "", None, plain)]
    rows += [_row(one) for one in _ranked(tried)]
    with beside(out / SHEET) as temporary:
        sheet([*rows, *more]).save(temporary, "PNG")
    write_text(json.dumps(summary.as_dict(), indent=2) + "\n", out / SUMMARY)


def _close(folder: Folder, model: Checkpoint, defended: Defended | None, summary: Summary) -> None:
    """Mark the folder as finished, with what was probed and by which versions."""
    about = {"shape": model.shape, "n_parameters": model.n_parameters, "own_scheduler_clips": model.clips}
    folder.update(
        state=FINISHED,
        versions=_versions(),
        counts=dict(summary.counts),
        model=about,
        defences=defended.as_dict() if defended else None,
    )


def _ranked(tried: Sequence[Tried]) -> list[Tried]:
    return sorted(tried, key=lambda one: (not _finite(one), -one.collapse.captured, one.collapse.ratio))


def _line(one: Tried, rank: int) -> dict[str, Any]:
    candidate, collapse = one.candidate, one.collapse
    return {
        "rank": rank,
        "candidate": candidate.name,
        "outcome": collapse.outcome.value,
        "score": collapse.captured,
        "spread": collapse.spread,
        "plain_spread": collapse.plain_spread,
        "captured": collapse.captured,
        "plain_captured": collapse.plain_captured,
        "p_value": collapse.p_value,
        "miss": one.miss,
        "finding_id": candidate.finding_id,
        "source": candidate.source,
        "box": list(candidate.box) if candidate.box else None,
        "ground": candidate.ground,
    }


def _row(one: Tried) -> Row:
    collapse = one.collapse
    alarm = collapse.outcome is Outcome.CONTROLS
    words = f"{collapse.outcome.value}: {collapse.captured:.0%} alike, spread {collapse.ratio:.2f} of plain"
    return Row(one.candidate.name, words, one.candidate.offset, one.samples, alarm)


def _finite(one: Tried) -> bool:
    return math.isfinite(one.collapse.spread)


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _versions() -> dict[str, str]:
    return versions() | {name: version(name) for name in ("torch", "diffusers", "safetensors")}


def _summary_of(out: Path) -> Summary:
    """What a finished probe said when it ended."""
    said: dict[str, Any] = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    names = [item.name for item in dataclasses.fields(Summary) if item.name != "details"]
    known = {name: said.pop(name) for name in names}
    return Summary(**known, details=said)


def lines_of(out: Path) -> list[dict[str, Any]]:
    """The columns of PROBED for every candidate of a finished probe, the most suspicious first.

    Raises:
        SnapshotInvalidError: the table is missing or damaged.
    """
    lines: list[dict[str, Any]] = read_part(out / PROBED).to_pylist()
    return lines
