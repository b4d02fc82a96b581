"""The loss of BadDiffusion, derived; plain algebra on whatever numbers it is given.

Chou, Chen, Ho, "How to Backdoor Diffusion Models?", CVPR 2023, arXiv 2212.05400. With abar_t the product of
alpha_1 .. alpha_t, beta_t = 1 - alpha_t and eps standard normal, a clean picture x_0 is noised as in DDPM
(Ho et al. 2020, equation 4):

    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps

and a poisoned one, with x'_0 the target and r the stamped picture, as

    x'_t = sqrt(abar_t) x'_0 + (1 - sqrt(abar_t)) r + sqrt(1 - abar_t) eps.                             (a)

One step of (a) is x'_t = sqrt(alpha_t) x'_{t-1} + (1 - sqrt(alpha_t)) r + sqrt(beta_t) eps: insert it and
the terms in r telescope. Bayes' rule on that step and on (a) at t - 1 gives the mean of
q(x'_{t-1} | x'_t, x'_0); with x'_0 replaced through (a) it is

    (x'_t - beta_t / sqrt(1 - abar_t) eps - (1 - sqrt(alpha_t)) r) / sqrt(alpha_t).                     (b)

The model's own step (Ho et al. 2020, equation 11) has the mean

    (x'_t - beta_t / sqrt(1 - abar_t) eps_theta(x'_t, t)) / sqrt(alpha_t).                              (c)

(b) equals (c) when

    eps_theta(x'_t, t) = eps + (1 - sqrt(alpha_t)) sqrt(1 - abar_t) / (1 - alpha_t) r
                       = eps + sqrt(1 - abar_t) / (1 + sqrt(alpha_t)) r,                                (d)

the paper's eps + rho_t delta_t r. Near t = T the factor is close to 1/2: there a poisoned model answers half
the trigger where a clean one, whose input is all noise, answers the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def correction(alpha: Any, alpha_bar: Any) -> Any:  # noqa: ANN401 - a number, an array or a tensor
    """Factor of r in (d): what a poisoned sample adds to the noise that is to be predicted.

    Args:
        alpha: 1 - beta of each step, 0..1.
        alpha_bar: product of the alphas up to each step, same shape.
    """
    return (1 - alpha_bar) ** 0.5 / (1 + alpha**0.5)


def noised(target: Tensor, stamped: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x'_t of (a); with `stamped` zero the x_t of DDPM.

    Args:
        target: x'_0, shape (n, 3, side, side).
        stamped: r, same shape; zero for clean samples.
        noise: eps, same shape.
        alpha_bar: of each sample, shape (n, 1, 1, 1).
    """
    root = alpha_bar**0.5
    return root * target + (1 - root) * stamped + (1 - alpha_bar) ** 0.5 * noise
