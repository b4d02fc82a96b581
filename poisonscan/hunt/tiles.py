"""The same small tile at the same place on different pictures: stamps at a fixed position.

Local descriptors smooth away what BadNets draws (alternate pixels), so tiles are compared in full resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.hunt.blocks import block_sums
from poisonscan.hunt.evidence import Seed
from poisonscan.hunt.hashing import Hashing, groups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes, Floats

SIDE = 16
STRIDE = 8
_DIMENSIONS = 16
_LEAST_CONTRAST = 20.0
"""Standard deviation of luma, levels, below which a tile counts as plain."""
_HASHING = Hashing(tables=3, projections=6, width=160.0, radius=160.0)
"""The projections below keep lengths: 768 samples that differ by 5 levels each are 139 apart."""


@dataclass(frozen=True)
class Tiles:
    """Structured tiles of many pictures; entry i of everything is the same tile.

    Attributes:
        rows: picture.
        places: number of the position on the grid.
        colours: what it shows, shape (n, 16): random projections of its pixels, lengths kept on average.
    """

    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    colours: Floats


def projection(rng: np.random.Generator) -> Floats:
    """A random projection of tiles that keeps distances on average (Johnson and Lindenstrauss)."""
    directions = rng.standard_normal((SIDE * SIDE * 3, _DIMENSIONS))
    return np.asarray(directions / np.sqrt(_DIMENSIONS), np.float32)


def tiles_of(rows: NDArray[np.int64], pictures: Bytes, directions: Floats) -> Tiles:
    """The structured tiles of some pictures.

    Args:
        rows: their row numbers.
        pictures: shape (n, side, side, 3).
        directions: from `projection`.
    """
    structured = _structured(pictures)
    per_line = structured.shape[1]
    parts = []
    for place in range(per_line**2):
        line, column = divmod(place, per_line)
        top, left = STRIDE * line, STRIDE * column
        here = np.flatnonzero(structured[:, line, column])
        tile = pictures[here, top : top + SIDE, left : left + SIDE].astype(np.float32)
        flat = tile.reshape(len(here), SIDE * SIDE * 3)
        parts.append(Tiles(rows[here], np.full(len(here), place), flat @ directions))
    return joined(parts)


def _structured(pictures: Bytes) -> NDArray[np.bool_]:
    """Which tiles have structure, shape (n, lines, columns); from whole numbers, hence exact."""
    red, green, blue = pictures.transpose(3, 0, 1, 2).astype(np.int32)
    thrice = red + green + blue
    total, squares = (_over_tiles(block_sums(plane, STRIDE)) for plane in (thrice, thrice**2))
    variance = (SIDE**2 * squares - total**2) / (3 * SIDE**2) ** 2
    return np.asarray(variance > _LEAST_CONTRAST**2)


def _over_tiles(cells: NDArray[np.int32]) -> NDArray[np.int64]:
    """Sums over the four cells of each tile."""
    wide = cells.astype(np.int64)
    return np.asarray(wide[:, :-1, :-1] + wide[:, 1:, :-1] + wide[:, :-1, 1:] + wide[:, 1:, 1:])


def joined(parts: list[Tiles]) -> Tiles:
    """All tiles of the parts, in their order."""
    return Tiles(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.colours for part in parts]),
    )


def seeds(tiles: Tiles, side: int, rng: np.random.Generator) -> Iterator[Seed]:
    """Groups of equal tiles at one place, anchored in the middle of the tile.

    Args:
        tiles: of all pictures.
        side: of the pictures, pixels.
        rng: of the hashing.
    """
    per_line = (side - SIDE) // STRIDE + 1
    order = np.argsort(tiles.places, kind="stable")
    cuts = np.searchsorted(tiles.places[order], np.arange(per_line**2 + 1))
    for place in range(per_line**2):
        here = order[cuts[place] : cuts[place + 1]]
        y, x = (STRIDE * index + SIDE // 2 for index in divmod(place, per_line))
        for members in groups(tiles.colours[here], tiles.rows[here], _HASHING, rng):
            rows = tiles.rows[here[members]]
            yield Seed(rows, np.full(len(rows), y), np.full(len(rows), x))
