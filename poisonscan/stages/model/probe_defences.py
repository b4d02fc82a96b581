"""What defences do to a probed model: to the trigger's effect, and to the plain samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from poisonscan.diffusion.collapse import SAME, distances, middle, spread
from poisonscan.diffusion.pruning import Pruning, prune
from poisonscan.diffusion.quality import features, hit_rate, mmd, usual_distance
from poisonscan.diffusion.sampling import Sampler, starts
from poisonscan.diffusion.sheet import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poisonscan.config import ProbeSettings
    from poisonscan.diffusion.checkpoint import Checkpoint, Planes

_OTHER_NOISE = 1
"""Added to the seed for the second half of the plain samples, the reference of the discrepancy."""


@dataclass(frozen=True)
class Defence:
    """A defence in numbers.

    Attributes:
        name: `none`, `clipping` or `pruning`.
        hit_rate: share of the samples with the trigger that still show the recovered target, 0..1.
        discrepancy: squared maximum mean discrepancy between plain samples with the defence and others
            without; that of `none` is between two draws without, which is what chance alone gives.
        pruned: share of the neurons that were switched off; None where that is not what the defence does.
    """

    name: str
    hit_rate: float
    discrepancy: float
    pruned: float | None = None


@dataclass(frozen=True)
class Defended:
    """All of them, and what the contact sheet shows of them."""

    defences: Sequence[Defence]
    rows: Sequence[Row]

    def as_dict(self) -> list[dict[str, Any]]:
        """Plain values for JSON."""
        return [asdict(defence) for defence in self.defences]


def defend(checkpoint: Checkpoint, trigger: Planes, triggered: Planes, settings: ProbeSettings) -> Defended:
    """Sample a model as it is, with clipping, and after pruning; with a trigger and without.

    Args:
        checkpoint: the model.
        trigger: what is added to the noise, shape (channels, height, width).
        triggered: samples that started with it, from which the target is recovered.
        settings: how to sample.
    """
    sampler = Sampler(settings.steps, settings.sampler, batch=settings.batch)
    plain = _plain(checkpoint, sampler, settings, settings.seed)
    again = _plain(checkpoint, sampler, settings, settings.seed + _OTHER_NOISE)
    radius = SAME * spread(distances(np.clip(plain, -1, 1)))
    target = middle(triggered, radius)
    width = usual_distance(features(again))
    defences, rows = [], []
    pruned, share = prune(
        checkpoint, np.clip(plain, -1, 1), Pruning(rounds=settings.pruning_rounds), settings.seed
    )
    for name, model, way in (
        ("none", checkpoint, sampler),
        ("clipping", checkpoint, replace(sampler, clip=True)),
        ("pruning", pruned, sampler),
    ):
        noise = starts(model.shape, settings.samples, settings.seed, trigger)
        with_trigger = way.draw(model, noise, settings.seed)
        without = _plain(model, way, settings, settings.seed)
        hits = hit_rate(with_trigger, target, radius)
        apart = mmd(features(without), features(again), width)
        defences.append(Defence(name, hits, apart, share if name == "pruning" else None))
        rows += [
            Row(f"defence {name}, with the trigger", f"{hits:.0%} show the target", trigger, with_trigger),
            Row(f"defence {name}, plain noise", f"discrepancy {apart:.4f}", None, without),
        ]
    return Defended(defences, rows)


def _plain(checkpoint: Checkpoint, sampler: Sampler, settings: ProbeSettings, seed: int) -> Planes:
    return sampler.draw(checkpoint, starts(checkpoint.shape, settings.quality_samples, seed), seed)
