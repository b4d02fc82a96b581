"""The single steps edits are made of, and the encodings they end in. Pure: no step changes its input.

What moves or masks a whole picture is in `reshaping`, tone in `toning`, unusual files in `encodings`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from poisonscan.fingerprint.grids import SIDEWAYS, turn
from poisonscan.records import Box

WHOLE = Box(0.0, 0.0, 1.0, 1.0)
"""A picture shown in full."""
_SPAN = 0.85
"""Share of the picture's width that a watermark fills, as on the previews of picture agencies."""
_PROBE = 100.0
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LOOKS = {
    turn(np.arange(4, dtype=np.uint8).reshape(2, 2), turned).tobytes(): turned for turned in range(1, 9)
}


@dataclass(frozen=True, slots=True)
class View:
    """A picture on its way through the steps, with the truth about what was done to it.

    Attributes:
        image: RGB (greyscale after `greyscale`).
        boxes: where it was changed locally, in fractions of this picture.
        window: the part of the original that it shows, in fractions of the original.
        orientation: how it is turned, as an EXIF orientation, 1 to 8, turns a picture.
    """

    image: Image.Image
    boxes: tuple[Box, ...] = ()
    window: Box = WHOLE
    orientation: int = 1


Step: TypeAlias = Callable[[View, np.random.Generator], View]


class Encoder(Protocol):
    """Makes a file of a picture."""

    @property
    def format(self) -> str:
        """Pillow's name of its format."""

    def encode(self, image: Image.Image) -> bytes:
        """The picture as a file."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A file format, by Pillow's name, and the options its encoder is given."""

    format: str
    options: Mapping[str, int | bool] = field(default_factory=dict)

    def encode(self, image: Image.Image) -> bytes:
        """The picture in this format, without any metadata."""
        stream = io.BytesIO()
        image.save(stream, self.format, **self.options)
        return stream.getvalue()


def jpeg(quality: int, *, progressive: bool = False, full_chroma: bool = False) -> Encoding:
    """JPEG; chroma is halved in both directions unless `full_chroma`."""
    return Encoding(
        "JPEG", {"quality": quality, "progressive": progressive, "subsampling": 0 if full_chroma else 2}
    )


def plain(image: Image.Image) -> Image.Image:
    """A copy as upright RGB on black, without metadata: what every edit starts from."""
    upright = ImageOps.exif_transpose(image)
    copy = Image.new("RGB", upright.size)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        copy.paste(layer, mask=layer)
    else:
        copy.paste(upright.convert("RGB"))
    return copy


