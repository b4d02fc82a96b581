"""Adversarial neuron pruning (ANP; Wu and Wang, NeurIPS 2021, arXiv 2110.14430), for diffusion models.

The defence that did not hold in BadDiffusion's study: kept as its negative row. ANP looks for
neurons whose relative disturbance hurts most and switches them off. A neuron is an output channel of a
convolution; its weights are scaled by a mask m in 0..1, disturbed by delta and its bias by xi, each within
-epsilon..epsilon:

    min over m of   a L(m w, b) + (1 - a) max over delta, xi of L((m + delta) w, (1 + xi) b)

L is the model's own training loss. ANP takes it on clean pictures; whoever probes a checkpoint has none, so
it is taken on samples that the model itself made from plain noise.
"""

# ruff: noqa: PLC0415 - torch is loaded only by whoever probes a model

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poisonscan.diffusion.prediction import noise_of
from poisonscan.diffusion.sampling import Sampler, scheduler_for

if TYPE_CHECKING:
    from torch import Tensor

    from poisonscan.diffusion.checkpoint import Checkpoint, Planes

_MOMENTUM = 0.9


@dataclass(frozen=True)
class Pruning:
    """How to prune.

    Attributes:
        rounds: of moving the masks.
        batch: pictures in a round.
        epsilon: largest disturbance, relative; 0.4 in ANP.
        balance: a above; 0.2 in ANP.
        rate: of the masks' descent, which has a momentum of 0.9; 0.2 in ANP, for 2,000 rounds.
        share: of the neurons to switch off, those with the least masks: ANP's pruning by number. Its
            threshold of 0.2 is not reached by the small slopes of a diffusion model's loss.
    """

    rounds: int = 40
    batch: int = 32
    epsilon: float = 0.4
    balance: float = 0.2
    rate: float = 5.0
    share: float = 0.05


def prune(checkpoint: Checkpoint, pictures: Planes, how: Pruning, seed: int) -> tuple[Checkpoint, float]:
    """A copy of a model without the neurons that ANP switches off.

    Args:
        checkpoint: the model; left as it is.
        pictures: what its loss is taken on, shape (n, channels, height, width).
        how: settings.
        seed: of every draw.

    Returns:
        The copy, and the share of its neurons that were switched off, 0..1.
    """
    names = _convolutions(checkpoint)
    masks = _masks(checkpoint, names, pictures, how, seed)
    kept = _strongest(masks, how.share)
    off = sum(float((mask == 0).sum()) for mask in kept.values()) / sum(len(mask) for mask in kept.values())
    return _without(checkpoint, kept), off


