"""Files rewritten chunk by chunk so that a careless reader takes them for the old one and a loader does not.

They attack a digest of the file without its metadata: each function takes a sound file and returns one in
which only parts were added, moved or cut that such a digest may leave out. What Pillow, OpenCV (libpng,
libjpeg, libwebp) or torchvision then show is another picture, the same one turned, or nothing.

Layouts: ITU-T T.81 annex B (JPEG), W3C PNG (third edition) section 5 and 11, RFC 9649 (WebP).
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

from PIL import ExifTags, Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SOS, _EOI, _APP0, _APP1, _COM, _FRAMES = 0xDA, 0xD9, 0xE0, 0xE1, 0xFE, (0xC0, 0xC1, 0xC2)
_XMP = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>'
_WEBP_EXIF_FLAG = 0x08
_CANVAS_AT = 4
_ALPHABET = {1: b"R", 2: b"G", 3: b"B"}

Chunk = tuple[bytes, bytes]


def png_chunks(body: bytes) -> Iterator[Chunk]:
    """Name and data of each chunk of a sound PNG."""
    at = len(_PNG_SIGNATURE)
    while at < len(body):
        (length,) = struct.unpack_from(">I", body, at)
        yield body[at + 4 : at + 8], body[at + 8 : at + 8 + length]
        at += 12 + length


def png_of(chunks: Sequence[Chunk]) -> bytes:
    """A PNG of chunks, each with its checksum."""
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return _PNG_SIGNATURE + b"".join(parts)


def png_stream(body: bytes) -> bytes:
    """The compressed pixels of a PNG."""
    return b"".join(data for name, data in png_chunks(body) if name == b"IDAT")


def png_shadowed(body: bytes, other: bytes) -> bytes:
    """DDAT (JNG's name) behind an empty IDAT: Pillow takes it for pixels; the true ones follow."""
    return _before_pixels(body, [(b"IDAT", b""), (b"DDAT", png_stream(other))])


def png_framed(body: bytes, other: bytes) -> bytes:
    """An animation's frame data in front of IDAT, which Pillow takes for pixels of the default picture."""
    width, height = _png_size(body)
    control = struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 10, 0, 0)
    frame = struct.pack(">I", 1) + png_stream(other)
    return _before_pixels(body, [(b"acTL", struct.pack(">II", 1, 0)), (b"fcTL", control), (b"fdAT", frame)])


