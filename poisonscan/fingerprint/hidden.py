"""Colours beneath wholly transparent pixels that a WebP encoder made up.

libwebp does not keep what cannot be seen unless it is asked to (`exact`). Lossless, it puts there what its
predictor expects, so that nothing need be coded: each such pixel is one of the fourteen predictions of
RFC 9649, section 4.1. Lossy, it gives each run of transparent blocks of 8 x 8 one colour. Of eight cut-outs,
four of them with a photo beneath, no pixel of the former was anything else (of the photos that `exact` kept
two fifths to two thirds were), and means of neighbouring blocks of the latter were at most 16 levels apart,
99 of 100 at most 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL import Image

_BLOCK = 8
_MOST_STEP, _USUAL_STEP, _USUAL = 24.0, 8.0, 0.95


def filled_by_webp(layer: Image.Image) -> bool:
    """Whether all that is beneath the wholly transparent pixels of a WebP is what an encoder fills in.

    Args:
        layer: mode RGBA, at its full size.
    """
    pixels = np.asarray(layer).astype(np.int16)
    return _predicted(pixels) or _in_runs(pixels)


def _predicted(pixels: NDArray[np.int16]) -> bool:
    hidden = pixels[1:, 1:-1, 3] == 0
    colours = pixels[..., :3]
    found = ~hidden
    for values in (colours, _without_green(colours)):
        for prediction in _predictions(values):
            found |= (prediction == values[1:, 1:-1]).all(axis=2)
    return bool(found.all())


def _without_green(colours: NDArray[np.int16]) -> NDArray[np.int16]:
    """Red and blue less green, modulo 256: the encoder predicts after that."""
    less = colours.copy()
    less[..., 0] = (colours[..., 0] - colours[..., 1]) % 256
    less[..., 2] = (colours[..., 2] - colours[..., 1]) % 256
    return less


def _predictions(values: NDArray[np.int16]) -> Iterator[NDArray[np.int16]]:
    """All but the mode that selects left or top, which are there by themselves; of the inner pixels."""
    left, top = values[1:, :-2], values[:-1, 1:-1]
    corner, right = values[:-1, :-2], values[:-1, 2:]
    yield from (np.zeros_like(left), left, top, right, corner)
    sides = (left + top) >> 1
    yield from (sides, (left + corner) >> 1, (corner + top) >> 1, (top + right) >> 1)
    yield (((left + right) >> 1) + top) >> 1
    yield (((left + corner) >> 1) + ((top + right) >> 1)) >> 1
    yield np.clip(left + top - corner, 0, 255)
    half = sides - corner
    yield np.clip(sides + (half + (half < 0)) // 2, 0, 255)


def _in_runs(pixels: NDArray[np.int16]) -> bool:
    rows, columns = pixels.shape[0] // _BLOCK, pixels.shape[1] // _BLOCK
    blocks = pixels[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK, 4)
    hidden = (blocks[..., 3] == 0).all(axis=(1, 3))
    means = blocks[..., :3].mean(axis=(1, 3))
    steps = np.abs(np.diff(means, axis=1)).max(axis=2)[hidden[:, 1:] & hidden[:, :-1]]
    if not steps.size:
        return False
    return bool(steps.max() <= _MOST_STEP and np.quantile(steps, _USUAL) <= _USUAL_STEP)
