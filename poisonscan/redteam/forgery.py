"""Forgeries: what an attacker who has read this program serves to be called clean.

A forgery is a pair of files, the old picture's and the one that takes its place, with the verdicts that are
right. The registry is `forgeries.FORGERIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from poisonscan.records import Verdict
from poisonscan.redteam.edits import SUSPICIOUS
from poisonscan.redteam.steps import Encoding, View, jpeg, plain

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from poisonscan.redteam.steps import Encoder, Step

FOUND = SUSPICIOUS | {Verdict.UNDECODABLE, Verdict.NOT_IMAGE}
"""Verdicts that a forgery deserves: it shows another picture, or none."""
DECODED = FOUND | {Verdict.REENCODED, Verdict.CROPPED}
"""Verdicts for files that show the old picture turned or as it was: not those given without decoding."""
SERVED = jpeg(90)
KEPT = jpeg(92)
PNG = Encoding("PNG", {"compress_level": 1})


class Family(StrEnum):
    """What kind of forgery it is, for counting."""

    SURROUND = "surround"
    ALPHA = "alpha"
    DEEP = "deep"
    CONTAINER = "container"
    FINE = "fine"
    SCALING = "scaling"
    TONE = "tone"
    FLAT = "flat"
    STAMP = "stamp"
    MIXTURE = "mixture"


class Pair(NamedTuple):
    """The file that was served, and the one that is served in its place."""

    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class Photo:
    """What a forger has.

    Attributes:
        body: the file of the old picture.
        image: what it shows, upright RGB.
        other: another picture, RGB of any size.
    """

    body: bytes
    image: Image.Image
    other: Image.Image


Make: TypeAlias = Callable[[Photo, "np.random.Generator"], Pair]
StepOf: TypeAlias = Callable[[Photo], "Step"]
"""Gives the step that is taken with a photo: it may use the other picture."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """A named forgery.

    Attributes:
        name: of it.
        family: what kind.
        make: gives the pair; the same rng state gives the same one.
        right: verdicts that are right.
    """

    name: str
    family: Family
    make: Make
    right: frozenset[Verdict] = FOUND


def stepped(*changes: StepOf, encoding: Encoder = SERVED, before: Encoder | None = None) -> Make:
    """A forgery made by steps.

    Args:
        changes: give the steps.
        encoding: of the new file.
        before: of the old file; None: the one at hand.
    """

    def make(photo: Photo, rng: np.random.Generator) -> Pair:
        view = View(photo.image.copy())
        for change in changes:
            view = change(photo)(view, rng)
        old = photo.body if before is None else before.encode(photo.image)
        return Pair(old, encoding.encode(view.image))

    return make


def photo_of(body: bytes, image: Image.Image, other: Image.Image) -> Photo:
    """A photo from what decoding its file gave."""
    return Photo(body, plain(image), plain(other))
