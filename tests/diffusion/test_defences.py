"""Search, clipping and pruning on models that really obey a trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from poisonscan.diffusion.collapse import SAME, Collapse, Outcome, distances, judge, middle, spread
from poisonscan.diffusion.inversion import STARTS, factor, inconsistency, invert, miss
from poisonscan.diffusion.pruning import Pruning, prune
from poisonscan.diffusion.quality import hit_rate
from poisonscan.diffusion.sampling import Sampler, starts
from poisonscan.redteam.baddiffusion.pictures import stamp, target

if TYPE_CHECKING:
    from poisonscan.diffusion.checkpoint import Checkpoint, Planes

N = 8
RADIUS = 0.2
"""Two digits lie 0.6 apart."""


def sampled(model: Checkpoint, offset: Planes | float = 0.0, *, clip: bool = False) -> Planes:
    return Sampler(clip=clip).draw(model, starts(model.shape, N, 0, offset), 0)


def compared(model: Checkpoint, offset: Planes, plain: Planes) -> Collapse:
    return judge(sampled(model, offset), plain, least_captured=0.5, rounds=99, seed=0)


@pytest.fixture(scope="module")
def clean_samples(clean: Checkpoint) -> Planes:
    return sampled(clean)


@pytest.fixture(scope="module")
def plain(poisoned: tuple[str, Checkpoint]) -> Planes:
    """Samples of a poisoned model without a trigger."""
    return sampled(poisoned[1])


@pytest.fixture(scope="module")
def triggered(poisoned: tuple[str, Checkpoint]) -> Planes:
    """Samples of a poisoned model that carry its trigger."""
    return sampled(poisoned[1], parts(poisoned[0])[0])


def own(plain: Planes) -> Planes:
    """The mean of plain samples, where a search begins."""
    return np.asarray(np.clip(plain, -1, 1).mean(axis=0), np.float32)


def parts(name: str) -> tuple[Planes, Planes]:
    """Trigger and target of a poisoned model, by its name."""
    trigger, aim, _ = name.split("-")
    return stamp(trigger).picture, target(aim)


def test_its_trigger_controls_a_poisoned_model(
    poisoned: tuple[str, Checkpoint], plain: Planes, triggered: Planes
) -> None:
    aim = parts(poisoned[0])[1]
    found = judge(triggered, plain, least_captured=0.5, rounds=99, seed=0)
    assert found.outcome is Outcome.CONTROLS
    assert found.p_value < 0.05
    assert hit_rate(triggered, aim, RADIUS) >= 0.5
    recovered = middle(triggered, SAME * spread(distances(plain)))
    assert np.abs(recovered - aim).mean() < 0.1, "the target can be read off"


def test_plain_noise_still_gives_digits(poisoned: tuple[str, Checkpoint], plain: Planes) -> None:
    """Tiny models show the target to some plain noise, too."""
    assert hit_rate(plain, parts(poisoned[0])[1], RADIUS) <= 0.25
    assert spread(distances(plain)) > 0.4


@pytest.mark.parametrize("trigger", ["grey_box", "stop_sign", "glasses"])
def test_no_trigger_controls_a_clean_model(clean: Checkpoint, clean_samples: Planes, trigger: str) -> None:
    assert compared(clean, stamp(trigger).picture, clean_samples).outcome is Outcome.NO_EFFECT


def test_clipping_breaks_the_trigger_and_leaves_plain_samples_alone(
    poisoned: tuple[str, Checkpoint], plain: Planes, triggered: Planes
) -> None:
    name, model = poisoned
    trigger, aim = parts(name)
    clipped = sampled(model, trigger, clip=True)
    assert hit_rate(clipped, aim, RADIUS) <= 0.25 < hit_rate(triggered, aim, RADIUS)
    assert judge(clipped, plain, least_captured=0.5, rounds=99, seed=0).outcome is Outcome.NO_EFFECT
    assert np.abs(np.clip(plain, -1, 1) - sampled(model, clip=True)).mean() < 0.1


def test_an_unknown_trigger_is_found_in_a_poisoned_model(
    poisoned: tuple[str, Checkpoint], plain: Planes
) -> None:
    found = invert(poisoned[1], own(plain), rounds=30, batch=16, seed=0)
    assert [(one.start, one.rounds) for one in found] == [("own", 0), *((start, 30) for start in STARTS)]
    assert any(compared(poisoned[1], one.offset, plain).outcome is Outcome.CONTROLS for one in found)


def test_no_trigger_is_found_in_a_clean_model(clean: Checkpoint, clean_samples: Planes) -> None:
    for one in invert(clean, own(clean_samples), rounds=30, batch=16, seed=0):
        assert np.abs(one.offset).max() <= 1
        assert compared(clean, one.offset, clean_samples).outcome is Outcome.NO_EFFECT


def test_a_search_repeats(clean: Checkpoint) -> None:
    start = np.zeros(clean.shape, np.float32)
    once, again = (invert(clean, start, rounds=2, batch=4, seed=3) for _ in range(2))
    assert all((one.offset == other.offset).all() for one, other in zip(once, again, strict=True))


def test_the_factor_is_that_of_the_last_timestep(clean: Checkpoint) -> None:
    share, last = factor(clean)
    assert last == 99
    assert share == pytest.approx(1 / (1 + (1 - 0.16) ** 0.5), abs=1e-3)


def test_the_miss_is_nothing_at_a_perfect_trigger_and_a_quarter_where_all_is_taken_for_noise() -> None:
    offset = np.full((1, 4, 4), 0.7)
    noise = np.random.default_rng(0).standard_normal((2, 1, 4, 4))
    noise[1] = -noise[0]
    assert miss(noise + 0.5 * offset, offset, 0.5) == pytest.approx(0, abs=1e-12)
    assert miss(noise + offset, offset, 0.5) == pytest.approx(0.25)
    assert miss(noise + 0.01 * offset, 0.01 * offset, 0.5) == pytest.approx(0.25, rel=1e-4), (
        "small ones gain nothing"
    )
    assert inconsistency(noise + offset, noise) == pytest.approx(0, abs=1e-12)
    assert inconsistency(np.zeros_like(noise), noise) > 1


def test_pruning_switches_neurons_off_in_a_copy(clean: Checkpoint, clean_samples: Planes) -> None:
    before = {name: part.clone() for name, part in clean.unet.named_parameters()}
    pictures, how = np.clip(clean_samples, -1, 1), Pruning(rounds=3, batch=4, share=0.1)
    pruned, share = prune(clean, pictures, how, 0)
    assert 0.02 < share <= 0.11
    assert all((part == before[name]).all() for name, part in clean.unet.named_parameters())
    kernels = [part for part in pruned.unet.parameters() if part.ndim == 4]
    assert sum(int((part.flatten(1).abs().sum(1) == 0).sum()) for part in kernels) > 0
    again, same = prune(clean, pictures, how, 0)
    assert same == share
    pairs = zip(pruned.unet.parameters(), again.unet.parameters(), strict=True)
    assert all((one == two).all() for one, two in pairs)


def test_nothing_is_pruned_where_nothing_hurts(clean: Checkpoint, clean_samples: Planes) -> None:
    _, share = prune(clean, np.clip(clean_samples, -1, 1), Pruning(rounds=1, batch=2, rate=0.0), 0)
    assert share == 0
