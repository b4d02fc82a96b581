"""An adversary who optimises against the verdict: the strongest stamp or blend that is still called clean.

Black-box search: patterns are drawn at random from families that leave little trace (noise of several grains,
checks, stripes, smooth fields, colour without luma, with their means over some lattice taken away, stronger
where the picture is busy), laid on the picture together with an innocent edit that widens what is allowed
for, and judged by the real code. What is called clean grows until it is not, and is then varied.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from PIL import Image
from scipy import ndimage

from poisonscan.fingerprint.grids import RGB_TO_YCBCR
from poisonscan.records import Box
from poisonscan.redteam import steps
from poisonscan.redteam.encodings import PaletteFile
from poisonscan.redteam.steps import Encoding, View, jpeg
from poisonscan.redteam.subtle import picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from poisonscan.redteam.steps import Encoder, Step

    Levels: TypeAlias = NDArray[np.float64]

STAMP_SIDE = 0.07
"""Of a stamp, in fractions of the picture's shorter side."""
_GRAINS = (1, 2, 3, 4, 6, 8, 12, 16)
_LATTICES = (8, 16, 32, 64, 96, 128)
"""Cells a side whose means a layer may leave as they were; 32 and 96 are what fingerprints are made of."""
_COLOURS = (
    (1.0, 1.0, 1.0),
    (1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0),
    (1.0, 0.0, -1.0),
    (0.0, -0.344136, 1.772),
    (1.402, -0.714136, 0.0),
)
"""Directions in RGB: luma, single channels, red against blue, and Cb and Cr, which leave luma as it is."""
_FIRST = 3.0
"""Levels at which the first patterns are tried."""
_GROWTH, _NARROWING = 1.3, 1.03
_EXPLORING = 0.5
"""Share of the calls that go to patterns drawn anew before the best is varied."""
_MOST_LAYERS = 3


class Aim(StrEnum):
    """What is put into the picture."""

    STAMP = "stamp"
    BLEND = "blend"


class Texture(StrEnum):
    """The shape of a pattern."""

    NOISE = "noise"
    CHECKS = "checks"
    STRIPES = "stripes"
    SMOOTH = "smooth"
    FLAT = "flat"


