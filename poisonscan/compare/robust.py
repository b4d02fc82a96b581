"""Linear fits that a tampered region, being a minority of the cells, does not steer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy  # its parts load when they are first used, which a process that compares nothing never does

from poisonscan.compare.order import nth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.compare.geometry import Array

TUKEY_C = 4.685
"""Tukey's biweight at 95% efficiency for normal errors (Holland & Welsch 1977)."""

_AGAIN = 2  # rounds where the weights are all but known
_RIDGE = 1e-6  # of each shape's own energy: a flat picture's tone curve has no single solution
_LEAST_SCALE = 0.3  # grey levels; two grids rounded to bytes differ by 0.41 rms


class Fit(NamedTuple):
    """Shapes added up to something.

    Attributes:
        solution: (k,), the share of each shape.
        fitted: (n,), what these add up to.
        weights: (n,) in 0..1 by which the next round would go.
    """

    solution: Array
    fitted: Array
    weights: Array


def robust_fit(shapes: Array, target: Array, start: Array | None = None, rounds: int = 4) -> Fit:
    """Iteratively re-weighted least squares with Tukey's biweight.

    Args:
        shapes: (k, n), what is added up.
        target: (n,), what it should give.
        start: weights that an earlier fit to nearly the same cells gave, which halves the work.
        rounds: of re-weighting, where the weights begin at 1.
    """
    equations = np.concatenate([shapes, target[None]])
    ridge = _RIDGE * (np.einsum("ij,ij->i", shapes, shapes) + 1e-9)
    if start is None or len(start) != len(target):
        fit = _round(equations, shapes, ridge)
    else:
        fit, rounds = _round(equations, shapes * start, ridge), _AGAIN
    for _ in range(1, rounds):
        fit = _round(equations, shapes * fit.weights, ridge)
    return fit


def robust_fit_where(
    shapes: Array, target: Array, there: NDArray[np.bool_] | None, start: Array | None = None
) -> Array:
    """(n,): what shapes add up to everywhere, fitted where the target counts; arguments as for `robust_fit`.

    Args:
        shapes: (k, n).
        target: (n,).
        there: n cells in any shape; None where all count.
        start: weights of an earlier fit to all cells.
    """
    if there is None:
        return robust_fit(shapes, target, start).fitted
    counts = there.ravel()
    fitted: Array = robust_fit(shapes[:, counts], target[counts]).solution @ shapes
    return fitted


def _round(equations: Array, weighted: Array, ridge: Array) -> Fit:
    """Least squares of equations, (k + 1, n): shapes and last their target; `weighted` are the shapes."""
    system = weighted @ equations.T
    system.ravel()[:: len(equations) + 1] += ridge  # the diagonal of its first k columns
    solution = _solved(system[:, :-1], system[:, -1])
    fitted = solution @ equations[:-1]
    return Fit(solution, fitted, _biweight(equations[-1] - fitted))


def _solved(matrix: Array, right: Array) -> Array:
    """The solution of a small positive definite system, without the checks that take numpy longer than it."""
    _, solution, failed = scipy.linalg.lapack.dposv(matrix, right)
    if failed:
        raise np.linalg.LinAlgError("a fit has no solution, which its ridge should have given it")
    answer: Array = solution
    return answer


def _biweight(left: Array) -> Array:
    """Weights of what a fit left, by its median; in its place, for speed."""
    left *= left
    variance = max(1.4826**2 * nth(left, len(left) // 2), _LEAST_SCALE**2)
    left /= -(TUKEY_C**2) * variance
    left += 1
    np.maximum(left, 0, out=left)
    left *= left
    return left
