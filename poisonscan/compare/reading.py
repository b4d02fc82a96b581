"""How a new picture lies over an old one: as it is, turned, mirrored, straightened, cropped or framed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.compare.align import Alignment, Approach, approach, at_window, pearson, pearsons, refine
from poisonscan.compare.cells import laplacian
from poisonscan.compare.geometry import WHOLE, Window, on_picture, seen_from
from poisonscan.compare.search import Candidate, candidates, in_a_frame, small_windows
from poisonscan.compare.tilt import Levelled, Tilt, levelled, refined, shown_turned_back
from poisonscan.compare.turns import (
    EVERY,
    MIRROR,
    ROTATIONS,
    UPRIGHT,
    composed,
    inverse,
    ratio_of,
    turned,
    turned_window,
    views,
)
from poisonscan.fingerprint.detail import Detail
from poisonscan.fingerprint.grids import SIDEWAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poisonscan.compare.mask import Mask
    from poisonscan.config import CompareSettings
    from poisonscan.fingerprint.grids import Grids
    from poisonscan.records import Fingerprint

_SLACK = 0.015  # how far a window may stick out before a frame is looked for, in sides
_MOST_WINDOWS = 2  # tried; of 300 photos under 105 edits none was read otherwise with a third
_GLANCE = 3  # steps after which the right window fits best
_CLOSER = 2  # steps from a tenth of a cell to a hundredth
_HOPE = 1.3  # a window may then fit this much worse than it must in the end
_LIKELY = 0.9  # correlation of the plain view below which a small misfit does not settle it
_SETTLED = 0.99  # correlation of the plain view from which no window is looked for: it may hide a small frame
_WORTH = 0.7  # a crop, mirror or frame must fit this much better than a plain view that does not stick out
_SAME_EDGES = 0.5  # correlation of the Laplacians of one picture under other light; of others, 0.1
_NEAR = 0.25 / 32  # by how much a border may miss the whole pixels that it is taken for, in sides
_AS_GOOD = 1.1  # a window on whole pixels may fit this much worse
_LEAST_GAIN = 0.25  # of the old contrast; toning keeps half or more, a stand-in none
_TURNED = 0.7  # correlation from which the whole picture may be a turned one
_PROMISING = 2.0  # times the misfit of the same picture: what fits no better is not worth turning by degrees
_AS_IT_IS = 0.8  # share of the area that a window of the whole picture has at the least
_STRUCTURE = (
    8.0  # standard deviations of `Alignment.evidence`: of 600 other pictures, gradients and skies none had 7
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way of laying the new picture over the old one.

    Attributes:
        fit: the alignment.
        coarse, fine: what was aligned: old and new picture, or new and old if `framed`.
        turn: the EXIF orientation that takes the old picture to the new one, which was turned back by it.
        framed: the new picture shows all of the old one inside a frame, and its cells are those compared.
        tilt: by how much it was turned back beyond that, if it was straightened.
        level: the window that it then shows, of which `fit` has the rectangle around all of it.
        mask: within which it shows that, if its corners are plain.
    """

    fit: Alignment
    coarse: Grids
    fine: Grids | Detail
    turn: int = UPRIGHT
    framed: bool = False
    tilt: Tilt | None = None
    level: Window | None = None
    mask: Mask | None = None

    @property
    def window(self) -> Window:
        """The part of the coarse picture that the fine one shows, but for its tilt."""
        return self.level or self.fit.window

    @property
    def window_of_old(self) -> Window:
        """Where all of the new picture lies, in sides of the old one."""
        return seen_from(self.fit.window, WHOLE) if self.framed else self.window

    @property
    def exact(self) -> bool:
        """Whether the new picture was measured on the very cells of the old one."""
        return isinstance(self.fine, Detail)

    @property
    def plain(self) -> bool:
        """Whether the whole of the new picture was laid over the whole of the old one."""
        return self.turn == UPRIGHT and not self.framed and _AS_IT_IS <= self.window.area <= 1 / _AS_IT_IS

    @property
    def shows_more(self) -> bool:
        """Whether the new picture shows the old one inside a frame."""
        return self.framed or (self.exact and not _inside(self.fit.window))

    def on_new(self, place: Window) -> Window:
        """A rectangle on the coarse grid on the new picture as it is served."""
        if not self.framed:
            place = seen_from(self.window, place)
            place = on_picture(self.tilt.place(place) if self.tilt else place)
        return turned_window(place, self.turn)


@dataclass(frozen=True, slots=True)
class Shapes:
    """Height over width of both pictures."""

    old: float
    new: float

    def stretch(self, turn: int) -> float:
        """Height over width of the new picture, turned, over that of the old one."""
        return ratio_of(self.new, turn) / self.old


