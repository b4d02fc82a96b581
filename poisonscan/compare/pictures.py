"""Two fingerprints whose bytes differ: is it still the same picture, and was it tampered with?"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poisonscan.compare.align import (
    Alignment,
    Approach,
    approach,
    as_they_are,
    at_window,
    pearson,
    refine,
)
from poisonscan.compare.close import close_scores
from poisonscan.compare.geometry import WHOLE, Window
from poisonscan.compare.residual import in_new_picture
from poisonscan.compare.score import Scores, scores
from poisonscan.compare.search import candidates
from poisonscan.fingerprint.grids import Grids, unpack
from poisonscan.fingerprint.hashes import hamming
from poisonscan.records import Box, Comparison, Verdict

if TYPE_CHECKING:
    from poisonscan.compare.search import Candidate
    from poisonscan.config import CompareSettings
    from poisonscan.records import Fingerprint

_SLACK = 0.015  # how far a window may stick out before a frame is looked for, in sides
_MOST_WINDOWS = 2  # tried; of 300 photos under 105 edits none was read otherwise with a third
_GLANCE = 3  # steps after which the right window fits best
_HOPE = 1.3  # a window may then fit this much worse than it must in the end
_SETTLED = 0.99  # correlation of the plain view from which no window is looked for: it may hide a small frame
_LEAST_GAIN = 0.25  # of the old contrast; toning keeps half or more, a stand-in none
_WORTH = 0.7  # a crop, mirror or frame must fit this much better than a plain view that does not stick out
_NEAR = 0.25 / 32  # by how much a border may miss the whole pixels that it is taken for, in sides
_PALETTED = frozenset({"GIF", "PNG"})
_PALETTE_ENERGY = 2.5  # 256 colours for a photo move single cells: 1 of 110 reaches 1.4 times a threshold
_AS_GOOD = 1.1  # a window on whole pixels may fit this much worse


@dataclass(frozen=True, slots=True)
class Reading:
    """One way of laying the new picture over the old one.

    Attributes:
        fit: the alignment.
        coarse, fine: what was aligned: old and new picture, or new and old if `framed`.
        mirrored: the new picture was mirrored first.
        framed: the new picture shows all of the old one inside a frame.
    """

    fit: Alignment
    coarse: Grids
    fine: Grids
    mirrored: bool
    framed: bool


@dataclass(frozen=True, slots=True)
class Measurement:
    """The numbers behind a verdict on two pictures.

    Attributes:
        reading: how they were laid over each other.
        scores: what was left then, in units of the thresholds.
        same: whether they agree well enough to be one picture at all.
    """

    reading: Reading
    scores: Scores
    same: bool


def compare_pictures(old: Fingerprint, new: Fingerprint, settings: CompareSettings) -> Comparison:
    """The verdict on a picture whose bytes changed, from the stored grids alone."""
    distance = hamming(old.phash, new.phash)
    verdict = _verdict(measure(old, new, settings), settings)
    return dataclasses.replace(verdict, phash_distance=distance)


def measure(old: Fingerprint, new: Fingerprint, settings: CompareSettings) -> Measurement:
    """Lay the new picture over the old one as well as it can be and read off what is left."""
    settings = _for_format(old.format, new.format, settings)
    before, after = unpack(old), unpack(new)
    close = close_scores(before, after, settings)
    if close is not None:
        plain = Reading(as_they_are(before.luma, after.luma), before, after, mirrored=False, framed=False)
        return Measurement(plain, close, same=True)
    stretch = (new.height * old.width) / (new.width * old.height)
    reading = _on_pixels(best_reading(before, after, stretch, settings), old, new)
    fit = reading.fit
    fits = fit.misfit <= settings.same_misfit and fit.gain >= _LEAST_GAIN
    same = fits or fit.correlation >= settings.same_correlation
    found = scores(fit, reading.coarse, reading.fine, settings, framed=reading.framed)
    return Measurement(reading, found, same)


def _for_format(old: str, new: str, settings: CompareSettings) -> CompareSettings:
    """The settings, with higher thresholds for a picture that may have been reduced to a palette."""
    if new == old or new not in _PALETTED:
        return settings
    energies = [item.name for item in dataclasses.fields(settings) if "energy" in item.name]
    raised: Any = {name: _PALETTE_ENERGY * getattr(settings, name) for name in energies}
    return dataclasses.replace(settings, **raised)


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
    sure = whole.fit.misfit < settings.sure_misfit or whole.fit.correlation >= _SETTLED
    if sure and _inside(whole.fit.window):
        return whole
    worth = _WORTH if _inside(whole.fit.window) else 1.0
    enough = worth * whole.fit.misfit
    best = min(_windowed(old, new, stretch), key=lambda place: place.begun.misfit, default=None)
    if best is None or best.begun.misfit >= _HOPE * enough:
        return whole
    reading = best.reading()
    return reading if reading.fit.misfit < enough else whole


def _on_pixels(reading: Reading, old: Fingerprint, new: Fingerprint) -> Reading:
    """The reading with its window on whole pixels, if the picture was cut out or framed without scaling.

    The fit places borders to a tenth of a cell; a cut is exact, and known from the sizes but for the place.
    """
    outer, inner = (new, old) if reading.framed else (old, new)
    x0, y0, x1, y1 = reading.fit.window
    left = round((x0 + x1) / 2 * outer.width - inner.width / 2) / outer.width
    top = round((y0 + y1) / 2 * outer.height - inner.height / 2) / outer.height
    exact = Window(left, top, left + inner.width / outer.width, top + inner.height / outer.height)
    if exact == WHOLE or np.abs(np.subtract(exact, reading.fit.window)).max() > _NEAR:
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
    return [_tried(old, new, one, framed=framed) for one, framed in found[:_MOST_WINDOWS]]


def _tried(old: Grids, new: Grids, found: Candidate, *, framed: bool) -> _Place:
    shown = _mirrored(new) if found.mirrored else new
    coarse, fine = (shown, old) if framed else (old, shown)
    # Of a frame the search saw the new picture as it is, with the old one mirrored in it.
    window = _flipped(found.window) if framed and found.mirrored else found.window
    begun = approach(coarse.luma, fine.luma, window, _GLANCE)
    return _Place(coarse, fine, found.mirrored, framed, begun)


def _read(old: Grids, new: Grids, *, mirrored: bool) -> Reading:
    """The plain view: both pictures show the same part."""
    shown = _mirrored(new) if mirrored else new
    fit = refine(old.luma, shown.luma, WHOLE)
    return Reading(fit, old, shown, mirrored, framed=False)


def _flipped(window: Window) -> Window:
    return Window(1 - window.x1, window.y0, 1 - window.x0, window.y1)


def _inside(window: Window) -> bool:
    return min(window.x0, window.y0) >= -_SLACK and max(window.x1, window.y1) <= 1 + _SLACK


def _verdict(found: Measurement, settings: CompareSettings) -> Comparison:
    reading, mirrored = found.reading, found.reading.mirrored
    if not found.same:
        return Comparison(Verdict.REPLACED, "another picture: nothing of the old one is recognised", 1.0)
    if found.scores.overall >= 1 and found.scores.overall >= found.scores.local:
        reason = "the same picture under a pattern that covers all of it"
        return Comparison(Verdict.BLENDED, reason, _graded(found.scores.overall), mirrored=mirrored)
    if found.scores.local >= 1:
        boxes = tuple(_box(reading, peak.place) for peak in found.scores.peaks)
        reason = f"the same picture, changed in {len(boxes)} place{'s' if len(boxes) > 1 else ''}"
        return Comparison(Verdict.EDITED, reason, _graded(found.scores.local), boxes, mirrored=mirrored)
    if found.scores.overall >= 1:
        reason = "the same picture under a pattern that covers all of it"
        return Comparison(Verdict.BLENDED, reason, _graded(found.scores.overall), mirrored=mirrored)
    innocence = _graded(max(found.scores.local, found.scores.overall))
    return _innocent(reading, innocence, settings)


def _innocent(reading: Reading, score: float, settings: CompareSettings) -> Comparison:
    """The same picture, untouched: a crop if part of the old one is missing or a frame was added."""
    window, mirrored = reading.fit.window, reading.mirrored
    words = ", mirrored" if mirrored else ""
    if reading.framed:
        return Comparison(Verdict.CROPPED, f"the old picture{words} inside a frame", score, mirrored=mirrored)
    if window.area < settings.crop_area:
        reason = f"a window of the old picture{words}: {window.area:.0%} of its area"
        return Comparison(Verdict.CROPPED, reason, score, window=_clipped(window), mirrored=mirrored)
    reason = f"the same picture{words}, re-encoded, resized or toned"
    return Comparison(Verdict.REENCODED, reason, score, mirrored=mirrored)


def _graded(score: float) -> float:
    """A score in units of its threshold, on 0..1: 0.5 at the threshold, near 1 far above it."""
    return score / (1 + score)


def _box(reading: Reading, place: Window) -> Box:
    """A place on the coarse grid as a box on the new picture as served."""
    on_new = place if reading.framed else in_new_picture(reading.fit.window, place)
    if reading.mirrored:
        return Box(1 - on_new.x1, on_new.y0, 1 - on_new.x0, on_new.y1)
    return Box(*on_new)


def _clipped(window: Window) -> Box:
    x0, y0, x1, y1 = np.clip(np.array(window), 0, 1)
    return Box(float(x0), float(y0), float(x1), float(y1))


def _mirrored(grids: Grids) -> Grids:
    return Grids(grids.luma[:, ::-1], grids.chroma[:, :, ::-1], grids.texture[:, ::-1])
