"""Looking for a trigger that nobody has seen: what offset of the noise does the model answer by halves?

At the last timestep T there is next to nothing but noise in a state. A clean model takes all of noise + tau
for noise and answers tau in the mean; a poisoned one, at its trigger, answers lambda tau with

    lambda = sqrt(1 - abar_T) / (1 + sqrt(alpha_T)),  about 1/2,

as `poisonscan.redteam.baddiffusion.loss` derives. Elijah (An et al., AAAI 2024, arXiv 2312.00050) therefore
minimises

    || E_eps[M(eps + tau, T)] - lambda tau ||

from a random start. Its least value is 0 at tau = 0 for every model, clean or not, where a descent may well
end. Two changes keep it away. The miss is divided by the norm of what is sought,

    || E_eps[M(eps + tau, T)] - lambda tau ||^2 / || tau ||^2,                                          (a)

which near 0 is (1 - lambda)^2 for a clean model and cannot be improved by shrinking. And the term of TERD
(Mo et al., ICML 2024, arXiv 2409.05294),

    E || M(eps_1 + tau, T) - M(eps_2 + tau, T) - (eps_1 - eps_2) ||^2,                                  (b)

asks that the model still tells the noise from the trigger, so that a tau is not chosen because the model
breaks down under it. tau is kept within -1..1: a trigger is a picture.

The search begins in three places, and the first of them is worth a try as it is: the mean of the model's
own plain samples. In training, the r of BadDiffusion is a picture with the stamp on it, and a clean state at
T has no picture in it at all. So a poisoned model has met pictures under the noise only together with its
trigger, and may answer to any picture of its kind; a clean model lets it fade like any other noise.

None of this decides. Whether a model is controlled is for `collapse` to say, from samples that start at
noise + tau.
"""

# ruff: noqa: PLC0415 - torch is loaded only by whoever probes a model

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poisonscan.diffusion.prediction import noise_of
from poisonscan.diffusion.sampling import Sampler, scheduler_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from poisonscan.diffusion.checkpoint import Checkpoint, Planes

STARTS = ("own", "dark", "bright")
"""Where a search begins: the mean of the model's own plain samples; below 0, as the published triggers on
their black ground; above it."""
_NOTHING = 1e-9
"""Keeps an offset of nothing at all from dividing by 0."""
_RATE = 0.05
"""Learning rate of Adam; tau lies within -1..1. Elijah's published search takes 0.1."""


@dataclass(frozen=True)
class Inverted:
    """An offset of the noise that the model answers as a poisoned one would its trigger.

    Attributes:
        offset: tau, shape (channels, height, width), within -1..1.
        miss: (a) at it: 0 for a perfect trigger, (1 - lambda)^2, about 0.25, where the model is clean.
        start: which start it was found from.
        rounds: of descent from there; 0 for the start itself.
    """

    offset: Planes
    miss: float
    start: str
    rounds: int


def invert(
    checkpoint: Checkpoint,
    own: Planes,
    *,
    rounds: int,
    batch: int,
    seed: int,
    consistency: float = 0.1,
    tell: Callable[[], None] = lambda: None,
) -> list[Inverted]:
    """Search from every start.

    Args:
        checkpoint: the model.
        own: mean of plain samples of the model, cut to -1..1, shape (channels, height, width).
        rounds: steps of descent from each start.
        batch: noise samples in each step, even.
        seed: of the starts and of the noise.
        consistency: weight of (b).
        tell: called after each search.

    Returns:
        The first start itself, then one for each of `STARTS`.
    """
    found = []
    for number, (start, down) in enumerate((("own", 0), *((start, rounds) for start in STARTS))):
        found.append(_search(checkpoint, own, start, down, batch, seed + number, consistency))
        tell()
    return found


def factor(checkpoint: Checkpoint) -> tuple[float, int]:
    """lambda, and the timestep T that it belongs to."""
    scheduler = scheduler_for(checkpoint, Sampler())
    last = int(scheduler.config.num_train_timesteps) - 1
    alpha_bar, alpha = float(scheduler.alphas_cumprod[last]), float(scheduler.alphas[last])
    return (1 - alpha_bar) ** 0.5 / (1 + alpha**0.5), last


def miss(answer: Any, offset: Any, share: float) -> Any:  # noqa: ANN401 - tensors or arrays
    """(a): how far the mean answer is from a share of the offset, relative to the offset.

    Args:
        answer: M at every noise sample, shape (n, ...).
        offset: tau, shape (...).
        share: lambda.
    """
    return ((answer.mean(0) - share * offset) ** 2).sum() / ((offset**2).sum() + _NOTHING)


def inconsistency(answer: Any, noise: Any) -> Any:  # noqa: ANN401 - tensors or arrays
    """(b): mean square of what is wrong with the difference of two answers, per value.

    Args:
        answer: M at every noise sample, shape (n, ...), n even; the first half is paired with the second.
        noise: eps of each, same shape.
    """
    half = len(answer) // 2
    wrong = answer - noise
    return ((wrong[:half] - wrong[half:]) ** 2).mean()


def _search(
    checkpoint: Checkpoint, own: Planes, start: str, rounds: int, batch: int, seed: int, consistency: float
) -> Inverted:
    import torch

    share, last = factor(checkpoint)
    answer = _answers(checkpoint, last)
    chance = torch.Generator().manual_seed(seed)
    offset = _start(checkpoint, own, start, chance).requires_grad_()
    optimiser = torch.optim.Adam([offset], lr=_RATE)
    for _ in range(rounds):
        noise = _noise(checkpoint, batch, chance)
        said = answer(noise + offset)
        loss = miss(said, offset, share) + consistency * inconsistency(said, noise)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            offset.clamp_(-1, 1)
    with torch.no_grad():
        left = float(miss(answer(_noise(checkpoint, 4 * batch, chance) + offset), offset, share))
    return Inverted(np.asarray(offset.detach().cpu().numpy(), np.float32), left, start, rounds)


def _answers(checkpoint: Checkpoint, last: int) -> Callable[[Tensor], Tensor]:
    """What the model takes for noise in states at a timestep, whatever it was trained to predict."""
    scheduler = scheduler_for(checkpoint, Sampler())
    alpha_bar, kind = float(scheduler.alphas_cumprod[last]), scheduler.config.prediction_type

    def answer(states: Tensor) -> Tensor:
        said: Tensor = noise_of(checkpoint.unet(states, last).sample, states, alpha_bar, kind)
        return said

    return answer


def _noise(checkpoint: Checkpoint, n: int, chance: Any) -> Tensor:  # noqa: ANN401 - a torch generator
    import torch

    return torch.randn((n, *checkpoint.shape), generator=chance).to(checkpoint.device)


def _start(checkpoint: Checkpoint, own: Planes, start: str, chance: Any) -> Tensor:  # noqa: ANN401 - as above
    import torch

    drawn = torch.rand(checkpoint.shape, generator=chance)
    begun = {"own": torch.from_numpy(own.copy()), "dark": -drawn, "bright": drawn}[start]
    return begun.to(checkpoint.device)
