from __future__ import annotations

import csv
import hashlib
import io
import os
import warnings
from typing import TYPE_CHECKING

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from poisonscan.fingerprint.decode import fingerprint
from poisonscan.fingerprint.hashes import byte_digests, hamming
from poisonscan.records import Fingerprint, Published

from .files import EVERY_KIND, encoded, exif, one_of, picture

if TYPE_CHECKING:
    from pathlib import Path

HASHES = st.integers(min_value=0, max_value=2**64 - 1).map(lambda value: f"{value:016x}")
SAMPLE = 300


def phash_of(body: bytes, published: Published = Published(phash="0" * 16)) -> str:  # noqa: B008 - frozen
    """The pHash of a row whose list publishes one, so that ours must be computed as theirs was."""
    seen = fingerprint(body, published, 10**9)
    assert isinstance(seen, Fingerprint)
    return seen.phash


def published_phash(body: bytes) -> str:
    """What a publisher computes: the library's own function on the picture as the library opens it."""
    with Image.open(io.BytesIO(body)) as image:
        return str(imagehash.phash(image))


@pytest.mark.parametrize(("image_format", "mode"), EVERY_KIND)
def test_phash_is_the_publishers_for_every_mode_and_format(image_format: str, mode: str) -> None:
    body = one_of(image_format, mode)
    assert phash_of(body) == published_phash(body)
    assert len(phash_of(body)) == 16


def test_phash_is_of_the_picture_as_stored_even_if_it_is_to_be_turned() -> None:
    turned = encoded(picture(), "JPEG", exif=exif(6))
    assert phash_of(turned) == phash_of(encoded(picture(), "JPEG"))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (7, 3), (333, 211)])
def test_phash_of_odd_sizes(size: tuple[int, int]) -> None:
    body = encoded(picture(size=size), "PNG")
    assert phash_of(body) == published_phash(body)


def real_photos(shared_data: Path) -> list[str]:
    """A spread sample; all of them with POISONSCAN_ALL_PICTURES=1."""
    with (shared_data / "images.csv").open(newline="") as stream:
        paths = sorted(row["path"] for row in csv.DictReader(stream))
    return paths[:: 1 if os.environ.get("POISONSCAN_ALL_PICTURES") == "1" else max(1, len(paths) // SAMPLE)]


def test_phash_is_the_publishers_on_real_photos(shared_data: Path) -> None:
    paths = real_photos(shared_data)
    different = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # photos from the wild: damaged EXIF blocks and the like
        for path in paths:
            body = (shared_data / "images" / path).read_bytes()
            if phash_of(body) != published_phash(body):
                different.append(path)
    assert len(paths) >= SAMPLE
    assert different == []


def test_phash_of_the_grid_is_the_publishers_but_for_a_few_bits(shared_data: Path) -> None:
    """What `fingerprint.hashes.phash` says of itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # photos from the wild, as above
        bodies = [(shared_data / "images" / path).read_bytes() for path in real_photos(shared_data)]
        bits = np.array([hamming(phash_of(body, Published()), published_phash(body)) for body in bodies])
    assert (bits == 0).mean() > 0.7
    assert (bits <= 2).mean() > 0.95
    assert bits.max() <= 6


def test_digests_are_those_asked_for() -> None:
    body = b"some bytes"
    assert byte_digests(body, Published()) == {"sha256": hashlib.sha256(body).hexdigest()}
    digests = byte_digests(body, Published(sha512="x", md5="x"))
    assert digests["sha512"] == hashlib.sha512(body).hexdigest()
    assert digests["md5"] == hashlib.md5(body, usedforsecurity=False).hexdigest()


@given(HASHES, HASHES, HASHES)
def test_hamming_is_a_metric(one: str, other: str, third: str) -> None:
    assert hamming(one, one) == 0
    assert hamming(one, other) == hamming(other, one)
    assert (hamming(one, other) == 0) == (one == other)
    assert hamming(one, third) <= hamming(one, other) + hamming(other, third)
    assert 0 <= hamming(one, other) <= 64


def test_hamming_counts_bits() -> None:
    assert hamming("0" * 16, "f" * 16) == 64
    assert hamming("0000000000000001", "0000000000000007") == 2
