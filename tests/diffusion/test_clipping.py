# ruff: noqa: ANN401 - the classes of diffusers come without types

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    ScoreSdeVeScheduler,
)

from poisonscan.diffusion.clipping import ClippedScheduler
from poisonscan.errors import UsageError

from .conftest import fresh_unet


def pictures(pipeline: Any) -> Any:
    chance = torch.Generator().manual_seed(0)
    return pipeline(batch_size=2, generator=chance, num_inference_steps=6, output_type="np").images


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_one_line_clips_as_diffusers_own_setting_does(kind: str) -> None:
    unet = fresh_unet()
    theirs = DDPMPipeline(unet, DDPMScheduler(20, clip_sample=True, prediction_type=kind))
    ours = DDPMPipeline(unet, DDPMScheduler(20, clip_sample=False, prediction_type=kind))
    theirs.set_progress_bar_config(disable=True)
    ours.set_progress_bar_config(disable=True)
    unclipped = pictures(ours)
    ours.scheduler = ClippedScheduler.wrap(ours.scheduler)
    assert np.allclose(pictures(ours), pictures(theirs), atol=1e-4)
    assert kind == "sample" or not np.allclose(pictures(ours), unclipped, atol=1e-2)


@pytest.mark.parametrize("scheduler", [DDIMScheduler, PNDMScheduler])
def test_schedulers_that_cannot_clip_can_be_made_to(scheduler: Any) -> None:
    """The state stays near its range, whatever the model says."""
    inner = scheduler(20)
    wrapped = ClippedScheduler.wrap(inner)
    wrapped.set_timesteps(5)
    state = torch.zeros(1, 1, 4, 4)
    for moment in wrapped.timesteps:
        state = wrapped.step(torch.full_like(state, -50.0), moment, state).prev_sample
    assert float(state.abs().max()) < 2


def test_everything_else_is_the_wrapped_schedulers() -> None:
    inner = DDPMScheduler(20)
    wrapped = copy.deepcopy(ClippedScheduler.wrap(inner, limit=0.5))
    wrapped.set_timesteps(4)
    assert wrapped.config.num_train_timesteps == 20
    assert len(wrapped.timesteps) == 4
    with pytest.raises(AttributeError):
        _ = wrapped.no_such_thing


@pytest.mark.parametrize("scheduler", [ScoreSdeVeScheduler])
def test_noise_of_another_kind_is_refused(scheduler: Any) -> None:
    with pytest.raises(UsageError, match=scheduler.__name__):
        ClippedScheduler.wrap(scheduler())


def test_euler_is_told_from_ddpm() -> None:
    """It has `alphas_cumprod` and yet other states: sigma instead of the mixture."""
    with pytest.raises(UsageError, match="EulerDiscreteScheduler"):
        ClippedScheduler.wrap(EulerDiscreteScheduler())
