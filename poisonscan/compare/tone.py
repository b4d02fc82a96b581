"""How far a picture's colours and contrast are from the old ones, in units of what is innocent.

Re-encoding moves neither. A conversion between the colour spaces of the web, and what a camera app does at a
touch (contrast, brightness, saturation, white balance, greyscale, automatic levels), move them within the
limits below. What goes beyond was meant to be seen, or to be learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.compare.cells import deviation, mean, within
from poisonscan.compare.order import quantile

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array
    from poisonscan.compare.toning import Colours, Toning

_FLAT = 8.0  # grey levels; below it a picture has no contrast to speak of
_COLOURLESS = 6.0  # grey levels; the chroma of a picture that has colours differs by more
_SATURATIONS = (0.0, 2.5)  # factors that are told from a cast
_TOLD, _FAINT = 0.8, 3.0  # grey levels: a turn that can be told from noise, and chroma that can be turned
_CHANGED = 2.0  # grey levels by which something changed at all
_TURNED = 0.3  # share of its chroma by which a colour moved on its own for it to be said
_SHADED = 0.05  # share of the light that a lens may keep to itself without a word

# Limits, each by itself, from 20 to 30 photos of two collections (docs/verdicts.md): mild casts reach 11
# levels, ProPhoto adds 20 of saturation and turns colours by 0.45, one stop of exposure moves luma by 40.
SHIFT = 56.0
FLATTER, STEEPER = 0.5, 5.0
VIVID = 36.0
STAIN, TURN = 20.0, 0.6
SHADE = 0.4


@dataclass(frozen=True, slots=True)
class Tone:
    """What became of the colours of a picture.

    Attributes:
        lightness: by how much the mean luma rose, grey levels.
        shift: rms of what luma moved by, grey levels.
        contrast: factor of luma's deviation; 1 where the picture has next to none.
        saturation: factor of chroma.
        vivid: rms of what that added to chroma, grey levels.
        cast: (Cb, Cr) by which colours moved on average beyond saturation, grey levels.
        stain: rms of what colours moved by beyond saturation, grey levels.
        turn: what of that moved each colour in a direction of its own, as a share of chroma: hues exchanged.
        shade: the least gain of light over the picture over the most.
    """

    lightness: float
    shift: float
    contrast: float
    saturation: float
    vivid: float
    cast: tuple[float, float]
    stain: float
    turn: float
    shade: float

    @property
    def excess(self) -> float:
        """All changes over their limits, added as independent ones: 1 is where a picture counts as toned."""
        slope = FLATTER if self.contrast < 1 else STEEPER
        return math.hypot(
            self.shift / SHIFT,
            _log(self.contrast) / math.log(slope),
            self.vivid / VIVID,
            self.stain / STAIN,
            self.turn / TURN,
            _log(self.shade) / math.log(SHADE),
        )

    @property
    def strength(self) -> float:
        """The excess on 0..1: 0.5 at the limit."""
        return self.excess / (1 + self.excess)

    @property
    def words(self) -> str:
        """What changed, for a person."""
        told = []
        if abs(self.lightness) >= _CHANGED:
            told.append(f"{abs(self.lightness):.0f} levels {'lighter' if self.lightness > 0 else 'darker'}")
        told += [f"contrast x{self.contrast:.2f}", f"saturation x{self.saturation:.2f}"]
        if self.hue is not None:
            told.append(f"a cast of {self.stain:.0f} levels towards {self.hue:.0f} degrees")
        if self.turn >= _TURNED:
            told.append("hues turned")
        if self.shade <= 1 - _SHADED:
            told.append(f"light x{self.shade:.2f} at the edge")
        return ", ".join(told)

    @property
    def hue(self) -> float | None:
        """Where colours moved to, degrees from Cb towards Cr in 0..360; None where to no one place."""
        blue, red = self.cast
        if math.hypot(blue, red) < _CHANGED:
            return None
        return math.degrees(math.atan2(red, blue)) % 360


def tone_of(known: Array, toning: Toning) -> Tone:
    """What a fitted model did to the colours.

    Args:
        known: (rows, columns) luma of the old picture on the cells in common.
        toning: the model.
    """
    colours = toning.colours
    before, after = deviation(known), deviation(toning.luma)
    factor = _saturation(colours.known, colours.expected)
    moved = colours.expected - factor * colours.known
    towards = moved.reshape(2, -1).mean(axis=1).tolist()
    return Tone(
        lightness=mean(toning.luma) - mean(known),
        shift=_rms(toning.luma / toning.shade - known),  # what light moved counts as shade
        contrast=after / before if before >= _FLAT else 1.0,
        saturation=factor,
        vivid=max(factor - 1, 0.0) * _rms(*colours.known),
        cast=(towards[0], towards[1]),
        stain=_rms(*moved),
        turn=_turn(colours),
        shade=quantile(toning.shade, 0.02) / quantile(toning.shade, 0.98),
    )


def _log(factor: float) -> float:
    return math.log(max(factor, 1e-3))


def _saturation(known: Array, expected: Array) -> float:
    """The factor by which chroma was scaled, within `_SATURATIONS`; near 1 where there is hardly any."""
    prior = _COLOURLESS**2 * known[0].size / 16
    factor = (float((known * expected).sum()) + prior) / (float((known * known).sum()) + prior)
    return within(factor, _SATURATIONS)


def _turn(colours: Colours) -> float:
    """How far the mix of colours is from scaling them, over chroma: 0 as it was, 1 exchanged or mirrored.

    Of what goes neither with luma nor its square, so that a cast, which does, has no part in it.
    """
    level = colours.luma.ravel() / 255
    with_luma = np.stack([np.ones_like(level), level, level * level])
    own, new = (_without(with_luma, planes.reshape(2, -1)) for planes in (colours.known, colours.expected))
    scaled = max(float((own * new).sum()) / max(float((own * own).sum()), 1e-9), 0.0) * own
    turned = _rms(*(new - _without(own, new) - scaled))
    return turned / max(_rms(*own), _rms(*new), _FAINT) if turned >= _TOLD else 0.0


def _without(shapes: Array, planes: Array) -> Array:
    """Planes less their least-squares share of the shapes."""
    shares, *_ = np.linalg.lstsq(shapes.T, planes.T, rcond=None)
    left: Array = planes - shares.T @ shapes
    return left


def _rms(*planes: Array) -> float:
    """Root mean square over the cells of a plane, or of the vectors of several."""
    return math.sqrt(sum(float((plane * plane).sum()) for plane in planes) / planes[0].size)
