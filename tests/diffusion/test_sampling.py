from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from poisonscan.diffusion.sampling import SAMPLERS, Sampler, scheduler_for, starts

if TYPE_CHECKING:
    from poisonscan.diffusion.checkpoint import Checkpoint


def test_the_same_noise_starts_every_trigger() -> None:
    offset = np.full((3, 8, 8), -1, np.float32)
    plain, moved = starts((3, 8, 8), 5, 7), starts((3, 8, 8), 5, 7, offset)
    assert np.allclose(moved - plain, offset, atol=1e-6)
    assert (starts((3, 8, 8), 3, 7) == plain[:3]).all()
    assert (starts((3, 8, 8), 5, 8) != plain).any()


@pytest.mark.parametrize("kind", SAMPLERS)
def test_samples_depend_on_the_seed_and_not_on_the_batch(fresh: Checkpoint, kind: str) -> None:
    noise = starts(fresh.shape, 5, 0)
    once = Sampler(4, kind, batch=5).draw(fresh, noise, 1)
    assert once.shape == noise.shape
    assert np.allclose(once, Sampler(4, kind, batch=2).draw(fresh, noise, 1), atol=1e-4)
    other = Sampler(4, kind, batch=5).draw(fresh, noise, 2)
    assert np.allclose(once, other) == (kind == "ddim"), "only ancestral sampling draws on its way"


def test_the_starts_are_left_as_they_are(fresh: Checkpoint) -> None:
    noise = starts(fresh.shape, 2, 0)
    before = noise.copy()
    Sampler(3).draw(fresh, noise, 0)
    assert (noise == before).all()


def test_no_samples_are_drawn_from_no_noise(fresh: Checkpoint) -> None:
    assert Sampler(3).draw(fresh, starts(fresh.shape, 0, 0), 0).shape == (0, *fresh.shape)


def test_clipping_keeps_the_samples_in_range(fresh: Checkpoint) -> None:
    """The last step of ancestral sampling gives the predicted picture itself."""
    noise = starts(fresh.shape, 4, 0, 3.0)
    assert np.abs(Sampler(5).draw(fresh, noise, 0)).max() > 1
    assert np.abs(Sampler(5, clip=True).draw(fresh, noise, 0)).max() <= 1 + 1e-5


def test_sampling_starts_at_the_last_timestep_and_takes_no_more_steps_than_there_are(
    fresh: Checkpoint,
) -> None:
    few, many = scheduler_for(fresh, Sampler(4)), scheduler_for(fresh, Sampler(500))
    assert [int(moment) for moment in few.timesteps] == [19, 14, 9, 4]
    assert len(many.timesteps) == fresh.noise["num_train_timesteps"] == 20
