"""The parts of a JPEG that its pixels come from: the file without what no loader lets decide on a pixel.

All that matters is before the first scan: from there on the file is taken as it is, to its last byte, so that
nothing can be hidden in, between or behind the scans. Before it, a segment is left out only by the list
below; another one stays; and what a strict file does not have there (padding, a marker without a length, an
index of further pictures) means no essence.

- Comments (COM) and Ducky (APP12): decoders step over them.
- ICC profiles (APP2) and Photoshop's resources (APP13) that are whole: Pillow reads both in Python and fails
  on others. Loaders of training data apply no profile; browsers do.
- EXIF and XMP (APP1), all or none, where each of them is harmless: torchvision reads the first APP1 alone,
  Pillow joins the EXIF ones.
- A whole JFIF marker (APP0) where no colours hang on it: one component, or numbers 1, 2, 3 without Adobe's
  marker (libjpeg's rule).

Layouts: ITU-T T.81 annex B; T.871 (JFIF); ICC.1 annex B.4; libjpeg's `default_decompress_parms`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from poisonscan.fingerprint.harmless import exif_is_harmless, resources_are_whole, xmp_is_harmless

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_SEGMENTS: Final = 1024
"""Before the first scan. A profile of 1 MiB takes 16 and 16 MiB 255; real files were seen with up to 60."""

_SOS, _APP0, _APP1, _APP2, _APP12, _APP13, _APP14, _COM = 0xDA, 0xE0, 0xE1, 0xE2, 0xEC, 0xED, 0xEE, 0xFE
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_TABLES: Final = frozenset({0xC4, 0xCC, 0xDB, 0xDD})
_WITH_LENGTH: Final = _FRAMES | _TABLES | frozenset({*range(_APP0, 0xF0), _COM})
_SHORTEST: Final = 2
_JFIF, _JFIF_LENGTH = b"JFIF\0", 14
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_ICC, _ICC_HEAD = b"ICC_PROFILE\0", 14
_PHOTOSHOP, _DUCKY = b"Photoshop 3.0\0", b"Ducky"
_GREY, _YCBCR = 1, b"\x01\x02\x03"


class _Segment(NamedTuple):
    code: int
    start: int
    data: bytes

    @property
    def end(self) -> int:
        return self.start + 4 + len(self.data)


def picture_parts(body: bytes) -> Iterator[memoryview] | None:
    """What is left of a JPEG without its harmless segments, in order; None where it is not laid out strictly.

    Args:
        body: a file that begins as a JPEG does.
    """
    segments: list[_Segment] = []
    at = 2
    while len(segments) <= MOST_SEGMENTS:
        segment = _segment(body, at)
        if segment is None:
            return None
        if segment.code == _SOS:
            return _kept(body, segments, at)
        segments.append(segment)
        at = segment.end
    return None


def _segment(body: bytes, at: int) -> _Segment | None:
    """The segment there; None for what a strict file does not have before its first scan."""
    if len(body) < at + 4:
        return None
    fill, code, length = struct.unpack_from(">BBH", body, at)
    if fill != 0xFF or length < _SHORTEST or len(body) < at + 2 + length:  # noqa: PLR2004 - begins every marker
        return None
    if code == _SOS:
        return _Segment(code, at, b"")
    data = body[at + 4 : at + 2 + length]
    further = code == _APP2 and not data.startswith(_ICC)  # MPF counts bytes from where it stands
    return _Segment(code, at, data) if code in _WITH_LENGTH and not further else None


def _kept(body: bytes, segments: Iterable[_Segment], scan: int) -> Iterator[memoryview]:
    segments = list(segments)
    view = memoryview(body)
    turned = not all(_turns_nothing(segment.data) for segment in segments if segment.code == _APP1)
    plain = _colours_are_plain(segments)
    yield view[:2]
    for segment in segments:
        if not _is_harmless(segment, turned=turned, plain=plain):
            yield view[segment.start : segment.end]
    yield view[scan:]


def _is_harmless(segment: _Segment, *, turned: bool, plain: bool) -> bool:
    code, data = segment.code, segment.data
    if code == _APP0:
        return plain and len(data) == _JFIF_LENGTH and data.startswith(_JFIF)
    if code == _APP1:
        return not turned
    if code == _APP2:
        return len(data) > _ICC_HEAD and 0 < data[_ICC_HEAD - 2] <= data[_ICC_HEAD - 1]
    if code == _APP13:
        return data.startswith(_PHOTOSHOP) and resources_are_whole(data.removeprefix(_PHOTOSHOP))
    return code == _COM or (code == _APP12 and data.startswith(_DUCKY))


def _turns_nothing(data: bytes) -> bool:
    if data.startswith(_EXIF):
        return exif_is_harmless(data.removeprefix(_EXIF))
    return data.startswith(_XMP) and xmp_is_harmless(data)


def _colours_are_plain(segments: Iterable[_Segment]) -> bool:
    """Whether a JFIF marker says nothing of the colours that is not known without it."""
    frames = [segment.data for segment in segments if segment.code in _FRAMES]
    if len(frames) != 1 or any(segment.code == _APP14 for segment in segments):
        return False
    numbers = frames[0][6::3]
    return len(numbers) == _GREY or numbers == _YCBCR
