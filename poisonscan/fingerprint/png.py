"""The parts of a PNG that its pixels come from: the file without what no loader lets decide on a pixel.

Pillow reads chunks with code of its own, and takes more of them for a picture than libpng does, which OpenCV,
torchvision and browsers use: `DDAT`, `fdAT` without an animation, texts whose keywords are names of its own.
So a chunk is left out only by the list below; another ancillary one stays, where it stands; and where strict
readers would not go on, there is no essence. Layouts that show one picture to Pillow and another to libpng
are `contested`: no encoder writes them, and no pixels can be believed.

- `tIME` and `pHYs` that are whole. What speaks of colours (`gAMA`, `iCCP`, ...) stays: libpng's conversion to
  grey heeds it.
- Texts (`tEXt`, plain `iTXt`) under the standard's keywords, ImageMagick's dates and XMP, and `eXIf`; all or
  none, where each is harmless: the last one of a name counts.
- How the coded picture is cut into `IDAT`: consecutive ones, none empty or beyond 1 MiB.

Layout: W3C PNG (third edition) section 5.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from poisonscan.fingerprint.harmless import exif_is_harmless, xmp_is_harmless

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

MOST_CHUNKS: Final = 16_384
"""16 MiB in pieces of 1 KiB; encoders cut into 8 KiB or more."""
MOST_METADATA: Final = 256
"""Chunks that may be left out; libpng keeps 1,000 of them at most and fails or forgets beyond."""
_LONGEST_METADATA: Final = 1 << 16
"""Bytes; libpng keeps chunks of 8 MB, Pillow texts of 64 MiB together."""
_LONGEST_PIECE: Final = 1 << 20

_SIGNATURE: Final = 8
_CHUNK_FRAME: Final = 12
_NAME: Final = re.compile(rb"[A-Za-z]{4}")
_HEADER_LENGTH: Final = 13
_CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_ANIMATION: Final = frozenset({b"acTL", b"fcTL", b"fdAT"})
_TEXTS: Final = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_METADATA: Final = _TEXTS | frozenset({b"eXIf"})
_MEASURES: Final = {b"pHYs": 9, b"tIME": 7}
_KEYWORDS: Final = frozenset(
    {b"Title", b"Author", b"Description", b"Copyright", b"Creation Time", b"Software", b"Disclaimer"}
    | {b"Warning", b"Source", b"Comment", b"date:create", b"date:modify", b"date:timestamp"}
)
_XMP: Final = b"XML:com.adobe.xmp"
_NOT_COMPRESSED: Final = b"\0\0"
_OF_PILLOW: Final = frozenset(
    {b"interlace", b"bbox", b"transparency", b"default_image", b"duration", b"disposal", b"blend"}
)
_SINGLE: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"acTL"})
_ONCE: Final = _SINGLE | frozenset({b"eXIf", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", *_MEASURES})


class Chunk(NamedTuple):
    """A chunk: its name and where its data is."""

    name: bytes
    start: int
    end: int


def picture_parts(body: bytes) -> Iterator[bytes | memoryview] | None:
    """What is left of a PNG without its harmless chunks, in order; None where it is not laid out strictly.

    Args:
        body: a file that begins as a PNG does.
    """
    chunks = _strict_chunks(body)
    return None if chunks is None else _kept(body, chunks)


def contested(body: bytes) -> str | None:
    """Why a PNG may show one picture to Pillow and another to libpng; None where nothing in it says so.

    Args:
        body: a file that begins as a PNG does, whole or not.
    """
    seen: set[bytes] = set()
    last, framed = b"", False
    for number, chunk in enumerate(_walk(body)):
        if chunk.name == last == b"IDAT" and number < MOST_CHUNKS:
            continue
        if number == MOST_CHUNKS:
            return f"more than {MOST_CHUNKS:,} chunks"
        reason = _contested_by(body, chunk, seen, last, framed=framed)
        if reason:
            return reason
        framed = framed or (chunk.name == b"fcTL" and b"IDAT" in seen)
        last = chunk.name
        seen.add(last)
        if last == b"IEND":
            break
    return None


def _contested_by(
    body: bytes, chunk: Chunk, seen: AbstractSet[bytes], last: bytes, *, framed: bool
) -> str | None:
    """What is wrong with a chunk after those seen; `framed` by an `fcTL` behind the picture."""
    name, start, end = chunk
    begun = b"IDAT" in seen
    reasons = {
        "DDAT": name == b"DDAT",
        "IDAT in several places": name == b"IDAT" and begun and last != b"IDAT",
        f"a second {name.decode('latin-1')}": name in _SINGLE and name in seen,
        f"{name.decode('latin-1')} behind the picture": name in {b"PLTE", b"tRNS"} and begun,
        "PLTE behind tRNS": name == b"PLTE" and b"tRNS" in seen,
        "fdAT that belongs to no frame": name == b"fdAT" and not framed,
        "fcTL of another size than the picture": name == b"fcTL"
        and not begun
        and body[start + 4 : start + 20] != body[16:24] + bytes(8),
        f"{name.decode('latin-1')} under a keyword that Pillow uses itself": name in _TEXTS
        and body[start:end].partition(b"\0")[0] in _OF_PILLOW,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _walk(body: bytes) -> Iterator[Chunk]:
    """The whole chunks of a PNG, up to where the file or its layout ends; nothing is checked."""
    at = _SIGNATURE
    while at + _CHUNK_FRAME <= len(body):
        (length,) = struct.unpack_from(">I", body, at)
        start, end = at + 8, at + 8 + length
        yield Chunk(body[at + 4 : start], start, end)
        at = end + 4


def _strict_chunks(body: bytes) -> list[Chunk] | None:
    """The chunks up to IEND, with right checksums, of a file that a strict reader takes; else None."""
    view, chunks = memoryview(body), list[Chunk]()
    for chunk in _walk(body):
        name, start, end = chunk
        if len(chunks) == MOST_CHUNKS or end + 4 > len(body) or not _NAME.fullmatch(name):
            return None
        if zlib.crc32(view[start - 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return None
        chunks.append(chunk)
        if name == b"IEND":
            return chunks if _is_strict(body, chunks) else None
    return None


def _is_strict(body: bytes, chunks: Sequence[Chunk]) -> bool:
    names = [chunk.name for chunk in chunks]
    picture = [number for number, name in enumerate(names) if name == b"IDAT"]
    header, end = chunks[0], chunks[-1]
    return (
        header.name == b"IHDR"
        and header.end - header.start == _HEADER_LENGTH
        and end.start == end.end
        and bool(picture)
        and all(chunks[number].end > chunks[number].start for number in picture)
        and all(names.count(name) <= 1 for name in _ONCE)
        and not any(name in _ANIMATION or (name[:1].isupper() and name not in _CRITICAL) for name in names)
        and sum(name in _METADATA or name in _MEASURES for name in names) <= MOST_METADATA
        and contested(body) is None
    )


def _kept(body: bytes, chunks: Sequence[Chunk]) -> Iterator[bytes | memoryview]:
    view = memoryview(body)
    picture = [chunk for chunk in chunks if chunk.name == b"IDAT"]
    as_cut = any(end - start > _LONGEST_PIECE for _, start, end in picture)
    turned = not all(_turns_nothing(body, chunk) for chunk in chunks if chunk.name in _METADATA)
    for chunk in chunks:
        name, start, end = chunk
        if name == b"IDAT" and not as_cut:
            if chunk is picture[0]:
                yield name + struct.pack(">Q", sum(end - start for _, start, end in picture))
            yield view[start:end]
        elif (turned or name not in _METADATA) and end - start != _MEASURES.get(name):
            yield view[start - 8 : end]
    yield view[chunks[-1].end + 4 :]


def _turns_nothing(body: bytes, chunk: Chunk) -> bool:
    name, start, end = chunk
    if end - start > _LONGEST_METADATA:
        return False
    data = body[start:end]
    if name == b"eXIf":
        return exif_is_harmless(data)
    keyword, _, text = data.partition(b"\0")
    if name == b"iTXt" and text[:2] == _NOT_COMPRESSED and keyword == _XMP:
        return xmp_is_harmless(text)
    plain = name == b"tEXt" or (name == b"iTXt" and text[:2] == _NOT_COMPRESSED)
    return plain and keyword in _KEYWORDS and len(keyword) < len(data)
