"""Pictures that a page shows with rounded corners, or in a circle: plain corners are a frame of another form.

All four corners have one muted colour, and so has all that lies outside a rounded rectangle or an ellipse
that fills the picture. Such a mask is looked for on the new picture alone; the old one is then laid under
what is within.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from poisonscan.compare.align import at_window, refine
from poisonscan.compare.geometry import WHOLE, Window, resample, seen_from, within
from poisonscan.compare.order import median
from poisonscan.compare.reading import Reading, best_reading, is_evidence
from poisonscan.compare.surround import MUTED, ROUGH, STRAY, UNLIKE, planes_of, shade
from poisonscan.compare.turns import inverse, turned
from poisonscan.fingerprint.detail import Detail
from poisonscan.fingerprint.grids import SIDEWAYS, Grids
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE, TEXTURE_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.compare.geometry import Array
    from poisonscan.compare.reading import Shapes
    from poisonscan.config import CompareSettings

    Flags = NDArray[np.bool_]

_RADII = tuple(step / 100 for step in range(50, 2, -1))  # of the shorter side, largest first
_POINTS = 8  # a side of each old cell: how finely it is asked whether all of it is shown
_INSCRIBED = 1 - math.sqrt(0.5)  # of a radius: how far a square must keep from a corner to be within
_EDGE = 2.0  # cells beside the edge of a mask that its ringing reaches into
_ALIKE = 90.0  # grey levels: a corner cell may show the picture in part
_HIDDEN, _OTHER = (
    0.3,
    40.0,
)  # share of the cells behind a mask that had another colour, and by how many levels
_STILL = 0.02  # sides by which the window may stick out


class Mask(NamedTuple):
    """A rounded rectangle that fills a picture; with the largest radii it is an ellipse.

    Attributes:
        across, down: radii of its corners, in sides of the picture, 0..0.5.
        colour: what lies outside: luma, Cb and Cr.
    """

    across: float
    down: float
    colour: tuple[float, float, float]

    def shows(self, x: Array, y: Array, rim: float = 0.0) -> Flags:
        """Which points of the picture, in its sides, lie within by at least `rim` sides."""
        corner_x = np.maximum(self.across - np.minimum(x, 1 - x), 0) / max(self.across - rim, 1e-6)
        corner_y = np.maximum(self.down - np.minimum(y, 1 - y), 0) / max(self.down - rim, 1e-6)
        flags: Flags = corner_x**2 + corner_y**2 <= 1
        return flags

    @property
    def words(self) -> str:
        """What it is, for a person."""
        form = "in an ellipse" if min(self.across, self.down) >= 0.5 else "with rounded corners"  # noqa: PLR2004 - half a side
        return f"{form} on plain {shade(self.colour[0])}"


def may_be_masked(picture: Grids) -> bool:
    """Whether a picture's corners are alike enough for `mask_of` to be asked, which takes longer."""
    corners = picture.luma[[0, 0, -1, -1], [0, -1, 0, -1]]
    return float(corners.max() - corners.min()) <= _ALIKE


def mask_of(picture: Grids | Detail, ratio: float) -> Mask | None:
    """The mask that a picture's corners show, if they do.

    Args:
        picture: as it is shown.
        ratio: its height over its width.
    """
    places = [0, 0, -1, -1], [0, -1, 0, -1]
    corners = np.stack([picture.luma[places], *(plane[places] for plane in picture.chroma)])
    luma, blue, red = (median(plane) for plane in corners)
    colour = np.array([luma, blue, red])
    if math.hypot(blue, red) >= MUTED or np.abs(corners - colour[:, None]).max() > UNLIKE:
        return None
    planes, texture = planes_of(picture)
    other = (np.abs(planes - colour[:, None, None]).max(axis=0) > UNLIKE) | (texture > ROUGH)
    shapes = [(0.5, 0.5)] + [(min(r * ratio, r), min(r / ratio, r)) for r in _RADII]
    for across, down in shapes:
        mask = Mask(across, down, (luma, blue, red))
        if np.count_nonzero(other & _outside(mask, len(other))) <= STRAY:
            return mask
    return None


