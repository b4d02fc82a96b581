"""A digest of the coded picture without its metadata, computed without decoding.

Two files with equal essences decode to equal pixels, so a rewritten EXIF block, a stripped colour
profile or bytes appended after the end are known for what they are at the price of one hash. What can
change the pixels a training loader sees stays in: the EXIF orientation, the markers that say which
colours a JPEG's components are, and whether a WebP is shown with its transparency. Colour profiles
(ICC, gAMA) are left out because the usual loaders ignore them.

The files are hostile: whatever a decoder might read differently than the walkers here (bytes between
JPEG segments, a PNG chunk with a wrong checksum) has no essence, so that its pixels decide.

Layouts: ITU-T T.81 annex B (JPEG), W3C PNG (third edition) section 5, RFC 9649 (WebP).
"""

from __future__ import annotations

import hashlib
import re
import struct
import warnings
import zlib
from typing import TYPE_CHECKING

from PIL import ExifTags, Image

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILL = 0xFF
_EOI, _SOS, _APP0, _APP1, _APP14, _APP15, _COM = 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_YCBCR = b"\x01\x02\x03"
_EXIF_HEADER, _JFIF_HEADER, _XMP_HEADER = b"Exif\0\0", b"JFIF\0", b"http://ns.adobe.com/xap/1.0/\0"
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT"}
_PNG_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_PNG_XMP = b"XML:com.adobe.xmp\0"
_PNG_EXIF = (b"Raw profile type exif\0", b"exif\0", b"xmp\0")
"""Keywords under which Pillow takes a PNG's text for EXIF or XMP."""
_WEBP_CHUNKS = {b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
_WEBP_ALPHA, _VP8L_ALPHA = 0x10, 0x10
_TURNED = b"Orientation"

EXIF_ERRORS = (SyntaxError, OSError, ValueError, KeyError, TypeError, struct.error)
"""What Pillow raises on EXIF blocks that it cannot parse."""


class _DamagedError(Exception):
    """The file is not laid out as its format says."""


def essence(body: bytes, image_format: str) -> str | None:
    """Digest of the coded picture.

    Args:
        body: the file's bytes.
        image_format: as `sniff.format_of` names it.

    Returns:
        "<scheme>:<sha256 hex>", or None for formats whose pixels must be decoded to know
        (see `pixels_essence`) and for files too damaged to walk.
    """
    walkers = {"JPEG": _jpeg_parts, "PNG": _png_parts, "WEBP": _webp_parts}
    if image_format not in walkers:
        return None
    digest = hashlib.sha256()
    try:
        for part in walkers[image_format](body):
            digest.update(part)
    except (IndexError, struct.error, _DamagedError):
        return None
    return f"{image_format.lower()}:{digest.hexdigest()}"


def pixels_essence(upright: Image.Image) -> str:
    """The essence of a file without a walker: a digest of all that its decoded pixels mean.

    Args:
        upright: fully decoded, EXIF orientation applied.
    """
    digest = hashlib.sha256(f"{upright.mode} {upright.width}x{upright.height} ".encode())
    if upright.palette is not None:
        digest.update(upright.palette.mode.encode() + bytes(upright.palette.palette) + b" ")
    digest.update(repr(upright.info.get("transparency")).encode())
    digest.update(upright.tobytes())
    return f"pixels:{digest.hexdigest()}"


def _jpeg_parts(body: bytes) -> Iterator[memoryview | bytes]:
    view, exif, components = memoryview(body), b"", b""
    jfif = adobe = False
    for code, start, end in _jpeg_segments(body):
        data = b"" if code == _SOS else body[start + 4 : end]
        if code == _APP0 and data.startswith(_JFIF_HEADER):
            jfif = True
        elif code == _APP1 and data.startswith(_EXIF_HEADER):
            exif += data.removeprefix(_EXIF_HEADER)  # several blocks are one, as Pillow reads them
        elif code == _APP1 and data.startswith(_XMP_HEADER) and _TURNED in data:
            yield data
        elif code == _APP14 or not (_APP0 <= code <= _APP15 or code == _COM):
            yield view[start:end]
            adobe |= code == _APP14
            components = data[6::3] if code in _FRAMES else components
    # JFIF decides on the colours of three components only where Adobe or unusual numbers leave a doubt.
    doubtful = len(components) == len(_YCBCR) and (adobe or components != _YCBCR)
    yield bytes([_orientation(exif), jfif and doubtful])


def _jpeg_segments(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker code, start and end of each segment up to EOI; a scan's segment includes its coded data."""
    at = 2
    while at < len(body):
        if body[at] != _FILL:
            raise _DamagedError
        code = body[at + 1]
        if code == _FILL or code in _STANDALONE:
            at += 1 if code == _FILL else 2
            continue
        if code == _EOI:
            return
        (length,) = struct.unpack_from(">H", body, at + 2)
        end = at + 2 + length
        if code == _SOS:
            found = _SCAN_END.search(body, end)
            end = found.start() if found else len(body)
        yield code, at, end
        at = end


def _png_parts(body: bytes) -> Iterator[memoryview | bytes]:
    view, at, orientation = memoryview(body), 8, 1
    while at < len(body):
        (length,) = struct.unpack_from(">I", body, at)
        name, data = body[at + 4 : at + 8], view[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", body, at + 8 + length)
        if zlib.crc32(view[at + 4 : at + 8 + length]) != checksum:
            raise _DamagedError
        if name == b"IDAT":
            yield data  # bare: an encoder may cut the same stream into other chunks
        elif name in _PNG_CHUNKS or (name in _PNG_TEXTS and _may_turn(bytes(data))):
            yield view[at : at + 8 + length]
        elif name == b"eXIf":
            orientation = _orientation(bytes(data))
        elif name == b"IEND":
            break
        at += 12 + length
    yield bytes([orientation])


def _may_turn(text: bytes) -> bool:
    """Whether a PNG's text may hold an orientation; compressed XMP may."""
    if text.startswith(_PNG_XMP):
        compressed = text[len(_PNG_XMP) : len(_PNG_XMP) + 1] != b"\0"
        return compressed or _TURNED in text
    return text.startswith(_PNG_EXIF)


def _webp_parts(body: bytes) -> Iterator[memoryview | bytes]:
    view, at, exif = memoryview(body), 12, b""
    alpha = None
    (riff_length,) = struct.unpack_from("<I", body, 4)
    while at + 8 <= min(len(body), riff_length + 8):
        (length,) = struct.unpack_from("<I", body, at + 4)
        name, data = body[at : at + 4], view[at + 8 : at + 8 + length]
        if name == b"VP8X":
            alpha = bool(data[0] & _WEBP_ALPHA)
        elif name in _WEBP_CHUNKS:
            yield view[at : at + 8 + length]
            if name == b"VP8L" and alpha is None:
                alpha = bool(data[4] & _VP8L_ALPHA)
        elif name == b"EXIF" and not exif:
            exif = bytes(data).removeprefix(_EXIF_HEADER)
        elif name == b"XMP " and _TURNED in bytes(data):
            yield data
        at += 8 + length + length % 2
    yield bytes([_orientation(exif), bool(alpha)])


def _orientation(block: bytes) -> int:
    """EXIF orientation 1..8 in a TIFF block; 1 where it is missing or unreadable, as Pillow has it."""
    if not block:
        return 1
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's doubts about a damaged block
            exif.load(_EXIF_HEADER + block)
            value = exif.get(ExifTags.Base.Orientation, 1)
    except EXIF_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1  # noqa: PLR2004 - EXIF 2.32 4.6.4
