"""Bytes to a `Fingerprint`. Runs where a crash costs one row: inside a sandboxed worker process."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import PIL
from PIL import ExifTags, Image, ImageOps, features

from poisonscan.fingerprint.detail import Detail, detail_of
from poisonscan.fingerprint.essence import EXIF_ERRORS, essence, pixels_essence
from poisonscan.fingerprint.grids import SIDEWAYS, grids_from, means_of, pack, turn
from poisonscan.fingerprint.hashes import byte_digests, exact_phash, phashes
from poisonscan.fingerprint.sniff import ALLOWED_FORMATS, describe, format_of
from poisonscan.fingerprint.working import ask_for, reduction, working_picture
from poisonscan.records import DecodeFailure, Fingerprint, Published, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_TRANSPARENT_MODES = {"RGBA", "LA", "PA", "RGBa", "La"}
_DEEP_MODES = {"I", "I;16", "I;16B", "I;16L", "I;16N"}


@cache
def decoder_version() -> str:
    """Name and version of what turns bytes into pixels here; recorded beside every fingerprint."""
    return f"Pillow {PIL.__version__} libjpeg-turbo {features.version('libjpeg_turbo')}"


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture, measured: all that its fingerprint is made of, and its working pixels.

    Attributes:
        digests: of the bytes, hex, by name.
        essence: as in `Fingerprint`.
        exact_phash: where a published one asked for it.
        format: Pillow's name of it.
        width, height: as stored, pixels.
        orientation: 1 to 8, by which it is to be turned.
        means: of its pixels as stored, as `grids.means_of` gives them.
        pixels: (height, width, 3) uint8, at its working size and as stored.
        extent: how many rows and columns of them the picture fills.
    """

    digests: Mapping[str, str]
    essence: str
    exact_phash: str | None
    format: str
    width: int
    height: int
    orientation: int
    means: NDArray[np.float32] = field(repr=False)
    pixels: NDArray[np.uint8] = field(repr=False)
    extent: tuple[float, float]

    @property
    def fingerprint(self) -> Fingerprint:
        """What is remembered of it; `fingerprints` takes less time where there are several."""
        return fingerprints([self])[0]

    def detail(self, reduction: int = 1) -> Detail:
        """The picture finer than it is remembered, upright, with squares of so many pixels averaged first."""
        pixels, (down, across) = self.pixels, self.extent
        if reduction > 1:
            pixels = np.asarray(Image.fromarray(pixels).reduce(reduction))
        stored = detail_of(pixels, (down / reduction, across / reduction))
        return Detail(*(turn(plane, self.orientation) for plane in stored))


def fingerprint(body: bytes, published: Published, max_pixels: int) -> Fingerprint | DecodeFailure:
    """What is remembered of a picture; arguments and errors as for `decoded`."""
    picture = decoded(body, published, max_pixels)
    return picture.fingerprint if isinstance(picture, Decoded) else picture


def fingerprints(pictures: Sequence[Decoded]) -> list[Fingerprint]:
    """What is remembered of pictures: numpy takes 16 small grids for hardly more than one."""
    if not pictures:
        return []
    grids = grids_from(np.stack([picture.means for picture in pictures]))
    planes = zip(*pack(grids), strict=True)
    hashes = phashes(grids.luma).tolist()
    return [
        _remembered(picture, f"{phash:016x}", [turn(plane, picture.orientation).tobytes() for plane in its])
        for picture, phash, its in zip(pictures, hashes, planes, strict=True)
    ]


def _remembered(picture: Decoded, phash: str, grids: Sequence[bytes]) -> Fingerprint:
    luma, chroma, texture = grids
    sideways = picture.orientation in SIDEWAYS
    return Fingerprint(
        **picture.digests,
        essence=picture.essence,
        phash=picture.exact_phash or phash,
        width=picture.height if sideways else picture.width,
        height=picture.width if sideways else picture.height,
        format=picture.format,
        luma=luma,
        chroma=chroma,
        texture=texture,
        decoder=decoder_version(),
    )


def decoded(body: bytes, published: Published, max_pixels: int) -> Decoded | DecodeFailure:
    """Decode a picture and measure it.

    Args:
        body: the bytes served.
        published: the publisher's hashes; asks for sha512, md5 and an exact pHash where it has them.
        max_pixels: width x height above which the picture is not decoded.

    Raises:
        Exception: whatever the decoder raises on broken bytes; `examine_safely` in the stages turns it
            into a `DecodeFailure`.
    """
    image_format = format_of(body)
    if image_format is None:
        return DecodeFailure(Verdict.NOT_IMAGE, describe(body))
    with Image.open(io.BytesIO(body), formats=ALLOWED_FORMATS) as image:
        if image.width * image.height > max_pixels:
            size = f"{image.width} x {image.height} pixels"
            return DecodeFailure(Verdict.UNDECODABLE, f"{size} exceed the limit of {max_pixels:,}")
        width, height = image.size
        coded = essence(body, image_format)
        if coded and not published.phash:  # nothing is computed that needs every pixel
            ask_for(image, reduction(width, height))
        image.load()
        working, extent = working_picture(rgb(image), width, height)
        # Takes two thirds of the time of np.asarray.
        pixels = np.frombuffer(working.tobytes(), np.uint8).reshape(working.height, working.width, 3)
        return Decoded(
            digests=byte_digests(body, published),
            essence=coded or pixels_essence(turned_upright(image)),
            exact_phash=exact_phash(image) if published.phash else None,
            format=image_format,
            width=width,
            height=height,
            orientation=orientation_of(image),
            means=means_of(pixels, extent),
            pixels=pixels,
            extent=extent,
        )


def rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels as a training loader sees them: (height, width, 3) uint8, transparency over white."""
    return np.asarray(rgb(image))


def rgb(image: Image.Image) -> Image.Image:
    """The picture as a training loader sees it: mode RGB, transparency over white."""
    if image.mode in _DEEP_MODES:
        image = _eight_bit(image)
    elif image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image if image.mode == "RGB" else image.convert("RGB")


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, and 1 where a block cannot be parsed: that must not cost the picture."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except EXIF_ERRORS:
        return 1
    return int(value) if value in range(1, 9) else 1


def turned_upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF block says; the very same object where there is nothing to turn.

    A block that Pillow cannot parse turns nothing.
    """
    if orientation_of(image) == 1:
        return image
    try:
        return ImageOps.exif_transpose(image)
    except EXIF_ERRORS:
        return image


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit greyscale scaled to 8 bits; Pillow's own conversion clips some of these modes to white."""
    values = np.asarray(image).astype(np.int64)
    deep = values.max(initial=0) > 255  # noqa: PLR2004 - a 32-bit container may still hold 8-bit values
    return Image.fromarray(np.clip(values >> 8 if deep else values, 0, 255).astype(np.uint8))
