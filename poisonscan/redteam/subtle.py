"""Changes that are made not to be seen: faint smooth noise, warps, erased places, patterns without a mean."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

from poisonscan.fingerprint.working import reduction
from poisonscan.records import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.redteam.steps import Step, View

_WANET_SIDE, _WANET_SHIFT = 32, 0.25
"""Nguyen and Tran (2021) move pixels of a 32 px picture by a quarter of a pixel in the mean (s = 0.5)."""


def smooth_noise(levels: float, grain: float = 1 / 120) -> Step:
    """Add noise without sharp edges, of up to so many levels: the look of Nightshade (Shan et al. 2024).

    Args:
        levels: bound of the change in each channel.
        grain: standard deviation of the noise's blur, in fractions of the shorter side.
    """

    def apply(view: View, rng: np.random.Generator) -> View:
        pixels = _pixels(view)
        sigma = max(0.5, grain * min(pixels.shape[:2]))
        field = ndimage.gaussian_filter(rng.standard_normal(pixels.shape), (sigma, sigma, 0))
        change = levels * np.clip(field / (2 * field.std()), -1, 1)
        return replace(view, image=picture(pixels + change))

    return apply


def warp(cells: int = 4) -> Step:
    """WaNet (Nguyen and Tran 2021): move pixels along a smooth field, random at `cells` x `cells` points."""

    def apply(view: View, rng: np.random.Generator) -> View:
        pixels = _pixels(view)
        height, width = pixels.shape[:2]
        coarse = rng.uniform(-1, 1, (2, cells, cells))
        coarse *= _WANET_SHIFT / _WANET_SIDE / np.abs(coarse).mean()
        zoom = (height / cells, width / cells)
        field = [ndimage.zoom(plane, zoom, order=3, grid_mode=True, mode="nearest") for plane in coarse]
        y, x = np.mgrid[:height, :width].astype(np.float64)
        places = np.stack([y + height * field[0], x + width * field[1]])
        moved = [
            ndimage.map_coordinates(pixels[..., channel], places, order=1, mode="nearest")
            for channel in range(3)
        ]
        return replace(view, image=picture(np.stack(moved, axis=-1)))

    return apply


def erase(side: float) -> Step:
    """Fill a square of `side` (of the shorter side) at a random place with what lies around it."""

    def apply(view: View, rng: np.random.Generator) -> View:
        pixels = _pixels(view)
        height, width = pixels.shape[:2]
        size = max(2, round(side * min(height, width)))
        top, left = int(rng.integers(0, height - size + 1)), int(rng.integers(0, width - size + 1))
        patch = (slice(top, top + size), slice(left, left + size))
        pixels[patch] = _filled(pixels, top, left, size)
        box = Box(left / width, top / height, (left + size) / width, (top + size) / height)
        return replace(view, image=picture(pixels), boxes=(*view.boxes, box))

    return apply


def zero_mean(levels: float, part: float = 0.5, colour: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Step:
    """Add a chequer that leaves the mean of every working pixel as it was, over the middle of the picture.

    Args:
        levels: of the chequer, as far as black and white leave room.
        part: of the width and of the height that it covers.
        colour: what each channel has of it, -1..1; without green it is in no texture that is measured there.
    """

    def apply(view: View, _: np.random.Generator) -> View:
        pixels = _pixels(view)
        height, width = pixels.shape[:2]
        block = max(2, reduction(width, height))
        high, wide = height // block * block, width // block * block
        inner = pixels[:high, :wide]
        room = np.minimum(inner, 255 - inner).min(axis=2)
        room = room.reshape(high // block, block, wide // block, block).min(axis=(1, 3))
        y, x = np.mgrid[:high, :wide]
        signs = np.where((y // (block // 2) + x // (block // 2)) % 2, 1.0, -1.0)
        middle = _middle(room.shape, part)
        strength = np.kron(np.minimum(room, levels) * middle, np.ones((block, block)))
        pixels[:high, :wide] += (signs * strength)[..., None] * np.array(colour)
        return replace(view, image=picture(pixels))

    return apply


def picture(pixels: NDArray[np.float64]) -> Image.Image:
    """Levels, (height, width, 3), rounded and cut at black and white."""
    return Image.fromarray((np.clip(pixels, 0, 255) + 0.5).astype(np.uint8))


def _pixels(view: View) -> NDArray[np.float64]:
    return np.asarray(view.image.convert("RGB"), dtype=np.float64).copy()


def _middle(shape: tuple[int, ...], part: float) -> NDArray[np.float64]:
    mask = np.zeros(shape)
    edges = [round(length * (1 - part) / 2) for length in shape]
    mask[edges[0] : shape[0] - edges[0], edges[1] : shape[1] - edges[1]] = 1
    return mask


def _filled(pixels: NDArray[np.float64], top: int, left: int, size: int) -> NDArray[np.float64]:
    """A square interpolated from its four borders, each weighed by how near it is."""
    height, width = pixels.shape[:2]
    rows, columns = slice(top, top + size), slice(left, left + size)
    above, below = pixels[max(top - 1, 0), columns], pixels[min(top + size, height - 1), columns]
    before, after = pixels[rows, max(left - 1, 0)], pixels[rows, min(left + size, width - 1)]
    near = (np.arange(size) + 0.5) / size
    down, across = near[:, None, None], near[None, :, None]
    upright = (1 - down) * above[None] + down * below[None]
    level = (1 - across) * before[:, None] + across * after[:, None]
    lean = np.minimum(across, 1 - across) / (np.minimum(across, 1 - across) + np.minimum(down, 1 - down))
    filled: NDArray[np.float64] = lean * upright + (1 - lean) * level
    return filled
