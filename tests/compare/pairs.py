"""Pairs of fingerprints: a drawn picture before and after a named edit."""

from __future__ import annotations

import io
from functools import cache

import numpy as np

from poisonscan.compare.pictures import compare_pictures
from poisonscan.config import CompareSettings
from poisonscan.fingerprint.decode import fingerprint
from poisonscan.records import Comparison, Fingerprint, Published
from poisonscan.redteam.edits import Edited, named
from poisonscan.redteam.pictures import draw

MANY = 10**9
HIDDEN = {2: "patch-noise-4-crop-5", 3: "patch-noise-4-crop-5", 7: "patch-noise-7-crop-5"}
"""Small stamps in cropped pictures, by seed; grids that were stored show none of them."""


def seen(body: bytes) -> Fingerprint:
    found = fingerprint(body, Published(), MANY)
    assert isinstance(found, Fingerprint)
    return found


@cache
def original_body(seed: int) -> bytes:
    stream = io.BytesIO()
    draw(seed).save(stream, "JPEG", quality=92)
    return stream.getvalue()


@cache
def original(seed: int) -> Fingerprint:
    return seen(original_body(seed))


@cache
def edited(seed: int, edit: str) -> Edited:
    return named(edit).apply(draw(seed), np.random.default_rng(seed))


@cache
def verdict(seed: int, edit: str) -> Comparison:
    return compare_pictures(original(seed), seen(edited(seed, edit).data), CompareSettings())