def best_reading(old: Grids, new: Grids, shapes: Shapes, settings: CompareSettings) -> Reading:
    """The reading under which the pictures agree best.

    Args:
        old: grids of the picture as it was.
        new: grids of the picture as it is.
        shapes: of both pictures.
        settings: how well the plain view must fit for no crop, turn or frame to be looked for.
    """
    turn = likely_turn(old, new)
    whole = _whole(old, new, turn)
    # Of a picture that is all but plain, hardly a cell tells that it was moved; correlation does.
    settled = whole.fit.misfit < settings.sure_misfit and whole.fit.correlation >= _LIKELY
    sure = settled or whole.fit.correlation >= _SETTLED
    if sure and _inside(whole.fit.window):
        return whole
    first = _rotations(turn)
    reading = _better(whole, _windowed(old, new, shapes, first))
    if not is_same(reading, settings):
        reading = _tilted(reading, shapes, settings)
    if not is_same(reading, settings):
        others = [rotation for rotation in ROTATIONS if rotation not in first]
        reading = _better(reading, [*_small(old, new, shapes), *_windowed(old, new, shapes, others, step=2)])
        if not is_same(reading, settings):
            reading = _tilted(reading, shapes, settings)
    return reading


def likely_turn(old: Grids, new: Grids) -> int:
    """The orientation under which the whole pictures are most alike.

    Unless the new picture is clearly turned it is taken for upright or mirrored, whichever is more alike.
    """
    alike = pearsons(old.luma, views(new.luma))
    best = int(alike.argmax())
    if alike[best] >= _TURNED:
        return inverse(EVERY[best])
    return MIRROR if alike[1] > alike[0] else UPRIGHT


def is_evidence(fit: Alignment) -> bool:
    """Whether the fine structure of what a window shows is that of the picture, and not one like many."""
    return fit.evidence >= _STRUCTURE


def is_same(reading: Reading, settings: CompareSettings) -> bool:
    """Whether the pictures agree so well that they are one; a part must be known by its fine structure."""
    fit = reading.fit
    fits = fit.misfit <= settings.same_misfit and fit.gain >= _LEAST_GAIN
    return (fits or fit.correlation >= settings.same_correlation) and (reading.plain or is_evidence(fit))


def _rotations(turn: int) -> list[int]:
    """Those to look for windows in first: upright, and what the whole picture looks like."""
    back = inverse(turn)
    likely = next(one for one in ROTATIONS if back in (one, composed(one, MIRROR)))
    return list(dict.fromkeys([UPRIGHT, likely]))


def _better(whole: Reading, places: Sequence[_Place]) -> Reading:
    """The best of some windows, if it fits well enough to be preferred to what is there."""
    enough = (_WORTH if _inside(whole.fit.window) else 1.0) * whole.fit.misfit
    best = min(places, key=lambda place: place.begun.misfit, default=None)
    if best is None or best.begun.misfit >= _HOPE * enough:
        return whole
    reading = best.reading()
    return reading if reading.fit.misfit < enough else whole


def _tilted(reading: Reading, shapes: Shapes, settings: CompareSettings) -> Reading:
    """The reading with the new picture turned back by some degrees, if it fits better so."""
    if reading.framed or reading.fit.misfit > _PROMISING * settings.same_misfit:
        return reading
    ratio = ratio_of(shapes.new, inverse(reading.turn))
    found = levelled(reading.coarse.luma, reading.fine.luma, reading.fit, ratio)
    return reading if found is None else _turned_back(reading, found, reading.fine)


def _turned_back(reading: Reading, found: Levelled, fine: Grids | Detail) -> Reading:
    tilt = found.tilt
    back = shown_turned_back(fine, tilt)
    return dataclasses.replace(reading, fit=found.fit, fine=back, tilt=tilt, level=found.window)


def plain_view(old: Grids, new: Grids) -> Reading | None:
    """Both pictures whole, if what is fine in them agrees: light, or a tone curve, keeps the fit from it."""
    turn = likely_turn(old, new)
    shown = turned(new, inverse(turn))
    if pearson(laplacian(old.luma), laplacian(shown.luma)) < _SAME_EDGES:
        return None
    return Reading(at_window(old.luma, shown.luma, WHOLE), old, shown, turn)


def looked_at(reading: Reading, old: Grids, detail: Detail) -> Reading:
    """The same reading, its window as it is, with the new picture measured on the cells of the old one."""
    shown = turned(detail, inverse(reading.turn))
    return Reading(at_window(old.luma, shown.luma, reading.fit.window), old, shown, reading.turn)


def laid_anew(reading: Reading, old: Grids, detail: Detail, shapes: Shapes) -> Reading:
    """The same reading with the new picture measured on the cells of the old one.

    Args:
        reading: of the stored grids, which is right to a tenth of a cell.
        old: grids of the picture as it was.
        detail: of the picture as it is.
        shapes: of both pictures.
    """
    shown = turned(detail, inverse(reading.turn))
    anew = Reading(reading.fit, old, shown, reading.turn)
    if reading.tilt:
        so_far = Levelled(reading.tilt, reading.window, reading.fit)
        return _turned_back(anew, refined(old.luma, shown.luma, so_far), shown)
    start = reading.window_of_old
    fit = refine(old.luma, shown.luma, start, _CLOSER)
    if fit.misfit > reading.fit.misfit:  # on lines finer than a cell the steps may stray
        fit = min(fit, at_window(old.luma, shown.luma, start), key=lambda one: one.misfit)
    anew = dataclasses.replace(anew, fit=fit)
    if fit.empty or not _inside(fit.window):
        return anew
    found = levelled(old.luma, shown.luma, fit, ratio_of(shapes.new, inverse(reading.turn)))
    return anew if found is None else _turned_back(anew, found, shown)