def _outside(mask: Mask, side: int) -> Flags:
    """(side, side): the cells of which nothing lies within, nor so near that the edge reaches into them."""
    middles = (np.arange(side) + 0.5) / side
    return ~mask.shows(middles[None], middles[:, None], -_EDGE / side)


def masked(old: Grids, picture: Grids | Detail, shapes: Shapes, settings: CompareSettings) -> Reading | None:
    """The reading of a picture that shows the old one within a mask.

    Args:
        old: grids of the picture as it was.
        picture: of the picture as it is; finer than grids where it is at hand.
        shapes: of both.
        settings: as for `best_reading`.
    """
    mask = mask_of(picture, shapes.new)
    if mask is None:
        return None
    side = picture.luma.shape[0]
    cut = 2 * math.ceil(
        _INSCRIBED * max(mask.across, mask.down) * side / 2
    )  # even: chroma has half the cells
    middle = Window(cut / side, cut / side, 1 - cut / side, 1 - cut / side)
    found = best_reading(old, _middle(picture, cut), shapes, settings)
    if found.framed or found.tilt or not is_evidence(found.fit):
        return None
    shown = _turned(picture, inverse(found.turn))
    part = shown.luma[cut : side - cut, cut : side - cut]
    window = within(refine(old.luma, part, found.window).window, seen_from(middle, WHOLE))
    if min(window[:2]) < -_STILL or max(window[2:]) > 1 + _STILL:
        return None
    if found.turn in SIDEWAYS:
        mask = mask._replace(across=mask.down, down=mask.across)
    present = _shown_cells(mask, window, 1 / side)
    fit = at_window(old.luma, shown.luma, window, present=present)
    return Reading(fit, old, shown, found.turn, mask=mask)


def hides_much(reading: Reading, old: Grids) -> bool:
    """Whether the old picture had something else behind a mask: else its corners may be its own."""
    mask, present = reading.mask, reading.fit.present_on((slice(None), slice(None)), LUMA_SIDE)
    if mask is None or present is None:
        return False
    planes = np.stack([old.luma, *(plane.repeat(2, axis=0).repeat(2, axis=1) for plane in old.chroma)])
    unlike = np.abs(planes - np.reshape(mask.colour, (3, 1, 1))).max(axis=0) > _OTHER
    hidden = unlike[~present]
    return hidden.size > 0 and float(hidden.mean()) >= _HIDDEN


def _turned(picture: Grids | Detail, orientation: int) -> Grids | Detail:
    if isinstance(picture, Detail):
        return turned(picture, orientation)
    return turned(picture, orientation)


def _middle(picture: Grids | Detail, cut: int) -> Grids:
    """Grids of the middle of a picture, less so many cells along each border."""
    _, texture = planes_of(picture)
    luma, chroma, texture = (
        _cut(plane, cut * plane.shape[-1] // picture.luma.shape[0])
        for plane in (picture.luma, picture.chroma, texture)
    )
    return Grids(
        resample(luma, LUMA_SIDE, LUMA_SIDE),
        resample(chroma, CHROMA_SIDE, CHROMA_SIDE),
        np.maximum(resample(texture, TEXTURE_SIDE, TEXTURE_SIDE), 0),
    )


def _cut(plane: Array, cells: int) -> Array:
    inner = slice(cells, plane.shape[-1] - cells)
    return plane[..., inner, inner]


def _shown_cells(mask: Mask, window: Window, rim: float) -> Flags:
    """(32, 32): the old cells that lie within the mask."""
    n = LUMA_SIDE * _POINTS
    points = (np.arange(n) + 0.5) / n
    x = (points - window.x0) / (window.x1 - window.x0)
    y = (points - window.y0) / (window.y1 - window.y0)
    there = mask.shows(x[None], y[:, None], rim).reshape(LUMA_SIDE, _POINTS, LUMA_SIDE, _POINTS)
    cells: Flags = np.logical_and.reduce(there, axis=(1, 3))
    return cells
