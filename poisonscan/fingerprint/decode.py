"""Bytes to a `Fingerprint`. Runs where a crash costs one row: inside a sandboxed worker process."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import PIL
from PIL import ExifTags, Image, ImageOps, features
from PIL.JpegImagePlugin import JpegImageFile

from poisonscan.fingerprint.detail import Detail, Looks, detail_of
from poisonscan.fingerprint.essence import EXIF_ERRORS, bytes_essence, contested, essence
from poisonscan.fingerprint.fine import Fine, fine_of
from poisonscan.fingerprint.grids import SIDEWAYS, grids_from, means_of, pack, turn
from poisonscan.fingerprint.hashes import byte_digests, exact_phash, phashes
from poisonscan.fingerprint.renderings import renderings_of, rgb
from poisonscan.fingerprint.sniff import ALLOWED_FORMATS, describe, format_of
from poisonscan.fingerprint.variants import agree, hides_nothing, packed
from poisonscan.fingerprint.working import ask_for, reduction, working_picture
from poisonscan.records import DecodeFailure, Fingerprint, Published, Rendering, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


_MOST_COLOURS = 256  # of a palette
_COLOURED_MODES = frozenset({"P", "RGB", "RGBA"})


@cache
def decoder_version() -> str:
    """Name and version of what turns bytes into pixels here; recorded beside every fingerprint."""
    return f"Pillow {PIL.__version__} libjpeg-turbo {features.version('libjpeg_turbo')}"


@dataclass(frozen=True, slots=True)
class Shown:
    """One rendering of a picture at hand, measured.

    Attributes:
        rendering: which.
        orientation: 1 to 8, by which the picture is to be turned.
        means: of its pixels as stored, as `grids.means_of` gives them.
        pixels: (height, width, 3) uint8, at its working size and as stored.
        extent: how many rows and columns of them the picture fills.
    """

    rendering: Rendering
    orientation: int
    means: NDArray[np.float32] = field(repr=False)
    pixels: NDArray[np.uint8] = field(repr=False)
    extent: tuple[float, float]

    def detail(self, reduction: int = 1) -> Detail:
        """The picture finer than it is remembered, upright, with squares of so many pixels averaged first."""
        pixels, (down, across) = self.pixels, self.extent
        if reduction > 1:
            pixels = np.asarray(Image.fromarray(pixels).reduce(reduction))
        stored = detail_of(pixels, (down / reduction, across / reduction))
        return Detail(*(turn(plane, self.orientation) for plane in stored))


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture, measured: all that its fingerprint is made of, and its working pixels.

    Attributes:
        digests: of the bytes, hex, by name.
        essence: as in `Fingerprint`.
        exact_phash: where a published one asked for it.
        format: Pillow's name of it.
        width, height: as stored, pixels.
        shown: its renderings, the main one first; one for nearly all files.
        body: the bytes.
        colours, quantum: as in `Fingerprint`.
    """

    digests: Mapping[str, str]
    essence: str
    exact_phash: str | None
    format: str
    width: int
    height: int
    shown: tuple[Shown, ...]
    body: bytes = field(repr=False)
    colours: int | None = None
    quantum: int | None = None

    @property
    def main(self) -> Shown:
        """The main rendering."""
        return self.shown[0]

    @property
    def fingerprint(self) -> Fingerprint:
        """What is remembered of it; `fingerprints` takes less time where there are several."""
        return fingerprints([self])[0]

    def detail(self, reduction: int = 1) -> Detail:
        """The detail of the main rendering."""
        return self.main.detail(reduction)

    @property
    def looks(self) -> Looks:
        """Gives the detail of each rendering."""
        return {one.rendering: one.detail for one in self.shown}

    def fine(self) -> tuple[Fine, ...]:
        """What every pixel of each rendering shows; decodes the picture again, a JPEG short of RGB."""
        with _uncoloured(self.body) as image:
            orientation, factor = self.main.orientation, reduction(self.width, self.height)
            plain = image.mode in {"L", "YCbCr"}
            pictures = [image] if plain else [picture for _, picture in renderings_of(image)]
            return tuple(_finely(picture, orientation, factor) for picture in pictures)


def _uncoloured(body: bytes) -> Image.Image:
    """A picture at its full size; a JPEG in luma and colour differences, as most are coded.

    The decoder refuses that of the few which are coded in red, green and blue.
    """
    image = Image.open(io.BytesIO(body), formats=ALLOWED_FORMATS)
    image.draft("YCbCr", image.size)
    try:
        image.load()
    except OSError:
        image = Image.open(io.BytesIO(body), formats=ALLOWED_FORMATS)
        image.load()
    return image


def _finely(picture: Image.Image, orientation: int, factor: int) -> Fine:
    if picture.mode != "L":
        picture = picture.convert("YCbCr")
    luma, *colours = (turned(band, orientation) for band in picture.split())
    return fine_of(luma, factor, colours)


def fingerprint(body: bytes, published: Published, max_pixels: int) -> Fingerprint | DecodeFailure:
    """What is remembered of a picture; arguments and errors as for `decoded`."""
    picture = decoded(body, published, max_pixels)
    return picture.fingerprint if isinstance(picture, Decoded) else picture


def fingerprints(pictures: Sequence[Decoded]) -> list[Fingerprint]:
    """What is remembered of pictures: numpy takes 16 small grids for hardly more than one."""
    if not pictures:
        return []
    grids = grids_from(np.stack([shown.means for picture in pictures for shown in picture.shown]))
    planes = zip(*pack(grids), strict=True)
    hashes = iter(phashes(grids.luma).tolist())
    described = []
    for picture in pictures:
        its = [(next(hashes), _upright(next(planes), picture.main.orientation)) for _ in picture.shown]
        (phash, main), others = its[0], [grids for _, grids in its[1:]]
        described.append(_remembered(picture, f"{phash:016x}", main, others))
    return described