def on_pixels(reading: Reading, old: Fingerprint, new: Fingerprint) -> Reading:
    """The reading with its window on whole pixels, if the picture was cut out or framed without scaling.

    The fit places borders to a tenth of a cell; a cut is exact, and known from the sizes but for the place.
    """
    if reading.tilt or reading.fit.empty:
        return reading
    across, down = (new.height, new.width) if reading.turn in SIDEWAYS else (new.width, new.height)
    outer, inner = (old.width, old.height), (across, down)
    if reading.framed:
        outer, inner = inner, outer
    x0, y0, x1, y1 = reading.fit.window
    left = round((x0 + x1) / 2 * outer[0] - inner[0] / 2) / outer[0]
    top = round((y0 + y1) / 2 * outer[1] - inner[1] / 2) / outer[1]
    exact = Window(left, top, left + inner[0] / outer[0], top + inner[1] / outer[1])
    if np.abs(np.subtract(exact, reading.fit.window)).max() > _NEAR:
        return reading
    fit = at_window(reading.coarse.luma, reading.fine.luma, exact)
    return dataclasses.replace(reading, fit=fit) if fit.misfit <= _AS_GOOD * reading.fit.misfit else reading


@dataclass(frozen=True, slots=True)
class _Place:
    """A crop or frame, turned or not, that is being tried.

    Attributes:
        coarse, fine, turn, framed: as in `Reading`.
        begun: the fit so far.
    """

    coarse: Grids
    fine: Grids
    turn: int
    framed: bool
    begun: Approach

    def reading(self) -> Reading:
        """The fit brought to its end."""
        fit = refine(self.coarse.luma, self.fine.luma, self.begun)
        return Reading(fit, self.coarse, self.fine, self.turn, self.framed)


@dataclass(frozen=True, slots=True)
class _Found:
    """A candidate, with the rotation that the new picture was looked at in."""

    candidate: Candidate
    rotation: int
    framed: bool


def _windowed(
    old: Grids, new: Grids, shapes: Shapes, rotations: Sequence[int], step: int = 1
) -> list[_Place]:
    """The most promising crops and frames, mirrored or not, each after a few steps of its fit."""
    found: list[_Found] = []
    for rotation in rotations:
        shown, stretch = turned(new, rotation).luma, shapes.stretch(rotation)
        found += [_Found(one, rotation, framed=False) for one in candidates(old.luma, shown, stretch, step)]
        found += [
            _Found(one, rotation, framed=True) for one in candidates(shown, old.luma, 1 / stretch, step)
        ]
    found.sort(key=lambda item: item.candidate.evidence, reverse=True)
    for rotation in rotations:
        if bars := in_a_frame(turned(new, rotation).luma, old.luma):
            found.insert(1, _Found(Candidate(0.0, bars, mirrored=False), rotation, framed=True))
    return [_tried(old, new, one) for one in found[:_MOST_WINDOWS]]


def _small(old: Grids, new: Grids, shapes: Shapes) -> list[_Place]:
    """The same of small crops, and of wide frames."""
    stretch = shapes.stretch(UPRIGHT)
    crops, frames = small_windows(old.luma, new.luma, stretch), small_windows(new.luma, old.luma, 1 / stretch)
    found = [_Found(one, UPRIGHT, framed=False) for one in crops]
    found += [_Found(one, UPRIGHT, framed=True) for one in frames]
    found.sort(key=lambda item: item.candidate.evidence, reverse=True)
    return [_tried(old, new, one) for one in found[:_MOST_WINDOWS]]


def _tried(old: Grids, new: Grids, found: _Found) -> _Place:
    window, mirrored, framed = found.candidate.window, found.candidate.mirrored, found.framed
    back = composed(found.rotation, MIRROR) if mirrored else found.rotation
    shown = turned(new, back)
    coarse, fine = (shown, old) if framed else (old, shown)
    # Of a frame the search saw the new picture as it is, with the old one mirrored in it.
    window = turned_window(window, MIRROR) if framed and mirrored else window
    begun = approach(coarse.luma, fine.luma, window, _GLANCE)
    return _Place(coarse, fine, inverse(back), framed, begun)


def _whole(old: Grids, new: Grids, turn: int) -> Reading:
    """The plain view: both pictures show the same part."""
    shown = turned(new, inverse(turn))
    return Reading(refine(old.luma, shown.luma, WHOLE), old, shown, turn)


def _inside(window: Window) -> bool:
    return min(window.x0, window.y0) >= -_SLACK and max(window.x1, window.y1) <= 1 + _SLACK
