"""Look for known patterns on every picture: masked normalised cross-correlation at every place.

Lewis (1995), Fast normalized cross-correlation, with sums over an arbitrary mask by Fourier transform.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from poisonscan.hunt.reading import batches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from poisonscan.hunt.evidence import Pattern
    from poisonscan.hunt.model import Bytes, Floats, Pixels

LEAST_SCORE = 0.85
"""Correlation below which a place does not show the pattern; JPEG 85 leaves 0.99, JPEG 30 some 0.9."""
_LEAST_VARIANCE = 25.0
"""Mean squared deviation, levels squared, below which a place is plain and correlates with nothing."""


@dataclass(frozen=True)
class Matches:
    """The best place for a pattern on every picture.

    Attributes:
        score: normalised cross-correlation there, -1..1, shape (n,).
        y: upper edge of the template there, pixels.
        x: left edge.
    """

    score: Floats
    y: NDArray[np.int64]
    x: NDArray[np.int64]


def search(pixels: Pixels, patterns: Sequence[Pattern]) -> list[Matches]:
    """The best place for each pattern on every picture; the template lies wholly inside the picture."""
    side = pixels.read([0]).shape[1]
    probes = [_probe(pattern, side) for pattern in patterns]
    best = [Matches(*_empty(len(pixels))) for _ in patterns]
    for rows, pictures in batches(pixels):
        for row, picture in zip(rows, pictures, strict=True):
            for found, place in zip(best, _places(picture, probes), strict=True):
                found.score[row], found.y[row], found.x[row] = place
    return best


@dataclass(frozen=True)
class Gap:
    """Where carriers begin among the best scores of all pictures, and how likely such a gap is by chance.

    Attributes:
        threshold: pictures that score at least this carry the pattern.
        chance: probability that scores of pictures without the pattern leave such a gap.
        nearest: best score below the threshold.
    """

    threshold: float
    chance: float
    nearest: float


def gap_of(scores: Floats, least: float = LEAST_SCORE) -> Gap | None:
    """Split the best scores of all pictures at the gap that chance explains worst.

    The best score of a picture without the pattern is a maximum over many places, so the tail of Fisher's z
    of such scores is near-exponential, and the step from the k-th to the next largest of them exceeds g with
    probability exp(-k g / b) (Renyi's representation of exponential order statistics). b is the mean excess
    over the 90% quantile of the pictures below the gap. The probability counts every gap that was tried.

    Args:
        scores: of all pictures, -1..1.
        least: no picture below this score is a carrier.

    Returns:
        None where fewer than two pictures reach `least`, or all do.
    """
    ordered = _fisher(np.sort(scores)[::-1])
    able = min(int((scores >= least).sum()), len(scores) // 2)
    if able < 2:  # noqa: PLR2004 - a recurrence takes two
        return None
    carriers = np.arange(2, able + 1)
    logs = np.array([-k * (ordered[k - 1] - ordered[k]) / _mean_excess(ordered[k:]) for k in carriers])
    best = int(carriers[int(np.argmin(logs))])
    threshold = float(np.tanh((ordered[best - 1] + ordered[best]) / 2))
    chance = min(1.0, float(np.exp(logs.min())) * len(carriers))
    return Gap(max(threshold, least), chance, float(np.tanh(ordered[best])))


def _mean_excess(ordered: Floats) -> float:
    """Mean height of the highest tenth (at least two) above its lowest."""
    top = ordered[: max(2, len(ordered) // 10) + 1]
    return max(float(top[:-1].mean() - top[-1]), 1e-3)


def _fisher(scores: Floats) -> Floats:
    return np.asarray(np.arctanh(np.clip(scores, -0.9999, 0.9999)), np.float32)


@dataclass(frozen=True)
class _Probe:
    """A template ready for correlation: spectra of its centred colours and of its mask, and its measures."""

    colours: NDArray[np.complex64]
    mask: NDArray[np.complex64]
    norm: float
    count: int
    room: tuple[int, int]


def _probe(pattern: Pattern, side: int) -> _Probe:
    mask = pattern.mask.astype(np.float32)
    count = int(mask.sum()) * 3
    weights = mask[..., None]
    mean = (pattern.template * weights).sum() / count
    centred = (pattern.template - mean) * weights
    height, width = mask.shape
    return _Probe(
        np.conj(_spectrum(centred.transpose(2, 0, 1), side)),
        np.conj(_spectrum(mask, side)),
        float(np.linalg.norm(centred)),
        count,
        (side - height + 1, side - width + 1),
    )


def _spectrum(planes: Floats, side: int) -> NDArray[np.complex64]:
    return np.asarray(fft.rfft2(planes, s=(side, side)))


def _places(picture: Bytes, probes: Sequence[_Probe]) -> list[tuple[float, int, int]]:
    colours = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32) - np.float32(128)
    spectra = _spectrum(colours, picture.shape[0])
    both = np.stack([colours.sum(axis=0), (colours**2).sum(axis=0)])
    sums = _spectrum(both, picture.shape[0])
    return [_place(spectra, sums, probe, picture.shape[0]) for probe in probes]


def _place(
    spectra: NDArray[np.complex64], sums: NDArray[np.complex64], probe: _Probe, side: int
) -> tuple[float, int, int]:
    joint = np.stack([(spectra * probe.colours).sum(axis=0), sums[0] * probe.mask, sums[1] * probe.mask])
    height, width = probe.room
    product, total, square = fft.irfft2(joint, s=(side, side))[:, :height, :width]
    variance = square / probe.count - (total / probe.count) ** 2
    score = product / (np.sqrt(np.maximum(variance, _LEAST_VARIANCE) * probe.count) * probe.norm)
    y, x = np.unravel_index(int(np.argmax(score)), score.shape)
    return float(score[y, x]), int(y), int(x)


def _empty(n: int) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    return np.zeros(n, np.float32), np.zeros(n, np.int64), np.zeros(n, np.int64)
