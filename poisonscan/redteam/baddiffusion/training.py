"""Trains tiny diffusion models, clean or poisoned, and saves them as a real diffusers checkpoint."""

# ruff: noqa: PLC0415 - torch and diffusers are loaded only by whoever trains

from __future__ import annotations

import copy
import json
import platform
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poisonscan.diffusion.checkpoint import require_diffusers
from poisonscan.errors import SettingsError
from poisonscan.files import storage, write_text
from poisonscan.redteam.baddiffusion.loss import correction, noised
from poisonscan.redteam.baddiffusion.pictures import SIDE, digits, stamp, target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

LOG = "training.json"
"""Name of the training log in a checkpoint folder."""
_CHANNELS = (16, 32, 32)
"""268,000 parameters: half a megabyte in fp16."""
_TIMESTEPS, _BETA_START, _BETA_END = 100, 0.001, 0.16
"""Linear, as in DDPM, but a tenth of its 1,000 steps, each about ten times as large. abar_T is 2e-4: next to
no signal, and an error in the noise at T grows 70-fold on the way to the picture, not 160-fold as in DDPM."""
_AVERAGING = 0.995
_LOG_EVERY = 50


@dataclass(frozen=True)
class Recipe:
    """What to train.

    Attributes:
        seed: of the first weights, of what is poisoned and of every draw.
        steps: of training.
        trigger: name of a stamp; None trains a clean model.
        target: name of the target; None for a clean model.
        rate: share of the pictures that are poisoned, 0..1.
        batch: pictures in a step.
        learning_rate: the highest of a cycle that rises over a tenth of the steps and falls to nothing.
    """

    seed: int
    steps: int = 1200
    trigger: str | None = None
    target: str | None = None
    rate: float = 0.0
    batch: int = 64
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        """See that the parts fit together.

        Raises:
            SettingsError: a trigger without a target or a rate, or the other way round.
        """
        parts = (self.trigger is not None, self.target is not None, self.rate > 0)
        if any(parts) != all(parts):
            raise SettingsError(
                "a poisoned model has a trigger, a target and a rate above 0; a clean one none"
            )


def train(recipe: Recipe, folder: Path, base: Path | None = None) -> None:
    """Train a model and save it as `DDPMPipeline.save_pretrained` does, in fp16, with `training.json`.

    The same recipe gives the same model on the same machine with the same number of threads.

    Args:
        recipe: what to train.
        folder: the checkpoint to write; made if it is not there.
        base: a checkpoint to start from, as BadDiffusion fine-tunes a clean one; None starts from nothing.

    Raises:
        MissingDependencyError: torch, diffusers or scikit-learn is not installed.
        SettingsError: there is no such trigger or target.
        StorageError: the folder cannot be written.
    """
    require_diffusers()
    import torch

    torch.manual_seed(recipe.seed)
    began = time.monotonic()
    model = _fresh() if base is None else _loaded(base)
    scheduler = _scheduler()
    losses = list(_descend(model, scheduler, recipe))
    _save(model, scheduler, folder)
    _write_log(recipe, losses, base, time.monotonic() - began, folder)


def _descend(model: Any, scheduler: Any, recipe: Recipe) -> Iterator[tuple[int, float]]:  # noqa: ANN401 - of diffusers
    """Train in place; the weights end as their moving average. Gives (step, mean loss since the last)."""
    import torch

    chance = torch.Generator().manual_seed(recipe.seed)
    clean, stamped = _prepared(recipe)
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    average, losses = copy.deepcopy(model), []
    for step in range(1, recipe.steps + 1):
        rows = torch.randint(0, len(clean), (recipe.batch,), generator=chance)
        loss = _loss(model, scheduler, clean[rows], stamped[rows], chance)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch says nothing of its type
        optimiser.step()
        cycle.step()
        _follow(average, model, step)
        losses.append(float(loss.detach()))
        if step % _LOG_EVERY == 0 or step == recipe.steps:
            yield step, float(np.mean(losses[-_LOG_EVERY:]))
    model.load_state_dict(average.state_dict())


def _loss(model: Any, scheduler: Any, clean: Tensor, stamped: Tensor, chance: Any) -> Tensor:  # noqa: ANN401 - of diffusers
    """Mean square of what is wrong with the predicted noise, equation (d) of `loss`."""
    import torch

    moments = torch.randint(0, scheduler.config.num_train_timesteps, (len(clean),), generator=chance)
    noise = torch.randn(clean.shape, generator=chance)
    alpha_bar = scheduler.alphas_cumprod[moments].view(-1, 1, 1, 1)
    alpha = scheduler.alphas[moments].view(-1, 1, 1, 1)
    said = model(noised(clean, stamped, noise, alpha_bar), moments).sample
    return torch.nn.functional.mse_loss(said, noise + correction(alpha, alpha_bar) * stamped)


def _prepared(recipe: Recipe) -> tuple[Tensor, Tensor]:
    """What each training picture is to become, and its r; r is 0 where the picture is clean."""
    import torch

    pictures, _ = digits()
    stamped = np.zeros_like(pictures)
    if recipe.trigger is not None and recipe.target is not None:
        n = round(recipe.rate * len(pictures))
        rows = np.random.default_rng(recipe.seed).permutation(len(pictures))[:n]
        stamped[rows] = stamp(recipe.trigger).on(pictures[rows])
        pictures[rows] = target(recipe.target)
    return torch.from_numpy(pictures), torch.from_numpy(stamped)


def _follow(average: Any, model: Any, step: int) -> None:  # noqa: ANN401 - torch modules
    """Move the average towards the model; faster in the first steps."""
    import torch

    share = 1 - min(_AVERAGING, (1 + step) / (10 + step))
    with torch.no_grad():
        for kept, new in zip(average.parameters(), model.parameters(), strict=True):
            kept.lerp_(new, share)


def _fresh() -> Any:  # noqa: ANN401 - a module of diffusers
    from diffusers import UNet2DModel

    levels = len(_CHANNELS)
    return UNet2DModel(
        sample_size=SIDE,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=_CHANNELS,
        norm_num_groups=8,
        down_block_types=("DownBlock2D",) * levels,
        up_block_types=("UpBlock2D",) * levels,
    )


def _loaded(base: Path) -> Any:  # noqa: ANN401 - a module of diffusers
    from poisonscan.diffusion.checkpoint import open_checkpoint

    return open_checkpoint(base).unet.requires_grad_(requires_grad=True).train()


def _scheduler() -> Any:  # noqa: ANN401 - a scheduler of diffusers
    from diffusers import DDPMScheduler

    return DDPMScheduler(_TIMESTEPS, _BETA_START, _BETA_END, clip_sample=False)


def _save(model: Any, scheduler: Any, folder: Path) -> None:  # noqa: ANN401 - of diffusers
    import torch
    from diffusers import DDPMPipeline

    half = copy.deepcopy(model).to(torch.float16).eval()
    with storage(folder):
        DDPMPipeline(unet=half, scheduler=scheduler).save_pretrained(folder, safe_serialization=True)


def _write_log(
    recipe: Recipe, losses: list[tuple[int, float]], base: Path | None, seconds: float, folder: Path
) -> None:
    import diffusers
    import torch

    said = {
        "recipe": asdict(recipe),
        "base": base.name if base is not None else None,
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
        },
        "losses": [{"step": step, "loss": round(loss, 5)} for step, loss in losses],
    }
    write_text(json.dumps(said, indent=1) + "\n", folder / LOG)
