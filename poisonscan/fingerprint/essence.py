"""A digest of the coded picture without its metadata, computed without decoding.

Two files with equal essences show the same picture in every loader, whatever of the metadata was rewritten or
stripped. The files are hostile, and a loader may heed what this module does not think of, so that the rule is
the safe way round: a part is left out of the digest only where it is known that no loader lets it decide on a
pixel (the lists of `jpeg`, `png` and `webp`); each other part counts, byte by byte and in its place; and a
file that is not laid out as its format says has no essence but the digest of its bytes. An essence is
therefore the digest of a file that is itself a picture: the same one without the parts that do not matter.
`benchmarks/rewriting.py` holds that against Pillow, OpenCV and torchvision.

Equal essences are still no verdict: the pictures are decoded all the same, and their grids must agree
(`compare.ladder`).
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final

from poisonscan.fingerprint import jpeg, png, webp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_PARTS: Final[Mapping[str, Callable[[bytes], Iterator[bytes | memoryview] | None]]] = {
    "JPEG": jpeg.picture_parts,
    "PNG": png.picture_parts,
    "WEBP": webp.picture_parts,
}
_EDITION: Final = 2
"""Counts up whenever another digest is made of a file, or another one is believed."""
_SCHEMES: Final = frozenset(f"{name.lower()}{_EDITION}" for name in _PARTS)
_BYTES: Final = "bytes"
_MOST_BYTES: Final = 32 << 20
"""OpenCV reads no WebP file of more than 64 MiB, so that what is left out of one may count."""

EXIF_ERRORS = (SyntaxError, OSError, ValueError, KeyError, TypeError, struct.error)
"""What Pillow raises on EXIF blocks that it cannot parse."""


def essence(body: bytes, image_format: str) -> str | None:
    """Digest of the coded picture. Pure; foreign bytes: call it where a worker process may be lost.

    Args:
        body: the file's bytes, which begin as the format does.
        image_format: as `sniff.format_of` names it.

    Returns:
        "<scheme>:<sha256 hex>", or None for other formats and for files that are not laid out strictly.
    """
    if image_format not in _PARTS or len(body) > _MOST_BYTES:
        return None
    parts = _PARTS[image_format](body)
    if parts is None:
        return None
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return f"{image_format.lower()}{_EDITION}:{digest.hexdigest()}"


def bytes_essence(sha256: str) -> str:
    """What stands for the essence of a file without one: its bytes, so that it equals that of no other file.

    Args:
        sha256: of the bytes, hex.
    """
    return f"{_BYTES}:{sha256}"


def says_same_picture(one: str, other: str) -> bool:
    """Whether two essences say that two files hold one picture.

    Those of earlier editions say nothing, since their digests left out what some loaders heed.
    """
    return one == other and one.partition(":")[0] in _SCHEMES


def is_outdated(known: str) -> bool:
    """Whether an essence is of an earlier edition, so that it says nothing."""
    return known.partition(":")[0] not in _SCHEMES | {_BYTES}


def contested(body: bytes, image_format: str) -> str | None:
    """Why the usual loaders do not agree on what picture a file is; None where nothing says so.

    Args:
        body: the file's bytes, which begin as the format does.
        image_format: as `sniff.format_of` names it.
    """
    return png.contested(body) if image_format == "PNG" else None
