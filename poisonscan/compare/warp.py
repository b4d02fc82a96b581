"""Pictures whose pixels were moved along a smooth field, as WaNet's backdoor does (Nguyen and Tran 2021).

What such a field leaves is the picture's gradient times a displacement that changes slowly from place to
place. It averages out over squares and passes for interpolation; fitted to all cells at once it stands out.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.compare.cells import laplacian
from poisonscan.compare.order import median

if TYPE_CHECKING:
    from poisonscan.compare.align import Alignment
    from poisonscan.compare.geometry import Array

_ORDER = 4  # cosines on each axis: WaNet's field has 4 x 4 points
_FREE = 22  # parameters that are left of 2 x 4 x 4 when windows, turns and tone have had theirs
_RATIO = 10.0
"""F of such a field: warped photos have 11 to 55; of those toned, cropped or turned the highest had 8, and of
those sharpened 9 (24 photos under each edit)."""
_LEAST_SHIFT = 0.12  # cells, rms; warped pictures have 0.29 to 0.42, and smooth ones have no say in it
_BUSY = 0.05  # by how much a grey level of gradient raises the noise of a cell
_ROUNDS = 3
_CLIPPED = 9.0  # standard deviations beyond which a cell has no say
_FLOOR = 0.2  # grey levels
_RANK = 1e-4


def warped(fit: Alignment) -> float:
    """How far a picture is warped, in units of what counts as warped; 0 where too little is in common."""
    if fit.empty:
        return 0.0
    expected, left = fit.expected, (fit.seen - fit.expected).ravel()
    down, across = (np.asarray(np.gradient(expected, axis=axis)) for axis in (0, 1))
    fields = _fields(*expected.shape)
    moves = np.concatenate([(fields * across), (fields * down)]).reshape(2 * _ORDER**2, -1)
    weights = 1 / (1 + _BUSY * np.hypot(down, across).ravel())
    if fit.present is not None:
        weights = weights * fit.present.ravel()
    solution, ratio = _fitted(_explained(expected, down, across), moves, left, weights)
    shift = np.einsum("ck,kij->cij", solution.reshape(2, -1), fields)
    enough = math.sqrt(float((shift**2).sum(axis=0).mean())) >= _LEAST_SHIFT
    return ratio / _RATIO if enough else 0.0


def _explained(expected: Array, down: Array, across: Array) -> Array:
    """(10, cells): what tone, sharpening, another window and a tilt would leave."""
    rows, columns = expected.shape
    below, right = _cosines(rows)[1][:, None], _cosines(columns)[1]
    plain = expected / 255
    shapes = [np.ones_like(plain), plain, plain * plain, laplacian(expected)]
    shapes += [slope * along for slope in (down, across) for along in (1.0, below, right)]
    return np.stack(shapes).reshape(len(shapes), -1)


def _fitted(explained: Array, moves: Array, left: Array, weights: Array) -> tuple[Array, float]:
    """Displacements by robust least squares, and their F over what is explained without them."""
    trusted = weights
    solution, fitted, rest, used = moves[:, 0], left, left, 0
    for _ in range(_ROUNDS):
        basis, _ = np.linalg.qr((explained * trusted).T)
        target = left * trusted
        target = target - basis @ (basis.T @ target)
        moved = (moves * trusted).T
        moved = moved - basis @ (basis.T @ moved)
        found, _, rank, _ = np.linalg.lstsq(moved, target, rcond=_RANK)
        solution, used = found.astype(np.float64), int(rank)
        fitted = moved @ solution
        rest = target - fitted
        scale = 1.4826 * median(np.abs(rest)) + _FLOOR
        trusted = weights * np.maximum(1 - (rest / (_CLIPPED * scale)) ** 2, 0)
    free = max(int(np.count_nonzero(weights)) - used - len(explained), 1)
    noise = max(float(rest @ rest) / free, _FLOOR**2)
    return solution, float(fitted @ fitted) / _FREE / noise


@lru_cache(maxsize=64)
def _fields(rows: int, columns: int) -> Array:
    """(16, rows, columns): products of cosines along both axes."""
    products = np.einsum("ai,bj->abij", _cosines(rows), _cosines(columns))
    fields: Array = products.reshape(_ORDER**2, rows, columns)
    return fields


@lru_cache(maxsize=64)
def _cosines(length: int) -> Array:
    """(4, length): half a period each more than the one before."""
    middles = (np.arange(length) + 0.5) / length
    cosines: Array = np.cos(np.pi * np.arange(_ORDER)[:, None] * middles)
    return cosines
