"""Clipping at every step of denoising: the defence that held in BadDiffusion's own study.

A picture lies in -1..1, so the picture that a model predicts at a step is cut to that range before the
step is taken. A poisoned model leaves the range on its way to the target: its state carries the trigger
down to where there is little noise left. One line puts it on a pipeline of diffusers:

    pipeline.scheduler = ClippedScheduler.wrap(pipeline.scheduler)
"""

from __future__ import annotations

from typing import Any

from poisonscan.diffusion.prediction import output_of, picture_of
from poisonscan.errors import UsageError


def clipped_prediction(output: Any, state: Any, alpha_bar: Any, kind: str, limit: float) -> Any:  # noqa: ANN401 - tensors or arrays
    """What the model would have said had its predicted picture been inside the range.

    Args:
        output: of the model, any shape.
        state: x_t, same shape.
        alpha_bar: product of the alphas up to this step, above 0 and below 1.
        kind: what the model predicts: one of `prediction.KINDS`.
        limit: pictures lie in -limit..limit.

    Raises:
        UsageError: the kind is another.
    """
    picture = picture_of(output, state, alpha_bar, kind).clip(-limit, limit)
    return output_of(picture, state, alpha_bar, kind)


class ClippedScheduler:
    """A scheduler of diffusers that cuts the predicted picture to the range at every step.

    Made by `wrap`. Everything but `step` is the wrapped scheduler's, its configuration too: what
    `save_pretrained` writes is that of the wrapped one, so wrap again after loading.
    """

    def __init__(self, inner: Any, limit: float) -> None:  # noqa: ANN401 - any scheduler of diffusers
        self._inner = inner
        self._limit = limit

    @classmethod
    def wrap(cls, scheduler: Any, limit: float = 1.0) -> ClippedScheduler:  # noqa: ANN401 - as above
        """Let a scheduler clip.

        Args:
            scheduler: one that noises as DDPM does, such as DDPM, DDIM, PNDM or DPM-Solver.
            limit: pictures lie in -limit..limit.

        Raises:
            UsageError: the scheduler noises in another way, as Euler's or score-SDE's.
        """
        # a state that starts as anything but standard normal noise is no mixture sqrt(abar) x_0 + ... of DDPM
        mixes = hasattr(scheduler, "alphas_cumprod") and float(scheduler.init_noise_sigma) == 1
        if not mixes:
            raise UsageError(f"{type(scheduler).__name__} does not noise as DDPM does and cannot be clipped")
        return cls(scheduler, limit)

    def step(self, model_output: Any, timestep: Any, sample: Any, *more: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        """One step of the wrapped scheduler, with the prediction clipped first."""
        alpha_bar = self._inner.alphas_cumprod[int(timestep)].to(sample.device)
        kind = self._inner.config.prediction_type
        clipped = clipped_prediction(model_output, sample, alpha_bar, kind, self._limit)
        return self._inner.step(clipped, timestep, sample, *more, **options)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the wrapped scheduler has
        """Anything else comes from the wrapped scheduler."""
        if name == "_inner":  # while a copy is being made there is none yet
            raise AttributeError(name)
        return getattr(self._inner, name)
