"""Are plain samples as good after a defence as before? Arithmetic on features and class scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.diffusion.checkpoint import Planes

    Doubles = NDArray[np.float64]

_POOLED = 4
"""Cells a side over which `features` averages."""


def features(samples: Planes) -> Doubles:
    """What a sample looks like from afar: means over 4 x 4 cells of the picture and of its gradient.

    For models of which nobody has a classifier. Samples are cut to -1..1, as they are when they are shown.

    Args:
        samples: shape (n, channels, height, width), height and width at least 4.

    Returns:
        Shape (n, channels * 32).
    """
    shown = np.clip(samples.astype(np.float64), -1, 1)
    down, across = np.gradient(shown, axis=(2, 3))
    parts = [_pooled(shown), _pooled(np.hypot(down, across))]
    return np.concatenate([part.reshape(len(samples), -1) for part in parts], axis=1)


def mmd(one: Doubles, other: Doubles, width: float) -> float:
    """Squared maximum mean discrepancy with a Gaussian kernel, without bias (Gretton et al. 2012, lemma 6).

    Args:
        one: features, shape (n, d), n at least 2.
        other: features, shape (m, d), m at least 2.
        width: of the kernel, in units of the features.

    Returns:
        About 0 where both come from one distribution, then also slightly below; 2 at most.
    """
    within_one, within_other = _kernel(one, one, width), _kernel(other, other, width)
    n, m = len(one), len(other)
    same_one = (within_one.sum() - np.trace(within_one)) / (n * (n - 1))
    same_other = (within_other.sum() - np.trace(within_other)) / (m * (m - 1))
    return float(same_one + same_other - 2 * _kernel(one, other, width).mean())


def usual_distance(values: Doubles) -> float:
    """Median distance of two rows, the customary width of the kernel; 1 where all are equal."""
    squares = _squared(values, values)[np.triu_indices(len(values), 1)]
    return float(np.sqrt(np.median(squares))) or 1.0


def histogram_shift(one: NDArray[np.int64], other: NDArray[np.int64], classes: int) -> float:
    """Total variation distance of two class histograms, 0..1."""
    shares = [np.bincount(labels, minlength=classes) / max(len(labels), 1) for labels in (one, other)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def hit_rate(samples: Planes, target: Planes, radius: float) -> float:
    """Share of the samples that show the target: root mean square difference of at most `radius`."""
    shown, wanted = np.clip(samples, -1, 1), np.clip(target, -1, 1)
    apart = np.sqrt(((shown - wanted) ** 2).reshape(len(samples), -1).mean(axis=1))
    return float((apart <= radius).mean())


def _pooled(planes: Doubles) -> Doubles:
    """Means over a lattice of cells, shape (n, channels, 4, 4)."""
    rows = np.array_split(planes, _POOLED, axis=2)
    cells = [[cell.mean(axis=(2, 3)) for cell in np.array_split(row, _POOLED, axis=3)] for row in rows]
    return np.asarray(cells).transpose(2, 3, 0, 1)


def _kernel(one: Doubles, other: Doubles, width: float) -> Doubles:
    return np.asarray(np.exp(-_squared(one, other) / (2 * width**2)))


def _squared(one: Doubles, other: Doubles) -> Doubles:
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2 * one @ other.T
    return np.asarray(np.maximum(squares, 0))