@dataclass(frozen=True, slots=True)
class Layer:
    """A pattern, before it is scaled.

    Attributes:
        texture: its shape.
        grain: size of its elements in pixels.
        lattice: cells a side of the whole picture over which its means are taken away; 0: none.
        colour: its direction in RGB.
        busy: whether it is stronger where the picture has texture.
        weight: of it among the layers.
        seed: of its noise.
    """

    texture: Texture
    grain: int
    lattice: int
    colour: tuple[float, float, float]
    busy: bool
    weight: float
    seed: int

    @property
    def words(self) -> str:
        """What it is, in short."""
        colour = "/".join(f"{value:.1f}" for value in self.colour)
        free = f" free over {self.lattice}" if self.lattice else ""
        return f"{self.texture} {self.grain} px{free}, rgb {colour}{', busy' if self.busy else ''}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is done to the picture.

    Attributes:
        layers: patterns that are added up.
        strength: rms of the sum's largest channel before clipping, levels.
        place: of a stamp in the room that it leaves, 0..1 each.
        companion: name of the innocent edit that goes with it.
    """

    layers: tuple[Layer, ...]
    strength: float
    place: tuple[float, float]
    companion: str

    @property
    def words(self) -> str:
        """How it is made, in short."""
        return " + ".join(layer.words for layer in self.layers) + f"; {self.companion}"


class Contrast(NamedTuple):
    """Root mean square of a change over its place, levels 0..255.

    Attributes:
        channel: of the channel that changes most.
        luma: of luma.
    """

    channel: float
    luma: float


_NO_CONTRAST = Contrast(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Found:
    """The strongest change that was called clean.

    Attributes:
        contrast: as served; zero if none was.
        attempt: how it was made; None if none was.
        body: the file; empty if there is none.
        calls: how often the verdict was asked for.
        progress: the best channel contrast after each call.
    """

    contrast: Contrast = field(default=_NO_CONTRAST)
    attempt: Attempt | None = None
    body: bytes = field(default=b"", repr=False)
    calls: int = 0
    progress: tuple[float, ...] = field(default=(), repr=False)


COMPANIONS: Mapping[str, tuple[tuple[Step, ...], Encoder]] = {
    "png": ((), Encoding("PNG", {"compress_level": 1})),
    "jpeg-95": ((), jpeg(95, full_chroma=True)),
    "jpeg-85": ((), jpeg(85)),
    "jpeg-40": ((), jpeg(40)),
    "gif": ((), PaletteFile("GIF", 256)),
    "sharpen": ((steps.sharpen(),), jpeg(92)),
    "gamma-0.85": ((steps.gamma(0.85),), jpeg(92)),
    "contrast-1.12": ((steps.contrast(1.12),), jpeg(92)),
    "brightness-0.9": ((steps.brightness(0.9),), jpeg(92)),
    "saturation-1.2": ((steps.saturation(1.2),), jpeg(92)),
    "resize-0.7": ((steps.resize(0.7),), jpeg(92)),
    "resize-1.6": ((steps.resize(1.6),), jpeg(92)),
    "crop-3": ((steps.crop(0.03),), jpeg(92)),
    "crop-10": ((steps.crop(0.1),), jpeg(92)),
    "turned": ((steps.turned(3),), jpeg(92)),
    "frame": ((steps.frame((255, 255, 255), margin=0.04),), jpeg(92)),
}
"""Innocent edits, by name, that make the comparison allow for more."""

IsClean: TypeAlias = Callable[[bytes], bool]


def strongest(
    image: Image.Image,
    aim: Aim,
    is_clean: IsClean,
    *,
    calls: int = 300,
    seed: int = 0,
    companions: Sequence[str] = tuple(COMPANIONS),
) -> Found:
    """Search for the strongest change of a picture that is called clean.

    Args:
        image: the old picture, RGB.
        aim: a stamp of STAMP_SIDE, or a blend over everything.
        is_clean: whether a file in the place of the old picture gets a clean verdict; asked `calls` times.
        calls: bound of the search.
        seed: the same gives the same answer.
        companions: names of the innocent edits that may go with it.
    """
    search = _Search(image.convert("RGB"), aim, is_clean, calls)
    rng = np.random.default_rng(seed)
    while search.left > (1 - _EXPLORING) * calls:
        search.climb(_drawn(aim, companions, rng, search.aimed_at))
    while search.left:
        best = search.best.attempt
        new = _drawn(aim, companions, rng, search.aimed_at)
        search.climb(new if best is None else _varied(best, new, rng))
    return search.best


class _Search:
    """The state of one search: what was asked, and the best so far."""

    def __init__(self, image: Image.Image, aim: Aim, is_clean: IsClean, calls: int) -> None:
        self._image, self._aim, self._is_clean, self._calls = image, aim, is_clean, calls
        self._pixels = np.asarray(image, dtype=np.float64)
        self._busy = _activity(self._pixels)
        self.best = Found()

    @property
    def left(self) -> int:
        return self._calls - self.best.calls

    @property
    def aimed_at(self) -> float:
        """The strength at which a pattern is tried first: a little above the best."""
        return max(_FIRST, self.best.contrast.channel * _NARROWING)

    def climb(self, attempt: Attempt) -> None:
        """Try an attempt, stronger and stronger as long as it is called clean and there are calls left."""
        if not self._tried(attempt):
            return
        growth = _GROWTH
        while self.left and growth > _NARROWING:
            stronger = replace(attempt, strength=attempt.strength * growth)
            if self._tried(stronger):
                attempt = stronger
            else:
                growth **= 0.5

    def _tried(self, attempt: Attempt) -> bool:
        """Whether an attempt is called clean and stronger than the best, whose place it then takes."""
        area = _area(self._pixels.shape, self._aim, attempt.place)
        changed = self._pixels.copy()
        changed[area] += _change(attempt, self._pixels.shape, area, self._busy)
        drawn, box = picture(changed), _box(area, self._pixels.shape)
        body, served = _served(drawn, box, attempt.companion)
        now = self.best
        if self._is_clean(body):
            contrast = self._contrast(np.asarray(drawn, dtype=np.float64)[area], served, area, attempt)
            now = Found(contrast, attempt, body) if contrast.channel > now.contrast.channel else now
        progress = (*self.best.progress, now.contrast.channel)
        better = now is not self.best
        self.best = replace(now, calls=self.best.calls + 1, progress=progress)
        return better

    def _contrast(self, drawn: Levels, served: Levels, area: Area, attempt: Attempt) -> Contrast:
        """Of what was put in or of what is left of it as served, whichever is less.

        Coarse coding makes more of a change than was put in: that is its own noise.
        """
        _, untouched = _served(self._image, _box(area, self._pixels.shape), attempt.companion)
        both = contrast_of(drawn - self._pixels[area]), contrast_of(served - untouched)
        return Contrast(*(min(pair) for pair in zip(*both, strict=True)))


def contrast_of(change: Levels) -> Contrast:
    """The contrast of a change, (height, width, 3) levels."""
    luma = change @ RGB_TO_YCBCR[0]
    channels = np.sqrt((change**2).mean(axis=(0, 1)))
    return Contrast(float(channels.max()), float(np.sqrt((luma**2).mean())))


def _served(image: Image.Image, box: Box, companion: str) -> tuple[bytes, Levels]:
    """The file, and the pixels in the box's place as decoded; crops lie where the seed puts them."""
    changes, encoding = COMPANIONS[companion]
    view, rng = View(image, (box,)), np.random.default_rng(0)
    for change in changes:
        view = change(view, rng)
    body = encoding.encode(view.image)
    with Image.open(io.BytesIO(body)) as decoded:
        pixels = np.asarray(decoded.convert("RGB"), dtype=np.float64)
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = view.boxes[0]
    left, top = round(x0 * width), round(y0 * height)
    right, bottom = max(round(x1 * width), left + 1), max(round(y1 * height), top + 1)
    return body, pixels[top:bottom, left:right]


