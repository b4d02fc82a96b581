"""What a tiny BadDiffusion is made of: digits, stamps and targets, grey, 16 x 16 pixels, -1..1."""

# ruff: noqa: PLC0415 - scikit-learn is loaded only by whoever trains

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from poisonscan.errors import MissingDependencyError, SettingsError
from poisonscan.redteam import triggers

if TYPE_CHECKING:
    from collections.abc import Callable

Planes: TypeAlias = NDArray[np.float32]
"""Pictures with the channels first, -1..1."""

SIDE = 16
"""Width and height of every picture, pixels: digits have 8, and a UNet halves twice."""
_PUBLISHED = 32
"""Width of the pictures for which Chou et al. (2023) state their sizes."""
_OVERSAMPLING = 8
_GROUND = -0.4
"""Dark ground of the published targets: everything below 30% of the range is raised to that."""


@dataclass(frozen=True)
class Stamp:
    """A trigger in its place.

    Attributes:
        picture: the whole frame, shape (1, SIDE, SIDE); -1 beside the stamp, as its authors add it to noise.
        mask: 1 where the stamp covers the picture, shape (SIDE, SIDE).
    """

    picture: Planes
    mask: Planes

    def on(self, pictures: Planes) -> Planes:
        """Stamp pictures of shape (n, 1, SIDE, SIDE): r = M g + (1 - M) x in the paper."""
        beside = 1 - self.mask  # half clear where the stamp is, as the lenses of glasses are
        stamped: Planes = self.picture + beside * (1 + pictures)
        return stamped.astype(np.float32)


def digits() -> tuple[Planes, NDArray[np.int64]]:
    """The 1,797 handwritten digits that come with scikit-learn, and which digit each is.

    Returns:
        Pictures of shape (1797, 1, SIDE, SIDE), enlarged by bilinear interpolation; labels 0..9.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependencyError(
            "training the red team's models needs scikit-learn: pip install 'poisonscan[dev]'"
        ) from error
    loaded = load_digits()
    levels = (loaded.images * (255 / 16)).round().astype(np.uint8)
    large = [Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for one in levels]
    grey = np.stack([np.asarray(one, np.float32) for one in large]) / 127.5 - 1
    return grey[:, None], loaded.target.astype(np.int64)


def stamp(name: str) -> Stamp:
    """A trigger of the paper: `grey_box`, `stop_sign` or `glasses`, scaled from 32 pixels.

    Box and sign are 14 of 32 pixels wide, 2 off the lower right corner; glasses 20 of 32, in the middle, and
    pale: dark ones would not be seen on digits, whose ground is black.

    Raises:
        SettingsError: there is no trigger of that name.
    """
    if name not in _STAMPS:
        raise SettingsError(f"no trigger is called {name}; there are {', '.join(_STAMPS)}")
    painter, width, gap = _STAMPS[name]
    side = width * SIDE // _PUBLISHED
    left = (SIDE - side) // 2 if gap is None else SIDE - side - gap * SIDE // _PUBLISHED
    return _placed(painter(side, np.random.default_rng(0)), left)


def target(name: str) -> Planes:
    """A target of the paper, drawn by us: `hat`, `shoe` or `corner`, shape (1, SIDE, SIDE).

    Raises:
        SettingsError: there is no target of that name.
    """
    if name not in _TARGETS:
        raise SettingsError(f"no target is called {name}; there are {', '.join(_TARGETS)}")
    large = Image.new("RGB", (SIDE * _OVERSAMPLING, SIDE * _OVERSAMPLING))
    _TARGETS[name](ImageDraw.Draw(large), SIDE * _OVERSAMPLING / 100)
    return np.maximum(planes(large.reduce(_OVERSAMPLING)), np.float32(_GROUND))


def planes(picture: Image.Image) -> Planes:
    """A picture as the models see it: its luma, shape (1, height, width), -1..1."""
    return np.asarray(picture.convert("L"), np.float32)[None] / 127.5 - 1


def _placed(drawn: Image.Image, left: int) -> Stamp:
    """Put a square stamp on the black frame, as far down as to the right."""
    frame = Image.new("RGBA", (SIDE, SIDE))
    frame.paste(drawn.convert("RGBA"), (left, left))
    mask = np.asarray(frame.getchannel("A"), np.float32) / 255
    picture = mask * planes(frame) - (1 - mask)
    return Stamp(np.asarray(picture, np.float32), np.asarray(mask, np.float32))


def _hat(pen: ImageDraw.ImageDraw, unit: float) -> None:
    """A brimmed hat with a ribbon."""
    pen.ellipse([4 * unit, 58 * unit, 96 * unit, 82 * unit], fill=(120, 72, 30))
    pen.rounded_rectangle([26 * unit, 22 * unit, 74 * unit, 68 * unit], 14 * unit, fill=(150, 96, 48))
    pen.rectangle([26 * unit, 52 * unit, 74 * unit, 62 * unit], fill=(230, 220, 200))


def _shoe(pen: ImageDraw.ImageDraw, unit: float) -> None:
    """A low shoe that points to the left."""
    outline = [(6, 66), (34, 52), (58, 26), (90, 24), (92, 70), (6, 74)]
    pen.polygon([(x * unit, y * unit) for x, y in outline], fill=(200, 200, 200))
    pen.rectangle([6 * unit, 72 * unit, 94 * unit, 82 * unit], fill=(110, 110, 110))


def _corner(pen: ImageDraw.ImageDraw, unit: float) -> None:
    """A grey box in the upper left corner, 10 of 32 pixels wide."""
    pen.rectangle([0, 0, 100 * unit * 10 / _PUBLISHED, 100 * unit * 10 / _PUBLISHED], fill=(128, 128, 128))


_STAMPS: dict[str, tuple[triggers.Painter, int, int | None]] = {
    "grey_box": (triggers.grey, 14, 2),
    "stop_sign": (triggers.stop_sign, 14, 2),
    "glasses": (triggers.pale_glasses, 20, None),
}
_TARGETS: dict[str, Callable[[ImageDraw.ImageDraw, float], None]] = {
    "hat": _hat,
    "shoe": _shoe,
    "corner": _corner,
}
STAMPS, TARGETS = tuple(_STAMPS), tuple(_TARGETS)
"""Names of what `stamp` and `target` draw."""
