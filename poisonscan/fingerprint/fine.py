"""A picture at hand at its full size: what its working pixels average away, and what samplings of it show.

Grids are means of working pixels, which are means themselves. A pattern within working pixels leaves no trace
in them, and a picture may show another one to whatever resizes it by looking at a few of its pixels only
(Quiring et al., "Adversarial Preprocessing", USENIX Security 2020). Both need pixels that differ from their
neighbours: energy above the working scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from poisonscan.fingerprint.grids import MIDDLE, area_weights
from poisonscan.records import FINE_SIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL import Image

TRAINED_SIZES = (224, 256, 336, 384, 512)
"""Sides at which classifiers, CLIP and diffusion models are trained, pixels."""
_ROUNDING = 1 / 12  # variance that rounding averaged pixels to bytes adds
_MOST_SHARE = 0.7  # of the pixels looked at, from which those left out cannot hide another picture
_LEAST_SHIFT = 12.0  # grey levels; what shows less than that is no other picture
_LINEAR_SHARE = 1.5  # of pixels that linear interpolation looks at, to those of nearest neighbours


class Sampler(StrEnum):
    """Ways of making a picture smaller that look at few of its pixels, named as OpenCV and Pillow do."""

    NEAREST = "nearest neighbours"
    """`cv2.INTER_NEAREST` and torch's "nearest": the pixel at floor(i * ratio)."""
    CENTRED = "nearest neighbours, centred"
    """Pillow's NEAREST and torch's "nearest-exact": the pixel at floor((i + 0.5) * ratio)."""
    LINEAR = "linear interpolation"
    """`cv2.INTER_LINEAR` and torch's "bilinear" without antialiasing: the two pixels beside the place. Cubic
    interpolation weighs the same two most. Pillow's BILINEAR averages all pixels and needs no look."""


class Sampling(NamedTuple):
    """What one way of resizing shows.

    Attributes:
        size: of the result's shorter side, pixels.
        sampler: how.
        whole: whether the result is square, rather than of the picture's shape.
        share: of the pixels that are looked at, 0..1.
        shown: (FINE_SIDE, FINE_SIDE) means of the luma of the result, grey levels.
    """

    size: int
    sampler: Sampler
    whole: bool
    share: float
    shown: NDArray[np.float64]


class Fine(NamedTuple):
    """What is measured of a picture at its full size, on FINE_SIDE x FINE_SIDE cells of its luma.

    Attributes:
        energy: variance within working pixels, squared grey levels; 0 where these are the picture's own.
        octave: variance of working pixels within squares of two, squared grey levels: the next octave.
        coarser: the same of the two octaves after that together.
        colour: variances of both colour differences together: within squares of two working pixels, and over
            the two octaves after that, (2, FINE_SIDE, FINE_SIDE); 0 where the picture is grey.
        factor: pixels a side of a working pixel.
        spread: variance of all pixels of a cell, squared grey levels.
        mean: grey levels.
        samplings: of every size, sampler and shape that could show another picture.
    """

    energy: NDArray[np.float64]
    octave: NDArray[np.float64]
    coarser: NDArray[np.float64]
    colour: NDArray[np.float64]
    factor: int
    spread: NDArray[np.float64]
    mean: NDArray[np.float64]
    samplings: tuple[Sampling, ...]


FineLook: TypeAlias = Callable[[], Sequence[Fine]]
"""Measures each rendering of a picture at hand at its full size."""


def fine_of(luma: Image.Image, factor: int, colours: Sequence[Image.Image] = ()) -> Fine:
    """All that is measured of a picture, upright, whose working pixels are `factor` pixels a side.

    Args:
        luma: of mode L.
        factor: pixels.
        colours: its colour differences Cb and Cr, likewise; none of a grey picture.
    """
    levels = _levels(luma)
    mean, square = _cell_means(levels, levels.shape), _cell_means(levels * levels, levels.shape)
    working, twice, coarse = _reduced([luma], (factor, 2, 4), square)
    spread = np.maximum(square - mean * mean, 0)
    return Fine(
        energy=_between(square, working),
        octave=_between(working, twice),
        coarser=_between(twice, coarse),
        colour=_colour_energy(colours, factor),
        factor=factor,
        spread=spread,
        mean=mean + MIDDLE,
        samplings=tuple(_samplings(levels, float(spread.max()))),
    )


