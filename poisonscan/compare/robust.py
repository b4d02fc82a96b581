"""Linear fits that a tampered region, being a minority of the cells, does not steer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts load when they are first used, which a process that compares nothing never does

from poisonscan.compare.order import nth

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array

TUKEY_C = 4.685
"""Tukey's biweight at 95% efficiency for normal errors (Holland & Welsch 1977)."""

_AGAIN = 2  # rounds where the weights are all but known
_RIDGE = 1e-6  # of each shape's own energy: a flat picture's tone curve has no single solution
_LEAST_SCALE = 0.3  # grey levels; two grids rounded to bytes differ by 0.41 rms


def robust_fit(
    shapes: Array, target: Array, start: Array | None = None, rounds: int = 4
) -> tuple[Array, Array]:
    """Iteratively re-weighted least squares with Tukey's biweight.

    Args:
        shapes: (k, n), what is added up.
        target: (n,), what it should give.
        start: weights that an earlier fit to nearly the same cells gave, which halves the work.
        rounds: of re-weighting, where the weights begin at 1.

    Returns:
        The share of each shape, (k,), and the (n,) weights in 0..1 that the last round gave.
    """
    known = start is not None and len(start) == len(target)
    weights = start if known and start is not None else np.ones(len(target))
    ridge = _RIDGE * (np.einsum("ij,ij->i", shapes, shapes) + 1e-9)
    for _ in range(_AGAIN if known else rounds):
        weighted = shapes * weights
        normal = weighted @ shapes.T
        normal.flat[:: len(shapes) + 1] += ridge
        solution = _solved(normal, weighted @ target)
        weights = _biweight(target - solution @ shapes)
    return solution, weights


def _solved(matrix: Array, right: Array) -> Array:
    """The solution of a small positive definite system, without the checks that take numpy longer than it."""
    _, solution, failed = scipy.linalg.lapack.dposv(matrix, right)
    if failed:
        raise np.linalg.LinAlgError("a fit has no solution, which its ridge should have given it")
    answer: Array = solution
    return answer


def _biweight(left: Array) -> Array:
    """Weights of what a fit left, by its median; in its place, for speed."""
    np.abs(left, out=left)
    left /= TUKEY_C * max(1.4826 * nth(left, len(left) // 2), _LEAST_SCALE)
    left *= left
    np.subtract(1, left, out=left)
    np.maximum(left, 0, out=left)
    left *= left
    return left
