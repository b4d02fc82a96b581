"""One trial of a calibration: a picture, an edit of it, and how far apart the two come out.

Everything here runs in the sandbox, since the pictures are the user's and may be hostile.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from poisonscan.compare.ladder import Baseline, judge
from poisonscan.compare.pictures import measure
from poisonscan.fingerprint.decode import decoded, fingerprint
from poisonscan.fingerprint.sniff import ALLOWED_FORMATS
from poisonscan.records import DecodeFailure, Fingerprint, Published, Verdict
from poisonscan.redteam.edits import named

if TYPE_CHECKING:
    from poisonscan.config import CompareSettings

LONGEST_SIDE = 1024
"""Pictures are reduced to this before they are edited, pixels: a grid cell then still averages 32 x 32
of them, and a trial takes a twentieth of a second instead of a whole one."""

_MOST_PIXELS = 4 * LONGEST_SIDE**2


@dataclass(frozen=True, slots=True)
class Original:
    """A picture to be edited.

    Attributes:
        png: its pixels, upright RGB, at most LONGEST_SIDE a side.
        fingerprint: of `png`.
    """

    png: bytes = field(repr=False)
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one edited picture.

    Attributes:
        verdict, reason: as a check would give them; a lost verdict where there is nothing to compare.
        same: whether the original was recognised; None where there is nothing to compare.
        local, overall: scores in units of their thresholds; None likewise.
    """

    verdict: Verdict
    reason: str
    same: bool | None = None
    local: float | None = None
    overall: float | None = None


def prepare(body: bytes, max_pixels: int) -> Original | DecodeFailure:
    """Decode a picture and reduce it to what trials work on."""
    seen = fingerprint(body, Published(), max_pixels)
    if isinstance(seen, DecodeFailure):
        return seen
    with Image.open(io.BytesIO(body), formats=ALLOWED_FORMATS) as image:
        small = named("png").apply(image, np.random.default_rng(0)).data
    with Image.open(io.BytesIO(small), formats=["PNG"]) as image:
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        stream = io.BytesIO()
        image.save(stream, "PNG", compress_level=1)
    known = fingerprint(stream.getvalue(), Published(), max_pixels)
    return known if isinstance(known, DecodeFailure) else Original(stream.getvalue(), known)


def try_edit(original: Original, edit: str, seed: tuple[int, ...], settings: CompareSettings) -> Trial:
    """Edit a picture and compare the result with it; the same seed gives the same trial."""
    with Image.open(io.BytesIO(original.png), formats=["PNG"]) as image:
        own = named(edit).original(image, np.random.default_rng(seed))
        edited = named(edit).apply(image, np.random.default_rng(seed))
    known = original.fingerprint if own is None else fingerprint(own, Published(), _MOST_PIXELS)
    if isinstance(known, DecodeFailure):
        return Trial(known.verdict, known.reason)
    picture = decoded(edited.data, Published(), _MOST_PIXELS)
    if isinstance(picture, DecodeFailure):
        return Trial(picture.verdict, picture.reason)
    new = picture.fingerprint
    said = judge(Baseline(known, Published()), new, settings, picture.looks, picture.fine)
    found = measure(known, new, settings, picture.detail)
    return Trial(said.verdict, said.reason, found.same, found.scores.local, found.scores.overall)
