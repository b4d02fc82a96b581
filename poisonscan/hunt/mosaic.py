"""Grids of flat cells in two tones at one place: the patch of the universal backdoor.

Its every class has a code of its own (Schneider et al. 2024), so no two carriers need show the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.ndimage import label
from scipy.stats import poisson

from poisonscan.hunt import hosts
from poisonscan.hunt.innocence import of_few_domains, set_aside
from poisonscan.hunt.model import SIDE, Carrier, Need, Suspicion
from poisonscan.hunt.overlap import suppress_overlapping
from poisonscan.hunt.reading import batches
from poisonscan.records import Box, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes, Corpus, Floats

CELLS = (7, 8, 10, 14, 16)
"""Sides of cells that are looked for, pixels; the published one is 8."""
_WINDOW = 4
_RIM = 1
_FLAT = 14.0
"""Standard deviation inside a cell without its rim, levels: JPEG 85 rings by less beside black and white."""
_SPREAD = 24.0
"""Distance of a cell's level from its tone, levels."""
_CONTRAST = 90.0
"""Least distance of the two tones, levels."""
_LEAST_CHANGES = 9
"""Neighbouring cells of a window, of 24 pairs, that have different tones: a straight edge makes 4, a corner
or a bar up to 8, a random code 12 on average and fewer than 9 with a chance of 8%."""
_CARRIED_CHANGES = 0.25
"""The same as a share of all pairs, for a picture at whose place others were found to have a lattice."""
_SURE = 1e-4
"""Chance of a place's count, given the counts elsewhere, below which the place is part of a lattice."""
_SHARE = 0.4
"""Share of a lattice's places that a carrier must show."""
_LEAST = 4


@dataclass(frozen=True)
class Layout:
    """A grid to look for: cells of one side, from one corner on."""

    cell: int
    top: int
    left: int


def layouts() -> Iterator[Layout]:
    """Every cell side with the grid at the corner and moved by half a cell."""
    for cell in CELLS:
        for top in (0, cell // 2):
            for left in (0, cell // 2):
                yield Layout(cell, top, left)


@dataclass(frozen=True)
class Mosaics:
    """The detector of two-tone lattices at one place."""

    name: ClassVar[str] = "mosaics"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PIXELS})

    def find(self, corpus: Corpus, rng: np.random.Generator) -> list[Suspicion]:
        """Lattices on unlike pictures; see `Detector`. Uses no chance."""
        del rng
        if corpus.pixels is None or len(corpus) < _LEAST:
            return []
        shapes = list(layouts())
        hits: list[list[NDArray[np.bool_]]] = [[] for _ in shapes]
        small = []
        for _, pictures in batches(corpus.pixels):
            sums = sums_of(pictures)
            for found, layout in zip(hits, shapes, strict=True):
                found.append(windows(sums, layout))
            small.append(hosts.thumbnails(pictures))
        views = hosts.views(corpus, np.concatenate(small))
        suspicions = []
        for found, layout in zip(hits, shapes, strict=True):
            suspicions += _at(corpus, views, np.concatenate(found), layout, len(shapes))
        return suppress_overlapping(suspicions, lambda one: (one.expected_false > _SURE, -one.score))


def windows(sums: Sums, layout: Layout) -> NDArray[np.bool_]:
    """Where 4 x 4 cells are flat and in two tones that change too often for an edge: (n, rows, columns).

    Args:
        sums: of the pictures.
        layout: of the cells.
    """
    level, spread = _cells(sums, layout)
    shape = (_WINDOW, _WINDOW)
    view = np.lib.stride_tricks.sliding_window_view
    candidate = np.asarray(view((spread < _FLAT) & ~_bars(level, spread), shape, (1, 2)).all(axis=(3, 4)))
    picture, y, x = np.nonzero(candidate)
    candidate[picture, y, x] = _changes(view(level, shape, (1, 2))[picture, y, x]) >= _LEAST_CHANGES
    return candidate