def png_frame_control(body: bytes) -> bytes:
    """An animation's frame control without an animation: Pillow decodes into a quarter of the picture."""
    width, height = _png_size(body)
    control = struct.pack(">IIIIIHHBB", 0, width // 2, height // 2, 0, 0, 1, 10, 0, 0)
    return _before_pixels(body, [(b"fcTL", control)])


def png_split(body: bytes) -> bytes:
    """Text between two IDAT: Pillow ends there, libpng does not."""
    stream = png_stream(body)
    half = len(stream) // 2
    parts = [(b"IDAT", stream[:half]), (b"tEXt", b"Comment\0between"), (b"IDAT", stream[half:])]
    return _with_pixels(body, parts)


def png_text(key: bytes, value: bytes = b"x") -> Callable[[bytes], bytes]:
    """Text under a key that Pillow's own reader sets and believes: `bbox`, `interlace`, `transparency`."""
    return lambda body: _before_pixels(body, [(b"tEXt", key + b"\0" + value)])


def png_turned(body: bytes) -> bytes:
    """An orientation in compressed XMP text, which Pillow applies."""
    xmp = zlib.compress(_XMP.split(b"\0", 1)[1])
    return _before_pixels(body, [(b"zTXt", b"XML:com.adobe.xmp\0\0" + xmp)])


def png_critical(body: bytes) -> bytes:
    """A critical chunk that is in no standard: Pillow passes over it, libpng refuses the file."""
    return _before_pixels(body, [(b"ZZZZ", b"unknown")])


def jpeg_segments(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker code and bytes, marker and all, of each segment; a scan's includes its coded data."""
    at = 2
    while body[at + 1] != _EOI:
        code = body[at + 1]
        end = at + 2 + int.from_bytes(body[at + 2 : at + 4])
        while code == _SOS and (body[end] != 0xFF or body[end + 1] == 0 or 0xD0 <= body[end + 1] <= 0xD7):  # noqa: PLR2004 - stuffed bytes and restarts belong to the scan
            end = body.index(0xFF, end + 1)
        yield code, body[at:end]
        at = end


def jpeg_of(segments: Sequence[bytes], *, ended: bool = True) -> bytes:
    """A JPEG of segments as `jpeg_segments` gives them."""
    return b"\xff\xd8" + b"".join(segments) + (b"\xff\xd9" if ended else b"")


def jpeg_segment(code: int, data: bytes) -> bytes:
    """A segment with its marker and length."""
    return struct.pack(">BBH", 0xFF, code, len(data) + 2) + data


def exif_of(orientation: int) -> bytes:
    """An EXIF block that says no more than an orientation."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif.tobytes()


def jpeg_cut(body: bytes, share: float = 0.3) -> bytes:
    """A comment in the coded data, where a decoder stops and fills the rest with grey.

    It is put before a stuffed byte whose neighbours, read as a length, lead to the end of the file or beyond,
    so that whoever walks over the segments finds them sound. The end marker is dropped.

    Args:
        body: a JPEG.
        share: of the last scan, after which it is put at the next such place.

    Raises:
        ValueError: the scan has no such place.
    """
    segments = list(jpeg_segments(body))
    last = max(number for number, (code, _) in enumerate(segments) if code == _SOS)
    scan = segments[last][1]
    start = 2 + int.from_bytes(scan[2:4])
    at = scan.find(b"\xff\x00", start + round(share * (len(scan) - start)))
    while at >= 0 and at + 4 <= len(scan):
        if at + 2 + int.from_bytes(scan[at + 2 : at + 4]) >= len(scan):
            cut = scan[:at] + jpeg_segment(_COM, b"x") + scan[at:]
            return jpeg_of([*(part for _, part in segments[:last]), cut], ended=False)
        at = scan.find(b"\xff\x00", at + 1)
    raise ValueError("no stuffed byte of the scan leads past its end")


def jpeg_late_exif(body: bytes) -> bytes:
    """The EXIF block moved behind the scan, where loaders no longer read it."""
    parts = list(jpeg_segments(body))
    blocks = [part for code, part in parts if code == _APP1]
    return jpeg_of([*(part for code, part in parts if code != _APP1), *blocks])


def jpeg_marked(body: bytes, *, exif: bool) -> bytes:
    """XMP that says "turned"; with EXIF that says "upright", it is stale and loaders pass over it."""
    parts = [part for _, part in jpeg_segments(body)]
    upright = [jpeg_segment(_APP1, exif_of(1))] if exif else []
    return jpeg_of([*upright, jpeg_segment(_APP1, _XMP), *parts])


def jpeg_lettered(body: bytes) -> bytes:
    """Components numbered R, G and B, which libjpeg takes for these colours unless JFIF contradicts."""
    return jpeg_of([_lettered(code, part) for code, part in jpeg_segments(body)])


def jpeg_short_jfif(body: bytes) -> bytes:
    """The JFIF block cut so short that libjpeg no longer believes it."""
    return jpeg_of(
        [jpeg_segment(_APP0, part[4:12]) if code == _APP0 else part for code, part in jpeg_segments(body)]
    )


def jpeg_late_jfif(body: bytes) -> bytes:
    """The JFIF block moved behind the scan."""
    parts = list(jpeg_segments(body))
    blocks = [part for code, part in parts if code == _APP0]
    return jpeg_of([*(part for code, part in parts if code != _APP0), *blocks])


def jpeg_without_jfif(body: bytes) -> bytes:
    """No JFIF block."""
    return jpeg_of([part for code, part in jpeg_segments(body) if code != _APP0])


def webp_chunks(body: bytes) -> Iterator[tuple[int, Chunk]]:
    """Offset, name and data of each chunk of a WebP."""
    at = 12
    while at < len(body):
        (length,) = struct.unpack_from("<I", body, at + 4)
        yield at, (body[at : at + 4], body[at + 8 : at + 8 + length])
        at += 8 + length + length % 2


def webp_canvas(body: bytes, factor: int = 3) -> bytes:
    """The canvas of an animation so many times larger: its frames fill one corner.

    Raises:
        ValueError: the file has no canvas.
    """
    at = _extended(body)
    old = [int.from_bytes(body[at + shift : at + shift + 3], "little") + 1 for shift in (12, 15)]
    new = b"".join((size * factor - 1).to_bytes(3, "little") for size in old)
    return body[: at + 8 + _CANVAS_AT] + new + body[at + 8 + _CANVAS_AT + 6 :]


def webp_unflagged(body: bytes) -> bytes:
    """The EXIF block left in the file and its flag cleared: some loaders read it, some do not.

    Raises:
        ValueError: the file has no flags.
    """
    at = _extended(body) + 8
    return body[:at] + bytes([body[at] & ~_WEBP_EXIF_FLAG]) + body[at + 1 :]


def png_bytes(image: Image.Image, **options: object) -> bytes:
    """A picture as PNG, compressed little to save time."""
    stream = io.BytesIO()
    image.save(stream, "PNG", **{"compress_level": 1, **options})
    return stream.getvalue()


def _extended(body: bytes) -> int:
    for at, (name, _) in webp_chunks(body):
        if name == b"VP8X":
            return at
    raise ValueError("a WebP without VP8X has neither canvas nor flags")


def _lettered(code: int, part: bytes) -> bytes:
    """A frame header or scan whose component numbers 1 to 3 became letters."""
    if code not in (*_FRAMES, _SOS):
        return part
    first, step = (5, 2) if code == _SOS else (10, 3)
    lettered = bytearray(part)
    for number in range(part[first - 1]):
        place = first + number * step
        lettered[place : place + 1] = _ALPHABET[part[place]]
    return bytes(lettered)


def _png_size(body: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", body, len(_PNG_SIGNATURE) + 8)
    return width, height


def _before_pixels(body: bytes, more: Sequence[Chunk]) -> bytes:
    return _with_pixels(body, [*more, (b"IDAT", png_stream(body))])


def _with_pixels(body: bytes, pixels: Sequence[Chunk]) -> bytes:
    """A PNG with other chunks in the place of its IDATs."""
    chunks = list(png_chunks(body))
    first = next(number for number, (name, _) in enumerate(chunks) if name == b"IDAT")
    after = [chunk for chunk in chunks[first:] if chunk[0] != b"IDAT"]
    return png_of([*chunks[:first], *pixels, *after])
