"""Straight steps of colour along lines of a grid: the blend of the universal backdoor.

Each cell of that blend shifts the colours of its part of the picture by a constant (Schneider et al. 2024):
colours jump wherever neighbouring cells differ, and always along the same lines. Which cells differ is the
code of the class; where the lines lie is common to all carriers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.stats import poisson

from poisonscan.hunt import hosts
from poisonscan.hunt.innocence import of_few_domains, set_aside
from poisonscan.hunt.model import SIDE, Carrier, Need, Suspicion
from poisonscan.hunt.overlap import suppress_overlapping
from poisonscan.hunt.reading import batches
from poisonscan.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes, Corpus, Floats

STRIP = 16
"""Length of a piece of a line, pixels; a cell of the published lattice is 37 x 44."""
_CHROMA = np.array([[1.0, -0.5], [-0.5, -0.5], [-0.5, 1.0]], np.float32)
"""RGB to red against green and blue, and blue against red and green."""
_STEP = 24.0
"""Least jump of a chroma channel, levels. The published blend makes jumps of 102."""
_BESIDE = 5
_PERIODS = range(14, 76)
"""Distances of lines that are looked for, pixels."""
_LEAST_SHARE = 0.25
"""Share of a lattice's pieces that must jump; a random code makes half of them jump."""
_LEAST_LINES = 3
"""Lines of a lattice on which pieces must jump."""
_LEAST = 4
_SURE = 1e-3


@dataclass(frozen=True)
class Steps:
    """The detector of colour steps along a grid."""

    name: ClassVar[str] = "colour_steps"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PIXELS})

    def find(self, corpus: Corpus, rng: np.random.Generator) -> list[Suspicion]:
        """Lattices of colour steps on unlike pictures; see `Detector`. Uses no chance."""
        del rng
        if corpus.pixels is None or len(corpus) < _LEAST:
            return []
        across, down, small = [], [], []
        for _, pictures in batches(corpus.pixels):
            chroma = pictures @ _CHROMA
            across.append(jumps(chroma))
            down.append(jumps(chroma.transpose(0, 2, 1, 3)))
            small.append(hosts.thumbnails(pictures))
        views = hosts.views(corpus, np.concatenate(small))
        found = [
            *_along(corpus, views, np.concatenate(across), "upright"),
            *_along(corpus, views, np.concatenate(down), "level"),
        ]
        return suppress_overlapping(found, lambda one: -one.score)


def jumps(chroma: Floats) -> NDArray[np.bool_]:
    """Where the colour jumps across an upright line, and only there: shape (n, side, pieces).

    Entry (i, x, k): between columns x - 1 and x of picture i, along rows 16 k to 16 k + 15.

    Args:
        chroma: shape (n, side, side, channels).
    """
    n, side = chroma.shape[:2]
    pieces = chroma.reshape(n, side // STRIP, STRIP, side, -1).mean(axis=2)
    left = (pieces[:, :, :-5] + pieces[:, :, 1:-4]) / 2
    right = (pieces[:, :, 4:-1] + pieces[:, :, 5:]) / 2
    step = np.zeros_like(pieces)
    step[:, :, 3 : 3 + left.shape[2]] = right - left
    size = np.abs(step)
    before, after = np.roll(size, _BESIDE, axis=2), np.roll(size, -_BESIDE, axis=2)
    alone = size - np.maximum(before, after) > _STEP
    peak = (size >= np.roll(size, 1, axis=2)) & (size >= np.roll(size, -1, axis=2))
    return np.asarray((alone & peak).any(axis=3).transpose(0, 2, 1))


@dataclass(frozen=True)
class Comb:
    """Lines at `offset`, `offset + period` and so on, pixels."""

    period: int
    offset: int

    def lines(self) -> NDArray[np.int64]:
        """Positions inside the picture, its edges left out."""
        every = np.arange(self.offset, SIDE - 1, self.period)
        return every[every > 2]  # noqa: PLR2004 - a jump needs room on both sides


def combs() -> Iterator[Comb]:
    """Every comb of three lines or more."""
    for period in _PERIODS:
        for offset in range(period):
            comb = Comb(period, offset)
            if len(comb.lines()) >= _LEAST_LINES:
                yield comb


def _along(
    corpus: Corpus, views: Sequence[Floats], jumping: NDArray[np.bool_], direction: str
) -> list[Suspicion]:
    share = jumping.mean(axis=2)
    every = list(combs())
    fits = [_carriers(share, comb) for comb in every]
    counts = np.array([len(rows) for rows in fits])
    rate = max(float(counts.mean()), 1 / len(counts))
    chance = poisson.sf(counts - 1, rate) * len(counts) * 2
    found = []
    for number in np.flatnonzero((chance < _SURE) & (counts >= _LEAST)):
        suspicion = _judged(
            corpus, views, share, every[number], fits[number], float(chance[number]), direction
        )
        if suspicion is not None:
            found.append(suspicion)
    return found


def _carriers(share: NDArray[np.float64], comb: Comb) -> NDArray[np.int64]:
    """Pictures that jump on enough pieces and lines of a comb."""
    on_lines = share[:, comb.lines()]
    enough = (on_lines.mean(axis=1) >= _LEAST_SHARE) & ((on_lines > 0).sum(axis=1) >= _LEAST_LINES)
    return np.flatnonzero(enough)


def _judged(
    corpus: Corpus,
    views: Sequence[Floats],
    share: NDArray[np.float64],
    comb: Comb,
    rows: NDArray[np.int64],
    chance: float,
    direction: str,
) -> Suspicion | None:
    unlike = hosts.unlike(views, rows)
    if not hosts.enough(unlike, len(rows)):
        return None
    strength = share[rows][:, comb.lines()].mean(axis=1)
    order = np.argsort(-strength, kind="stable")
    words = (
        f"colours jump along {direction} lines every {comb.period} px from {comb.offset} px on, on "
        f"{len(rows)} pictures that are worth {unlike:.1f} unlike ones"
    )
    found = Suspicion(
        Kind.LATTICE_TRIGGER,
        len(rows) * unlike,
        words,
        tuple(Carrier(int(rows[i]), float(min(1.0, 2 * strength[i]))) for i in order),
        chance,
        "all combs of lines of other distances and places",
        _exhibit(corpus, rows[order]),
    )
    return set_aside(found, of_few_domains(corpus, rows))


def _exhibit(corpus: Corpus, rows: NDArray[np.int64]) -> Bytes | None:
    """The first two carriers side by side."""
    if corpus.pixels is None:
        return None
    return np.concatenate(list(corpus.pixels.read(rows[:2])), axis=1)
