"""The registry of picture edits: what innocent hosts and attackers do to a picture, by name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from PIL import Image

from poisonscan.errors import SettingsError
from poisonscan.redteam import steps, triggers
from poisonscan.redteam.steps import Encoding, View, jpeg

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from poisonscan.records import Box
    from poisonscan.redteam.steps import Step
    from poisonscan.redteam.triggers import Painter

SIDES = (4, 7, 11, 14, 22)
"""Sides of the stamped patches, in per cent of the picture's shorter side (9, 16, 25, 31, 49 px of 224)."""
PATCHES: Mapping[str, Painter] = {
    "noise": triggers.noise,
    "checker": triggers.checker,
    "white": triggers.white,
    "badnets": triggers.alternate,
}
_PUBLISHED_SIDE = 0.14
_SERVED = jpeg(90)
_POISON = jpeg(85)


class Kind(StrEnum):
    """What an edit is, for counting: poison, or nothing of the kind."""

    INNOCENT = "innocent"
    MALICIOUS = "malicious"
    DRIFT = "drift"
    """Neither: a change that an honest host makes and a curator still wants to hear of."""


@dataclass(frozen=True, slots=True)
class Edited:
    """An edited picture with the truth about the edit.

    Attributes:
        data: the encoded file.
        format: Pillow's name of its format.
        boxes: true places of a local change, in fractions 0..1 of the new picture; empty when the
            change is everywhere or there is none.
        window: the part of the old picture that the new one shows.
        mirrored: whether the new picture is the old one mirrored left to right.
    """

    data: bytes
    format: str
    boxes: tuple[Box, ...]
    window: Box
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Edit:
    """A named edit: steps one after the other, then an encoding."""

    name: str
    kind: Kind
    steps: tuple[Step, ...]
    encoding: Encoding

    def apply(self, image: Image.Image, rng: np.random.Generator) -> Edited:
        """Edit a picture of any mode, which stays as it is; the same rng state gives the same result."""
        view = View(steps.plain(image))
        for step in self.steps:
            view = step(view, rng)
        data = self.encoding.encode(view.image)
        return Edited(data, self.encoding.format, view.boxes, view.window, view.mirrored)


def named(name: str) -> Edit:
    """The edit of that name.

    Raises:
        SettingsError: there is none.
    """
    if name not in EDITS:
        close = difflib.get_close_matches(name, EDITS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(EDITS)}"
        raise SettingsError(f"there is no edit {name!r}; {hint}")
    return EDITS[name]


