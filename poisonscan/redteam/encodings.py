"""Files that carry more than upright 8-bit RGB: turned by metadata, palettes, wide colours, deep grey."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import ExifTags, Image, ImageCms

from poisonscan.redteam.steps import Encoding, transposed, undone

_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{}"/>'
    "</rdf:RDF></x:xmpmeta>"
)
_TAGS_AT = 128
"""Where an ICC profile's table of tags begins (ICC.1:2022, 7.3)."""
_PARAMETRIC_AT, _VALUES_AT = 12, 8
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)

Primaries = tuple[tuple[float, float, float], ...]
_SPACES: dict[str, tuple[Primaries, tuple[float, ...]]] = {
    "p3": (((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)), _SRGB_CURVE),
    "adobe": (
        ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
        (563 / 256, 1.0, 0.0, 0.0, 0.0),
    ),
    "prophoto": (
        ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249)),
        (1.8, 1.0, 0.0, 0.0, 0.0),
    ),
}
"""Primaries as XYZ under D50 and tone curves of Display P3, Adobe RGB (1998) and ROMM RGB (ProPhoto)."""
WIDE_SPACES = tuple(_SPACES)


@dataclass(frozen=True, slots=True)
class TurnedFile:
    """A JPEG whose pixels lie as the camera was held, and metadata that says how to turn them.

    Attributes:
        orientation: 2 to 8.
        xmp: whether XMP says so instead of EXIF.
        quality: of the JPEG.
    """

    orientation: int
    xmp: bool = False
    quality: int = 92

    @property
    def format(self) -> str:
        """Pillow's name of its format."""
        return "JPEG"

    def encode(self, image: Image.Image) -> bytes:
        """The upright picture as such a file."""
        stored = transposed(image.convert("RGB"), undone(self.orientation))
        stream = io.BytesIO()
        if self.xmp:
            xmp = _XMP.format(self.orientation).encode()
            stored.save(stream, "JPEG", quality=self.quality, xmp=xmp)
        else:
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = self.orientation
            stored.save(stream, "JPEG", quality=self.quality, exif=exif)
        return stream.getvalue()


@dataclass(frozen=True, slots=True)
class PaletteFile:
    """A file of few colours, each pixel's error spread over its neighbours (Floyd and Steinberg).

    Attributes:
        format: PNG or GIF.
        colours: up to 256, chosen by median cut.
    """

    format: str
    colours: int

    def encode(self, image: Image.Image) -> bytes:
        """The picture in those colours."""
        picture = image.convert("RGB")
        chosen = picture.quantize(self.colours, Image.Quantize.MEDIANCUT)
        return Encoding(self.format).encode(
            picture.quantize(palette=chosen, dither=Image.Dither.FLOYDSTEINBERG)
        )


@dataclass(frozen=True, slots=True)
class WideFile:
    """A JPEG in the numbers of a colour space wider than sRGB, with its profile.

    Attributes:
        space: one of `WIDE_SPACES`.
        quality: of the JPEG.
    """

    space: str
    quality: int = 92

    @property
    def format(self) -> str:
        """Pillow's name of its format."""
        return "JPEG"

    def encode(self, image: Image.Image) -> bytes:
        """The sRGB picture in the numbers of that space."""
        profile = wide_profile(self.space)
        wide = ImageCms.profileToProfile(
            image.convert("RGB"),
            ImageCms.createProfile("sRGB"),
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            outputMode="RGB",
        )
        if wide is None:
            raise TypeError("a conversion that is not in place gives a picture")
        stream = io.BytesIO()
        wide.save(stream, "JPEG", quality=self.quality, icc_profile=profile)
        return stream.getvalue()


@dataclass(frozen=True, slots=True)
class DeepFile:
    """Grey of 16 bits a pixel that fills the whole range.

    Attributes:
        format: PNG or TIFF.
    """

    format: str

    def encode(self, image: Image.Image) -> bytes:
        """The picture's luma, each level times 257."""
        levels = np.asarray(image.convert("L")).astype(np.uint16) * 257
        return Encoding(self.format).encode(Image.fromarray(levels))


@cache
def wide_profile(space: str) -> bytes:
    """The ICC profile of one of `WIDE_SPACES`: that of sRGB as LittleCMS writes it, with other numbers."""
    primaries, curve = _SPACES[space]
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", profile, _TAGS_AT)
    for number in range(count):
        name, at, _ = struct.unpack_from(">4sII", profile, _TAGS_AT + 4 + 12 * number)
        values: tuple[float, ...] = ()
        if name in (b"rXYZ", b"gXYZ", b"bXYZ"):
            at, values = at + _VALUES_AT, primaries[b"rgb".index(name[:1])]
        elif name in (b"rTRC", b"gTRC", b"bTRC"):
            at, values = at + _PARAMETRIC_AT, curve
        struct.pack_into(f">{len(values)}i", profile, at, *(round(value * 65536) for value in values))
    return bytes(profile)
