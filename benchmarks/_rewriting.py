"""Files of every coded format, and what can be done to them chunk by chunk: the red team of the essence.

A file is a list of parts. A rewriting inserts, duplicates, moves, swaps, splits, shrinks, deletes, retypes or
flips some of them, or damages what holds them together. What is inserted comes from lists of what a loader is
known to heed, or might.
"""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

FORMATS = ("JPEG", "PNG", "WEBP")
SIZE = (37, 22)
"""Small, since speed counts; not symmetric, and of sides that are no multiple of a block."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_REWRITINGS = 4
_MOST_PIXELS = 1 << 16
_LONGEST_GROWTH = 40


class Part(NamedTuple):
    """A chunk or a segment.

    Attributes:
        name: of a chunk; the marker of a segment, two bytes; empty for bytes as they are.
        data: what it holds.
    """

    name: bytes
    data: bytes


def rewritten(image_format: str, random: Random) -> tuple[int, bytes]:
    """A seed's number and a file that was made of it by up to four rewritings; none at times."""
    number = random.randrange(len(seeds(image_format)))
    parts = list(seeds(image_format)[number])
    for _ in range(random.randint(0, _MOST_REWRITINGS)):
        changed = list(parts)
        _REWRITINGS[random.randrange(len(_REWRITINGS))](changed, image_format, random)
        parts = changed if changed and _is_small(changed) else parts
    if image_format == "WEBP" and random.random() < _TIDY:
        parts = _tidy(parts)
    body = joined(image_format, parts)
    return number, _damaged(body, random) if random.random() < _DAMAGE else body


_TIDY, _DAMAGE = 0.8, 0.05


@cache
def seeds(image_format: str) -> tuple[tuple[Part, ...], ...]:
    """Files of a format in every kind that Pillow writes, and some that it does not, in parts."""
    bodies = {"JPEG": _jpegs, "PNG": _pngs, "WEBP": _webps}[image_format]()
    return tuple(tuple(parted(image_format, body)) for body in bodies)


def parted(image_format: str, body: bytes) -> list[Part]:
    """A sound file in parts; `joined` makes the same bytes of them."""
    return {"JPEG": _jpeg_parts, "PNG": _png_parts, "WEBP": _webp_parts}[image_format](body)


def joined(image_format: str, parts: Sequence[Part]) -> bytes:
    """The file of these parts, with the lengths and checksums that they need."""
    return {"JPEG": _jpeg_of, "PNG": _png_of, "WEBP": _webp_of}[image_format](parts)


def _jpeg_parts(body: bytes) -> list[Part]:
    parts, at = [Part(b"\xff\xd8", b"")], 2
    while True:
        name = body[at : at + 2]
        if name == b"\xff\xd9":
            return [*parts, Part(name, b"")]
        end = at + 2 + struct.unpack_from(">H", body, at + 2)[0]
        parts.append(Part(name, body[at + 4 : end]))
        at = end
        if name == b"\xff\xda":
            while body[at] != 0xFF or body[at + 1] in {0, *range(0xD0, 0xD8)}:  # noqa: PLR2004 - a marker
                at += 1
            parts.append(Part(b"", body[end:at]))


_BARE = {b"", b"\xff\xd8", b"\xff\xd9", b"\xff\x01", *(bytes([0xFF, code]) for code in range(0xD0, 0xD8))}


def _jpeg_of(parts: Sequence[Part]) -> bytes:
    return b"".join(
        name + (b"" if name in _BARE else struct.pack(">H", min(len(data) + 2, 0xFFFF))) + data
        for name, data in parts
    )