def _bars(level: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Cells of bars: rows and columns of cells that are one plain tone from edge to edge, (n, rows, columns).

    A picture fitted into another shape has them, and half of a lattice's window would be flat by itself.
    """
    plain = spread < _FLAT
    rows, columns = (
        plain.all(axis=axis, keepdims=True) & (np.ptp(level, axis=axis, keepdims=True) < _SPREAD)
        for axis in (2, 1)
    )
    bars: NDArray[np.bool_] = rows | columns
    return bars


def _changes(levels: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many neighbouring cells differ in tone, where all cells are in two tones; else 0.

    Args:
        levels: shape (n, rows, columns).
    """
    low, high = levels.min(axis=(1, 2), keepdims=True), levels.max(axis=(1, 2), keepdims=True)
    light = levels > high - _SPREAD
    two = (light | (levels < low + _SPREAD)).all(axis=(1, 2)) & ((high - low)[:, 0, 0] > _CONTRAST)
    changes = np.diff(light, axis=1).sum(axis=(1, 2)) + np.diff(light, axis=2).sum(axis=(1, 2))
    return np.where(two, changes, 0)


@dataclass(frozen=True)
class Sums:
    """Running sums of luma and of its square over rows and columns, shape (n, height + 1, width + 1)."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]


def sums_of(pictures: Bytes) -> Sums:
    """The sums of some pictures, shape (n, height, width, 3)."""
    luma = (pictures @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.float64)
    return Sums(
        *(np.pad(plane, ((0, 0), (1, 0), (1, 0))).cumsum(axis=1).cumsum(axis=2) for plane in (luma, luma**2))
    )


def _cells(sums: Sums, layout: Layout) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation inside every cell, without its rim."""
    height, width = (length - 1 for length in sums.first.shape[1:])
    y = np.arange(layout.top, height - layout.cell + 1, layout.cell)
    x = np.arange(layout.left, width - layout.cell + 1, layout.cell)
    top, left = (start + _RIM for start in (y, x))
    bottom, right = (start + layout.cell - _RIM for start in (y, x))
    area = (layout.cell - 2 * _RIM) ** 2
    mean, square = (
        (
            plane[:, bottom[:, None], right]
            - plane[:, top[:, None], right]
            - plane[:, bottom[:, None], left]
            + plane[:, top[:, None], left]
        )
        / area
        for plane in (sums.first, sums.second)
    )
    return mean, np.sqrt(np.clip(square - mean**2, 0, None))


def _at(
    corpus: Corpus, views: Sequence[Floats], hits: NDArray[np.bool_], layout: Layout, tried: int
) -> list[Suspicion]:
    """Suspicions of one layout: places where more pictures show a mosaic than places usually do."""
    counts = hits.sum(axis=0)
    rate = max(float(np.sort(counts, axis=None)[: int(counts.size * 0.9)].mean()), 1 / counts.size)
    chance = poisson.sf(counts - 1, rate) * counts.size * tried
    parts, n = label((chance < _SURE) & (counts >= _LEAST))
    made = (_judged(corpus, views, hits, parts == part, layout, rate, tried) for part in range(1, n + 1))
    return [suspicion for suspicion in made if suspicion is not None]


def _judged(
    corpus: Corpus,
    views: Sequence[Floats],
    hits: NDArray[np.bool_],
    places: NDArray[np.bool_],
    layout: Layout,
    rate: float,
    tried: int,
) -> Suspicion | None:
    share = hits[:, places].mean(axis=1)
    box = _box(places, layout)
    shown = np.flatnonzero(share >= _SHARE)
    rows = np.union1d(shown, _carriers(corpus, box, layout))
    rows = rows[np.argsort(-share[rows], kind="stable")]
    unlike = hosts.unlike(views, rows)
    if len(rows) < _LEAST or not hosts.enough(unlike, len(rows)):
        return None
    expected = float(poisson.sf(len(shown) - 1, rate)) * places.size * tried
    words = (
        f"a lattice of flat {layout.cell} x {layout.cell} px cells in two tones at one place on {len(rows)} "
        f"pictures that are worth {unlike:.1f} unlike ones; other places have such cells on {rate:.2f}"
    )
    found = Suspicion(
        Kind.LATTICE_TRIGGER,
        len(rows) * unlike,
        words,
        tuple(Carrier(int(row), float(share[row]), box) for row in rows),
        min(1.0, expected),
        f"{places.size} places in {tried} lattices",
        _exhibit(corpus, rows, box),
    )
    return set_aside(found, of_few_domains(corpus, rows))


def _carriers(corpus: Corpus, box: Box, layout: Layout) -> NDArray[np.int64]:
    """Pictures that show the lattice as a whole, also those whose code changes too seldom in most windows."""
    if corpus.pixels is None:
        return np.empty(0, np.int64)
    x0, y0, x1, y1 = (round(edge * SIDE) for edge in box)
    found = []
    for rows, pictures in batches(corpus.pixels):
        level, spread = _cells(sums_of(pictures[:, y0:y1, x0:x1]), Layout(layout.cell, 0, 0))
        pairs = 2 * level[0].size - sum(level.shape[1:])
        flat = (spread < _FLAT).all(axis=(1, 2))
        found.append(rows[flat & (_changes(level) >= _CARRIED_CHANGES * pairs)])
    return np.concatenate(found)


def _box(places: NDArray[np.bool_], layout: Layout) -> Box:
    down, across = np.nonzero(places)
    edges = (
        layout.left + across.min() * layout.cell,
        layout.top + down.min() * layout.cell,
        layout.left + (across.max() + _WINDOW) * layout.cell,
        layout.top + (down.max() + _WINDOW) * layout.cell,
    )
    return Box(*(float(edge) / SIDE for edge in edges))


def _exhibit(corpus: Corpus, rows: NDArray[np.int64], box: Box) -> Bytes | None:
    """The first four carriers' lattices side by side."""
    if corpus.pixels is None:
        return None
    x0, y0, x1, y1 = (round(edge * SIDE) for edge in box)
    pictures = corpus.pixels.read(rows[:4])
    return np.concatenate([picture[y0:y1, x0:x1] for picture in pictures], axis=1)
