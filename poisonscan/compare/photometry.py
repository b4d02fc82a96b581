"""Which photometric model of a pair is believed, and what the residuals say under it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from poisonscan.compare import texture
from poisonscan.compare.score import Scores, scores
from poisonscan.compare.tone import Tone, tone_of
from poisonscan.compare.toning import fine_toning, plain_toning

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array
    from poisonscan.compare.reading import Reading
    from poisonscan.config import CompareSettings

_WORTH = (
    0.65  # of what the plain model leaves; toning leaves a tenth to a half, stamps and patterns 0.75 to 1
)
_MIXED = 0.75  # the same of what it leaves in colours, of which it has fewer shapes
_LEAST = 0.6  # grey levels (typical) that the plain model must leave for the fine one to be asked


class Judged(NamedTuple):
    """What the residuals say, and what became of the colours.

    Attributes:
        scores: in units of the thresholds.
        tone: of the model that is believed; None where nothing was fitted.
        fine: whether that is the fine one, because it explains far more than the plain one.
    """

    scores: Scores
    tone: Tone | None
    fine: bool = False


def judged(reading: Reading, settings: CompareSettings) -> Judged:
    """Score a reading under the plain model, or under the fine one where that explains more.

    The fine one is asked where the plain one leaves something suspicious, and of strong toning, where the
    plain one has to allow for so much that a stamp could hide in it.
    """
    known = reading.coarse.luma[reading.fit.rows, reading.fit.columns]
    plain = plain_toning(reading)
    tone, found = tone_of(known, plain), scores(reading, plain, settings)
    toned = tone.excess >= 1
    if reading.fit.present is not None:  # of a picture within a mask too few cells are left
        return Judged(found, tone)
    if not toned and (found.innocent or max(plain.typical, plain.typical_of_colours) < _LEAST):
        return Judged(found, tone)
    fine = fine_toning(reading, _texture(reading))
    better = _better(plain.typical, fine.typical, _WORTH)
    if toned or better:
        return Judged(scores(reading, fine, settings, toned=True), tone_of(known, fine), better)
    if not _better(plain.typical_of_colours, fine.typical_of_colours, _MIXED):
        return Judged(found, tone)
    mixed = dataclasses.replace(plain, colours=fine.colours)
    return Judged(scores(reading, mixed, settings), tone_of(known, mixed))


def _better(before: float, after: float, share: float) -> bool:
    """Whether the fine model leaves no more than a share of what the plain one leaves."""
    return before >= _LEAST and after <= share * before


def _texture(reading: Reading) -> Array:
    return texture.of_old(reading.fit, reading.coarse, reading.fine, framed=reading.framed)


def explained(reading: Reading) -> float:
    """The misfit that the fine model leaves; light and tone may make a picture another one to the plain."""
    expected = fine_toning(reading, _texture(reading)).luma
    return dataclasses.replace(reading.fit, expected=expected).misfit
