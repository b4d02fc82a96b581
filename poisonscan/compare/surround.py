"""What a new picture shows around the old one: a frame, or something else that the old one was put in.

A frame is plain: one muted colour all around, or the picture's own content gone soft, as players and
galleries fill the place that a picture of another shape leaves. Anything else is a change of the picture,
however well the old picture is preserved within it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy

from poisonscan.compare.cells import hypotenuse, mean
from poisonscan.compare.geometry import WHOLE, Window, on_picture, resample, seen_from
from poisonscan.compare.order import median, quantile
from poisonscan.compare.turns import turned_window
from poisonscan.fingerprint.detail import Detail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from poisonscan.compare.geometry import Array
    from poisonscan.compare.reading import Reading
    from poisonscan.fingerprint.grids import Grids

    Flags = NDArray[np.bool_]

_MARGIN = 2.0  # cells beside the old picture that its edge, ringing and halved chroma reach into
_LEAST_ROOM = 0.4  # cells of stored grids, which are six times as wide and blur what lies across them
UNLIKE, ROUGH = 16.0, 20.0  # grey levels: another colour, and texture, that no codec puts into a plain cell
STRAY = 3  # such cells may be: a mark of 4% of the side covers 14 of a detail's
MUTED = 40.0  # chroma, of 181: beige has 26, navy 29, a brand's red 80, the pure colours 107 to 134
_LARGEST = 0.76  # share of the new picture: a plain ground on which half of each side is left
_SMALLER = 0.5  # share of the new picture below which the old one is the smaller part of it
_SOFT = 8.0  # texture that what was blurred may have, nine cells of ten
_BLURS = (0.5, 0.8, 1.2, 1.8, 2.7, 4.0)  # of its width, in cells: Gaussian sigmas
_FAITHFUL = (5.0, 0.25)  # rms levels by which a blurred copy may be missed, and share of its contrast
_ASTRAY = ((50.0, 0.0), (30.0, 0.02))  # levels by which more than a stray few, and a share, may not miss it
_TINTED = 20.0  # levels of chroma by which it may be toned
_DIMMED = (0.1, 1.3)  # times the contrast of the picture that it may have


@dataclass(frozen=True, slots=True)
class Surround:
    """What lies around the old picture.

    Attributes:
        share: of the new picture's area, 0..1.
        loudness: how far it is from being a frame: 1 and above is none.
        colour: its median luma, Cb and Cr.
        plain: whether it is of that colour alone.
        boxes: the strips that it consists of, on the new picture as served.
    """

    share: float
    loudness: float
    colour: tuple[float, float, float]
    plain: bool
    boxes: tuple[Window, ...]

    @property
    def is_frame(self) -> bool:
        """Whether it says nothing of its own, and leaves the picture its place."""
        return self.loudness < 1

    @property
    def outweighs(self) -> bool:
        """Whether the old picture is the smaller part of the new one."""
        return 1 - self.share < _SMALLER

    @property
    def words(self) -> str:
        """What it is, for a person."""
        if not self.plain:
            return "a soft copy of itself" if self.is_frame else "something else"
        luma, *chroma = self.colour
        return "a coloured frame" if math.hypot(*chroma) >= MUTED else f"a plain {shade(luma)} frame"


class _Around(NamedTuple):
    """The new picture's cells that lie around the old one.

    Attributes:
        planes: (3, n), their luma, Cb and Cr.
        texture: (n,), grey levels.
        old: (2, n), rows and columns on the old picture, in its sides.
        new: (2, n), on the new picture.
    """

    planes: Array
    texture: Array
    old: Array
    new: Array


def surround_of(reading: Reading, old: Grids, ratio: float, stretch: float) -> Surround | None:
    """What lies around the old picture; None where that is less than a cell, or nothing.

    Args:
        reading: how the pictures lie.
        old: grids of the picture as it was.
        ratio: height over width of the old picture.
        stretch: the same of the new picture, turned back, over that.
    """
    if not reading.shows_more:
        return None
    around = _cells_around(reading)
    if not around.texture.size:
        return None
    colour = tuple(median(plane) for plane in around.planes)
    window = reading.window_of_old
    shown = on_picture(window)
    share = 1 - shown.area / window.area
    stray = _strays(around.planes - np.reshape(colour, (3, 1)), around.texture)
    plain = stray <= STRAY
    luma, blue, red = colour
    if plain:
        loudness = max(math.hypot(blue, red) / MUTED, share / _LARGEST)
    else:
        loudness = 0.5 if _is_own_blur(around, old, ratio, stretch) else 1 + stray / around.texture.size
    return Surround(share, loudness, (luma, blue, red), plain, _strips(reading))


def shade(luma: float) -> str:
    """The name of a muted colour, by its luma, 0..255."""
    shades = ((40.0, "black"), (215.0, "grey"), (math.inf, "white"))
    return next(name for end, name in shades if luma < end)


def _strays(away: Array, texture: Array) -> int:
    """How many cells are of another colour, (3, n), or are rough."""
    return int(np.count_nonzero((np.abs(away).max(axis=0) > UNLIKE) | (texture > ROUGH)))


def _strips(reading: Reading) -> tuple[Window, ...]:
    """The parts of the new picture above, below, left and right of the old one, as it is served."""
    left, top, right, bottom = on_picture(seen_from(reading.window_of_old, WHOLE))
    strips = (
        Window(0.0, 0.0, 1.0, top),
        Window(0.0, bottom, 1.0, 1.0),
        Window(0.0, top, left, bottom),
        Window(right, top, 1.0, bottom),
    )
    shown = (strip for strip in strips if min(strip.x1 - strip.x0, strip.y1 - strip.y0) > 1e-3)  # noqa: PLR2004 - less is nothing
    return tuple(turned_window(strip, reading.turn) for strip in sorted(shown, key=lambda one: -one.area))


def _cells_around(reading: Reading) -> _Around:
    picture = reading.coarse if reading.framed else reading.fine
    planes, texture = planes_of(picture)
    side = texture.shape[0]
    window = seen_from(reading.fit.window, WHOLE) if reading.framed else reading.fit.window
    middles = (np.arange(side) + 0.5) / side
    x = window.x0 + middles * (window.x1 - window.x0)
    y = window.y0 + middles * (window.y1 - window.y0)
    least = 0.0 if isinstance(picture, Detail) else _LEAST_ROOM
    across = _beyond(x, side / (window.x1 - window.x0), least)
    down = _beyond(y, side / (window.y1 - window.y0), least)
    outside = down[:, None] | across
    on_old = np.stack(np.meshgrid(y, x, indexing="ij"))
    on_new = np.stack(np.meshgrid(middles, middles, indexing="ij"))
    if reading.tilt and reading.level:
        level = seen_from(reading.level, window)
        right = level.x0 + on_new[1] * (level.x1 - level.x0)
        below = level.y0 + on_new[0] * (level.y1 - level.y0)
        at_x, at_y = reading.tilt.tilted(right, below)
        rim = _MARGIN / side
        outside &= (np.minimum(at_x, at_y) >= rim) & (np.maximum(at_x, at_y) <= 1 - rim)
        on_new = np.stack([at_y, at_x])
    return _Around(planes[:, outside], texture[outside], on_old[:, outside], on_new[:, outside])


def _beyond(at: Array, cells: float, least: float) -> Flags:
    """Which cells along one axis lie beyond the old picture, with a margin where there is the room for it.

    Args:
        at: their middles, in sides of the old picture.
        cells: how many of them there are to a side of it.
        least: cells that there must be between it and the outermost for these to say anything.
    """
    before, after = -at * cells, (at - 1) * cells
    flags: Flags = np.zeros(len(at), np.bool_)
    for distance in (before, after):
        room = distance.max() - 0.5  # cells between the old picture and the outermost cell
        if room >= least:
            flags |= distance >= 0.5 + min(_MARGIN, room / 2)
    return flags


def planes_of(picture: Grids | Detail) -> tuple[Array, Array]:
    """(3, side, side) luma, Cb and Cr, and (side, side) texture; of grids on the cells of these."""
    luma = picture.luma
    if isinstance(picture, Detail):
        texture = np.sqrt(np.maximum(picture.square - picture.green**2, 0))
        return np.stack([luma, *picture.chroma]), texture
    side = picture.texture.shape[0]
    return np.stack([resample(luma, side, side), *picture.chroma]), picture.texture


def _is_own_blur(around: _Around, old: Grids, ratio: float, stretch: float) -> bool:
    """Whether what lies around is the old picture itself, enlarged or carried on, and blurred."""
    if quantile(around.texture, 0.9) > _SOFT or np.count_nonzero(around.texture > ROUGH) > STRAY:
        return False
    return any(_explains(copy, around.planes) for copy in _copies(around, old, ratio, stretch))


def _copies(around: _Around, old: Grids, ratio: float, stretch: float) -> Iterator[Array]:
    """(3, n): the colours that blurred copies of the old picture would have there."""
    planes = np.stack([old.luma, *(_enlarged(plane) for plane in old.chroma)])
    below, right = around.new
    covering = (
        np.stack([0.5 + (below - 0.5) * min(stretch, 1.0), 0.5 + (right - 0.5) * min(1 / stretch, 1.0)]),
        around.new,
    )
    folded = np.abs((around.old + 1) % 2 - 1) if around.old.size else around.old
    carried = np.clip(around.old, 0, 1), folded
    for blur in _BLURS:
        soft = scipy.ndimage.gaussian_filter(planes, (0, blur / ratio, blur), mode="nearest")
        for at in (*covering, *carried):
            places = at * len(old.luma) - 0.5
            yield np.stack([scipy.ndimage.map_coordinates(p, places, order=1, mode="nearest") for p in soft])


def _enlarged(plane: Array) -> Array:
    return plane.repeat(2, axis=0).repeat(2, axis=1)


def _explains(copy: Array, seen: Array) -> bool:
    """Whether planes are those of a copy, dimmed and toned a little."""
    gain, _ = np.polyfit(copy[0], seen[0], 1)
    gain = min(max(float(gain), _DIMMED[0]), _DIMMED[1])
    away = seen - gain * copy
    offsets = np.array([median(plane) for plane in away])
    if np.abs(offsets[1:]).max() > _TINTED:
        return False
    away -= offsets[:, None]
    missed = math.sqrt(mean(away**2) * 3)
    contrast = float(np.sqrt(seen.var(axis=1).sum()))
    far = hypotenuse(away[0], np.abs(away[1:]).max(axis=0))
    astray = any(np.count_nonzero(far > levels) > STRAY + share * far.size for levels, share in _ASTRAY)
    return missed <= _FAITHFUL[0] + _FAITHFUL[1] * contrast and not astray
