"""The shapes that changes leave on pictures, and which of them recur over the rows of a run.

A change in one place leaves a `Stamp`: where it lies, how large it is, what is seen there now and how
that differs from before. A pattern over the whole picture leaves a `Veil`. Both are small, and are read
off two stored fingerprints.

Two stamps are alike if they have the same extent and either show the same (an opaque trigger, wherever
it was put) or lie in the same place and change the picture alike (a translucent watermark, or the code
grid of the universal backdoor, which never shows the same twice). Two veils are alike if what they add
correlates, or if it steps at the same rows and columns (the tiles of the universal backdoor, whose
colours differ from class to class).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.compare.geometry import Window, axes, resample
from poisonscan.compare.pictures import measure
from poisonscan.fingerprint.grids import turn, unpack
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE, Box

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array
    from poisonscan.compare.reading import Reading
    from poisonscan.compare.score import Peak
    from poisonscan.compare.surround import Surround
    from poisonscan.config import CompareSettings
    from poisonscan.records import Fingerprint

SIDE = 6
"""Cells a side of a stamp's thumbnails: the stamps of known attacks span 2 to 14 cells of the grid."""
_SHEET = 16  # cells a side of a veil's luma; half of it for each of its chroma planes
_MOST_STAMPS = 4  # of one picture, the strongest
_MOST_PEAKS = 12  # looked at for them; a lettering may fall into one for each letter
_NOISE = 6.0  # times the median energy: what counts as changed when a place is made tight
_RIM = 0.12  # of the strongest row or column: rows and columns below it are none of the stamp's
_FILLED = 0.5  # of the rectangle around two places: they are parts of one, as letters of a lettering are
_ABROAD = 0.5  # of the change lies outside all stamps: then it is over the whole picture
_LARGEST = 0.5  # share of the picture; what covers more is no stamp
_CLIPPED = 3.0  # standard deviations: no cell says more about a veil


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """A change in one place.

    Attributes:
        box: where, on the new picture, to a cell of the grid.
        width, height: of the new picture, pixels.
        score: of the strongest change in it, in units of its threshold.
        look: what is seen there now: SIDE x SIDE luma (0..255), then mean Cb and Cr (-128..127).
        change: the same of the difference to what was expected there.
    """

    box: Box
    width: int
    height: int
    score: float
    look: Array
    change: Array


@dataclass(frozen=True, slots=True, eq=False)
class Veil:
    """A pattern over the whole picture.

    Attributes:
        score: disturbance of the whole picture, in units of its threshold.
        sheet: what was added: 16 x 16 luma, 2 x 8 x 8 chroma, scaled to length 1.
        steps: how sharply each plane steps between each two rows, then columns; mean 0, length 1.
    """

    score: float
    sheet: Array
    steps: Array


Mark = Stamp | Veil
"""What one change leaves."""


def marks_of(old: Fingerprint, new: Fingerprint, settings: CompareSettings) -> tuple[Mark, ...]:
    """The marks that a change left on a picture: stamps, or one veil, or none on another picture.

    Args:
        old: the baseline.
        new: the picture now, judged to be edited or blended.
        settings: those of the comparison.
    """
    found = measure(old, new, settings)
    if not found.same:
        return ()
    if found.surround and not found.surround.is_frame:
        return _bands(new, found.surround)
    look, change = _planes(found.reading)
    energy = (change**2).sum(axis=0)
    excess = np.maximum(energy - _NOISE * np.median(energy), 0)
    places = _joined([_tight(excess, peak) for peak in found.scores.peaks[:_MOST_PEAKS]])
    places = [place for place in places if place.area <= _LARGEST * LUMA_SIDE**2]
    if found.scores.overall >= 1 and _share_outside(energy, places) > _ABROAD:
        return (_veil(found.scores.overall, change),)
    return tuple(
        _stamp(place, (new.width, new.height), look, change, found.reading) for place in places[:_MOST_STAMPS]
    )


def _bands(new: Fingerprint, surround: Surround) -> tuple[Stamp, ...]:
    """A stamp for each strip around the old picture, whose colour and pattern are all that it shows."""
    grids, size = unpack(new), (new.width, new.height)
    planes = np.stack([grids.luma, *(resample(plane, LUMA_SIDE, LUMA_SIDE) for plane in grids.chroma)])
    stamps = []
    for box in surround.boxes[:_MOST_STAMPS]:
        look = _thumbnail(planes[:, _cells(box.y0, box.y1), _cells(box.x0, box.x1)])
        stamps.append(Stamp(Box(*box), *size, surround.loudness, look, look))
    return tuple(stamps)


def _cells(start: float, stop: float) -> slice:
    """The cells that lie between two borders, or the one that they lie in."""
    first, last = round(start * LUMA_SIDE), round(stop * LUMA_SIDE)
    return slice(min(first, LUMA_SIDE - 1), max(last, first + 1))


