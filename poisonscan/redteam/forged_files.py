"""Forgeries that are in the file: alpha, depth, containers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from poisonscan.redteam import containers, disguises
from poisonscan.redteam.encodings import DeepFile
from poisonscan.redteam.forgery import KEPT, PNG, Pair, stepped
from poisonscan.redteam.reshaping import WHITE, object_mask
from poisonscan.redteam.steps import Encoding, filtered, over

if TYPE_CHECKING:
    from collections.abc import Callable

    from poisonscan.redteam.forgery import Make, Photo
    from poisonscan.redteam.steps import Encoder, Step

_FILES: dict[str, Encoder] = {
    "png": PNG,
    "webp": Encoding("WEBP", {"lossless": True, "exact": True}),
    "avif": Encoding("AVIF", {"quality": 95}),
    "tiff": Encoding("TIFF"),
}
_WIDE = 65793
"""Levels times this fill 24 of 32 bits."""


def alphas() -> dict[str, Make]:
    """The old picture over white, another where the alpha is dropped."""
    return {
        **{f"alpha-{name}": stepped(_veil, encoding=file) for name, file in _FILES.items()},
        "alpha-grey": _veiled_grey,
        "alpha-stamp": stepped(_stamp_under, encoding=PNG),
        **{f"ground-{name}": _grounded(file) for name, file in _FILES.items()},
        "ground-palette": _grounded_palette,
        "ground-key-png": _keyed_png,
        "ground-key-gif": _keyed_gif,
    }


def depths() -> dict[str, Make]:
    """Grey of 16 and 32 bits, which some loaders shift and others clip; another photo in such a file."""
    return {
        "deep-png": _same_deep(DeepFile("PNG").encode),
        "deep-tiff": _same_deep(DeepFile("TIFF").encode),
        "deep-int32": _same_deep(lambda image: _tiff(np.asarray(image.convert("L")).astype(np.int32) << 8)),
        "float-other": _other_deep(lambda levels: (levels / 255).astype(np.float32)),
        "int32-other": _other_deep(lambda levels: levels.astype(np.int32) * _WIDE),
        "int16-other": _other_deep(lambda levels: levels.astype(np.uint16) * 257),
    }


def rewritten() -> dict[str, Make]:
    """Files of which a digest without metadata may be the old one; loaders show another picture, or none."""
    return {
        "png-shadowed": _png_with_other(containers.png_shadowed),
        "png-framed": _png_with_other(containers.png_framed),
        "png-frame-control": _png(containers.png_frame_control),
        "png-split": _png(containers.png_split),
        "png-text-bbox": _png(containers.png_text(b"bbox", b"abcd")),
        "png-text-interlace": _png(containers.png_text(b"interlace")),
        "png-apng-default": _animated_default,
        "jpeg-cut": _jpeg_cut,
        "jpeg-short-jfif": _lettered(containers.jpeg_short_jfif),
        "jpeg-late-jfif": _lettered(containers.jpeg_late_jfif),
        "jpeg-letters": lambda photo, _: _jpeg_letters(photo),
        "webp-canvas": _webp_canvas,
    }


def turned_files() -> dict[str, Make]:
    """Files that some loaders turn or refuse, and which must be decoded to say so."""
    return {
        "png-text-transparency": _png(containers.png_text(b"transparency")),
        "png-turned": _png(containers.png_turned),
        "png-critical": _png(containers.png_critical),
        "jpeg-late-exif": _jpeg_late_exif,
        "jpeg-stale-xmp": _jpeg_stale_xmp,
        "webp-exif-flag": _webp_unflagged,
    }


def _veil(photo: Photo) -> Step:
    return filtered(lambda image: disguises.veiled(image, photo.other))


def _stamp_under(_: Photo) -> Step:
    return filtered(disguises.stamped_under)


def _veiled_grey(photo: Photo, _: np.random.Generator) -> Pair:
    grey = photo.image.convert("L")
    return Pair(KEPT.encode(grey), PNG.encode(disguises.veiled(grey, photo.other).convert("LA")))


def _grounded(file: Encoder) -> Make:
    def make(photo: Photo, rng: np.random.Generator) -> Pair:
        mask = object_mask(photo.image.size, rng)
        new = disguises.grounded(mask, photo.image, photo.other)
        return Pair(KEPT.encode(over(new, WHITE)), file.encode(new))

    return make


def _grounded_palette(photo: Photo, rng: np.random.Generator) -> Pair:
    mask = object_mask(photo.image.size, rng)
    old = over(disguises.grounded(mask, photo.image, photo.other), WHITE)
    new, alphas_of_palette = disguises.grounded_palette(mask, photo.image, photo.other)
    return Pair(KEPT.encode(old), containers.png_bytes(new, transparency=alphas_of_palette))


def _keyed_png(photo: Photo, rng: np.random.Generator) -> Pair:
    mask = object_mask(photo.image.size, rng)
    old = over(disguises.grounded(mask, photo.image, photo.other), WHITE)
    new, key = disguises.keyed(mask, photo.image)
    return Pair(KEPT.encode(old), containers.png_bytes(new, transparency=key))


def _keyed_gif(photo: Photo, rng: np.random.Generator) -> Pair:
    mask = object_mask(photo.image.size, rng)
    old = over(disguises.grounded(mask, photo.image, photo.other), WHITE)
    new, key = disguises.keyed(mask, photo.image)
    reduced = new.quantize(256)
    shown = np.asarray(reduced.convert("RGB"), dtype=np.int64)
    place = int(np.asarray(reduced).flat[int(np.abs(shown - key).sum(axis=2).argmin())])
    stream = io.BytesIO()
    reduced.save(stream, "GIF", transparency=place)
    return Pair(KEPT.encode(old), stream.getvalue())


def _same_deep(encode: Callable[[Image.Image], bytes]) -> Make:
    return lambda photo, _: Pair(KEPT.encode(photo.image.convert("L")), encode(photo.image))


def _other_deep(levels: Callable[[np.ndarray], np.ndarray]) -> Make:
    def make(photo: Photo, _: np.random.Generator) -> Pair:
        other = ImageOps.fit(photo.other.convert("L"), photo.image.size)
        return Pair(photo.body, _tiff(levels(np.asarray(other).astype(np.float64))))

    return make


def _tiff(levels: np.ndarray) -> bytes:
    return Encoding("TIFF").encode(Image.fromarray(levels))


def _png(rewrite: Callable[[bytes], bytes]) -> Make:
    def make(photo: Photo, _: np.random.Generator) -> Pair:
        old = PNG.encode(photo.image)
        return Pair(old, rewrite(old))

    return make


def _png_with_other(rewrite: Callable[[bytes, bytes], bytes]) -> Make:
    def make(photo: Photo, _: np.random.Generator) -> Pair:
        old = PNG.encode(photo.image)
        return Pair(old, rewrite(old, PNG.encode(ImageOps.fit(photo.other, photo.image.size))))

    return make


def _animated_default(photo: Photo, _: np.random.Generator) -> Pair:
    """The old picture for loaders that know no animation, another one for those that do."""
    other = ImageOps.fit(photo.other, photo.image.size)
    new = containers.png_bytes(photo.image, save_all=True, append_images=[other], default_image=True)
    return Pair(PNG.encode(photo.image), new)


def _jpeg_cut(photo: Photo, _: np.random.Generator) -> Pair:
    old = KEPT.encode(photo.image)
    return Pair(old, containers.jpeg_cut(old))


def _lettered(rewrite: Callable[[bytes], bytes]) -> Make:
    def make(photo: Photo, _: np.random.Generator) -> Pair:
        old = containers.jpeg_lettered(KEPT.encode(photo.image))
        return Pair(old, rewrite(old))

    return make


def _jpeg_letters(photo: Photo) -> Pair:
    old = containers.jpeg_without_jfif(KEPT.encode(photo.image))
    return Pair(old, containers.jpeg_lettered(old))


def _jpeg_late_exif(photo: Photo, _: np.random.Generator) -> Pair:
    stream = io.BytesIO()
    photo.image.save(stream, "JPEG", quality=92, exif=containers.exif_of(6))
    return Pair(stream.getvalue(), containers.jpeg_late_exif(stream.getvalue()))


def _jpeg_stale_xmp(photo: Photo, _: np.random.Generator) -> Pair:
    plain = KEPT.encode(photo.image)
    return Pair(containers.jpeg_marked(plain, exif=True), containers.jpeg_marked(plain, exif=False))


def _webp_canvas(photo: Photo, _: np.random.Generator) -> Pair:
    small = photo.image.copy()
    small.thumbnail((480, 480))
    stream = io.BytesIO()
    small.save(
        stream, "WEBP", save_all=True, append_images=[ImageOps.invert(small)], duration=1000, quality=90
    )
    return Pair(stream.getvalue(), containers.webp_canvas(stream.getvalue()))


def _webp_unflagged(photo: Photo, _: np.random.Generator) -> Pair:
    stream = io.BytesIO()
    photo.image.save(stream, "WEBP", quality=90, exif=containers.exif_of(6))
    return Pair(stream.getvalue(), containers.webp_unflagged(stream.getvalue()))
