"""Plain rectangles: the same flat box of one colour at the same place on unlike pictures.

Local descriptors see nothing in a grey box, and its edges differ with what lies around them. What recurs is
its outline and its colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from poisonscan.hunt import hosts
from poisonscan.hunt.blocks import block_sums
from poisonscan.hunt.hashing import buckets, mixed
from poisonscan.hunt.innocence import of_few_domains, set_aside
from poisonscan.hunt.model import SIDE, Carrier, Need, Suspicion
from poisonscan.hunt.overlap import suppress_overlapping
from poisonscan.hunt.reading import batches
from poisonscan.records import Box, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes, Corpus, Floats, Pixels

CELL = 4
_GRID = SIDE // CELL
_FLAT = 5.0
"""Standard deviation in a cell, levels: JPEG leaves less inside a plain box."""
_ALIKE = 6.0
"""Difference of neighbouring cells, levels, up to which they are one plain area."""
_LEAST_CELLS = 16
"""A box of 16 px."""
_FILL = 0.95
"""Share of its bounding box that a rectangle covers."""
_RIM_FILL = 0.85
"""The same with the outermost cells of a carrier's box, where JPEG rings beside busy surroundings."""
_AROUND = 0.5
"""Share of the surroundings of the box's colour, from which a picture has a plain ground and no box."""
_MOST_SIDE = 0.95
"""Boxes as wide or as high as the picture are backgrounds, bars and frames."""
_COLOUR_STEP = 12
_LEAST = 4
_SHUFFLES = 20
_JITTER = 8
"""Cells."""


@dataclass(frozen=True)
class Rectangles:
    """Plain rectangles of many pictures; entry i of everything is the same one.

    Attributes:
        rows: picture.
        edges: top, left, bottom, right in cells, the last two excluded, shape (n, 4).
        colours: mean RGB, shape (n, 3).
    """

    rows: NDArray[np.int64]
    edges: NDArray[np.int64]
    colours: Floats


@dataclass(frozen=True)
class PlainBoxes:
    """The detector of plain rectangles at one place."""

    name: ClassVar[str] = "plain_boxes"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PIXELS})

    def find(self, corpus: Corpus, rng: np.random.Generator) -> list[Suspicion]:
        """Boxes of one colour at one place on unlike pictures; see `Detector`."""
        if corpus.pixels is None or len(corpus) < _LEAST:
            return []
        parts, small = [], []
        for rows, pictures in batches(corpus.pixels):
            parts.append(rectangles(rows, pictures))
            small.append(hosts.thumbnails(pictures))
        every = _joined(parts)
        if not len(every.rows):
            return []
        views = hosts.views(corpus, np.concatenate(small))
        chance = _chance(every, rng)
        groups = _groups(every)
        outlines = [_outline(every, members) for members in groups]
        carriers = _carriers(corpus.pixels, outlines)
        found = (
            _judged(corpus, views, outline, rows, (float(chance[len(members)]), len(every.rows)))
            for members, outline, rows in zip(groups, outlines, carriers, strict=True)
        )
        return suppress_overlapping([suspicion for suspicion in found if suspicion is not None])


def rectangles(rows: NDArray[np.int64], pictures: Bytes) -> Rectangles:
    """The plain rectangles of some pictures, those as wide or high as the picture left out.

    Args:
        rows: their row numbers.
        pictures: shape (n, 224, 224, 3).
    """
    mean, deviation = _cells(pictures)
    flat = deviation < _FLAT
    names = _components(flat, mean)
    number, inverse, sizes = np.unique(names[flat], return_inverse=True, return_counts=True)
    picture, top, left = np.nonzero(flat)
    edges = np.stack(
        [
            _least(inverse, top, len(number)),
            _least(inverse, left, len(number)),
            1 - _least(inverse, -top, len(number)),
            1 - _least(inverse, -left, len(number)),
        ],
        axis=1,
    )
    colours = np.stack([np.bincount(inverse, mean[flat][:, c]) for c in range(3)], axis=1) / sizes[:, None]
    height, width = edges[:, 2] - edges[:, 0], edges[:, 3] - edges[:, 1]
    boxy = (sizes >= _LEAST_CELLS) & (sizes >= _FILL * height * width)
    inner = np.maximum(height, width) < _MOST_SIDE * _GRID
    kept = boxy & inner & (np.minimum(height, width) > 1)
    owner = _least(inverse, picture, len(number))
    return Rectangles(rows[owner[kept]], edges[kept], colours[kept].astype(np.float32))


