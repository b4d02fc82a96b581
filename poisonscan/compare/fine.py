"""What a clean picture shows above the working scale: energy that the old one has not, and other pictures.

Called where the grids agree. Both measures are relative to what an honest picture of that kind shows. Energy
within working pixels goes by that of the next octave, which is part of the texture that comparing grids has
held to the old picture's: natural pictures have about as much energy in one octave as in the next (Field,
"Relations between the statistics of natural images and the response properties of cortical cells", 1987), and
lettering, screens and line art bounded multiples of it. Where the old picture's energy is remembered, that is
taken off first. What a sampling shows is held to the noise of so many pixels drawn from their cell.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.compare.align import pearson
from poisonscan.compare.cells import activity, highest_around, mean, means
from poisonscan.compare.score import peaks_of
from poisonscan.fingerprint.fine import unpack_energy
from poisonscan.records import FINE_SIDE, Box, Comparison, Group, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from poisonscan.compare.geometry import Array
    from poisonscan.config import CompareSettings
    from poisonscan.fingerprint.fine import Fine, FineLook, Sampling
    from poisonscan.records import Fingerprint

_FLOOR = 50.0  # squared grey levels that codecs and dithering add anywhere
_SHARPENED = 4.0  # of squares: sharpening at most doubles what is there
_SIDES = (1, 2, 4, 8)  # cells a side of the squares over which energy is averaged; 8 are a quarter of all
_GROWTH = 1.3  # with the octaves within working pixels, of what honest pictures have there; measured
_COARSE_COLOUR = (
    4.0  # by how much more colour honest pictures have beside luma in the coarser octaves; measured
)
_STEP = 0.1  # share of the steps between cells by which a sampling may be laid otherwise
_SQUARES = (1, 2, 3)  # cells a side of the squares over which a sampling is averaged
_COARSE = 4  # likewise for the whole
_RHYTHM = 0.03  # share of the largest shift that stripes and screens show in samplings of their own
_STRIPED = 2_000.0  # squared grey levels in one octave that are more likely stripes than a natural texture
_OTHER = 0.5  # correlation below which what a sampling shows is another picture
_MOST = 0.5  # share of cells above a threshold from which it is everywhere


@dataclass(frozen=True, slots=True)
class Sign:
    """What stands out above the working scale.

    Attributes:
        score: over its threshold, 1 and more where it is suspicious.
        verdict: what it would be.
        reason: in words.
        heat: (FINE_SIDE, FINE_SIDE), 1 and more where it stands out.
    """

    score: float
    verdict: Verdict
    reason: str
    heat: Array


def judged_finely(
    found: Comparison, old: Fingerprint, look: FineLook | None, settings: CompareSettings
) -> Comparison:
    """The verdict after a look at every pixel, which only a clean one needs.

    Args:
        found: what the grids say.
        old: what is remembered of the picture as it was.
        look: measures the new picture, if it is at hand.
        settings: the thresholds.
    """
    if look is None or found.verdict.group is not Group.CLEAN:
        return found
    known = _known_energy(old, found)
    signs = [
        sign
        for fine in look()
        for sign in (
            _sampled(fine, known, settings),
            _added(fine, known, settings),
            _coloured(fine, settings),
        )
    ]
    strongest = max(signs, key=lambda sign: sign.score)
    score = strongest.score / (1 + strongest.score)
    if strongest.score < 1:
        return dataclasses.replace(found, score=max(found.score, score))
    boxes = () if strongest.verdict is not Verdict.EDITED else _boxes(strongest.heat)
    return dataclasses.replace(
        found, verdict=strongest.verdict, reason=strongest.reason, score=score, boxes=boxes, window=None
    )


def _boxes(heat: Array) -> tuple[Box, ...]:
    return tuple(Box(*peak.place) for peak in peaks_of(heat))


def _known_energy(old: Fingerprint, found: Comparison) -> Array | None:
    """(FINE_SIDE, FINE_SIDE): the most energy of the old picture around each cell, if it is remembered."""
    if old.fine is None:
        return None
    energy = highest_around(unpack_energy(old.fine))
    if found.verdict is not Verdict.REENCODED or found.mirrored:
        energy = np.full_like(energy, energy.max())  # it may have come to lie anywhere
    return energy


def _added(fine: Fine, known: Array | None, settings: CompareSettings) -> Sign:
    """Energy within working pixels that nothing accounts for."""
    energy = fine.energy if known is None else np.maximum(fine.energy - _SHARPENED * known, 0)
    coarse = highest_around(fine.octave) + _FLOOR
    octaves = _octaves(fine)
    limits = _limits(settings, remembered=known is not None)
    scored = {
        side: means(energy, side) / means(coarse, side) / (limit * octaves) for side, limit in limits.items()
    }
    own = energy / coarse >= min(limits.values()) * octaves  # or a strong cell would heat a whole quarter
    reason = "a pattern finer than the working pixels that the old picture does not account for"
    return _pattern(scored, own, reason)


def _coloured(fine: Fine, settings: CompareSettings) -> Sign:
    """Patterns of colour alone, which have no luma beside them, in the octaves of `Fine.colour`."""
    luma = fine.octave, fine.coarser
    octaves = (1 + _octaves(fine)) / 2, _COARSE_COLOUR
    limits = {2: settings.fine_colour_2, 4: settings.fine_colour_4, 8: settings.fine_colour_8}
    signs = []
    for colour, held, scale in zip(fine.colour, luma, octaves, strict=True):
        beside = (highest_around(held) + _FLOOR) * scale
        scored = {side: means(colour, side) / means(beside, side) / limit for side, limit in limits.items()}
        own = colour / beside >= min(limits.values())
        signs.append(_pattern(scored, own, "a fine pattern of colours that have no luma beside them"))
    return max(signs, key=lambda sign: sign.score)


def _octaves(fine: Fine) -> float:
    """By how much more energy honest pictures have within working pixels than in one octave."""
    return math.log2(fine.factor) ** _GROWTH if fine.factor > 1 else 1.0


def _pattern(scored: Mapping[int, Array], own: NDArray[np.bool_], reason: str) -> Sign:
    """What squares of some sides show, by their scores; only cells that have it of their own count."""
    score = max(float(squares.max()) for squares in scored.values())
    heat = _heat(scored) * own if score >= 1 else np.zeros(own.shape)
    if np.mean(heat >= 1) > _MOST:
        return Sign(score, Verdict.BLENDED, f"the same picture under {reason}", heat)
    return Sign(score, Verdict.EDITED, f"the same picture with {reason}", heat)


def _limits(settings: CompareSettings, *, remembered: bool) -> Mapping[int, float]:
    """Thresholds by the side of the squares, in cells."""
    if remembered:
        return {1: settings.fine_energy_known}
    limits = settings.fine_energy_1, settings.fine_energy_2, settings.fine_energy_4, settings.fine_energy_8
    return dict(zip(_SIDES, limits, strict=True))


def _sampled(fine: Fine, known: Array | None, settings: CompareSettings) -> Sign:
    """The sampling that shows most of what averaging does not."""
    signs = [_shown(one, fine, known, settings) for one in fine.samplings]
    nothing = Sign(0.0, Verdict.REENCODED, "", np.zeros_like(fine.mean))
    return max(signs, key=lambda sign: sign.score, default=nothing)


def _shown(one: Sampling, fine: Fine, known: Array | None, settings: CompareSettings) -> Sign:
    difference = one.shown - fine.mean
    noise = _sampling_noise(one, fine, known)
    limits = settings.sampled_energy_1, settings.sampled_energy_2, settings.sampled_energy_3
    scored = {
        side: means(difference, side) ** 2 / means(noise, side) / limit
        for side, limit in zip(_SQUARES, limits, strict=True)
    }
    whole = mean(means(difference, _COARSE) ** 2 / means(noise, _COARSE)) / settings.sampled_energy_all
    score = max(whole, *(float(squares.max()) for squares in scored.values()))
    if score < 1:
        return Sign(score, Verdict.REENCODED, "", np.zeros_like(noise))
    shape = "a square of " if one.whole else ""
    where = f"where it is resized to {shape}{one.size} pixels by {one.sampler}"
    if whole >= 1 and pearson(one.shown, fine.mean) < _OTHER:
        return Sign(
            score, Verdict.REPLACED, f"the same picture, but another one {where}", np.ones_like(noise)
        )
    heat = _heat(scored)
    if whole >= 1 and np.mean(heat >= 1) > _MOST:
        return Sign(score, Verdict.BLENDED, f"the same picture, but with another over it {where}", heat)
    return Sign(
        score, Verdict.EDITED, f"the same picture, but changed {where}", np.maximum(heat, whole * (heat > 0))
    )


def _sampling_noise(one: Sampling, fine: Fine, known: Array | None) -> Array:
    """Variance of the mean of a cell's samples, and what the lattice's place and the old rhythm add to it."""
    left_out = 1 - one.share
    drawn = fine.spread * (left_out / (one.size / FINE_SIDE) ** 2)
    noise: Array = 1 + drawn + (_STEP * activity(fine.mean)) ** 2
    rhythm = fine.octave * fine.octave / (fine.octave + _STRIPED)
    if known is not None:
        rhythm = rhythm + known
    return noise + _RHYTHM * rhythm * (left_out / one.share)


def _heat(scored: Mapping[int, Array]) -> Array:
    """(FINE_SIDE, FINE_SIDE): for each cell the highest score of any square it lies in, by their sides."""
    heat = np.zeros((FINE_SIDE, FINE_SIDE))
    for side, squares in scored.items():
        height, width = squares.shape
        for down in range(side):
            for across in range(side):
                part = heat[down : down + height, across : across + width]
                np.maximum(part, squares, out=part)
    return heat