def _png_parts(body: bytes) -> list[Part]:
    parts, at = [], len(_SIGNATURE)
    while at < len(body):
        (length,) = struct.unpack_from(">I", body, at)
        parts.append(Part(body[at + 4 : at + 8], body[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def _png_of(parts: Sequence[Part]) -> bytes:
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        if name
        else data
        for name, data in parts
    )
    return _SIGNATURE + b"".join(chunks)


def _webp_parts(body: bytes) -> list[Part]:
    parts, at = [], 12
    while at < len(body):
        (length,) = struct.unpack_from("<I", body, at + 4)
        parts.append(Part(body[at : at + 4], body[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return parts


def _webp_of(parts: Sequence[Part]) -> bytes:
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) if name else data
        for name, data in parts
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _insert(parts: list[Part], image_format: str, random: Random) -> None:
    part = random.choice(dictionary(image_format))
    parts.insert(random.randint(0, len(parts)), part)


def _insert_early(parts: list[Part], image_format: str, random: Random) -> None:
    """Where metadata usually stands."""
    part = random.choice(dictionary(image_format))
    parts.insert(random.randint(1, min(3, len(parts))), part)


def _insert_twice(parts: list[Part], image_format: str, random: Random) -> None:
    _insert_early(parts, image_format, random)
    _insert_early(parts, image_format, random)


def _note(parts: list[Part], image_format: str, random: Random) -> None:
    """Add what tools add, where they add it; so often because all else rarely leaves a picture as it was."""
    part = random.choice(notes(image_format))
    first = {"JPEG": 1, "PNG": 1, "WEBP": 0}[image_format]
    last = next((at for at, each in enumerate(parts) if each.name in _CODED), len(parts))
    parts.insert(random.randint(min(first, last), last), part)


def _strip(parts: list[Part], image_format: str, random: Random) -> None:
    """Take away every part of one name, as tools do with metadata."""
    name = random.choice(notes(image_format)).name
    parts[:] = [part for part in parts if part.name != name]


_CODED = frozenset({b"\xff\xda", b"IDAT", b"VP8 ", b"VP8L", b"ALPH", b"ANMF"})


def _duplicate(parts: list[Part], _: str, random: Random) -> None:
    parts.insert(random.randint(0, len(parts)), random.choice(parts))


def _delete(parts: list[Part], _: str, random: Random) -> None:
    del parts[random.randrange(len(parts))]


def _move(parts: list[Part], _: str, random: Random) -> None:
    part = parts.pop(random.randrange(len(parts)))
    parts.insert(random.randint(0, len(parts)), part)


def _swap(parts: list[Part], _: str, random: Random) -> None:
    one, other = random.randrange(len(parts)), random.randrange(len(parts))
    parts[one], parts[other] = parts[other], parts[one]


def _split(parts: list[Part], image_format: str, random: Random) -> None:
    """Cut a part in two of one name; or put something between the halves."""
    number = random.randrange(len(parts))
    name, data = parts[number]
    at = random.randint(0, len(data))
    between = [random.choice(dictionary(image_format))] if random.random() < 0.3 else []  # noqa: PLR2004
    parts[number : number + 1] = [Part(name, data[:at]), *between, Part(name, data[at:])]


def _shrink(parts: list[Part], _: str, random: Random) -> None:
    number = random.randrange(len(parts))
    name, data = parts[number]
    parts[number] = Part(name, data[: random.randint(0, len(data))])


def _grow(parts: list[Part], _: str, random: Random) -> None:
    number = random.randrange(len(parts))
    name, data = parts[number]
    parts[number] = Part(name, data + random.randbytes(random.randint(1, _LONGEST_GROWTH)))


def _flip(parts: list[Part], _: str, random: Random) -> None:
    number = random.randrange(len(parts))
    name, data = parts[number]
    if data:
        at, bit = random.randrange(len(data)), 1 << random.randrange(8)
        parts[number] = Part(name, data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])


def _retype(parts: list[Part], image_format: str, random: Random) -> None:
    number = random.randrange(len(parts))
    name = random.choice([*dictionary(image_format), *parts]).name
    parts[number] = Part(name, parts[number].data)


def _append(parts: list[Part], _: str, random: Random) -> None:
    trailing = random.choice([b"\0", b"more", random.choice(parts).data, random.randbytes(9)])
    parts.append(Part(b"", trailing))


_REWRITINGS: tuple[Callable[[list[Part], str, Random], None], ...] = (
    *(_note,) * 16,
    *(_strip,) * 5,
    *(_insert_early,) * 5,
    *(_insert_twice,) * 2,
    *(_insert,) * 4,
    *(_split,) * 3,
    *(_move,) * 2,
    *(_duplicate,) * 2,
    _delete,
    _swap,
    _shrink,
    _grow,
    _flip,
    _retype,
    _append,
)


def _damaged(body: bytes, random: Random) -> bytes:
    """Bytes flipped, cut out, zeroed or doubled anywhere: lengths, checksums and names among them."""
    at = random.randrange(len(body))
    few = random.randint(1, 8)
    changed = random.choice(
        [
            body[:at] + bytes([body[at] ^ 1 << random.randrange(8)]) + body[at + 1 :],
            body[:at] + body[at + few :],
            body[:at] + bytes(few) + body[at + few :],
            body[: at + few] + body[at:],
            body[:at],
        ]
    )
    return changed if _header(changed) == _header(body) else body


def _header(body: bytes) -> bytes:
    """Where a PNG and a WebP have their sizes, and a JPEG its first segments: damage stays out of it."""
    return body[:34]


def _is_small(parts: Sequence[Part]) -> bool:
    """Whether no part claims more pixels than a test can pay for."""
    return all(_pixels(part) <= _MOST_PIXELS for part in parts)


_FRAMES = frozenset(bytes([0xFF, code]) for code in {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def _pixels(part: Part) -> int:
    """How many pixels a part's header claims; 0 where it has none."""
    name, data = part
    padded = data + bytes(12)
    if name == b"IHDR":
        width, height = struct.unpack_from(">II", padded)
    elif name in _FRAMES:
        height, width = struct.unpack_from(">HH", padded, 1)
    elif name in {b"VP8X", b"ANMF"}:
        first = 4 if name == b"VP8X" else 6
        width, height = (int.from_bytes(padded[at : at + 3], "little") + 1 for at in (first, first + 3))
    elif name == b"VP8 ":
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", padded, 6))
    elif name == b"VP8L":
        (bits,) = struct.unpack_from("<I", padded, 1)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        return 0
    return int(width * height)


_WEBP_ORDER = (b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L", b"EXIF", b"XMP ")
_WEBP_FLAGS = {b"ICCP": 0x20, b"ALPH": 0x10, b"EXIF": 0x08, b"XMP ": 0x04, b"ANMF": 0x02}


def _tidy(parts: Sequence[Part]) -> list[Part]:
    """The chunks in their places behind a header that says what is there, as a muxer writes them."""
    known = [part for part in parts if part.name in _WEBP_ORDER and part.name != b"VP8X"]
    header = next((part for part in parts if part.name == b"VP8X"), Part(b"VP8X", b""))
    flags = sum({_WEBP_FLAGS.get(part.name, 0) for part in known})
    flags |= 0x10 * any(name == b"VP8L" and len(data) >= 5 and bool(data[4] & 0x10) for name, data in known)  # noqa: PLR2004
    canvas = header.data[4:10] if len(header.data) == 10 else _canvas()  # noqa: PLR2004
    ordered = sorted(known, key=lambda part: _WEBP_ORDER.index(part.name))
    return [Part(b"VP8X", bytes([flags, 0, 0, 0]) + canvas), *ordered]


def _canvas() -> bytes:
    return b"".join((side - 1).to_bytes(3, "little") for side in SIZE)


def picture(mode: str = "RGB", seed: int = 0) -> Image.Image:
    """A picture of a mode that looks different in each of its eight orientations."""
    width, height = SIZE
    y, x = np.mgrid[0:height, 0:width]
    channels = [x * 255 // width, y * 255 // height, (x * 7 + y * 3 + seed * 50) % 256]
    pixels = np.stack(channels, axis=2).astype(np.uint8)
    pixels[:7, :9] = (250, 20 + seed, 40)
    rgb = Image.fromarray(pixels)
    if mode == "I;16":
        return Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    if mode in {"RGBA", "LA"}:
        rgb.putalpha(Image.fromarray((x * 255 // width).astype(np.uint8)))
    return rgb.convert(mode)


def _saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def _jpegs() -> list[bytes]:
    rgb = picture()
    return [
        _saved(rgb, "JPEG", quality=80),
        _saved(rgb, "JPEG", quality=90, progressive=True),
        _saved(rgb, "JPEG", quality=85, subsampling=0, restart_marker_blocks=2),
        _saved(rgb, "JPEG", quality=85, keep_rgb=True),
        _saved(picture("L"), "JPEG", quality=80),
        _saved(picture("CMYK"), "JPEG", quality=80),
        _saved(rgb, "JPEG", exif=_exif(1), xmp=_PLAIN_XMP, icc_profile=bytes(200), comment="a"),
        _saved(rgb, "JPEG", exif=_exif(6)),
        _saved(rgb, "JPEG", xmp=_TURNING_XMP, progressive=True),
    ]


def _pngs() -> list[bytes]:
    rgb = picture()
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "boat")
    info.add_itxt("XML:com.adobe.xmp", _PLAIN_XMP.decode())
    transparent = _saved(picture("P"), "PNG", transparency=bytes(range(0, 250, 5)))
    return [
        *(_saved(picture(mode), "PNG") for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")),
        transparent,
        _saved(rgb, "PNG", transparency=(250, 20, 40)),
        _saved(rgb, "PNG", pnginfo=info, exif=_exif(1), dpi=(72, 72)),
        _saved(rgb, "PNG", exif=_exif(6), icc_profile=bytes(200)),
        _saved(rgb, "PNG", save_all=True, append_images=[picture(seed=1)]),
        _interlaced(),
    ]


_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: first column, first row, and the steps of each pass."""


def _interlaced() -> bytes:
    pixels = np.asarray(picture("L"))
    rows = (row for x, y, across, down in _PASSES for row in pixels[y::down, x::across] if row.size)
    coded = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", *SIZE, 8, 0, 0, 0, 1)
    return _png_of([Part(b"IHDR", header), Part(b"IDAT", coded), Part(b"IEND", b"")])


def _webps() -> list[bytes]:
    rgb, clear = picture(), picture("RGBA")
    noted = {"exif": _exif(1), "xmp": _PLAIN_XMP, "icc_profile": bytes(200)}
    return [
        _saved(rgb, "WEBP", quality=80),
        _saved(rgb, "WEBP", lossless=True),
        _saved(clear, "WEBP", quality=80),
        _saved(clear, "WEBP", lossless=True, exact=True),
        _saved(rgb, "WEBP", quality=80, **noted),
        _saved(clear, "WEBP", lossless=True, **noted),
        _saved(rgb, "WEBP", quality=80, exif=_exif(6)),
        _saved(rgb, "WEBP", quality=80, save_all=True, append_images=[picture(seed=1)]),
    ]


_PLAIN_XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><dc:title>boat</dc:title></x:xmpmeta>"
_TURNING_XMP = b'<rdf:Description tiff:Orientation="6"/>'
_XMPS = (_PLAIN_XMP, _TURNING_XMP, b"<tiff:Orientation>3</tiff:Orientation>", b"", _TURNING_XMP[:30])


def _exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "camera"
    return block.tobytes()


def directory(order: str, *entries: tuple[int, int, int, bytes], rest: bytes = bytes(4)) -> bytes:
    """A TIFF block of one directory: tag, type, count and four bytes of each entry; then `rest`."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    packed = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries)
    return head + struct.pack(f"{order}IH", 8, len(entries)) + packed + rest


@cache
def _blocks() -> tuple[bytes, ...]:
    """EXIF blocks without "Exif" before them: sound, odd and broken ones."""
    maker = (0x010F, 2, 3, b"me\0\0")
    hidden = directory("<", (0x0112, 3, 1, b"\6\0\0\0"))[10:]
    return (
        directory("<", maker),
        directory(">", maker),
        directory("<", maker, (0x0112, 3, 1, b"\1\0\0\0")),
        directory(">", maker, (0x0112, 3, 1, b"\0\1\0\0")),
        directory("<", (0x0112, 3, 1, b"\6\0\0\0"), maker),
        directory(">", (0x0112, 3, 1, b"\0\3\0\0")),
        directory("<", (0x0112, 4, 1, b"\6\0\0\0")),
        directory(">", (0x0112, 1, 1, b"\6\0\0\0")),
        directory("<", (0x0112, 3, 2, b"\6\0\1\0")),
        directory("<", (0x0112, 3, 1, b"\1\0\0\0"), (0x0112, 3, 1, b"\6\0\0\0")),
        directory("<", (0x0112, 3, 1, b"\6\0\0\0"), (0x0112, 3, 1, b"\1\0\0\0")),
        directory("<", maker, (0x0112, 3, 1, b"\x08\0\0\0"), rest=b""),
        directory("<", (0x0112, 3, 1, b"\x09\0\0\0")),
        directory("<", (0x0112, 3, 0, b"\6\0\0\0")),
        directory("<", (0x010F, 2, 60, b"\xff\0\0\0"), (0x0112, 3, 1, b"\5\0\0\0")),
        directory("<", (0x010E, 2, len(hidden), b"\x1e\0\0\0"), rest=bytes(4) + hidden),
        directory("<", maker, rest=struct.pack("<I", 26) + hidden),
        directory("<", maker).replace(b"II*\0", b"II+\0"),
        directory("<", maker)[:12],
        b"MM\0*" + struct.pack("<I", 8) + directory("<", (0x0112, 3, 1, b"\6\0\0\0"))[8:],
        b"II*\0",
        b"",
        b"no directory at all",
    )


@cache
def dictionary(image_format: str) -> tuple[Part, ...]:
    """What is inserted: parts that loaders heed, might heed, step over or fail on."""
    return {"JPEG": _segments, "PNG": _chunks, "WEBP": _riff_chunks}[image_format]()


@cache
def notes(image_format: str) -> tuple[Part, ...]:
    """Metadata as sound tools write it, some of which turns the picture."""
    plain = [_blocks()[0], _blocks()[3], _exif(1).removeprefix(b"Exif\0\0")]
    if image_format == "JPEG":
        return (
            Part(b"\xff\xfe", b"note"),
            Part(b"\xff\xe0", b"JFIF\0\1\1\0\0\1\0\1\0\0"),
            Part(b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\0" + _PLAIN_XMP),
            *(Part(b"\xff\xe1", b"Exif\0\0" + block) for block in [*plain, _blocks()[4]]),
            Part(b"\xff\xe2", b"ICC_PROFILE\0\1\1" + bytes(40)),
            Part(b"\xff\xed", b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\3abc\0"),
        )
    if image_format == "PNG":
        return (
            *(Part(b"tEXt", keyword + b"\0text") for keyword in (b"Title", b"Comment", b"date:create")),
            Part(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _PLAIN_XMP),
            *(Part(b"eXIf", block) for block in [*plain, _blocks()[4]]),
            Part(b"pHYs", struct.pack(">IIB", 2835, 2835, 1)),
            Part(b"tIME", bytes([7, 230, 11, 30, 1, 2, 3])),
            Part(b"gAMA", struct.pack(">I", 45455)),
        )
    return (
        *(Part(b"EXIF", block) for block in [*plain, b"Exif\0\0" + plain[0], _blocks()[4]]),
        Part(b"XMP ", _PLAIN_XMP),
        Part(b"ICCP", bytes(128)),
    )


def _segments() -> tuple[Part, ...]:
    def of(code: int, *datas: bytes) -> list[Part]:
        return [Part(bytes([0xFF, code]), data) for data in datas]

    jfif = b"JFIF\0\1\1\0\0\1\0\1\0\0"
    adobe = b"Adobe\0\x64\0\0\0\0"
    resource = b"8BIM\x04\x04\0\0\0\0\0\3abc\0"
    exif = b"Exif\0\0"
    return (
        *of(0xFE, b"", b"note", b"\xff\xd9", bytes(300)) * 2,
        *of(0xE0, jfif, jfif, jfif[:7], jfif[:-1], jfif + b"\0", b"JFXX\0\x10", b"AVI1\0", b"JFIF"),
        *of(0xE1, *(exif + block for block in _blocks())),
        *of(
            0xE1,
            exif + exif + _blocks()[4],
            b"exif\0\0" + _blocks()[4],
            b"12345678",
            b"abcdef" + _blocks()[4],
        ),
        *of(0xE1, *(b"http://ns.adobe.com/xap/1.0/\0" + xmp for xmp in _XMPS)),
        *of(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + _TURNING_XMP),
        *of(0xE2, b"ICC_PROFILE\0\1\1" + bytes(40), b"ICC_PROFILE\0\1\2abc", b"ICC_PROFILE\0\2\2abc"),
        *of(
            0xE2,
            b"ICC_PROFILE\0",
            b"ICC_PROFILE\0\1",
            b"ICC_PROFILE\0\0\0",
            b"FPXR\0",
            b"MPF\0" + _blocks()[0],
        ),
        *of(0xEC, b"Ducky\0\1\0\4\0\0\0\x3c\0\0", b"other"),
        *of(0xED, b"Photoshop 3.0\0" + resource * 2, b"Photoshop 3.0\0" + resource[:9], b"Photoshop 3.0\0"),
        *of(0xED, b"Photoshop 3.0\x008BIM", b"Photoshop 3.0\x008BIM\3\xed\0\0\0\0\0\1a\0", b"other"),
        *of(0xEE, adobe + b"\0", adobe + b"\1", adobe + b"\2", adobe, b"Adobe", b"other"),
        *of(0xE3, b"other"),
        *of(0xEB, b"JP\0\1"),
        *of(0xEF, b"other"),
        *of(0xDD, b"\0\0", b"\0\1", b"\0"),
        *of(0xDC, b"\0\x10"),
        *of(0xDF, b"\x11"),
        *of(0xC8, b"x"),
        *of(0xF0, b"x"),
        Part(b"\xff\x01", b""),
        Part(b"\xff\xd0", b""),
        Part(b"\xff\xd8", b""),
        Part(b"\xff\xd9", b""),
        Part(b"", b"\xff\xff"),
        Part(b"", b"\xff\0"),
        Part(b"", b"\0"),
        Part(b"", b"\xff\xfe\0\0"),
        Part(b"", b"\xff\xfe\0\1"),
    )


def _chunks() -> tuple[Part, ...]:
    def of(name: bytes, *datas: bytes) -> list[Part]:
        return [Part(name, data) for data in datas]

    keywords = (b"Title", b"Comment", b"date:create", b"Software")
    heeded = (
        *(b"interlace", b"bbox", b"transparency", b"gamma", b"dpi", b"exif", b"xmp", b"default_image"),
        *(
            b"icc_profile",
            b"duration",
            b"loop",
            b"disposal",
            b"blend",
            b"background",
            b"Raw profile type exif",
        ),
    )
    raw = b"\nexif\n%8d\n%s\n" % (len(_exif(6)), _exif(6).hex().encode())
    rgb = picture(seed=2)
    other = b"".join(data for name, data in _png_parts(_saved(rgb, "PNG")) if name == b"IDAT")
    frame = struct.pack(">IIIIIHHBB", 0, *SIZE, 0, 0, 1, 10, 0, 0)
    return (
        *of(b"tEXt", *(keyword + b"\0text" for keyword in keywords)) * 2,
        *of(b"tEXt", *(keyword + b"\0text" for keyword in heeded)),
        *of(b"tEXt", b"", b"Title", b"\0text", b"Title\0" + bytes(99), b"Comment\0\xff\xfe"),
        *of(
            b"tEXt",
            b"Raw profile type exif\0" + raw,
            b"Raw profile type APP1\0" + raw,
            b"exif\0" + _blocks()[4],
        ),
        *of(b"zTXt", b"Title\0\0" + zlib.compress(b"boat"), b"Title\0\1x", b"Title\0\0broken", b"bbox\0\0"),
        *of(b"zTXt", b"XML:com.adobe.xmp\0\0" + zlib.compress(_TURNING_XMP)),
        *of(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw)),
        *of(b"iTXt", *(b"XML:com.adobe.xmp\0\0\0\0\0" + xmp for xmp in _XMPS)),
        *of(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(_TURNING_XMP)),
        *of(
            b"iTXt",
            b"Title\0\0\0en\0Titel\0Boot",
            b"Title\0\0\0",
            b"Title\0\0\0\xff\0\xff\0\xff",
            b"bbox\0\0\0\0\0x",
        ),
        *of(b"eXIf", *_blocks()),
        *of(b"eXIf", _exif(6)),
        *of(b"gAMA", struct.pack(">I", 45455), struct.pack(">I", 100_000), struct.pack(">I", 0), b"\0"),
        *of(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000), bytes(32)),
        *of(b"sRGB", b"\0", b"\7", b""),
        *of(b"iCCP", b"x\0\0" + zlib.compress(bytes(200)), b"x\0\1", b"x"),
        *of(b"cICP", b"\x0c\x0d\0\1"),
        *of(b"sBIT", b"\5\5\5", b"\5", b"\5\5\5\5"),
        *of(b"bKGD", bytes(6), b"\0\1", b"\1"),
        *of(b"hIST", bytes(20)),
        *of(b"sPLT", b"x\0\x08" + bytes(6)),
        *of(b"pHYs", struct.pack(">IIB", 2835, 2835, 1), bytes(9), bytes(8)) * 2,
        *of(b"tIME", bytes([7, 230, 11, 30, 1, 2, 3]), bytes(7), bytes(3)) * 2,
        *of(b"tRNS", b"\0", b"\0\1", bytes(6), bytes(range(64))),
        *of(b"PLTE", bytes(range(48)), b"ab"),
        *of(b"acTL", struct.pack(">II", 1, 0), struct.pack(">II", 2, 0), struct.pack(">II", 0, 0), b""),
        *of(b"fcTL", frame, frame[:4] + struct.pack(">II", 9, 9) + frame[12:], frame[:9]),
        *of(b"fdAT", struct.pack(">I", 1) + other, b""),
        *of(b"DDAT", other, b""),
        *of(b"IDAT", other, b""),
        *of(b"IEND", b"", b"x"),
        *of(b"IHDR", struct.pack(">IIBBBBB", *SIZE, 8, 2, 0, 0, 0)),
        *of(b"CgBI", bytes(4)),
        *of(b"iDOT", bytes(28)),
        *of(b"vpAg", bytes(9)),
        *of(b"teXt", b"Title\0x"),
        *of(b"XXXX", b"x"),
        *of(b"\0\0\0\0", b""),
        Part(b"", bytes(12)),
        Part(b"", b"\0"),
    )


def _riff_chunks() -> tuple[Part, ...]:
    def of(name: bytes, *datas: bytes) -> list[Part]:
        return [Part(name, data) for data in datas]

    flags = (0, 0x02, 0x04, 0x08, 0x10, 0x20, 0x1C, 0x3E, 0x01, 0xFF)
    another = _webp_parts(_saved(picture(seed=2), "WEBP", quality=80))[0].data
    lossless = _webp_parts(_saved(picture(seed=2), "WEBP", lossless=True))[0].data
    alpha = next(
        part.data for part in _webp_parts(_saved(picture("RGBA"), "WEBP", quality=80)) if part.name == b"ALPH"
    )
    return (
        *of(b"VP8X", *(bytes([flag, 0, 0, 0]) + _canvas() for flag in flags)),
        *of(
            b"VP8X",
            bytes(4) + _canvas()[:3] + b"\x3f\0\0",
            bytes(4) + b"\x3f\0\0" + _canvas()[3:],
            b"",
            b"\0\1\0\0" + _canvas(),
        ),
        *of(b"EXIF", *_blocks()),
        *of(b"EXIF", _exif(1), _exif(6), b"Exif\0\0" + _exif(6)),
        *of(b"XMP ", *_XMPS) * 2,
        *of(b"ICCP", bytes(128), b"", bytes(3)) * 2,
        *of(b"ALPH", alpha, b"\0" * (1 + SIZE[0] * SIZE[1]), b""),
        *of(b"ANIM", bytes(6), b"\xff\0\0\xff\0\0"),
        *of(b"ANMF", bytes(6) + _canvas() + bytes(4) + b"VP8 " + struct.pack("<I", len(another)) + another),
        *of(b"VP8 ", another),
        *of(b"VP8L", lossless),
        *of(b"note", b"", b"abc", bytes(8)),
        *of(b"exif", _exif(6)),
        *of(b"JUNK", bytes(4)),
        Part(b"", b"\0"),
        Part(b"", bytes(8)),
    )