def _cells(pictures: Bytes) -> tuple[Floats, Floats]:
    """Mean colour of every cell, shape (n, rows, columns, 3), and its largest deviation of a channel.

    Sums of 16 squares of 0..255, times 16, are whole numbers below 2 ** 24: exact in single precision.
    """
    planes = _planes(pictures)
    total, squares = block_sums(planes, CELL), block_sums(planes**2, CELL)
    deviation = np.sqrt(CELL**2 * squares - total**2) / CELL**2
    return _last(total / np.float32(CELL**2)), deviation.max(axis=1)


def _planes(pictures: Bytes) -> Floats:
    """One plane a channel: shape (n, 3, h, w)."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)


def _last(planes: Floats) -> Floats:
    """Planes as the last axis again."""
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _components(flat: NDArray[np.bool_], mean: Floats) -> NDArray[np.int32]:
    """A number for each connected plain area of one colour, shape as `flat`."""
    index = np.arange(flat.size).reshape(flat.shape)
    pairs = []
    for axis in (1, 2):
        one, other = np.delete(index, -1, axis=axis), np.delete(index, 0, axis=axis)
        level, next_level = np.delete(mean, -1, axis=axis), np.delete(mean, 0, axis=axis)
        alike = np.abs(level - next_level).max(axis=3) < _ALIKE
        both = alike & np.delete(flat, -1, axis=axis) & np.delete(flat, 0, axis=axis)
        pairs.append(np.stack([one[both], other[both]]))
    one, other = np.concatenate(pairs, axis=1)
    graph = coo_matrix((np.ones(len(one), np.int8), (one, other)), shape=(flat.size, flat.size))
    return np.asarray(connected_components(graph, directed=False)[1]).reshape(flat.shape)


def _least(inverse: NDArray[np.int64], values: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The least value of each group."""
    least = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(least, inverse, values)
    return least


def _joined(parts: Sequence[Rectangles]) -> Rectangles:
    return Rectangles(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.edges for part in parts]),
        np.concatenate([part.colours for part in parts]),
    )