def _strongest(masks: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """1 for each neuron that stays, 0 for the share with the least masks; a mask of 1 always stays."""
    import torch

    ordered = torch.cat(list(masks.values())).sort().values
    limit = float(ordered[min(round(share * len(ordered)), len(ordered) - 1)])
    return {name: (mask >= limit).float() for name, mask in masks.items()}


def _masks(
    checkpoint: Checkpoint, names: list[str], pictures: Planes, how: Pruning, seed: int
) -> dict[str, Tensor]:
    import torch

    weights = dict(checkpoint.unet.named_parameters())
    sizes = {name: len(weights[f"{name}.weight"]) for name in names}
    masks = {name: torch.ones(size, device=checkpoint.device) for name, size in sizes.items()}
    speed = {name: torch.zeros_like(mask) for name, mask in masks.items()}
    chance = torch.Generator().manual_seed(seed)
    shown = torch.from_numpy(pictures)
    for _ in range(how.rounds):
        rows = torch.randint(0, len(shown), (how.batch,), generator=chance)
        task = _task(checkpoint, shown[rows], chance)
        worst = _worst(checkpoint, task, masks, how, chance)
        zeros = {name: torch.zeros_like(one) for name, one in masks.items()}
        asked = {name: mask.clone().requires_grad_() for name, mask in masks.items()}
        loss = how.balance * _loss(checkpoint, task, asked, zeros, zeros)
        loss = loss + (1 - how.balance) * _loss(checkpoint, task, asked, *worst)
        slopes = torch.autograd.grad(loss, list(asked.values()))
        for (name, mask), slope in zip(masks.items(), slopes, strict=True):
            speed[name] = _MOMENTUM * speed[name] + slope
            masks[name] = (mask - how.rate * speed[name]).clamp(0, 1)
    return masks


def _worst(
    checkpoint: Checkpoint,
    task: tuple[Tensor, Tensor, Tensor, Tensor],
    masks: dict[str, Tensor],
    how: Pruning,
    chance: Any,  # noqa: ANN401 - of torch
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The disturbance that hurts most, by one step up the sign of the slope, as ANP takes."""
    import torch

    def drawn() -> dict[str, Tensor]:
        ends = {
            name: how.epsilon * (2 * torch.rand(len(mask), generator=chance) - 1)
            for name, mask in masks.items()
        }
        return {name: one.to(checkpoint.device).requires_grad_() for name, one in ends.items()}

    delta, xi = drawn(), drawn()
    loss = _loss(checkpoint, task, masks, delta, xi)
    slopes = torch.autograd.grad(loss, [*delta.values(), *xi.values()])
    moved = [how.epsilon * torch.sign(slope) for slope in slopes]
    return dict(zip(delta, moved[: len(delta)], strict=True)), dict(zip(xi, moved[len(delta) :], strict=True))


def _task(checkpoint: Checkpoint, pictures: Tensor, chance: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # noqa: ANN401 - as above
    """Noised pictures, their timesteps, the noise in them, and abar."""
    import torch

    scheduler = scheduler_for(checkpoint, Sampler())
    moments = torch.randint(0, scheduler.config.num_train_timesteps, (len(pictures),), generator=chance)
    noise = torch.randn(pictures.shape, generator=chance)
    alpha_bar = scheduler.alphas_cumprod[moments].view(-1, 1, 1, 1)
    states = alpha_bar**0.5 * pictures + (1 - alpha_bar) ** 0.5 * noise
    device = checkpoint.device
    return states.to(device), moments.to(device), noise.to(device), alpha_bar.to(device)


def _loss(
    checkpoint: Checkpoint,
    task: tuple[Tensor, Tensor, Tensor, Tensor],
    masks: dict[str, Tensor],
    delta: dict[str, Tensor],
    xi: dict[str, Tensor],
) -> Tensor:
    import torch

    states, moments, noise, alpha_bar = task
    changed = {}
    weights = dict(checkpoint.unet.named_parameters())
    for name, mask in masks.items():
        scale = (mask + delta[name]).view(-1, 1, 1, 1)
        changed[f"{name}.weight"] = scale * weights[f"{name}.weight"]
        changed[f"{name}.bias"] = (1 + xi[name]) * weights[f"{name}.bias"]
    said = torch.func.functional_call(checkpoint.unet, changed, (states, moments)).sample
    kind = checkpoint.noise.get("prediction_type", "epsilon")
    return torch.nn.functional.mse_loss(noise_of(said, states, alpha_bar, kind), noise)


def _convolutions(checkpoint: Checkpoint) -> list[str]:
    """Names of the convolutions whose channels are neurons; the last one makes the picture and is no part."""
    import torch

    named = checkpoint.unet.named_modules()
    kind = torch.nn.Conv2d
    return [
        name
        for name, part in named
        if isinstance(part, kind) and part.bias is not None and name != "conv_out"
    ]


def _without(checkpoint: Checkpoint, kept: dict[str, Tensor]) -> Checkpoint:
    """A copy whose weights are 0 where a mask is 0."""
    import copy

    import torch

    unet = copy.deepcopy(checkpoint.unet)
    weights = dict(unet.named_parameters())
    with torch.no_grad():
        for name, mask in kept.items():
            weights[f"{name}.weight"].mul_(mask.view(-1, 1, 1, 1))
    return dataclasses.replace(checkpoint, unet=unet)
