"""What a diffusion model may predict, and how one turns into another.

With abar the product of the alphas up to a step, x_t = sqrt(abar) x_0 + sqrt(1 - abar) eps (Ho et al. 2020,
equation 4); a model predicts eps, x_0, or v = sqrt(abar) eps - sqrt(1 - abar) x_0 (Salimans and Ho 2022).
Everything here is plain algebra on numbers, arrays or tensors.
"""

from __future__ import annotations

from typing import Any

from poisonscan.errors import UsageError

KINDS = ("epsilon", "sample", "v_prediction")
"""Names that diffusers gives them."""


def picture_of(output: Any, state: Any, alpha_bar: Any, kind: str) -> Any:  # noqa: ANN401 - see the module
    """The x_0 that a model's output stands for.

    Args:
        output: of the model, any shape.
        state: x_t, same shape.
        alpha_bar: above 0 and below 1.
        kind: one of `KINDS`.

    Raises:
        UsageError: the kind is another.
    """
    signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    if kind == "epsilon":
        return (state - noise * output) / signal
    if kind == "sample":
        return output
    if kind == "v_prediction":
        return signal * state - noise * output
    raise UsageError(f"a model that predicts {kind} is not supported: {', '.join(KINDS)} are")


def output_of(picture: Any, state: Any, alpha_bar: Any, kind: str) -> Any:  # noqa: ANN401 - see the module
    """What the model would have had to say for this x_0: the inverse of `picture_of`.

    Raises:
        UsageError: the kind is not one of `KINDS`.
    """
    signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    if kind == "epsilon":
        return (state - signal * picture) / noise
    if kind == "sample":
        return picture
    if kind == "v_prediction":
        return (signal * state - picture) / noise
    raise UsageError(f"a model that predicts {kind} is not supported: {', '.join(KINDS)} are")


def noise_of(output: Any, state: Any, alpha_bar: Any, kind: str) -> Any:  # noqa: ANN401 - see the module
    """The eps that a model's output stands for.

    Raises:
        UsageError: the kind is not one of `KINDS`.
    """
    if kind == "epsilon":
        return output
    return output_of(picture_of(output, state, alpha_bar, kind), state, alpha_bar, "epsilon")