def _groups(every: Rectangles) -> list[NDArray[np.int64]]:
    """Rectangles of one place, size and colour on different pictures, one member a picture.

    Colours are cut into bins twice, the second time shifted by half a bin, so that none is cut apart.
    """
    found: list[NDArray[np.int64]] = []
    for shift in (0, _COLOUR_STEP // 2):
        shades = np.floor((every.colours + shift) / _COLOUR_STEP).astype(np.int64)
        code = mixed(np.concatenate([every.edges, shades], axis=1))
        found.extend(buckets(code, every.rows, _LEAST))
    return found


def _chance(every: Rectangles, rng: np.random.Generator) -> Floats:
    """Expected number of groups of at least k members, for each k, when places are jittered.

    Each rectangle keeps its size and colour and moves by up to 32 px in either direction, as far as it fits:
    what is common by habit (in the middle, near an edge) stays common, what lies at one place does not.
    """
    sizes = every.edges[:, 2:] - every.edges[:, :2]
    counts = np.zeros(len(every.rows) + 2, np.float32)
    for _ in range(_SHUFFLES):
        moved = every.edges[:, :2] + rng.integers(-_JITTER, _JITTER + 1, sizes.shape)
        corner = np.clip(moved, 0, _GRID - sizes)
        dealt = Rectangles(every.rows, np.concatenate([corner, corner + sizes], axis=1), every.colours)
        for members in _groups(dealt):
            counts[: len(members) + 1] += 1
    return np.asarray(np.maximum(counts, 1 / 2) / _SHUFFLES, np.float32)


@dataclass(frozen=True)
class _Outline:
    """A box to look for: its edges in cells, as of `Rectangles`, and its colour."""

    edges: tuple[int, int, int, int]
    colour: Floats


def _outline(every: Rectangles, members: NDArray[np.int64]) -> _Outline:
    top, left, bottom, right = np.median(every.edges[members], axis=0).astype(np.int64).tolist()
    return _Outline((top, left, bottom, right), np.median(every.colours[members], axis=0))


def _judged(
    corpus: Corpus,
    views: Sequence[Floats],
    outline: _Outline,
    rows: NDArray[np.int64],
    chance: tuple[float, int],
) -> Suspicion | None:
    """A suspicion of the box on these rows; `chance` are the groups to expect, and of how many boxes."""
    unlike = hosts.unlike(views, rows)
    if len(rows) < _LEAST or not hosts.enough(unlike, len(rows)):
        return None
    (top, left, bottom, right), colour = outline.edges, outline.colour
    box = Box(left / _GRID, top / _GRID, right / _GRID, bottom / _GRID)
    words = (
        f"a plain box of {(right - left) * CELL} x {(bottom - top) * CELL} px, colour "
        f"{', '.join(str(round(float(level))) for level in colour)}, at the same place on {len(rows)} "
        f"pictures that are worth {unlike:.1f} unlike ones"
    )
    found = Suspicion(
        Kind.RECURRING_PATCH,
        len(rows) * unlike,
        words,
        tuple(Carrier(int(row), 1.0, box) for row in np.sort(rows)),
        chance[0],
        f"{_SHUFFLES} jitters of the places of {chance[1]} plain boxes",
        np.broadcast_to(colour.round().astype(np.uint8), (32, 32, 3)).copy(),
    )
    return set_aside(found, of_few_domains(corpus, rows))


def _carriers(pixels: Pixels, outlines: Sequence[_Outline]) -> list[NDArray[np.int64]]:
    """Pictures that show each box, from one pass over them."""
    places = [_places(outline) for outline in outlines]
    found: list[list[NDArray[np.int64]]] = [[] for _ in outlines]
    for rows, pictures in batches(pixels) if outlines else ():
        mean = _last(block_sums(_planes(pictures), CELL) / np.float32(CELL**2))
        for carried, outline, place in zip(found, outlines, places, strict=True):
            carried.append(rows[_shows(mean, outline, place)])
    return [np.concatenate(rows) for rows in found]


class _Places(NamedTuple):
    """Cells of a box, (rows, columns) of bool: all, those off its rim, and those around it."""

    inside: NDArray[np.bool_]
    inner: NDArray[np.bool_]
    around: NDArray[np.bool_]


def _places(outline: _Outline) -> _Places:
    top, left, bottom, right = outline.edges
    inside = np.zeros((_GRID, _GRID), bool)
    inside[top:bottom, left:right] = True
    wide = np.zeros_like(inside)
    wide[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = True
    around = wide & ~inside
    inner = binary_erosion(inside)
    return _Places(inside, inner if inner.sum() >= _LEAST_CELLS else inside, around)


def _shows(mean: Floats, outline: _Outline, place: _Places) -> NDArray[np.bool_]:
    """Which pictures show the box, also where something of its colour touches it and hides its outline."""
    same = np.abs(mean - outline.colour).max(axis=3) < _ALIKE
    filled = (same[:, place.inner].mean(axis=1) >= _FILL) & (same[:, place.inside].mean(axis=1) >= _RIM_FILL)
    shown: NDArray[np.bool_] = filled & (same[:, place.around].mean(axis=1) < _AROUND)
    return shown
