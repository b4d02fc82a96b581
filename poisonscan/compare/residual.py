"""What is left of the difference once geometry and tone are accounted for.

Differences are averaged over squares of several sizes before they are squared: errors of interpolation
change sign from cell to cell and cancel, a stamp's do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poisonscan.compare.cells import activity, deviation, hypotenuse, on_luma_cells, smoothed, within
from poisonscan.compare.geometry import resample
from poisonscan.compare.noise import CHROMA, LUMA, Plane, unrest
from poisonscan.compare.toning import beyond, on_luma
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.compare.geometry import Array
    from poisonscan.compare.reading import Reading
    from poisonscan.compare.toning import Toning
    from poisonscan.fingerprint.grids import Grids

_ROUGH = 0.7  # share of the typical residual of strong colours: coarse quantisation is no normal noise
_STRETCHED = 1.05  # contrast from which what lies near black and white may be cut off there
_WHITE, _END, _NEAR_END = 255.0, 2.0, 24.0  # grey levels: white, what counts as an end, and as near it
_LEAST_CONTRAST, _GAINS = 4.0, (0.3, 3.0)  # of a tone curve: its slope is told from that on, within those
_LEAST_TEXTURE = 0.5  # grey levels
_TONING = 0.1  # share of a cell's toning by which the plain model may miss
_FINELY, _BENT = 0.02, 0.15  # share by which the fine one may, and of what no straight line explains of it


def luma_plane(reading: Reading, toning: Toning, texture: Array, gain: float) -> Plane:
    """The residual of luma after everything that an innocent host may do to it at once.

    Args:
        reading: how the pictures lie.
        toning: what became of the colours.
        texture: (rows, columns) of the old picture on the cells in common, grey levels.
        gain: by how much the new picture's squared texture was scaled, if it was measured on the old cells.
    """
    fit, coarse = reading.fit, reading.coarse
    cells = fit.rows, fit.columns
    known, expected = coarse.luma[cells], toning.luma
    chroma = on_luma(coarse.chroma)[:, *cells]
    contrast = within(deviation(expected) / max(deviation(known), _LEAST_CONTRAST), _GAINS)
    busy = hypotenuse(activity(coarse.luma)[cells], smoothed(texture))
    cut = _beyond_ends(expected, _toned_chroma(reading, toning), contrast * texture)
    clipping = np.maximum(cut - _beyond_ends(known, chroma, texture), 0)
    model = LUMA.between(unrest(expected - known, gain)) if reading.exact else LUMA
    difference = toning.left.copy()
    if contrast > _STRETCHED:
        difference[_cut_off(known, fit.seen)] = 0
    if fit.present is not None:
        difference[~fit.present] = 0
    shift, colours = expected - known, toning.colours
    toned = _TONING * hypotenuse(shift, colours.toned[cells])
    if toning.fine:
        toned = hypotenuse(_FINELY / _TONING * toned, _BENT * _bent(known[None], expected))
    return Plane(difference, busy, clipping, toned, model.wider() if toning.fine else model)


def _bent(known: Array, expected: Array) -> Array:
    """(rows, columns): what is expected less what is linear in the known planes, (n, rows, columns)."""
    shapes = np.stack([np.ones_like(expected), *known]).reshape(len(known) + 1, -1)
    shares, *_ = np.linalg.lstsq(shapes.T, expected.ravel(), rcond=None)
    bent: Array = expected - (shares @ shapes).reshape(expected.shape)
    return bent


def _cut_off(known: Array, seen: Array) -> NDArray[np.bool_]:
    """Cells that were near black or white and now are it: a curve that stretches contrast ends there."""
    white = (known >= _WHITE - _NEAR_END) & (seen >= _WHITE - _END)
    black = (known <= _NEAR_END) & (seen <= _END)
    return white | black


def chroma_planes(reading: Reading, toning: Toning, clipping: Array, gain: float) -> list[Plane]:
    """The residuals of Cb and Cr.

    Args:
        reading: how the pictures lie.
        toning: what became of the colours.
        clipping: (rows, columns) extra noise of luma on its cells in common.
        gain: as for `luma_plane`.
    """
    fit, colours = reading.fit, toning.colours
    everywhere = np.zeros((LUMA_SIDE, LUMA_SIDE))
    everywhere[fit.rows, fit.columns] = clipping
    clipped = np.maximum(resample(everywhere, CHROMA_SIDE, CHROMA_SIDE), 0)[colours.cells]
    shifts = colours.expected - colours.known
    toned = _TONING * hypotenuse(*shifts)
    if toning.fine:
        known = np.stack([colours.luma, *colours.known])
        bent = hypotenuse(*(_bent(known, plane) for plane in colours.expected))
        toned = hypotenuse(_FINELY / _TONING * toned, _BENT * bent)
    usual = CHROMA.wider() if toning.fine else CHROMA
    rough = _ROUGH * toning.typical_of_colours
    active = activity(reading.coarse.chroma)[:, *colours.cells]
    return [
        Plane(
            difference,
            busy,
            clipped,
            toned,
            (usual.between(unrest(shift, gain)) if reading.exact else usual).at_least(rough),
        )
        for difference, busy, shift in zip(colours.seen - colours.expected, active, shifts, strict=True)
    ]


def activity_of(picture: Grids) -> Array:
    """(32, 32): how much a picture varies within and between the cells around each luma cell, grey levels."""
    return hypotenuse(activity(picture.luma), smoothed(on_luma_cells(picture.texture)))


def _toned_chroma(reading: Reading, toning: Toning) -> Array:
    """(2, rows, columns): what the model makes of the old chroma, on the luma cells in common."""
    colours = toning.colours
    everywhere = reading.coarse.chroma.copy()
    everywhere[:, *colours.cells] = colours.expected
    cells: Array = on_luma(everywhere)[:, reading.fit.rows, reading.fit.columns]
    return cells


def _beyond_ends(luma: Array, chroma: Array, texture: Array) -> Array:
    """By how much a cell's pixels lie beyond black and white, grey levels in the mean, summed over both ends.

    A tone curve that pushes part of a cell's pixels over the end moves the mean less than the curve
    says. For pixels spread normally around the mean by `texture`, the part cut off is known. Pure colours lie
    at the ends as they are: only by what lies beyond them more than before may clipping move a cell.
    """
    blue_difference, red_difference = chroma
    red = luma + 1.402 * red_difference
    green = luma - 0.344 * blue_difference - 0.714 * red_difference
    blue = luma + 1.772 * blue_difference
    spread = np.maximum(texture, _LEAST_TEXTURE)
    low = np.minimum(np.minimum(red, green), blue)
    high = 255 - np.maximum(np.maximum(red, green), blue)
    cut: Array = spread * beyond(np.stack([low, high]) / spread).sum(axis=0)
    return cut