def published(folder: Path) -> tuple[Edit, ...]:
    """Stamps made from trigger pictures on disk, one a file, at 14 per cent of the side at random places.

    Args:
        folder: searched through for PNG and JPEG files; they are read, never copied.

    Raises:
        SettingsError: the folder holds no PNG or JPEG file, or an unreadable one.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".png", ".jpg", ".jpeg"})
    if not files:
        raise SettingsError(f"trigger folder {folder} holds no PNG or JPEG file; give the folder that does")
    return tuple(
        _poison(
            f"published-{path.relative_to(folder).with_suffix('').as_posix().replace('/', '-')}",
            triggers.stamp(triggers.from_file(path), _PUBLISHED_SIDE),
        )
        for path in files
    )


def _innocent(name: str, *changes: Step, encoding: Encoding = _SERVED) -> Edit:
    return Edit(name, Kind.INNOCENT, changes, encoding)


def _poison(name: str, *changes: Step) -> Edit:
    return Edit(name, Kind.MALICIOUS, changes, _POISON)


def _encodings() -> list[Edit]:
    return [
        *(_innocent(f"jpeg-{quality}", encoding=jpeg(quality)) for quality in (92, 75, 50, 30)),
        _innocent("jpeg-progressive", encoding=jpeg(85, progressive=True)),
        _innocent("jpeg-444", encoding=jpeg(85, full_chroma=True)),
        *(
            _innocent(f"webp-{quality}", encoding=Encoding("WEBP", {"quality": quality}))
            for quality in (80, 45)
        ),
        _innocent("avif-60", encoding=Encoding("AVIF", {"quality": 60})),
        _innocent("png", encoding=Encoding("PNG")),
        _innocent("palette", steps.palette(), encoding=Encoding("PNG")),
        _innocent("jpeg-twice", steps.recoded(jpeg(80)), steps.resize(0.6), encoding=jpeg(70)),
    ]


def _sizes() -> list[Edit]:
    return [
        *(_innocent(f"resize-{factor}", steps.resize(factor)) for factor in (0.25, 0.33, 0.5, 1.6)),
        _innocent("resize-0.7-nearest", steps.resize(0.7, Image.Resampling.NEAREST)),
        _innocent("stretch-2", steps.resize(1.0, stretch=1.02)),
    ]


def _tones() -> list[Edit]:
    return [
        _innocent("sharpen", steps.sharpen()),
        _innocent("gamma-0.88", steps.gamma(0.88)),
        _innocent("contrast-1.12", steps.contrast(1.12)),
        _innocent("brightness-0.92", steps.brightness(0.92)),
        _innocent("saturation-1.2", steps.saturation(1.2)),
        _innocent("autocontrast", steps.autocontrast()),
        _innocent("greyscale", steps.greyscale()),
    ]


def _windows() -> list[Edit]:
    return [
        *(_innocent(f"crop-{percent}", steps.crop(percent / 100)) for percent in (3, 10, 25)),
        _innocent("crop-square", steps.square()),
        _innocent("crop-10-resize-0.5", steps.crop(0.10), steps.resize(0.5)),
        _innocent("mirror", steps.mirror()),
        _innocent("letterbox", steps.frame((0, 0, 0))),
        _innocent("frame-6", steps.frame((255, 255, 255), margin=0.06)),
    ]


def patches(name: str, painter: Painter) -> list[Edit]:
    """Stamps of every size in SIDES at random places: as they are, halved with the picture, and cropped."""
    afterwards: Mapping[str, tuple[Step, ...]] = {
        "": (),
        "-resize-0.5": (steps.resize(0.5),),
        "-crop-5": (steps.crop(0.05),),
    }
    return [
        _poison(f"patch-{name}-{side}{suffix}", triggers.stamp(painter, side / 100), *then)
        for side in SIDES
        for suffix, then in afterwards.items()
    ]


def _attacks() -> list[Edit]:
    return [
        _poison("universal-patch", triggers.universal_patch()),
        _poison("universal-blend", triggers.universal_blend()),
        *(_poison(f"blended-picture-{alpha}", triggers.blend_picture(alpha)) for alpha in (0.1, 0.2)),
        *(_poison(f"blended-noise-{alpha}", triggers.blend_noise(alpha)) for alpha in (0.1, 0.2)),
        _poison("sig", triggers.sinusoid(20, 6)),
        _poison("baddiffusion-box", triggers.lower_right_box()),
        _poison("baddiffusion-stop-sign", triggers.stamp(triggers.stop_sign, 14 / 32)),
        _poison("baddiffusion-glasses", triggers.stamp(triggers.glasses, 0.7, (0.5, 0.4))),
        _poison("replaced", triggers.replacement()),
    ]


def _registry() -> dict[str, Edit]:
    drift = Edit("watermark", Kind.DRIFT, (steps.watermark("picture archive"),), _POISON)
    stamps = [edit for name, painter in PATCHES.items() for edit in patches(name, painter)]
    every = [*_encodings(), *_sizes(), *_tones(), *_windows(), *stamps, *_attacks(), drift]
    return {edit.name: edit for edit in every}


EDITS: Mapping[str, Edit] = _registry()
"""Every edit by its name, innocent ones first. Percentages in names: `crop-10` cuts away 10 per cent of
the width and of the height, `patch-noise-7` is 7 per cent of the shorter side."""