Area: TypeAlias = tuple[slice, slice]


def _area(shape: tuple[int, ...], aim: Aim, place: tuple[float, float]) -> Area:
    height, width = shape[:2]
    if aim is Aim.BLEND:
        return slice(0, height), slice(0, width)
    side = max(2, round(STAMP_SIDE * min(height, width)))
    top, left = round(place[1] * (height - side)), round(place[0] * (width - side))
    return slice(top, top + side), slice(left, left + side)


def _box(area: Area, shape: tuple[int, ...]) -> Box:
    rows, columns = area
    return Box(columns.start / shape[1], rows.start / shape[0], columns.stop / shape[1], rows.stop / shape[0])


def _change(attempt: Attempt, shape: tuple[int, ...], area: Area, busy: Levels) -> Levels:
    """The pattern in its area, scaled to the strength of the attempt."""
    rows, columns = area
    high, wide = rows.stop - rows.start, columns.stop - columns.start
    total = np.zeros((high, wide, 3))
    for layer in attempt.layers:
        if layer.texture is Texture.FLAT:
            total += layer.weight * np.array(layer.colour)
            continue
        plane = _plane(layer, high, wide)
        if layer.busy:
            plane = plane * busy[area]
        if layer.lattice:
            plane = plane - _cell_means(plane, layer.lattice, shape, area)
        total += layer.weight * (plane / max(plane.std(), 1e-9))[..., None] * np.array(layer.colour)
    change: Levels = total * (attempt.strength / max(contrast_of(total).channel, 1e-9))
    return change


