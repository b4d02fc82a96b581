from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poisonscan.fingerprint.hidden import filled_by_webp
from poisonscan.fingerprint.variants import agree, packed, variants
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE, TEXTURE_SIDE, Fingerprint, Rendering
from tests.compare.pairs import original
from tests.fingerprint.files import encoded

LENGTH = LUMA_SIDE**2 + 2 * CHROMA_SIDE**2 + TEXTURE_SIDE**2
OTHERS = [rendering for rendering in Rendering if rendering is not Rendering.MAIN]


def grids_of(fingerprint: Fingerprint) -> bytes:
    return fingerprint.luma + fingerprint.chroma + fingerprint.texture


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(OTHERS), unique=True), st.integers(0, 2**32 - 1))
def test_what_was_packed_comes_back(names: list[Rendering], seed: int) -> None:
    rng = np.random.default_rng(seed)
    main = original(0)
    others = {name: rng.integers(0, 256, LENGTH, dtype=np.uint8).tobytes() for name in names}
    column = packed(grids_of(main), others)
    found = variants(dataclasses.replace(main, renderings=column))
    assert list(found) == [Rendering.MAIN, *names]
    assert {name: grids_of(found[name]) for name in names} == others


@pytest.mark.parametrize("column", [b"\1", b"\1\xff\xff", b"\x63\0\0", b"\1\2\0ab"])
def test_a_damaged_column_is_no_picture(column: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        variants(dataclasses.replace(original(0), renderings=column))


def test_rounding_is_no_difference() -> None:
    assert agree(bytes([7, 9, 255]), bytes([8, 8, 254]))
    assert not agree(bytes([7, 9, 255]), bytes([9, 9, 255]))


def test_an_old_snapshot_has_one_rendering() -> None:
    assert list(variants(dataclasses.replace(original(0), renderings=None))) == [Rendering.MAIN]


@pytest.mark.parametrize(
    ("options", "filled"),
    [
        ({"lossless": True}, True),
        ({"quality": 80}, True),
        ({"lossless": True, "exact": True}, False),
    ],
)
def test_what_an_encoder_fills_in_is_told_from_what_was_hidden(options: dict[str, int], filled: bool) -> None:  # noqa: FBT001 - a parameter of the test
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((256, 192))
    mask = Image.new("L", image.size, 0)
    mask.paste(255, (80, 60, 180, 140))
    image.putalpha(mask)
    with Image.open(io.BytesIO(encoded(image, "WEBP", **options))) as opened:
        assert filled_by_webp(opened.convert("RGBA")) is filled
