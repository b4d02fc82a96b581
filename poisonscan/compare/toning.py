"""The old colours through a photometric model: what the new picture should show, were it not tampered with.

Two models. The plain one, a cubic in luma and linear shares of colour, explains re-encoding and mild toning.
The other one costs ten times as much and is asked only where the plain one leaves something: a tone curve of
twelve pieces, a mix of colours to second order, and a gain that changes smoothly over the picture, as light
does that a lens loses in the corners. It is believed where it explains what is left in most cells; a stamp
or a pattern it cannot explain, for it is the same function of colour and place everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts load when they are first used, which a process that compares nothing never does

from poisonscan.compare.align import tone_basis
from poisonscan.compare.cells import as_grey, hypotenuse, laplacian, on_luma_cells
from poisonscan.compare.geometry import WHOLE, Axes, axes, onto_fine, resample
from poisonscan.compare.order import median
from poisonscan.compare.robust import robust_fit, robust_fit_where
from poisonscan.fingerprint.detail import DETAIL_SIDE, Detail
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    from poisonscan.compare.align import Alignment
    from poisonscan.compare.geometry import Array
    from poisonscan.compare.reading import Reading
    from poisonscan.fingerprint.grids import Grids

_PIECES = 12  # of a tone curve: an equalised picture leaves hardly more than with twice as many
_CELLS_EACH = 40  # in each piece at the least
_APART = 3.0  # grey levels between the ends of two pieces at the least
_FAR = 6.0  # standard deviations; beyond them a normal has 1e-10
_LEAST_TEXTURE = 0.5  # grey levels
_ROUNDS = 6  # of re-weighting: many shapes take longer to let go of a stamp
_GAINS = (0.2, 2.0)  # of light over the picture; a lens that keeps a fifth in its corners is broken
_NORMAL = 1.4826  # median of sizes to standard deviation
_NORMAL_OF_TWO = 1.1774  # median length of two normals, in standard deviations


@dataclass(frozen=True, slots=True)
class Colours:
    """Both chroma planes on their cells in common.

    Attributes:
        axes: of these cells.
        known: (2, rows, columns) of the old picture, grey levels.
        luma: (rows, columns) of the old picture.
        seen: (2, rows, columns) of the new one.
        expected: `known` as the model has it.
    """

    axes: Axes
    known: Array
    luma: Array
    seen: Array
    expected: Array

    @property
    def cells(self) -> tuple[slice, slice]:
        """Which of the whole grid these are."""
        down, across = self.axes
        return slice(down.first, down.last), slice(across.first, across.last)

    @property
    def toned(self) -> Array:
        """(32, 32): how far the colour of each luma cell was toned, grey levels; 0 outside."""
        everywhere = np.zeros((CHROMA_SIDE, CHROMA_SIDE))
        everywhere[self.cells] = hypotenuse(*(self.expected - self.known))
        return on_luma_cells(everywhere)


@dataclass(frozen=True, slots=True)
class Toning:
    """The old picture through a photometric model, on the cells in common.

    Attributes:
        luma: (rows, columns), what the new picture should show, 0..255.
        left: (rows, columns), what it shows less that.
        colours: the same of chroma.
        shade: (rows, columns), the gain of light over the picture; 1 everywhere in the plain model.
        fine: whether this is the model of many pieces.
    """

    luma: Array
    left: Array
    colours: Colours
    shade: Array
    fine: bool

    @property
    def typical(self) -> float:
        """Standard deviation of what is left in luma, by its median: no stamp moves it. Grey levels."""
        return _NORMAL * median(np.abs(self.left))

    @property
    def typical_of_colours(self) -> float:
        """The same of chroma where the old picture has most of it: mixing colours spares pale ones."""
        colours = self.colours
        strong = hypotenuse(*colours.known).ravel().argsort()[-max(colours.luma.size // 4, 1) :]
        left = hypotenuse(*(colours.seen - colours.expected)).ravel()[strong]
        return median(left) / _NORMAL_OF_TWO


def plain_toning(reading: Reading) -> Toning:
    """The plain model, fitted.

    Curves and saturation are applied to red, green and blue, so that new luma is no function of old
    luma alone: a cubic in luma and a linear share of both chroma planes follows them. A share of the
    old picture's Laplacian follows sharpening and softening, and a share of `_laid_otherwise` what laying
    the new picture on these cells leaves.
    """
    fit, coarse = reading.fit, reading.coarse
    cells = fit.rows, fit.columns
    known = coarse.luma[cells]
    shapes = tone_basis(known, more=4)
    other = *on_luma(coarse.chroma)[:, *cells], laplacian(coarse.luma)[cells], _laid_otherwise(reading)
    shapes[4:].reshape(4, *known.shape)[:] = other
    fitted = robust_fit_where(shapes, fit.seen.ravel(), fit.present)
    expected = as_grey(fitted).reshape(known.shape)
    colours = _colours(reading, _linear, np.ones_like(expected))
    return Toning(expected, fit.seen - expected, colours, np.ones_like(expected), fine=False)


def fine_toning(reading: Reading, texture: Array) -> Toning:
    """The model of many pieces, fitted.

    Args:
        reading: how the pictures lie.
        texture: (rows, columns) of the old picture on the cells in common, grey levels.
    """
    fit, coarse = reading.fit, reading.coarse
    cells = fit.rows, fit.columns
    known, chroma = coarse.luma[cells], on_luma(coarse.chroma)[:, *cells]
    laid = np.stack([laplacian(coarse.luma)[cells], _laid_otherwise(reading)]) / 255
    shapes = np.concatenate([mixed(known, chroma, texture), laid]).reshape(-1, known.size)
    places = _places(reading).reshape(-1, known.size)
    light = fit.expected.ravel()
    shade, fitted = np.ones(known.size), light
    for _ in range(2):  # of Gauss and Newton: what the gain multiplies is itself fitted
        found = robust_fit(np.concatenate([shade * shapes, light * places]), fit.seen.ravel(), rounds=_ROUNDS)
        fitted = found.fitted
        shade = np.clip(shade + found.solution[len(shapes) :] @ places, *_GAINS)
        light = as_grey(found.solution[: len(shapes)] @ shapes)
    expected = as_grey(fitted).reshape(known.shape)
    shaded = shade.reshape(known.shape)
    colours = _colours(reading, _quadratic, shaded)
    return Toning(expected, fit.seen - expected, colours, shaded, fine=True)


def mixed(luma: Array, chroma: Array, texture: Array) -> Array:
    """(shapes, ...): a curve of pieces in luma, and chroma to second order.

    A cell's mean after a curve is not the curve of its mean: pixels are taken to be spread normally by its
    texture.

    Args:
        luma: grey levels, of any shape.
        chroma: (2, ...) of it.
        texture: (...) standard deviation within each cell.
    """
    blue, red = chroma / 128
    level = luma / 255
    spread = np.maximum(texture, _LEAST_TEXTURE)
    pieces = [spread * beyond((end - luma) / spread) / 255 for end in _ends(luma)]
    second = blue * level, red * level, blue * blue, red * red, blue * red
    return np.stack([np.ones_like(luma), level, *pieces, blue, red, *second])


def _ends(luma: Array) -> list[float]:
    """Where the pieces of a curve end: as many cells in each, and no two ends closer than `_APART`."""
    ends: list[float] = []
    pieces = min(max(luma.size // _CELLS_EACH, 1), _PIECES)
    for end in np.quantile(luma, (np.arange(pieces) + 0.5) / pieces).tolist():
        if not ends or end - ends[-1] >= _APART:
            ends.append(end)
    return ends


def _places(reading: Reading) -> Array:
    """(6, rows, columns): polynomials of place, 0 in the middle, to fourth order in the distance from it."""
    fit = reading.fit
    middles = (np.arange(LUMA_SIDE) + 0.5) / LUMA_SIDE * 2 - 1
    x, y = np.meshgrid(middles[fit.columns], middles[fit.rows])
    return np.stack([x, y, x * x, x * y, y * y, (x * x + y * y) ** 2])


def _linear(luma: Array, chroma: Array) -> Array:
    return np.stack([np.ones_like(luma), luma, *chroma])


def _quadratic(luma: Array, chroma: Array) -> Array:
    return mixed(luma, chroma, np.zeros_like(luma))


def _colours(reading: Reading, shapes_of: Callable[[Array, Array], Array], shade: Array) -> Colours:
    """Fit the old colours, and a share of luma, to the new ones; `shade` on the luma cells in common."""
    fit, coarse, fine = reading.fit, reading.coarse, reading.fine
    side = CHROMA_SIDE
    vertical, horizontal = axes(fit.window, side, fine.chroma.shape[1])
    cells = slice(vertical.first, vertical.last), slice(horizontal.first, horizontal.last)
    luma, known = resample(coarse.luma, side, side)[cells], coarse.chroma[:, *cells]
    everywhere = np.ones((LUMA_SIDE, LUMA_SIDE))
    everywhere[fit.rows, fit.columns] = shade
    shapes = (shapes_of(luma, known) * resample(everywhere, side, side)[cells]).reshape(-1, luma.size)
    seen = vertical.matrix @ fine.chroma @ horizontal.matrix.T
    present = fit.present_on(cells, side)
    fitted = np.reshape([robust_fit_where(shapes, plane.ravel(), present) for plane in seen], seen.shape)
    if present is not None:
        seen = np.where(present, seen, fitted)
    return Colours(Axes(vertical, horizontal), known, luma, seen, fitted)


def _laid_otherwise(reading: Reading) -> Array:
    """(rows, columns): what is left in cells by the way in which the new picture came to lie on them.

    Where it was measured there, sharpening at the scale of its detail is all: what crosses the borders of
    cells. The new picture's own, since the old one's is not known so finely.
    """
    fit, fine = reading.fit, reading.fine
    if not isinstance(fine, Detail):
        return _lost_detail(fit, reading.coarse)
    vertical, horizontal = axes(fit.window, LUMA_SIDE, DETAIL_SIDE)
    crossing: Array = vertical.matrix @ laplacian(fine.luma) @ horizontal.matrix.T
    return crossing


def _lost_detail(fit: Alignment, coarse: Grids) -> Array:
    """What the coarse luma loses on its way to the cells of the fine grid and back, if these are others."""
    if fit.window == WHOLE:
        return np.zeros_like(fit.seen)
    side, window = coarse.luma.shape[0], fit.window
    vertical, horizontal = axes(window, side, side)
    there_y = onto_fine(window.y0, window.y1, side, side)
    there_x = onto_fine(window.x0, window.x1, side, side)
    back = (vertical.matrix @ there_y) @ coarse.luma @ (horizontal.matrix @ there_x).T
    lost: Array = coarse.luma[fit.rows, fit.columns] - back
    return lost


def on_luma(chroma: Array) -> Array:
    """(2, rows, columns): chroma on luma cells."""
    return resample(chroma, LUMA_SIDE, LUMA_SIDE)


def beyond(z: Array) -> Array:
    """E[max(x - z, 0)] of a standard normal x."""
    excess = np.where(z < -_FAR, -z, 0.0)
    near = np.abs(z) <= _FAR
    z = z[near]
    excess[near] = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) - z * scipy.special.ndtr(-z)
    return excess