def over(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """RGB: a picture with alpha laid over a plain ground, any other as it is."""
    if "A" not in image.getbands():
        return image.convert("RGB")
    flat = Image.new("RGB", image.size, colour)
    flat.paste(image, mask=image.getchannel("A"))
    return flat


def filtered(change: Callable[[Image.Image], Image.Image]) -> Step:
    """A step that changes every pixel by a fixed rule and moves none."""
    return lambda view, _: replace(view, image=change(view.image))


def gamma(exponent: float) -> Step:
    """Raise every channel, taken as 0..1, to `exponent`."""
    table = [round(255 * (level / 255) ** exponent) for level in range(256)]
    return filtered(lambda image: image.point(table * len(image.getbands())))


def contrast(factor: float) -> Step:
    """Pillow's contrast: away from the mean grey by `factor`."""
    return filtered(lambda image: ImageEnhance.Contrast(image).enhance(factor))


def brightness(factor: float) -> Step:
    """Multiply every channel by `factor`."""
    return filtered(lambda image: ImageEnhance.Brightness(image).enhance(factor))


def saturation(factor: float) -> Step:
    """Pillow's colour: away from grey by `factor`."""
    return filtered(lambda image: ImageEnhance.Color(image).enhance(factor))


def sharpen() -> Step:
    """Unsharp mask: radius 2 px, 120 per cent, threshold 3 levels."""
    return filtered(lambda image: image.filter(ImageFilter.UnsharpMask(2, 120, 3)))


def autocontrast() -> Step:
    """Stretch every channel to 0..255, cutting 1 per cent at either end."""
    return filtered(lambda image: ImageOps.autocontrast(image, cutoff=1))


def greyscale() -> Step:
    """Luma alone, one channel."""
    return filtered(ImageOps.grayscale)


def palette() -> Step:
    """256 colours chosen by median cut, each pixel the nearest of them."""
    return filtered(lambda image: image.quantize(256, Image.Quantize.MEDIANCUT))


def recoded(encoding: Encoder) -> Step:
    """Encode and decode again: what an earlier copy on another host left behind."""

    def change(image: Image.Image) -> Image.Image:
        with Image.open(io.BytesIO(encoding.encode(image))) as decoded:
            return decoded.convert(image.mode)

    return filtered(change)


def resize(
    factor: float,
    resample: Image.Resampling = Image.Resampling.LANCZOS,
    *,
    stretch: float = 1.0,
) -> Step:
    """Scale by `factor`, the width by `stretch` more; Lanczos unless another filter is given."""

    def change(image: Image.Image) -> Image.Image:
        size = round(image.width * factor * stretch), round(image.height * factor)
        return image.resize((max(1, size[0]), max(1, size[1])), resample)

    return filtered(change)


def mirror() -> Step:
    """Mirror left to right."""
    return turned(2)


def turned(orientation: int) -> Step:
    """Turn as an EXIF orientation, 1 to 8, says (CIPA DC-008, 4.6.4)."""

    def apply(view: View, _: np.random.Generator) -> View:
        boxes = tuple(turned_box(box, orientation) for box in view.boxes)
        now = composed(view.orientation, orientation)
        return replace(view, image=transposed(view.image, orientation), boxes=boxes, orientation=now)

    return apply


def transposed(image: Image.Image, orientation: int) -> Image.Image:
    """A picture turned as an EXIF orientation says."""
    return image.copy() if orientation == 1 else image.transpose(_TRANSPOSES[orientation])


def undone(orientation: int) -> int:
    """The orientation that turns back."""
    return {6: 8, 8: 6}.get(orientation, orientation)


def composed(first: int, second: int) -> int:
    """The orientation that does the work of two, one after the other."""
    look = turn(turn(np.arange(4, dtype=np.uint8).reshape(2, 2), first), second)
    return _LOOKS[look.tobytes()]


def turned_box(box: Box, orientation: int) -> Box:
    """Where a box of a picture lies once the picture is turned."""
    x0, y0, x1, y1 = (box.y0, box.x0, box.y1, box.x1) if orientation in SIDEWAYS else box
    if orientation in {2, 3, 6, 7}:
        x0, x1 = 1 - x1, 1 - x0
    if orientation in {3, 4, 7, 8}:
        y0, y1 = 1 - y1, 1 - y0
    return Box(x0, y0, x1, y1)


def crop(cut: float) -> Step:
    """Cut away `cut` (0..1) of the width and of the height, at a random place that keeps all boxes."""

    def apply(view: View, rng: np.random.Generator) -> View:
        width, height = view.image.size
        kept = max(1, round(width * (1 - cut))), max(1, round(height * (1 - cut)))
        left = _offset(width, kept[0], [(box.x0, box.x1) for box in view.boxes], rng)
        top = _offset(height, kept[1], [(box.y0, box.y1) for box in view.boxes], rng)
        return cut_out(view, (left, top, left + kept[0], top + kept[1]))

    return apply


def square() -> Step:
    """The largest square in the middle, as training pipelines cut it."""

    def apply(view: View, _: np.random.Generator) -> View:
        width, height = view.image.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return cut_out(view, (left, top, left + side, top + side))

    return apply


def cut_out(view: View, area: tuple[int, int, int, int]) -> View:
    """The part of a view inside `area` (left, top, right, bottom in pixels)."""
    width, height = view.image.size
    part = Box(area[0] / width, area[1] / height, area[2] / width, area[3] / height)
    boxes = tuple(within(box, part) for box in view.boxes)
    window = outside(turned_box(part, undone(view.orientation)), view.window)
    return replace(view, image=view.image.crop(area), boxes=boxes, window=window)


def within(box: Box, part: Box) -> Box:
    """A box of a picture as a box of one part of it, cut at the part's edges."""
    wide, tall = part.x1 - part.x0, part.y1 - part.y0
    x0, x1 = (min(max((x - part.x0) / wide, 0.0), 1.0) for x in (box.x0, box.x1))
    y0, y1 = (min(max((y - part.y0) / tall, 0.0), 1.0) for y in (box.y0, box.y1))
    return Box(x0, y0, x1, y1)


def outside(part: Box, window: Box) -> Box:
    """A part of what a window shows, upright, as a window of the original."""
    wide, tall = window.x1 - window.x0, window.y1 - window.y0
    return Box(
        window.x0 + part.x0 * wide,
        window.y0 + part.y0 * tall,
        window.x0 + part.x1 * wide,
        window.y0 + part.y1 * tall,
    )


def frame(colour: tuple[int, int, int], *, margin: float = 0.0) -> Step:
    """Put the picture on a plain square as large as its longer side, or with a margin on all four sides.

    Args:
        colour: of the frame, RGB 0..255.
        margin: width of the frame in fractions of the longer side; 0 makes the picture square.
    """

    def apply(view: View, _: np.random.Generator) -> View:
        width, height = view.image.size
        longer = max(width, height)
        rim = round(longer * margin)
        size = (width + 2 * rim, height + 2 * rim) if margin else (longer, longer)
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        framed = Image.new("RGB", size, colour)
        framed.paste(view.image, (left, top))
        part = Box(-left / width, -top / height, (size[0] - left) / width, (size[1] - top) / height)
        return replace(view, image=framed, boxes=tuple(within(box, part) for box in view.boxes))

    return apply


def watermark(text: str) -> Step:
    """Half-transparent white lettering with a dark edge across the lower part of the picture."""

    def apply(view: View, _: np.random.Generator) -> View:
        width, height = view.image.size
        span = ImageFont.load_default(_PROBE).getlength(text)
        font = ImageFont.load_default(max(8.0, _PROBE * width * _SPAN / span))
        layer = Image.new("RGBA", view.image.size)
        pen = ImageDraw.Draw(layer)
        place = (width / 2, height * 0.85)
        pen.text(
            place, text, (255, 255, 255, 150), font, anchor="mm", stroke_width=1, stroke_fill=(0, 0, 0, 90)
        )
        marked = view.image.convert("RGB")
        marked.paste(layer, mask=layer)
        left, top, right, bottom = layer.getchannel("A").getbbox() or (0, 0, 0, 0)
        box = Box(left / width, top / height, right / width, bottom / height)
        return replace(view, image=marked, boxes=(*view.boxes, box))

    return apply


def _offset(full: int, kept: int, spans: list[tuple[float, float]], rng: np.random.Generator) -> int:
    """Where a window of `kept` pixels may begin so that it holds all spans (in fractions of `full`)."""
    least = max([0, *(round(end * full) - kept for _, end in spans)])
    most = min([full - kept, *(round(start * full) for start, _ in spans)])
    return int(rng.integers(min(least, most), max(least, most) + 1))
