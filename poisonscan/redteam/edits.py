"""The registry of picture edits: what innocent hosts and attackers do to a picture, by name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from PIL import Image

from poisonscan.errors import SettingsError
from poisonscan.records import Group, Verdict
from poisonscan.redteam import reshaping, steps, subtle, toning, triggers
from poisonscan.redteam.encodings import WIDE_SPACES, DeepFile, PaletteFile, TurnedFile, WideFile
from poisonscan.redteam.reshaping import BLACK, WHITE
from poisonscan.redteam.steps import Encoding, View, jpeg

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from poisonscan.records import Box
    from poisonscan.redteam.steps import Encoder, Step
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


CLEAN = frozenset(verdict for verdict in Verdict if verdict.group is Group.CLEAN)
SUSPICIOUS = frozenset(verdict for verdict in Verdict if verdict.group is Group.SUSPICIOUS)
TONED = CLEAN | {Verdict.TONED}
"""What may be said of strong toning."""


class Kind(StrEnum):
    """What an edit is, for counting: poison, or nothing of the kind."""

    INNOCENT = "innocent"
    MALICIOUS = "malicious"
    DRIFT = "drift"
    """Neither: a change that an honest host makes and a curator still wants to hear of."""


class Series(StrEnum):
    """When an edit came to the registry: rates over the first series are compared with earlier ones."""

    OLD = "old"
    NEW = "new"


_RIGHT = {Kind.INNOCENT: CLEAN, Kind.MALICIOUS: SUSPICIOUS, Kind.DRIFT: CLEAN | SUSPICIOUS}


@dataclass(frozen=True, slots=True)
class Edited:
    """An edited picture with the truth about the edit.

    Attributes:
        data: the encoded file.
        format: Pillow's name of its format.
        boxes: true places of a local change, in fractions 0..1 of the new picture; empty when the
            change is everywhere or there is none.
        window: the part of the old picture that the new one shows.
        orientation: how it is turned, as an EXIF orientation, 1 to 8, turns a picture; 2 is mirrored.
    """

    data: bytes
    format: str
    boxes: tuple[Box, ...]
    window: Box
    orientation: int


@dataclass(frozen=True, slots=True)
class Edit:
    """A named edit: steps one after the other, then an encoding.

    Attributes:
        name: of the edit.
        kind: what it is.
        steps: what is done to the picture.
        encoding: how the new picture is served.
        scene: steps that make the old picture what the edit is about; the new one is made of the same.
        before: how the old picture was served; None: as it was found, or as PNG if there is a scene.
        series: when the edit came here.
        right: the verdicts that are right; empty: those that the kind implies.
    """

    name: str
    kind: Kind
    steps: tuple[Step, ...]
    encoding: Encoder
    scene: tuple[Step, ...] = ()
    before: Encoder | None = None
    series: Series = Series.OLD
    right: frozenset[Verdict] = frozenset()

    def original(self, image: Image.Image, rng: np.random.Generator) -> bytes | None:
        """The file of the old picture, where the edit is about one of its own; None: the one at hand.

        Args:
            image: what `apply` is given.
            rng: in the state that `apply` is given it in.
        """
        if not self.scene and self.before is None:
            return None
        view = View(steps.plain(image))
        for step in self.scene:
            view = step(view, rng)
        return (self.before or Encoding("PNG")).encode(view.image)

    def apply(self, image: Image.Image, rng: np.random.Generator) -> Edited:
        """Edit a picture of any mode, which stays as it is; the same rng state gives the same result."""
        view = View(steps.plain(image))
        for step in (*self.scene, *self.steps):
            view = step(view, rng)
        data = self.encoding.encode(view.image)
        return Edited(data, self.encoding.format, view.boxes, view.window, view.orientation)

    def is_right(self, verdict: Verdict) -> bool:
        """Whether a verdict does the edit justice."""
        return verdict in (self.right or _RIGHT[self.kind])


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


def _innocent(name: str, *changes: Step, encoding: Encoder = _SERVED) -> Edit:
    return Edit(name, Kind.INNOCENT, changes, encoding)


def _lately(
    name: str,
    *changes: Step,
    encoding: Encoder = _SERVED,
    before: Encoder | None = None,
    scene: tuple[Step, ...] = (),
) -> Edit:
    return Edit(name, Kind.INNOCENT, changes, encoding, scene, before, Series.NEW)


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


def _turns() -> list[Edit]:
    """What networks do that drop or apply the orientation a camera wrote; `mirror` is the eighth."""
    names = {6: "90", 3: "180", 8: "270", 4: "flip", 5: "transpose", 7: "transverse"}
    return [
        *(_lately(f"turn-{name}", steps.turned(number)) for number, name in names.items()),
        *(
            _lately(f"exif-dropped-{number}", steps.turned(steps.undone(number)), before=TurnedFile(number))
            for number in (3, 6, 8)
        ),
        _lately("exif-dropped-6-resize-0.6", steps.turned(8), steps.resize(0.6), before=TurnedFile(6)),
        _lately("exif-applied-6", before=TurnedFile(6)),
        _lately("xmp-dropped-6", steps.turned(8), before=TurnedFile(6, xmp=True)),
    ]


def _shapes() -> list[Edit]:
    return [
        _lately("crop-tall-resize-0.7", reshaping.shaped(1 / 2), steps.resize(0.7)),
        _lately("crop-60", steps.crop(0.6)),
        _lately("crop-wide-resize-0.6", reshaping.shaped(16 / 9), steps.resize(0.6)),
        *(_lately(f"straighten-{angle}", reshaping.straightened(angle)) for angle in (1.5, 4)),
        _lately("rounded-white", reshaping.rounded(WHITE)),
        _lately("rounded-black", reshaping.rounded(BLACK)),
        _lately("circle-white", steps.square(), reshaping.circled(WHITE)),
        _lately("fill-wide", reshaping.blurred_fill(16 / 9)),
        _lately("frame-3-black", steps.frame(BLACK, margin=0.03)),
        _lately("frame-8-grey", steps.frame((128, 128, 128), margin=0.08)),
        _lately("frame-12-white", steps.frame(WHITE, margin=0.12)),
        _lately("stripes-2", encoding=jpeg(88), scene=(reshaping.stripes(2),)),
    ]


def _mild_tones() -> list[Edit]:
    return [
        _lately("gamma-1.15", steps.gamma(1.15)),
        _lately("warmer", toning.gains(1.05, 1.0, 0.94)),
        _lately("contrast-0.88", steps.contrast(0.88)),
        _lately("fade", toning.gains(0.9, 0.9, 0.9, (16, 16, 16))),
        _lately("saturation-0.7", steps.saturation(0.7)),
        _lately("vignette", toning.vignette(0.5)),
        _lately("jpeg-10", encoding=jpeg(10)),
        _lately("median-5", toning.median(5)),
    ]


def _files() -> list[Edit]:
    """Files whose pixels need an interpretation, and what is made of them."""
    png, webp = Encoding("PNG"), Encoding("WEBP", {"quality": 80})
    on_white, on_black = (reshaping.cut_out_object(WHITE),), (reshaping.cut_out_object(BLACK),)
    return [
        _lately("gif-64", encoding=PaletteFile("GIF", 64)),
        _lately("palette-to-true", before=PaletteFile("PNG", 256)),
        _lately("gif-to-true", before=PaletteFile("GIF", 256)),
        *(_lately(f"{space}-to-srgb", before=WideFile(space)) for space in WIDE_SPACES),
        _lately("alpha-flattened", reshaping.flattened(WHITE), scene=on_white),
        _lately("alpha-resaved", encoding=webp, scene=on_black),
        _lately("alpha-resize-0.5", steps.resize(0.5), encoding=png, scene=on_black),
        _lately("alpha-added", encoding=png, scene=on_white, before=_Flat(jpeg(92))),
        _lately("deep-to-jpeg", steps.greyscale(), before=DeepFile("PNG")),
        _lately("deep-tiff-to-jpeg", steps.greyscale(), before=DeepFile("TIFF")),
        _lately("deep-resize-0.5", steps.resize(0.5), encoding=DeepFile("PNG"), before=DeepFile("PNG")),
    ]


@dataclass(frozen=True, slots=True)
class _Flat:
    """Another encoding, of the picture laid over white."""

    encoding: Encoder

    @property
    def format(self) -> str:
        return self.encoding.format

    def encode(self, image: Image.Image) -> bytes:
        return self.encoding.encode(steps.over(image, WHITE))


def _drifts() -> list[Edit]:
    strong: Mapping[str, Step] = {
        "sepia": toning.sepia(),
        "equalised": toning.equalised(),
        "posterised-4": toning.posterised(4),
    }
    # Resizing averages colours by their alpha and leaves black where a loader that drops alpha saw the photo.
    hidden = (reshaping.cut_out_object(None),)
    return [
        Edit("watermark", Kind.DRIFT, (steps.watermark("picture archive"),), _POISON),
        *(
            Edit(name, Kind.DRIFT, (change,), _SERVED, series=Series.NEW, right=TONED)
            for name, change in strong.items()
        ),
        Edit(
            "alpha-ground-lost", Kind.DRIFT, (steps.resize(0.5),), Encoding("PNG"), hidden, series=Series.NEW
        ),
    ]


def _subtle() -> list[Edit]:
    """Poison of few traces; the goals for these are their own."""
    made: Mapping[str, tuple[Step, ...]] = {
        "warp": (subtle.warp(),),
        "erased-18": (subtle.erase(0.18),),
        "patch-noise-7-crop-10": (triggers.stamp(triggers.noise, 0.07), steps.crop(0.10)),
    }
    return [
        *(Edit(name, Kind.MALICIOUS, changes, _POISON, series=Series.NEW) for name, changes in made.items()),
        Edit("smooth-noise-8", Kind.MALICIOUS, (subtle.smooth_noise(8),), jpeg(92), series=Series.NEW),
    ]


def _registry() -> dict[str, Edit]:
    innocent = [
        *_encodings(),
        *_sizes(),
        *_tones(),
        *_windows(),
        *_turns(),
        *_shapes(),
        *_mild_tones(),
        *_files(),
    ]
    stamps = [edit for name, painter in PATCHES.items() for edit in patches(name, painter)]
    return {edit.name: edit for edit in (*innocent, *stamps, *_attacks(), *_subtle(), *_drifts())}


EDITS: Mapping[str, Edit] = _registry()
"""Every edit by its name, innocent ones first. Percentages in names: `crop-10` cuts away 10 per cent of
the width and of the height, `patch-noise-7` is 7 per cent of the shorter side."""
