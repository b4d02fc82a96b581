"""Two fingerprints whose bytes differ: is it still the same picture, and was it tampered with?"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from poisonscan.compare.align import as_they_are
from poisonscan.compare.close import close_scores
from poisonscan.compare.mask import hides_much, masked, may_be_masked
from poisonscan.compare.photometry import Judged, explained, judged
from poisonscan.compare.reading import (
    Reading,
    Shapes,
    best_reading,
    is_same,
    laid_anew,
    looked_at,
    on_pixels,
    plain_view,
)
from poisonscan.compare.surround import Surround, surround_of
from poisonscan.compare.turns import MIRROR, TURN_WORDS, UPRIGHT, inverse
from poisonscan.compare.warp import warped
from poisonscan.fingerprint.grids import SIDEWAYS, unpack
from poisonscan.fingerprint.hashes import hamming
from poisonscan.fingerprint.working import reduction
from poisonscan.records import Box, Comparison, Verdict

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Window
    from poisonscan.compare.score import Scores
    from poisonscan.compare.tone import Tone
    from poisonscan.config import CompareSettings
    from poisonscan.fingerprint.detail import Look
    from poisonscan.fingerprint.grids import Grids
    from poisonscan.records import Fingerprint

_FAR_OFF = 1.5  # of the misfit up to which it is the same picture: beyond, a closer look changes nothing
_RESTLESS = 0.25  # score from which it is asked whether a picture is warped: none that were had less than 0.4
_BY_LIGHT = 0.5  # of the misfit that the fine model must leave for the pictures to lie as they are
_HALF = 0.5  # of the strength from which a picture is toned, from which curves explain a disturbed whole
_CLEARLY = 1.5  # local score of a stamp under strong toning
_PALETTE = 256  # colours, the most that are counted
_MANY = 1 << 24  # of a picture whose colours are not
_COARSEST = 64  # colours from which on no threshold is raised further
_COARSE_LUMA, _COARSE_CHROMA = 0.5, 2.5  # times what energies may be more at a quantum of _COARSEST_JPEG
_COARSEST_JPEG = 80  # eighths of a grey level: quality 10, and the most that a file is believed
_COARSE = 0.017  # grey levels that each eighth of one leaves in quiet squares; most of 65 JPEGs of quality 10
_ROUNDED = 2.5, 5.0  # times the energy of luma, and of chroma, that 256 colours may leave


@dataclass(frozen=True)
class Measurement:
    """The numbers behind a verdict on two pictures.

    Attributes:
        reading: how they were laid over each other.
        settings: the thresholds.
        same: whether they agree well enough to be one picture at all.
        close: their scores, if they agree as they are.
        interpolated: whether the new picture's detail would say more, but was not at hand.
        surround: what lies around the old picture, if the new one shows more.
    """

    reading: Reading
    settings: CompareSettings
    same: bool
    close: Scores | None = None
    interpolated: bool = False
    surround: Surround | None = None

    @property
    def innocent(self) -> bool:
        """Whether nothing speaks against the picture."""
        if not self.same or (self.surround and not self.surround.is_frame):
            return False
        return max(self.scores.local, self.scores.overall) < 1 and self.warped < 1

    @property
    def blended(self) -> bool:
        """Whether a pattern lies over the same picture, rather than a change in some places."""
        if not self.same or max(self.scores.local, self.scores.overall) < 1:
            return False
        return self.scores.everywhere or self.scores.local < 1

    @cached_property
    def warped(self) -> float:
        """How far the picture's pixels were moved, in units of what counts; asked only where much is left."""
        if self.close or not self.reading.exact or max(self.scores.local, self.scores.overall) < _RESTLESS:
            return 0.0
        return warped(self.reading.fit)

    @cached_property
    def judged(self) -> Judged:
        """What was left, and what became of the colours; of another picture nobody asks."""
        return Judged(self.close, None) if self.close else judged(self.reading, self.settings)

    @property
    def scores(self) -> Scores:
        """What was left, in units of the thresholds."""
        return self.judged.scores

    @property
    def tone(self) -> Tone | None:
        """What became of the colours; None where the pictures agree as they are."""
        return self.judged.tone

    @property
    def toned(self) -> bool:
        """Whether colours changed too much, or in a way that the fine model explains for the most part only.

        A place that stands out of that must do so clearly: the steeper a curve, the less is known of it.
        """
        if self.tone is None:
            return False
        # What the curves of an equalised picture, say, leave over all of it is no pattern of somebody's.
        disturbed = self.tone.excess >= _HALF and self.scores.overall >= 1
        by_curves = not self.scores.innocent and (self.judged.fine or disturbed)
        if self.tone.excess < 1 and not by_curves:
            return False
        return self.scores.local < _CLEARLY or self.scores.overall >= self.scores.local


def compare_pictures(
    old: Fingerprint,
    new: Fingerprint,
    settings: CompareSettings,
    detail: Look | None = None,
) -> Comparison:
    """The verdict on a picture whose bytes changed; arguments as for `measure`."""
    distance = hamming(old.phash, new.phash)
    found = measure(old, new, settings, detail)
    return dataclasses.replace(
        _verdict(found, settings), phash_distance=distance, interpolated=found.interpolated
    )


