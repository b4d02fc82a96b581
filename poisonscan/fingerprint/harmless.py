"""Metadata that no loader lets decide on a single pixel, said of it only where its bytes prove it.

What decides today is the orientation. Pillow takes it from the first EXIF directory, else from XMP; OpenCV
and torchvision take it from EXIF alone, each with a reader that is lenient in its own way. So a block passes
only where strict and lenient readers must agree: it is laid out as the standard says, and nowhere in it is a
trace of an orientation but "as it is".

Layouts: EXIF 2.32 section 4.6 (a TIFF directory), XMP part 1 section 7.7 (`tiff:Orientation`), Adobe's image
resources.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_BYTE_ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}
_HEADER: Final = 8
_INLINE: Final = 4
_TYPE_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_MOST_ENTRIES: Final = 256
_TRACES: Final = ((b"\x01\x12\0\3", b"\0\0\0\1\0\1"), (b"\x12\1\3\0", b"\1\0\0\0\1\0"))
"""The tag of an orientation and its type; the count and value that mean "as it is"; in each byte order."""
_RESOURCE: Final = b"8BIM"


def exif_is_harmless(block: bytes) -> bool:
    """Whether a TIFF block is a plain EXIF directory that turns the picture for no reader. Pure.

    Args:
        block: from its byte order mark on, without "Exif" before it.
    """
    order = _BYTE_ORDERS.get(block[:4])
    if order is None or any(block.count(trace) != block.count(trace + plain) for trace, plain in _TRACES):
        return False
    try:
        entries = list(_entries(block, order))
    except struct.error:
        return False
    return 0 < len(entries) <= _MOST_ENTRIES and all(_fits(len(block), *entry) for entry in entries)


def xmp_is_harmless(packet: bytes) -> bool:
    """Whether an XMP packet says nothing of an orientation, whatever the prefix and the case. Pure."""
    return b"orientation" not in packet.lower()


def resources_are_whole(blocks: bytes) -> bool:
    """Whether Photoshop's image resources fill the bytes, so that no reader of them can fail. Pure."""
    at = 0
    while at < len(blocks):
        if blocks[at : at + 4] != _RESOURCE or at + 7 > len(blocks):
            return False
        at += 7 + blocks[at + 6]  # signature, number, name
        at += at & 1
        if at + 4 > len(blocks):
            return False
        at += 4 + int.from_bytes(blocks[at : at + 4], "big")
        at += at & 1
    return at <= len(blocks) + 1  # the last one may lack the byte that makes it even


def _entries(block: bytes, order: str) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type, count, and value or offset of each entry of the first directory."""
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    if start < _HEADER:
        return
    (count,) = struct.unpack_from(f"{order}H", block, start)
    first = start + 2
    struct.unpack_from(f"{order}I", block, first + 12 * count)  # where the next directory begins
    for number in range(count):
        yield struct.unpack_from(f"{order}HHII", block, first + 12 * number)


def _fits(length: int, tag: int, kind: int, count: int, offset: int) -> bool:
    if kind not in _TYPE_SIZES or (tag == _ORIENTATION and kind != _SHORT):
        return False
    size = _TYPE_SIZES[kind] * count
    return size <= _INLINE or offset + size <= length
