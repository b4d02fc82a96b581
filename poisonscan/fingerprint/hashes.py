"""Digests of bytes and perceptual hashes of pictures."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import imagehash
import numpy as np

from poisonscan.records import LUMA_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from poisonscan.records import Published

_COSINES = 2 * np.cos(np.pi / LUMA_SIDE * np.outer(np.arange(8), np.arange(LUMA_SIDE) + 0.5))
"""The slowest eight cosines of a DCT-II, which are all that a pHash keeps of the transform: (8, 32)."""


def byte_digests(body: bytes, published: Published) -> dict[str, str]:
    """sha256 always; sha512 and md5 only where a published hash asks for them. Hex, by name."""
    digests = {"sha256": hashlib.sha256(body).hexdigest()}
    if published.sha512:
        digests["sha512"] = hashlib.sha512(body).hexdigest()
    if published.md5:
        digests["md5"] = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return digests


def exact_phash(image: Image.Image) -> str:
    """The 64-bit pHash of a fully decoded picture as 16 hex digits.

    Calls `imagehash.phash` itself, so that it is bit for bit what publishers such as COYO computed.
    """
    return str(imagehash.phash(image))


def phashes(lumas: NDArray[np.floating]) -> NDArray[np.uint64]:
    """The 64-bit pHash of many luma grids (n, 32, 32): shape (n,).

    The cosine transform of area means where `exact_phash` takes it of a Lanczos-filtered picture, at a
    tenth of its price. On 400 photos 77% of the hashes are equal, 21% differ in two bits, the rest in four.
    """
    low = (_COSINES @ lumas @ _COSINES.T).reshape(len(lumas), -1)
    middle = low.shape[1] // 2
    # The median of an even number of values, in a tenth of the time that np.median takes for so few.
    ordered = np.sort(low, axis=1)
    bits = low > (ordered[:, middle - 1 : middle] + ordered[:, middle : middle + 1]) / 2
    packed: NDArray[np.uint64] = np.packbits(bits, axis=1).view(">u8").astype(np.uint64).reshape(-1)
    return packed


def hamming(one: str, other: str) -> int:
    """Differing bits between two hashes in hexadecimal."""
    return (int(one, 16) ^ int(other, 16)).bit_count()
