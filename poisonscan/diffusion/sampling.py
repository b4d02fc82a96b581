"""Drawing samples from a checkpoint, started wherever a candidate trigger wants them started."""

# ruff: noqa: PLC0415 - torch and diffusers are loaded only by whoever probes a model

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from poisonscan.diffusion.checkpoint import Checkpoint, Planes

SAMPLERS = ("ddpm", "ddim")
"""Ancestral sampling, which BadDiffusion poisons, and the deterministic one, which its descendants do."""
_ENOUGH = 1e4
"""Values beyond are cut: a model that runs away must not end in infinities."""


@dataclass(frozen=True)
class Sampler:
    """How samples are drawn.

    Attributes:
        steps: of denoising, spread evenly from the last timestep on; at most those of the training.
        kind: `ddpm` or `ddim`.
        clip: cut the predicted picture to -1..1 at every step, as `ClippedScheduler` does.
        batch: samples denoised at once.
    """

    steps: int = 100
    kind: str = "ddpm"
    clip: bool = False
    batch: int = 64

    def draw(self, checkpoint: Checkpoint, starts: Planes, seed: int) -> Planes:
        """Denoise.

        Args:
            checkpoint: the model.
            starts: x_T, shape (n, channels, height, width), as `starts` makes them.
            seed: of the noise added on the way; each sample has its own, whatever the batch.

        Returns:
            Samples, shape of `starts`, as the model gives them: not cut to -1..1.
        """
        pieces = [
            self._batch(checkpoint, starts[first : first + self.batch], seed, first)
            for first in range(0, len(starts), self.batch)
        ]
        return np.concatenate(pieces) if pieces else starts.copy()

    def _batch(self, checkpoint: Checkpoint, starts: Planes, seed: int, first: int) -> Planes:
        import torch

        scheduler = scheduler_for(checkpoint, self)
        chances = [torch.Generator().manual_seed(_chance(seed, first + row)) for row in range(len(starts))]
        state = torch.from_numpy(np.ascontiguousarray(starts)).to(checkpoint.device)
        with torch.inference_mode():
            for moment in scheduler.timesteps:
                predicted = checkpoint.unet(state, moment).sample
                state = scheduler.step(predicted, moment, state, generator=chances).prev_sample
                state = torch.nan_to_num(state).clamp(-_ENOUGH, _ENOUGH)
        return np.asarray(state.float().cpu().numpy(), np.float32)


def starts(checkpoint_shape: tuple[int, int, int], n: int, seed: int, offset: Planes | float = 0.0) -> Planes:
    """Standard normal noise, moved by a trigger: N(g, I), as BadDiffusion is set off.

    Args:
        checkpoint_shape: channels, height and width.
        n: samples. The first ones are the same for every n.
        seed: of the noise; the same seed gives the same noise under every trigger.
        offset: the trigger over the whole frame, shape (channels, height, width), or a number.

    Returns:
        Shape (n, channels, height, width).
    """
    noise = np.random.default_rng(seed).standard_normal((n, *checkpoint_shape), np.float32)
    return (noise + np.asarray(offset, np.float32)).astype(np.float32)


def scheduler_for(checkpoint: Checkpoint, sampler: Sampler) -> Any:  # noqa: ANN401 - a scheduler of diffusers
    """A scheduler that noises as the checkpoint's does and walks back as the sampler says.

    The checkpoint's own way back is not taken: it may clip and so hide what is asked for.
    """
    from diffusers import DDIMScheduler, DDPMScheduler

    kind = DDPMScheduler if sampler.kind == "ddpm" else DDIMScheduler
    scheduler = kind(**checkpoint.noise, clip_sample=sampler.clip, timestep_spacing="trailing")
    scheduler.set_timesteps(min(sampler.steps, scheduler.config.num_train_timesteps))
    return scheduler


def use_threads(threads: int) -> None:
    """Let torch use so many threads on a CPU; 0 leaves it to torch: one a core."""
    import torch

    if threads:
        torch.set_num_threads(threads)


def _chance(seed: int, row: int) -> int:
    return int(np.random.SeedSequence([seed, row]).generate_state(1, np.uint64)[0] >> np.uint64(1))
