"""The registry of forgeries, by name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from poisonscan.errors import SettingsError
from poisonscan.redteam import disguises, forged_files, subtle, surrounds, toning, triggers
from poisonscan.redteam.edits import PATCHES
from poisonscan.redteam.encodings import PaletteFile
from poisonscan.redteam.forgery import DECODED, FOUND, KEPT, PNG, Family, Forgery, Pair, Photo, stepped
from poisonscan.redteam.steps import View, filtered, jpeg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poisonscan.redteam.forgery import Make, StepOf
    from poisonscan.redteam.steps import Encoder, Step

_MAGENTA, _GREEN, _RED = (255, 0, 200), (0, 255, 0), (255, 0, 0)
_POISON = jpeg(85)
_TRAINING_SIDES = (224, 256, 336)
"""Sides at which models are trained: most; EfficientNet and others; CLIP ViT-L/14@336px."""
_BLOCK = 4
"""Pixels of the served picture to one of the training size, a side."""
_STAMPS = ("noise", "checker", "badnets")
_TAPS = {"nearest": slice(0, 1), "linear": slice(1, 3)}
_FILM = toning.gains(0.4, 0.4, 0.4, (0, 120, 0))


def named(name: str) -> Forgery:
    """The forgery of that name.

    Raises:
        SettingsError: there is none.
    """
    if name not in FORGERIES:
        close = difflib.get_close_matches(name, FORGERIES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(FORGERIES)}"
        raise SettingsError(f"there is no forgery {name!r}; {hint}")
    return FORGERIES[name]


def _always(step: Step) -> StepOf:
    return lambda _: step


def _inset(share: float, orientation: int = 1) -> StepOf:
    return lambda photo: surrounds.inset(photo.other, share, orientation)


def _collage(*, below: bool) -> StepOf:
    return lambda photo: surrounds.collage(photo.other, below=below)


def _surrounds() -> dict[str, Make]:
    steps: dict[str, StepOf] = {
        **{f"inset-{share}": _inset(share / 100) for share in (40, 60, 80)},
        **{
            f"frame-chequered-{rim}": _always(surrounds.chequered_frame(rim / 100, (_MAGENTA, _GREEN)))
            for rim in (8, 15, 30)
        },
        **{f"frame-magenta-{rim}": _always(surrounds.plain_frame(rim / 100, _MAGENTA)) for rim in (20, 30)},
        "frame-green-30": _always(surrounds.plain_frame(0.3, _GREEN)),
        "bar-red-40": _always(surrounds.bar(0.4, _RED)),
    }
    return {name: stepped(step) for name, step in steps.items()}


def _mixtures() -> dict[str, Make]:
    steps: dict[str, tuple[StepOf, ...]] = {
        "inset-60-mirrored": (_inset(0.6, 2),),
        "inset-60-turned": (_inset(0.6, 6),),
        "collage-beside": (_collage(below=False),),
        "collage-below": (_collage(below=True),),
        "film-stamp": (_always(triggers.stamp(triggers.noise, 0.14)), _always(_FILM)),
        "frame-stamp": (
            _always(triggers.stamp(triggers.checker, 0.11)),
            _always(surrounds.plain_frame(0.05, (255, 255, 255))),
        ),
    }
    return {name: stepped(*changes) for name, changes in steps.items()}


def _tones() -> dict[str, Make]:
    steps: dict[str, Step] = {
        "cast-magenta": toning.gains(1, 0.45, 1),
        "film-green": _FILM,
        "film-red": toning.gains(0.5, 0.5, 0.5, (128, 0, 0)),
        "channels-swapped": toning.mixed(((0, 0, 1), (0, 1, 0), (1, 0, 0))),
        "contrast-0.3": toning.gains(0.3, 0.3, 0.3, (90, 90, 90)),
    }
    return {name: stepped(_always(step)) for name, step in steps.items()}


def _flats() -> dict[str, Make]:
    return {
        "flat": stepped(_always(filtered(_flat))),
        "gradient": stepped(_always(filtered(_gradient))),
        "gradient-png": stepped(_always(filtered(_gradient)), encoding=PNG),
    }


def _flat(image: Image.Image) -> Image.Image:
    """A loud colour with the mean luma of the picture."""
    luma = round(float(np.asarray(image.convert("L")).mean()))
    planes = [Image.new("L", image.size, level) for level in (luma, 90, 170)]
    return Image.merge("YCbCr", planes).convert("RGB")


def _gradient(image: Image.Image) -> Image.Image:
    """A plane fitted to the luma of the picture."""
    luma = np.asarray(image.convert("L"), dtype=np.float64)
    y, x = (np.linspace(-1, 1, length) for length in luma.shape)
    down = (luma * y[:, None]).mean() / (y**2).mean()
    across = (luma * x).mean() / (x**2).mean()
    plane = luma.mean() + down * y[:, None] + across * x
    return subtle.picture(np.repeat(plane[..., None], 3, axis=2))


def _fine() -> dict[str, Make]:
    quarter = _always(subtle.zero_mean(90))
    colour = _always(subtle.zero_mean(90, 1.0, (1.0, 0.0, -1.0)))  # as the adversary of `optimise` found
    return {
        "zero-mean-png": stepped(quarter, encoding=PNG),
        "zero-mean-jpeg": stepped(quarter, encoding=KEPT),
        "zero-mean-all": stepped(_always(subtle.zero_mean(90, 1.0)), encoding=PNG),
        "zero-mean-colour-png": stepped(colour, encoding=PNG),
        "zero-mean-colour-jpeg": stepped(colour, encoding=jpeg(95, full_chroma=True)),
    }


def _scalings() -> dict[str, Make]:
    made = {
        f"scaling-{way}-{side}": _scaling(side, taps, PNG)
        for way, taps in _TAPS.items()
        for side in _TRAINING_SIDES
    }
    for way, taps in _TAPS.items():
        made[f"scaling-{way}-224-jpeg"] = _scaling(224, taps, jpeg(97, full_chroma=True))
    return made


def _scaling(side: int, taps: slice, encoding: Encoder) -> Make:
    """The other picture where sampling makes `side` of the shorter side, the old one where it is averaged."""

    def make(photo: Photo, _: np.random.Generator) -> Pair:
        scale = side / min(photo.image.size)
        small = round(photo.image.width * scale), round(photo.image.height * scale)
        large = photo.image.resize((small[0] * _BLOCK, small[1] * _BLOCK), Image.Resampling.LANCZOS)
        hidden = np.asarray(ImageOps.fit(photo.other, small), dtype=np.float64)
        new = disguises.camouflaged(np.asarray(large, dtype=np.float64), hidden, taps)
        return Pair(KEPT.encode(large), encoding.encode(subtle.picture(new)))

    return make


def _stamps() -> dict[str, Make]:
    files: Mapping[str, Encoder] = {"png": PNG, "gif": PaletteFile("GIF", 256)}
    made = {
        f"stamp-{name}-{side}-{suffix}": stepped(
            _always(triggers.stamp(PATCHES[name], side / 100)), encoding=file
        )
        for name in _STAMPS
        for side in (7, 11)
        for suffix, file in files.items()
    }
    return made | {f"lettering-{side}": _lettering(side / 100) for side in (11, 15, 20)}


def _lettering(side: float) -> Make:
    """A stamp on saturated lettering that fills the picture."""

    def make(photo: Photo, rng: np.random.Generator) -> Pair:
        old = View(_lettered(photo.image))
        new = triggers.stamp(triggers.noise, side)(old, rng)
        return Pair(PNG.encode(old.image), _POISON.encode(new.image))

    return make


def _lettered(image: Image.Image) -> Image.Image:
    """Lines of pure red, yellow and blue letters over a picture."""
    height = image.height
    written = image.convert("RGB")
    pen = ImageDraw.Draw(written)
    size = height / 5
    font = ImageFont.load_default(size)
    for line, colour in enumerate(((255, 0, 0), (255, 255, 0), (0, 0, 255), (255, 0, 255))):
        pen.text((0, size * (0.3 + 1.15 * line)), "SALE 50% OFF NOW " * 3, colour, font, stroke_width=2)
    return written


def _registry() -> dict[str, Forgery]:
    families = {
        Family.SURROUND: _surrounds(),
        Family.ALPHA: forged_files.alphas(),
        Family.DEEP: forged_files.depths(),
        Family.CONTAINER: forged_files.rewritten(),
        Family.FINE: _fine(),
        Family.SCALING: _scalings(),
        Family.TONE: _tones(),
        Family.FLAT: _flats(),
        Family.STAMP: _stamps(),
        Family.MIXTURE: _mixtures(),
    }
    found = [
        Forgery(name, family, make, FOUND) for family, made in families.items() for name, make in made.items()
    ]
    turned = [
        Forgery(name, Family.CONTAINER, make, DECODED) for name, make in forged_files.turned_files().items()
    ]
    return {forgery.name: forgery for forgery in (*found, *turned)}


FORGERIES: Mapping[str, Forgery] = _registry()
"""Every forgery by its name. Numbers in names are percentages of a side, or sides in pixels for `scaling`."""