def measure(
    old: Fingerprint,
    new: Fingerprint,
    settings: CompareSettings,
    detail: Look | None = None,
) -> Measurement:
    """Lay the new picture over the old one as well as it can be and read off what is left.

    Args:
        old: what is remembered of the picture as it was.
        new: what would be of the picture as it is.
        settings: the thresholds.
        detail: gives that of the new picture while it is at hand; asked only where the pictures do not
            agree as they are. Without it what lies across the old cells is interpolated.
    """
    settings = _for_quantum(old.quantum, new.quantum, _for_colours(old.colours, new.colours, settings))
    before, after = unpack(old), unpack(new)
    plain = Reading(as_they_are(before.luma, after.luma), before, after)
    close = close_scores(before, after, settings)
    if close is not None:
        found = Measurement(plain, settings, same=True, close=close)
    else:
        found = _fitted(old, new, settings, detail)
    if found.innocent:
        return found
    shapes = Shapes(old.height / old.width, new.height / new.width)
    if not may_be_masked(after):
        return found
    picture = after if detail is None else detail(_reduction(plain, old, new))
    reading = masked(before, picture, shapes, settings)
    # What agrees as it is, or lies under a pattern, needs no mask: only one that hides something explains.
    as_it_was = found.close is not None or found.blended
    if reading is None or (as_it_was and not hides_much(reading, before)):
        return found
    within = _measured(reading, before, shapes, settings, interpolated=detail is None)
    return within if within.innocent else found


def _fitted(
    old: Fingerprint, new: Fingerprint, settings: CompareSettings, detail: Look | None
) -> Measurement:
    """Of pictures that do not agree as they are."""
    before, after = unpack(old), unpack(new)
    shapes = Shapes(old.height / old.width, new.height / new.width)
    reading = best_reading(before, after, shapes, settings)
    near = reading.fit.misfit <= _FAR_OFF * settings.same_misfit
    if detail is not None and near:
        reading = laid_anew(reading, before, detail(_reduction(reading, old, new)), shapes)
    reading = on_pixels(reading, old, new)
    if reading.fit.misfit > settings.sure_misfit and (whole := plain_view(before, after)) is not None:
        if detail is not None:
            whole = looked_at(whole, before, detail(_reduction(whole, old, new)))
        if explained(whole) <= min(settings.same_misfit, _BY_LIGHT * reading.fit.misfit):
            return Measurement(whole, settings, same=True, interpolated=detail is None)
    return _measured(reading, before, shapes, settings, interpolated=near and detail is None)


def _measured(
    reading: Reading, before: Grids, shapes: Shapes, settings: CompareSettings, *, interpolated: bool
) -> Measurement:
    same = is_same(reading, settings)
    around = surround_of(reading, before, shapes.old, shapes.stretch(inverse(reading.turn))) if same else None
    return Measurement(reading, settings, same, interpolated=interpolated, surround=around)


def _reduction(reading: Reading, old: Fingerprint, new: Fingerprint) -> int:
    """By how much the new picture's working pixels must be averaged to be as coarse as the old one's were.

    A crop may keep every pixel where the whole picture was halved, and would show more texture for that.
    """
    then = old.width / reduction(old.width, old.height)
    across, window = new.height if reading.turn in SIDEWAYS else new.width, reading.window_of_old
    now = across / reduction(new.width, new.height) / (window.x1 - window.x0)
    return 1 << max(round(math.log2(now / then)), 0)


@lru_cache(maxsize=256)  # nearly every pair asks, and there are few answers
def _for_quantum(old: int | None, new: int | None, settings: CompareSettings) -> CompareSettings:
    """The settings, with more of a veil allowed where one of the pictures is a coarse JPEG.

    Rounding the means of blocks moves quiet and busy places alike, as smooth noise does, and by as much as
    the file says. A file may lie: tables of 16 bits say anything, and one that is never used may be first.
    So no more is believed than _COARSEST_JPEG.

    Args:
        old: the quantum of the picture as it was, `Fingerprint.quantum`.
        new: that which it has now.
        settings: for pictures that were not rounded.
    """
    coarsest = min(max(old or 0, new or 0), _COARSEST_JPEG)
    if not coarsest:
        return settings
    share = (coarsest / _COARSEST_JPEG) ** 2
    raised: Any = _raised(settings, 1 + _COARSE_LUMA * share, 1 + _COARSE_CHROMA * share)
    veil = math.hypot(settings.veil_levels, _COARSE * coarsest)
    energy = settings.global_energy * (1 + _COARSE_CHROMA * share)
    return dataclasses.replace(settings, **raised | {"veil_levels": veil, "global_energy": energy})


