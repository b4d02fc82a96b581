"""How a new picture lies over an old one: as it is, mirrored, as a crop or in a frame."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from poisonscan.compare.align import Alignment, Approach, approach, at_window, pearson, refine
from poisonscan.compare.geometry import WHOLE, Window, seen_from
from poisonscan.compare.search import Candidate, candidates, in_a_frame
from poisonscan.fingerprint.detail import Detail
from poisonscan.fingerprint.grids import Grids

if TYPE_CHECKING:
    from poisonscan.config import CompareSettings
    from poisonscan.records import Fingerprint

Shown = TypeVar("Shown", Grids, Detail)

_SLACK = 0.015  # how far a window may stick out before a frame is looked for, in sides
_MOST_WINDOWS = 2  # tried; of 300 photos under 105 edits none was read otherwise with a third
_GLANCE = 3  # steps after which the right window fits best
_CLOSER = 2  # steps from a tenth of a cell to a hundredth
_HOPE = 1.3  # a window may then fit this much worse than it must in the end
_LIKELY = 0.9  # correlation of the plain view below which a small misfit does not settle it
_SETTLED = 0.99  # correlation of the plain view from which no window is looked for: it may hide a small frame
_WORTH = 0.7  # a crop, mirror or frame must fit this much better than a plain view that does not stick out
_NEAR = 0.25 / 32  # by how much a border may miss the whole pixels that it is taken for, in sides
_AS_GOOD = 1.1  # a window on whole pixels may fit this much worse


@dataclass(frozen=True, slots=True)
class Reading:
    """One way of laying the new picture over the old one.

    Attributes:
        fit: the alignment.
        coarse, fine: what was aligned: old and new picture, or new and old if `framed`.
        mirrored: the new picture was mirrored first.
        framed: the new picture shows all of the old one inside a frame, and its cells are those compared.
    """

    fit: Alignment
    coarse: Grids
    fine: Grids | Detail
    mirrored: bool
    framed: bool

    @property
    def window_of_old(self) -> Window:
        """Where all of the new picture lies, in sides of the old one."""
        return seen_from(self.fit.window, WHOLE) if self.framed else self.fit.window

    @property
    def exact(self) -> bool:
        """Whether the new picture was measured on the very cells of the old one."""
        return isinstance(self.fine, Detail)

    @property
    def shows_more(self) -> bool:
        """Whether the new picture shows the old one inside a frame."""
        return self.framed or (self.exact and not _inside(self.fit.window))


def best_reading(old: Grids, new: Grids, stretch: float, settings: CompareSettings) -> Reading:
    """The reading under which the pictures agree best.

    Args:
        old: grids of the picture as it was.
        new: grids of the picture as it is.
        stretch: height over width of the new picture, over the same of the old one.
        settings: how well the plain view must fit for no crop, mirror or frame to be looked for.
    """
    upright, turned = (pearson(old.luma, luma) for luma in (new.luma, new.luma[:, ::-1]))
    whole = _read(old, new, mirrored=turned > upright)
    # Of a picture that is all but plain, hardly a cell tells that it was moved; correlation does.
    settled = whole.fit.misfit < settings.sure_misfit and whole.fit.correlation >= _LIKELY
    sure = settled or whole.fit.correlation >= _SETTLED
    if sure and _inside(whole.fit.window):
        return whole
    worth = _WORTH if _inside(whole.fit.window) else 1.0
    enough = worth * whole.fit.misfit
    best = min(_windowed(old, new, stretch), key=lambda place: place.begun.misfit, default=None)
    if best is None or best.begun.misfit >= _HOPE * enough:
        return whole
    reading = best.reading()
    return reading if reading.fit.misfit < enough else whole


def laid_anew(reading: Reading, old: Grids, detail: Detail) -> Reading:
    """The same reading with the new picture measured on the cells of the old one.

    Args:
        reading: of the stored grids, which is right to a tenth of a cell.
        old: grids of the picture as it was.
        detail: of the picture as it is.
    """
    shown = _mirrored(detail) if reading.mirrored else detail
    start = reading.window_of_old
    fit = refine(old.luma, shown.luma, start, _CLOSER)
    if fit.misfit > reading.fit.misfit:  # on lines finer than a cell the steps may stray
        fit = min(fit, at_window(old.luma, shown.luma, start), key=lambda one: one.misfit)
    return Reading(fit, old, shown, reading.mirrored, framed=False)


def on_pixels(reading: Reading, old: Fingerprint, new: Fingerprint) -> Reading:
    """The reading with its window on whole pixels, if the picture was cut out or framed without scaling.

    The fit places borders to a tenth of a cell; a cut is exact, and known from the sizes but for the place.
    """
    outer, inner = (new, old) if reading.framed else (old, new)
    x0, y0, x1, y1 = reading.fit.window
    left = round((x0 + x1) / 2 * outer.width - inner.width / 2) / outer.width
    top = round((y0 + y1) / 2 * outer.height - inner.height / 2) / outer.height
    exact = Window(left, top, left + inner.width / outer.width, top + inner.height / outer.height)
    if np.abs(np.subtract(exact, reading.fit.window)).max() > _NEAR:
        return reading
    fit = at_window(reading.coarse.luma, reading.fine.luma, exact)
    return dataclasses.replace(reading, fit=fit) if fit.misfit <= _AS_GOOD * reading.fit.misfit else reading


@dataclass(frozen=True, slots=True)
class _Place:
    """A crop, mirrored crop or frame that is being tried.

    Attributes:
        coarse, fine, mirrored, framed: as in `Reading`.
        begun: the fit so far.
    """

    coarse: Grids
    fine: Grids
    mirrored: bool
    framed: bool
    begun: Approach

    def reading(self) -> Reading:
        """The fit brought to its end."""
        fit = refine(self.coarse.luma, self.fine.luma, self.begun)
        return Reading(fit, self.coarse, self.fine, self.mirrored, self.framed)


def _windowed(old: Grids, new: Grids, stretch: float) -> list[_Place]:
    """The most promising crops, mirrored crops and frames, each after a few steps of its fit."""
    found = [(one, False) for one in candidates(old.luma, new.luma, stretch)]
    found += [(one, True) for one in candidates(new.luma, old.luma, 1 / stretch)]
    found.sort(key=lambda item: item[0].evidence, reverse=True)
    if bars := in_a_frame(new.luma, old.luma):
        found.insert(1, (Candidate(0.0, bars, mirrored=False), True))
    return [
        _tried(old, new, one.window, mirrored=one.mirrored, framed=framed)
        for one, framed in found[:_MOST_WINDOWS]
    ]


def _tried(old: Grids, new: Grids, window: Window, *, mirrored: bool, framed: bool) -> _Place:
    shown = _mirrored(new) if mirrored else new
    coarse, fine = (shown, old) if framed else (old, shown)
    # Of a frame the search saw the new picture as it is, with the old one mirrored in it.
    window = _flipped(window) if framed and mirrored else window
    begun = approach(coarse.luma, fine.luma, window, _GLANCE)
    return _Place(coarse, fine, mirrored, framed, begun)


def _read(old: Grids, new: Grids, *, mirrored: bool) -> Reading:
    """The plain view: both pictures show the same part."""
    shown = _mirrored(new) if mirrored else new
    fit = refine(old.luma, shown.luma, WHOLE)
    return Reading(fit, old, shown, mirrored, framed=False)


def _flipped(window: Window) -> Window:
    return Window(1 - window.x1, window.y0, 1 - window.x0, window.y1)


def _inside(window: Window) -> bool:
    return min(window.x0, window.y0) >= -_SLACK and max(window.x1, window.y1) <= 1 + _SLACK


def _mirrored(shown: Shown) -> Shown:
    return type(shown)(*(plane[..., ::-1] for plane in shown))