def _colour_energy(colours: Sequence[Image.Image], factor: int) -> NDArray[np.float64]:
    """As `Fine.colour`."""
    if not colours:
        return np.zeros((2, FINE_SIDE, FINE_SIDE))
    square = _mean_square(colours)
    twice, coarse = _reduced(colours, (2 * factor, 4), square)
    return np.stack([_between(square, twice), _between(twice, coarse)])


def energy_of(luma: Image.Image, factor: int) -> NDArray[np.float64]:
    """(FINE_SIDE, FINE_SIDE): variance within working pixels of so many pixels a side, squared levels."""
    square = _mean_square([luma])
    (working,) = _reduced([luma], (factor,), square)
    return _between(square, working)


def pack_energy(energy: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The stored form: twice the rms in grey levels, rounded to bytes."""
    rms = np.rint(2 * np.sqrt(energy))
    packed: NDArray[np.uint8] = np.minimum(rms, 255).astype(np.uint8)
    return packed


def unpack_energy(stored: bytes) -> NDArray[np.float64]:
    """(FINE_SIDE, FINE_SIDE): variance within working pixels as it was stored, squared grey levels."""
    rms = np.frombuffer(stored, np.uint8).reshape(FINE_SIDE, FINE_SIDE) / 2
    return rms * rms


def _levels(luma: Image.Image) -> NDArray[np.float32]:
    """(height, width) grey levels less MIDDLE, so that float32 holds their squares well enough."""
    pixels = np.frombuffer(luma.tobytes(), np.uint8).reshape(luma.height, luma.width)
    levels: NDArray[np.float32] = np.subtract(pixels, np.float32(MIDDLE), dtype=np.float32)
    return levels


def _mean_square(
    planes: Sequence[Image.Image], extent: tuple[float, float] | None = None
) -> NDArray[np.float64]:
    """Mean square of each cell, of planes of such an extent together; see `grids.area_means`."""
    first, *others = (_levels(plane) for plane in planes)
    squares = first * first
    for levels in others:
        squares += levels * levels
    return _cell_means(squares, extent or squares.shape)


def _cell_means(values: NDArray[np.float32], extent: tuple[float, ...]) -> NDArray[np.float64]:
    (height, width), (down, across) = values.shape, extent
    rows, columns = area_weights(height, FINE_SIDE, down), area_weights(width, FINE_SIDE, across)
    means: NDArray[np.float64] = (rows @ values @ columns.T).astype(np.float64)
    return means


def _reduced(
    planes: Sequence[Image.Image], steps: Sequence[int], square: NDArray[np.float64]
) -> Iterator[NDArray[np.float64]]:
    """Mean square of each cell after squares of so many pixels were averaged, once and again for each step.

    Args:
        planes: of a picture, all of one size.
        steps: pixels a side of the squares.
        square: as it was before.
    """
    down, across = float(planes[0].height), float(planes[0].width)
    for step in steps:
        if step > 1:
            planes = [plane.reduce(step) for plane in planes]
            down, across = down / step, across / step
            square = _mean_square(planes, (down, across)) - _ROUNDING * len(planes)
        yield square


def _between(finer: NDArray[np.float64], coarser: NDArray[np.float64]) -> NDArray[np.float64]:
    """The variance that averaging takes away, from mean squares before and after."""
    return np.maximum(finer - coarser, 0)


class _Lattice(NamedTuple):
    """Where one way of resizing looks: pixels of the result along the shorter and the longer side."""

    size: int
    sampler: Sampler
    whole: bool
    along: int
    share: float


def _samplings(levels: NDArray[np.float32], spread: float) -> Iterator[Sampling]:
    """What each lattice shows of a picture whose cells have at most so much variance."""
    upright = levels.shape[0] > levels.shape[1]
    levels = levels.T if upright else levels
    short, long = levels.shape
    lattices = [one for one in _lattices(short, long) if _can_hide(one.share, spread)]
    keys = tuple(sorted({(one.size, one.sampler) for one in lattices}))
    if not keys:
        return
    pooled = np.stack([weights @ levels[band] for band, weights in _bands(short, keys)], axis=1)
    rows = dict(zip(keys, pooled, strict=True))
    for one in lattices:
        shown = (rows[one.size, one.sampler] @ _pooling(long, one.along, one.sampler).T).astype(
            np.float64
        ) + MIDDLE
        yield Sampling(one.size, one.sampler, one.whole, one.share, shown.T if upright else shown)


def _lattices(short: int, long: int) -> Iterator[_Lattice]:
    """Square results, and those of the picture's shape, of every size and sampler."""
    for size in TRAINED_SIZES:
        kept = round(size * long / short)
        for along in {size, kept}:
            for sampler in Sampler:
                share = _share(short, size, sampler) * _share(long, along, sampler)
                yield _Lattice(size, sampler, along == size, along, share)


def _share(length: int, size: int, sampler: Sampler) -> float:
    looked_at = size * (_LINEAR_SHARE if sampler is Sampler.LINEAR else 1.0)
    return min(1.0, looked_at / length)


def _can_hide(share: float, spread: float) -> bool:
    """Whether pixels that vary so much can show something else to one who looks at such a share of them.

    If a share p is moved by d and the others make up for it, the variance is d^2 p / (1 - p) at the least.
    """
    return share < _MOST_SHARE and spread * (1 - share) / share >= _LEAST_SHIFT**2


@lru_cache(maxsize=128)
def _bands(
    length: int, keys: tuple[tuple[int, Sampler], ...]
) -> tuple[tuple[slice, NDArray[np.float32]], ...]:
    """For each cell the pixels that any of these samplings looks at there, and (keys, n): their weights.

    Products with whole rows of weights, nearly all of them 0, take five times as long.
    """
    pooling = np.stack([_pooling(length, *key) for key in keys], axis=1)
    bands = []
    for weights in pooling:
        used = weights.any(axis=0).nonzero()[0]
        band = slice(int(used[0]), int(used[-1]) + 1)
        bands.append((band, np.ascontiguousarray(weights[:, band])))
    return tuple(bands)


@lru_cache(maxsize=128)
def _pooling(length: int, size: int, sampler: Sampler) -> NDArray[np.float32]:
    """(FINE_SIDE, length): means of the pixels of the result, `size` along, in each cell of it."""
    places, weights = taps(length, size, sampler)
    cells = np.arange(size) * FINE_SIDE // size
    flat = (cells[:, None] * length + places).ravel()
    pooled = np.bincount(flat, weights.ravel(), FINE_SIDE * length).reshape(FINE_SIDE, length)
    means: NDArray[np.float32] = (pooled / np.bincount(cells)[:, None]).astype(np.float32)
    return means


def taps(length: int, size: int, sampler: Sampler) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Which pixels of `length` each of the result's `size` is made of, and their weights: (size, n) each."""
    ratio = length / size
    if sampler is not Sampler.LINEAR:
        offset = 0.5 if sampler is Sampler.CENTRED else 0.0
        places = np.floor((np.arange(size) + offset) * ratio).astype(np.intp)
        return np.minimum(places, length - 1)[:, None], np.ones((size, 1))
    middle = (np.arange(size) + 0.5) * ratio - 0.5
    first = np.floor(middle).astype(np.intp)
    beyond = middle - first
    places = np.clip(np.stack([first, first + 1], axis=1), 0, length - 1)
    return places, np.stack([1 - beyond, beyond], axis=1)
