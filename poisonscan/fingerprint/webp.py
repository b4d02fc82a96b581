"""The parts of a WebP that its pixels come from, for still pictures laid out as the standard says.

A plain file (one `VP8 ` or `VP8L`) and an extended one (`VP8X` first) of the same coded picture are one
picture where the canvas is the picture's size and the flag of transparency is what the coded picture says;
size, flag, `ALPH` and coded picture are what counts. Profiles are left out (no loader applies them), EXIF and
XMP where both are harmless, all of them only where their flags stand: Pillow and OpenCV read no chunk whose
flag is missing. Animations and unknown chunks have no essence.

A coded picture that was cut short is another thing: libwebp's simple interface reads on into the chunk behind
it. Pillow's does not, and fails: such a file is `undecodable` before its essence is asked for.

Layout: RFC 9649 section 2; what loaders do with it: libwebp's `ParseHeadersInternal` and demuxer.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from poisonscan.fingerprint.harmless import exif_is_harmless, xmp_is_harmless

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_RIFF_HEAD, _CHUNK_HEAD = 12, 8
_ORDER: Final = (b"VP8X", b"ICCP", b"ALPH", b"VP8 ", b"VP8L", b"EXIF", b"XMP ")
"""Each at most once, in this order."""
_FLAGS: Final = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
_ALPHA_FLAG: Final = 0x10
_EXIF: Final = b"Exif\0\0"
_LEAST_CODED: Final = 32
"""OpenCV refuses files below 32 bytes, which an extended one never is."""
_LOSSY_START, _LOSSLESS_START = b"\x9d\x01\x2a", b"\x2f"
_SIDE_MASK: Final = 0x3FFF


class _Coded(NamedTuple):
    width: int
    height: int
    alpha: bool


def picture_parts(body: bytes) -> Iterator[bytes] | None:
    """What a still WebP's pixels come from; None where it is not laid out strictly.

    Args:
        body: a file that begins as a WebP does.
    """
    chunks = _chunks(body)
    if chunks is None:
        return None
    coded = _coded(chunks)
    if coded is None or not _extension_fits(chunks, coded):
        return None
    return _kept(chunks, coded)


def _chunks(body: bytes) -> Mapping[bytes, bytes] | None:
    """The chunks by name; None unless they fill the file, each known, once and in its place."""
    length = int.from_bytes(body[4:8], "little")
    if length + 8 != len(body) or length & 1:
        return None
    chunks: dict[bytes, bytes] = {}
    at, place = _RIFF_HEAD, 0
    while at < len(body):
        name, end = body[at : at + 4], at + _CHUNK_HEAD
        if end > len(body) or name not in _ORDER[place:]:
            return None
        place = _ORDER.index(name) + 1
        (length,) = struct.unpack_from("<I", body, at + 4)
        at = end + length + (length & 1)
        if at > len(body) or any(body[end + length : at]):
            return None
        chunks[name] = body[end : end + length]
    return chunks


def _coded(chunks: Mapping[bytes, bytes]) -> _Coded | None:
    """What the coded picture says of itself; None where there is not exactly one."""
    lossy, lossless = chunks.get(b"VP8 ", b""), chunks.get(b"VP8L", b"")
    if len(lossy) >= _LEAST_CODED and lossy[3:6] == _LOSSY_START and b"VP8L" not in chunks:
        width, height = struct.unpack_from("<HH", lossy, 6)
        return _Coded(width & _SIDE_MASK, height & _SIDE_MASK, b"ALPH" in chunks)
    if (
        len(lossless) >= _LEAST_CODED
        and lossless[:1] == _LOSSLESS_START
        and not {b"VP8 ", b"ALPH"} & set(chunks)
    ):
        (bits,) = struct.unpack_from("<I", lossless, 1)
        width, height = (bits & _SIDE_MASK) + 1, (bits >> 14 & _SIDE_MASK) + 1
        return _Coded(width, height, bool(bits >> 28 & 1))
    return None


def _extension_fits(chunks: Mapping[bytes, bytes], coded: _Coded) -> bool:
    """Whether the header of an extended file says what is there; a plain file has nothing else."""
    extension = chunks.get(b"VP8X")
    if extension is None:
        return len(chunks) == 1
    flags = _ALPHA_FLAG if coded.alpha else 0
    flags |= sum(flag for name, flag in _FLAGS.items() if name in chunks)
    canvas = b"".join(((side - 1) & 0xFFFFFF).to_bytes(3, "little") for side in coded[:2])
    return extension == bytes([flags, 0, 0, 0]) + canvas


def _kept(chunks: Mapping[bytes, bytes], coded: _Coded) -> Iterator[bytes]:
    exif = chunks.get(b"EXIF")
    turned = exif is not None and not exif_is_harmless(exif.removeprefix(_EXIF))
    turned = turned or not xmp_is_harmless(chunks.get(b"XMP ", b""))
    yield struct.pack("<II?", *coded)
    for name, data in chunks.items():
        if name in {b"ALPH", b"VP8 ", b"VP8L"} or (turned and name in {b"EXIF", b"XMP "}):
            yield name + struct.pack("<I", len(data))
            yield data