@dataclass(frozen=True, slots=True)
class _Place:
    """Rows and columns of the grid, as half-open ranges, and the score of the strongest cell there."""

    top: int
    bottom: int
    left: int
    right: int
    score: float

    @property
    def cells(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def area(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)

    def around(self, other: _Place) -> _Place:
        """The rectangle around both."""
        return _Place(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
            max(self.score, other.score),
        )


def _planes(reading: Reading) -> tuple[Array, Array]:
    """(3, 32, 32) each, on the new picture's side of the reading: what is seen, and what has changed.

    Cells that the pictures do not have in common are 0 in both.
    """
    fit, coarse = reading.fit, reading.coarse
    cells = fit.rows, fit.columns
    colours = (resample(plane, LUMA_SIDE, LUMA_SIDE)[cells] for plane in coarse.chroma)
    known = np.stack([fit.expected, *colours])
    seen = np.stack([fit.seen, *_fine_chroma(reading)])
    look, change = np.zeros((2, 3, LUMA_SIDE, LUMA_SIDE))
    look[:, fit.rows, fit.columns] = known if reading.framed else seen
    change[:, fit.rows, fit.columns] = known - seen if reading.framed else seen - known
    if reading.framed:
        look[0][cells] = coarse.luma[cells]  # as it is, before the tone curve towards the old picture
    return look, change


def _fine_chroma(reading: Reading) -> list[Array]:
    """Chroma of the fine picture on the luma cells in common."""
    down, across = axes(reading.fit.window, LUMA_SIDE, reading.fine.chroma.shape[1])
    return [down.matrix @ plane @ across.matrix.T for plane in reading.fine.chroma]


def _tight(excess: Array, peak: Peak) -> _Place:
    """The rows and columns of a peak that carry the change; a peak is found some cells too large."""
    left, top, right, bottom = (round(edge * LUMA_SIDE) for edge in peak.place)
    inside = excess[top:bottom, left:right]
    if not inside.any():
        return _Place(top, bottom, left, right, peak.score)
    down, across = (
        np.flatnonzero(line >= _RIM * line.max()) for line in (inside.sum(axis=1), inside.sum(axis=0))
    )
    return _Place(
        top + int(down[0]),
        top + int(down[-1]) + 1,
        left + int(across[0]),
        left + int(across[-1]) + 1,
        peak.score,
    )


def _joined(places: list[_Place]) -> list[_Place]:
    """Places that belong together made one, strongest first."""
    left = list(places)
    while True:
        pairs = [
            ((one.area + other.area) / one.around(other).area, number, second)
            for number, one in enumerate(left)
            for second, other in enumerate(left[:number])
        ]
        filled, number, second = max(pairs, default=(0.0, 0, 0))
        if filled < _FILLED:
            return sorted(left, key=lambda place: (-place.score, place.top, place.left))
        joined = left[number].around(left[second])
        left = [place for at, place in enumerate(left) if at not in (number, second)] + [joined]


def _share_outside(energy: Array, places: list[_Place]) -> float:
    outside = energy.copy()
    for place in places:
        outside[place.cells] = 0
    return float(outside.sum() / max(float(energy.sum()), 1e-9))


def _stamp(place: _Place, size: tuple[int, int], look: Array, change: Array, reading: Reading) -> Stamp:
    parts = [planes[:, *place.cells] for planes in (look, change)]
    box = Window(*(edge / LUMA_SIDE for edge in (place.left, place.top, place.right, place.bottom)))
    box, parts = reading.on_new(box), [turn(part, reading.turn) for part in parts]
    return Stamp(Box(*box), *size, place.score, *(_thumbnail(part) for part in parts))


def _thumbnail(planes: Array) -> Array:
    """(38,): luma on SIDE x SIDE cells, then the mean of each chroma plane but for the rim."""
    luma, *colours = (resample(plane, SIDE, SIDE) for plane in planes)
    # What surrounds a stamp bleeds into its rim, chroma of half the resolution most.
    return np.array([*luma.ravel(), *(plane[1:-1, 1:-1].mean() for plane in colours)])


def _veil(score: float, change: Array) -> Veil:
    half = _SHEET // 2
    luma, *chroma = change
    added = np.concatenate(
        [resample(luma, _SHEET, _SHEET).ravel(), *(resample(plane, half, half).ravel() for plane in chroma)]
    )
    most = _CLIPPED * max(float(added.std()), 1e-9)
    colours = np.stack([resample(plane, CHROMA_SIDE, CHROMA_SIDE) for plane in change[1:]])
    steps = [_profile(planes, along) for planes in (change[:1], *colours[:, None]) for along in (1, 2)]
    return Veil(score, _unit(np.clip(added, -most, most)), _unit(np.concatenate(steps)))


def _profile(change: Array, along: int) -> Array:
    """How far each step between neighbouring rows (or columns) stands out from those around it."""
    size = np.sqrt((np.diff(change, axis=along) ** 2).sum(axis=0))
    # The median over the other axis: a tile's border runs right across, an object's does not.
    usual = np.log(np.median(size, axis=2 - along) + 0.5)
    around = np.convolve(np.pad(usual, 3, mode="edge"), np.full(7, 1 / 7), "valid")
    profile: Array = usual - around
    return profile


def _unit(values: Array) -> Array:
    scaled: Array = values / max(float(np.linalg.norm(values)), 1e-9)
    return scaled