def _upright(planes: Iterable[NDArray[np.uint8]], orientation: int) -> tuple[bytes, ...]:
    """Luma, chroma and texture as they are stored."""
    return tuple(turn(plane, orientation).tobytes() for plane in planes)


def _remembered(
    picture: Decoded, phash: str, grids: Sequence[bytes], others: Sequence[Sequence[bytes]]
) -> Fingerprint:
    luma, chroma, texture = grids
    sideways = picture.main.orientation in SIDEWAYS
    return Fingerprint(
        sha256=picture.digests["sha256"],
        sha512=picture.digests.get("sha512"),
        md5=picture.digests.get("md5"),
        essence=picture.essence,
        phash=picture.exact_phash or phash,
        width=picture.height if sideways else picture.width,
        height=picture.width if sideways else picture.height,
        format=picture.format,
        luma=luma,
        chroma=chroma,
        texture=texture,
        decoder=decoder_version(),
        renderings=_differing(picture, b"".join(grids), others) if others else b"",
        colours=picture.colours,
        quantum=picture.quantum,
    )


def _differing(picture: Decoded, main: bytes, others: Sequence[Sequence[bytes]]) -> bytes:
    """The renderings that show something else than the main one, packed."""
    grids = {shown.rendering: b"".join(its) for shown, its in zip(picture.shown[1:], others, strict=True)}
    if Rendering.OVER_BLACK in grids:
        filled = Rendering.ON_ONE_COLOUR in grids
        dropped = grids.pop(Rendering.ON_ONE_COLOUR if filled else Rendering.ALPHA_DROPPED)
        plain = hides_nothing(main, grids[Rendering.OVER_BLACK], dropped, filled=filled)
        grids[Rendering.ON_ONE_COLOUR if plain else Rendering.ALPHA_DROPPED] = dropped
    return packed(main, {rendering: its for rendering, its in grids.items() if not agree(main, its)})


def decoded(body: bytes, published: Published, max_pixels: int) -> Decoded | DecodeFailure:
    """Decode a picture and measure each of its renderings.

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
    doubt = contested(body, image_format)
    if doubt:
        return DecodeFailure(Verdict.UNDECODABLE, f"loaders disagree on what it shows: {doubt}")
    with Image.open(io.BytesIO(body), formats=ALLOWED_FORMATS) as image:
        if image.width * image.height > max_pixels:
            size = f"{image.width} x {image.height} pixels"
            return DecodeFailure(Verdict.UNDECODABLE, f"{size} exceed the limit of {max_pixels:,}")
        width, height = image.size
        if not published.phash:  # nothing is computed that needs every pixel
            ask_for(image, reduction(width, height))
        image.load()
        digests = byte_digests(body, published)
        phash = exact_phash(image) if published.phash else None
        return Decoded(
            digests=digests,
            essence=essence(body, image_format) or bytes_essence(digests["sha256"]),
            exact_phash=phash,
            format=image_format,
            width=width,
            height=height,
            colours=few_colours(image),  # before an animation is moved on
            quantum=_quantum(image),
            shown=_shown(image, width, height),
            body=body,
        )


def _shown(image: Image.Image, width: int, height: int) -> tuple[Shown, ...]:
    """The renderings of a decoded picture, measured; it is at another frame afterwards."""
    orientation = orientation_of(image)
    return tuple(
        _measured(rendering, orientation, *working_picture(picture, width, height))
        for rendering, picture in renderings_of(image)
    )


def _measured(
    rendering: Rendering, orientation: int, working: Image.Image, extent: tuple[float, float]
) -> Shown:
    # Takes two thirds of the time of np.asarray.
    pixels = np.frombuffer(working.tobytes(), np.uint8).reshape(working.height, working.width, 3)
    return Shown(rendering, orientation, means_of(pixels, extent), pixels, extent)


def _quantum(image: Image.Image) -> int | None:
    """As `Fingerprint.quantum`."""
    if not isinstance(image, JpegImageFile):
        return None
    _, _, _, table = image.layer[0]
    coefficients = image.quantization.get(table)
    return int(coefficients[0]) if coefficients else None


def few_colours(image: Image.Image) -> int | None:
    """How many colours a picture uses, if these are at most 256 and not shades of grey alone; else None.

    Counted, whatever the container: a photo reduced to a palette has no more of them once it is stored as
    RGB. Of other pictures the count ends with the 257th colour, after a few rows. Grey has 256 levels at the
    most, which is all that it needs.
    """
    if image.mode not in _COLOURED_MODES:
        return None
    used = image.getcolors(_MOST_COLOURS)
    if used is None:
        return None
    palette = image.getpalette("RGB") if image.mode == "P" else None
    shown = [_shown_by(colour, palette) for _, colour in used]
    return None if all(len(set(colour)) <= 1 for colour in shown) else len(shown)


def _shown_by(colour: float | tuple[int, ...], palette: list[int] | None) -> tuple[int, ...]:
    """Red, green and blue of one of `getcolors`: of a pixel, or of an entry of a palette."""
    if isinstance(colour, tuple):
        return colour[:3]
    index = int(colour)
    return (index,) if palette is None else tuple(palette[3 * index : 3 * index + 3])


def rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The main rendering: (height, width, 3) uint8, transparency over white."""
    return np.asarray(rgb(image))


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, and 1 where a block cannot be parsed: that must not cost the picture."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except EXIF_ERRORS:
        return 1
    return int(value) if value in range(1, 9) else 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The picture turned as an EXIF orientation, 1 to 8, says; the very same object for 1."""
    if orientation == 1:
        return image
    return Image.fromarray(np.ascontiguousarray(turn(np.asarray(image), orientation)))


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