def _for_colours(old: int | None, new: int | None, settings: CompareSettings) -> CompareSettings:
    """The settings, with higher thresholds where one of the pictures is the other reduced to few colours.

    What 256 colours cost a photo is chroma, of its rarer colours. Of fewer, luma suffers too: the energy of
    what rounding leaves grows as they are fewer. Drawings that never had more are no reduced photos.

    Args:
        old: the colours of the picture as it was, `Fingerprint.colours`.
        new: those it has now.
        settings: for pictures of any number of colours.
    """
    fewest = min(old or _MANY, new or _MANY)
    if old == new or (fewest == old and old < _COARSEST):
        return settings
    fewer = (_PALETTE / max(fewest, _COARSEST)) ** (2 / 3) if fewest == new else 1.0
    luma, chroma = (fewer * factor for factor in _ROUNDED)
    return dataclasses.replace(settings, **_raised(settings, luma, chroma))


def _raised(settings: CompareSettings, luma: float, chroma: float) -> dict[str, Any]:
    """All thresholds of energy, so many times as high."""
    names = [item.name for item in dataclasses.fields(settings) if "energy" in item.name]
    return {name: getattr(settings, name) * (chroma if "chroma" in name else luma) for name in names}


def _verdict(found: Measurement, settings: CompareSettings) -> Comparison:
    if not found.same:
        return Comparison(Verdict.REPLACED, "another picture: nothing of the old one is recognised", 1.0)
    judged = _judged_same(found, settings)
    if found.tone is None:
        return judged
    return dataclasses.replace(judged, tone_strength=found.tone.strength, tone_hue=found.tone.hue)


def _judged_same(found: Measurement, settings: CompareSettings) -> Comparison:
    reading, turn = found.reading, found.reading.turn
    if found.surround and not found.surround.is_frame:
        return _surrounded(found, found.surround)
    local, overall = found.scores.local, found.scores.overall
    if found.tone is not None and found.toned:
        reason = f"the same picture in other colours: {found.tone.words}"
        return Comparison(Verdict.TONED, reason, max(found.tone.strength, _graded(overall)), **_turned(turn))
    if max(local, overall) < 1 <= found.warped:
        reason = "the same picture, its pixels moved along a smooth field"
        return Comparison(Verdict.BLENDED, reason, _graded(found.warped), **_turned(turn))
    if max(local, overall) < 1:
        return _innocent(found, _graded(max(local, overall)), settings)
    if found.blended:
        reason = "the same picture under a pattern that covers all of it"
        return Comparison(Verdict.BLENDED, reason, _graded(overall), **_turned(turn))
    boxes = tuple(Box(*reading.on_new(peak.place)) for peak in found.scores.peaks)
    reason = f"the same picture, changed in {len(boxes)} place{'s' if len(boxes) > 1 else ''}"
    return Comparison(Verdict.EDITED, reason, _graded(local), boxes, **_turned(turn))


def _surrounded(found: Measurement, surround: Surround) -> Comparison:
    """The old picture within something that is no frame, whatever was done to the picture itself."""
    boxes, turned = tuple(Box(*box) for box in surround.boxes), _turned(found.reading.turn)
    words = f"the old picture inside {surround.words}: {1 - surround.share:.0%} of the new one's area"
    if surround.outweighs and not surround.plain:
        return Comparison(Verdict.REPLACED, words, 1.0, boxes, **turned)
    if found.scores.local >= 1:
        boxes += tuple(Box(*found.reading.on_new(peak.place)) for peak in found.scores.peaks)
    score = max(found.scores.local, found.scores.overall, surround.loudness)
    return Comparison(Verdict.EDITED, words, _graded(score), boxes, **turned)


def _innocent(found: Measurement, score: float, settings: CompareSettings) -> Comparison:
    """The same picture, untouched: a crop if part of the old one is missing or a frame was added."""
    reading = found.reading
    window, turn = reading.window, reading.turn
    words = f", {TURN_WORDS[turn]}" if turn != UPRIGHT else ""
    if reading.tilt:
        words += f", turned by {abs(math.degrees(reading.tilt.angle)):.1f} degrees"
    if reading.mask:
        reason = f"the old picture{words} {reading.mask.words}: {window.area:.0%} of its area"
        return Comparison(Verdict.CROPPED, reason, score, window=_clipped(window), **_turned(turn))
    if reading.shows_more:
        frame = found.surround.words if found.surround else "a narrow frame"
        return Comparison(Verdict.CROPPED, f"the old picture{words} inside {frame}", score, **_turned(turn))
    if window.area < settings.crop_area or reading.tilt:
        reason = f"a window of the old picture{words}: {window.area:.0%} of its area"
        return Comparison(Verdict.CROPPED, reason, score, window=_clipped(window), **_turned(turn))
    reason = f"the same picture{words}, re-encoded, resized or toned"
    return Comparison(Verdict.REENCODED, reason, score, **_turned(turn))


def _turned(turn: int) -> dict[str, Any]:
    return {"turn": turn, "mirrored": turn == MIRROR}


def _graded(score: float) -> float:
    """A score in units of its threshold, on 0..1: 0.5 at the threshold, near 1 far above it."""
    return score / (1 + score)


def _clipped(window: Window) -> Box:
    x0, y0, x1, y1 = np.clip(np.array(window), 0, 1)
    return Box(float(x0), float(y0), float(x1), float(y1))