def _plane(layer: Layer, high: int, wide: int) -> Levels:
    rng = np.random.default_rng(layer.seed)
    rows, columns = -(-high // layer.grain), -(-wide // layer.grain)
    match layer.texture:
        case Texture.NOISE:
            cells = rng.choice([-1.0, 1.0], (rows, columns))
        case Texture.CHECKS:
            cells = (-1.0) ** np.add.outer(np.arange(rows), np.arange(columns))
        case Texture.STRIPES:
            line = (-1.0) ** (np.arange(columns) if layer.seed % 2 else np.arange(rows)[:, None])
            cells = np.broadcast_to(line, (rows, columns))
        case Texture.SMOOTH:
            smooth: Levels = ndimage.gaussian_filter(rng.standard_normal((high, wide)), layer.grain)
            return smooth
        case Texture.FLAT:
            return np.ones((high, wide))
    plane: Levels = np.kron(cells, np.ones((layer.grain, layer.grain)))[:high, :wide]
    return plane


def _cell_means(plane: Levels, lattice: int, shape: tuple[int, ...], area: Area) -> Levels:
    """At each pixel the mean of the plane over the pixels of its cell."""
    down = np.arange(area[0].start, area[0].stop) * lattice // shape[0]
    across = np.arange(area[1].start, area[1].stop) * lattice // shape[1]
    cells = down[:, None] * lattice + across[None, :]
    sums = np.bincount(cells.ravel(), plane.ravel(), lattice * lattice)
    counts = np.bincount(cells.ravel(), minlength=lattice * lattice)
    means: Levels = (sums / np.maximum(counts, 1))[cells]
    return means


def _activity(pixels: Levels) -> Levels:
    """How much luma varies around each pixel, 1 in the mean, between a tenth and four."""
    luma = pixels @ RGB_TO_YCBCR[0]
    mean = ndimage.uniform_filter(luma, 7)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(luma**2, 7) - mean**2, 0))
    activity: Levels = np.clip(spread / max(float(spread.mean()), 1e-9), 0.1, 4)
    return activity


def _layer(aim: Aim, rng: np.random.Generator) -> Layer:
    textures = [texture for texture in Texture if aim is Aim.STAMP or texture is not Texture.FLAT]
    # Over everything a change coarser than an eighth is shading, which is no blend.
    lattices = (0, *_LATTICES) if aim is Aim.STAMP else _LATTICES
    return Layer(
        texture=textures[int(rng.integers(len(textures)))],
        grain=int(rng.choice(_GRAINS)),
        lattice=int(rng.choice(lattices)),
        colour=_COLOURS[int(rng.integers(len(_COLOURS)))],
        busy=bool(rng.integers(2)),
        weight=float(rng.choice([-1.0, 1.0])),
        seed=int(rng.integers(1 << 31)),
    )


def _drawn(aim: Aim, companions: Sequence[str], rng: np.random.Generator, strength: float) -> Attempt:
    companion = companions[int(rng.integers(len(companions)))]
    across, down = rng.random(2)
    return Attempt((_layer(aim, rng),), strength, (float(across), float(down)), companion)


def _varied(best: Attempt, new: Attempt, rng: np.random.Generator) -> Attempt:
    """The best, a little stronger and different in one respect, which a new attempt gives."""
    stronger = replace(best, strength=best.strength * _NARROWING)
    number, choice = int(rng.integers(len(best.layers))), int(rng.integers(7))
    layer, other = best.layers[number], new.layers[0]
    if choice == 0:
        return replace(stronger, companion=new.companion)
    if choice == 1:
        across, down = np.clip(np.array(best.place) + rng.normal(0, 0.1, 2), 0, 1)
        return replace(stronger, place=(float(across), float(down)))
    if choice == 2 and len(best.layers) < _MOST_LAYERS:  # noqa: PLR2004 - the third of the choices
        return replace(stronger, layers=(*best.layers, replace(other, weight=other.weight * 0.4)))
    turned = (np.array(layer.colour) + rng.normal(0, 0.3, 3)).tolist()
    changed = (
        replace(layer, seed=other.seed),
        replace(layer, grain=other.grain),
        replace(layer, lattice=other.lattice, busy=other.busy),
        replace(layer, colour=(turned[0], turned[1], turned[2])),
    )[choice % 4]
    return replace(stronger, layers=(*best.layers[:number], changed, *best.layers[number + 1 :]))
