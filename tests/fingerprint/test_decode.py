from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poisonscan.config import CompareSettings, DecodeSettings
from poisonscan.engine.bundles import Bundles
from poisonscan.engine.sandbox import Sandbox
from poisonscan.fingerprint.decode import (
    Decoded,
    decoded,
    decoder_version,
    fingerprint,
    fingerprints,
    rgb_pixels,
)
from poisonscan.fingerprint.grids import unpack
from poisonscan.fingerprint.sniff import ALLOWED_FORMATS, describe, format_of
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE, DecodeFailure, Fingerprint, Published, Verdict
from poisonscan.stages.examine import Examined, Examiner, Question, examine, examine_safely

from .files import EVERY_KIND, chunk, encoded, exif, one_of, picture, rebuilt, with_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NO_HASHES = Published()
LIMIT = 10**9


def seen(body: bytes) -> Fingerprint:
    found = fingerprint(body, NO_HASHES, LIMIT)
    assert isinstance(found, Fingerprint)
    return found


def difference(one: Fingerprint, other: Fingerprint) -> float:
    return float(np.abs(unpack(one).luma - unpack(other).luma).max())


@pytest.mark.parametrize(("image_format", "mode"), EVERY_KIND)
def test_every_kind_is_decoded_and_looks_like_the_original(image_format: str, mode: str) -> None:
    found = seen(one_of(image_format, mode))
    assert (found.width, found.height, found.format) == (48, 36, image_format)
    assert len(found.luma) == LUMA_SIDE**2
    assert len(found.chroma) == 2 * CHROMA_SIDE**2
    assert found.decoder == decoder_version()
    if mode not in {"RGBA", "LA", "1", "F"}:
        mean = unpack(seen(encoded(picture("L"), "PNG"))).luma.mean()
        assert unpack(found).luma.mean() == pytest.approx(mean, abs=6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_orientation_is_applied(image_format: str, orientation: int) -> None:
    stored = picture()
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # Pillow's Transpose that shows it upright
    upright = stored if orientation == 1 else stored.transpose(Image.Transpose(turn[orientation]))
    options = {"quality": 95} if image_format in {"JPEG", "WEBP", "AVIF"} else {}
    found = seen(encoded(stored, image_format, exif=exif(orientation), **options))
    assert (found.width, found.height) == upright.size
    assert difference(found, seen(encoded(upright, "PNG"))) < 25


def test_transparency_is_shown_over_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    half = Image.new("LA", (8, 8), (0, 128))
    for image, luma in ((clear, 255), (half, 127)):
        assert set(seen(encoded(image, "PNG")).luma) == {luma}


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1"])
def test_a_transparent_colour_is_shown_over_white(mode: str) -> None:
    image = Image.new("RGB", (8, 8), "black").convert(mode)
    value = image.getpixel((0, 0))
    assert set(seen(encoded(image, "PNG", transparency=value)).luma) == {255}


def test_a_transparent_gif_is_shown_over_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert set(seen(encoded(image, "GIF", transparency=0)).luma) == {255}


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(image_format: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
    luma = unpack(seen(encoded(Image.fromarray(ramp), image_format))).luma
    assert luma[0, 0] < 5
    assert luma[0, -1] > 250
    assert np.all(np.diff(luma[0]) > 0)


def test_sixteen_bits_with_a_transparent_colour_are_decoded() -> None:
    deep = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    body = with_chunk(encoded(deep, "PNG"), b"tRNS", struct.pack(">H", 7))
    assert set(seen(body).luma) == {156}


def test_eight_bits_in_a_deep_container_keep_their_values() -> None:
    assert set(seen(encoded(Image.fromarray(np.full((8, 8), 200, np.int32)), "TIFF")).luma) == {200}


def test_cmyk_becomes_the_colours_it_shows() -> None:
    red = seen(encoded(Image.new("RGB", (16, 16), (200, 30, 30)).convert("CMYK"), "JPEG", quality=95))
    plain = seen(encoded(Image.new("RGB", (16, 16), (200, 30, 30)), "PNG"))
    assert difference(red, plain) < 6
    assert np.abs(unpack(red).chroma - unpack(plain).chroma).max() < 6


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_of_an_animation_the_first_frame_counts(image_format: str) -> None:
    frames = [
        picture(seed=seed).quantize(64) if image_format == "GIF" else picture(seed=seed) for seed in (0, 3)
    ]
    moving = encoded(frames[0], image_format, save_all=True, append_images=frames[1:], duration=100)
    still = encoded(frames[0], image_format)
    with Image.open(io.BytesIO(moving)) as image:
        assert getattr(image, "n_frames", 1) == 2
    assert difference(seen(moving), seen(still)) < 10


def test_pages_after_the_first_of_a_tiff_do_not_count() -> None:
    pages = encoded(picture(), "TIFF", save_all=True, append_images=[picture(seed=3)])
    assert seen(pages).luma == seen(encoded(picture(), "TIFF")).luma


def test_too_many_pixels_are_not_decoded() -> None:
    body = encoded(picture(), "PNG")
    assert isinstance(fingerprint(body, NO_HASHES, 48 * 36), Fingerprint)
    failure = fingerprint(body, NO_HASHES, 48 * 36 - 1)
    assert failure == DecodeFailure(Verdict.UNDECODABLE, "48 x 36 pixels exceed the limit of 1,727")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_by_its_header_alone() -> None:
    def swollen(name: bytes, data: bytes) -> list[tuple[bytes, bytes]]:
        return [(name, struct.pack(">II", 12_000, 12_000) + data[8:] if name == b"IHDR" else data)]

    failure = fingerprint(rebuilt(encoded(picture(), "PNG"), swollen), NO_HASHES, 100_000_000)
    assert isinstance(failure, DecodeFailure)
    assert "12000 x 12000 pixels exceed the limit" in failure.reason


def test_what_is_no_picture_says_what_it_is() -> None:
    pages = {
        b"": "the body is empty",
        b"<!DOCTYPE html><p>": "HTML, not a picture",
        b"\xef\xbb\xbf\n <HTML>": "HTML, not a picture",
        b"<svg xmlns='...'>": "SVG, not a picture",
        b"<?xml version='1.0'?>": "XML, not a picture",
        b'{"error": 404}': "JSON, not a picture",
        b"%PDF-1.7": "no known picture format (starts with 25 50 44 46 2d 31 2e 37)",
    }
    for body, words in pages.items():
        assert fingerprint(body, NO_HASHES, LIMIT) == DecodeFailure(Verdict.NOT_IMAGE, words)


@pytest.mark.parametrize("image_format", ALLOWED_FORMATS)
def test_sniffing_knows_every_allowed_format_whatever_its_name_says(image_format: str) -> None:
    body = encoded(picture(), image_format)
    assert format_of(body) == image_format
    assert format_of(b"\0" + body) is None


@pytest.mark.parametrize("image_format", ["ICO", "PPM", "TGA", "JPEG2000", "PCX", "ICNS"])
def test_other_decoders_are_never_reached(image_format: str) -> None:
    body = encoded(picture(), image_format)
    failure = fingerprint(body, NO_HASHES, LIMIT)
    assert isinstance(failure, DecodeFailure)
    assert failure.verdict is Verdict.NOT_IMAGE


@given(st.binary(max_size=600))
def test_sniffing_never_raises(body: bytes) -> None:
    assert format_of(body) is None or format_of(body) in ALLOWED_FORMATS
    assert describe(body)


@pytest.fixture
async def examiner() -> AsyncIterator[Examiner]:
    async with Sandbox(1, 10, DecodeSettings().memory_mib, preload=examine) as opened:
        yield Bundles(opened, examine)


async def examined(examiner: Examiner, body: bytes) -> Examined | DecodeFailure:
    question = Question(body, NO_HASHES, (), DecodeSettings().max_pixels, CompareSettings())
    return await examine_safely(examiner, question)


async def test_truncated_files_are_undecodable_with_a_reason(examiner: Examiner) -> None:
    for image_format in ALLOWED_FORMATS:
        body = encoded(picture(size=(120, 90)), image_format)
        for share in (0.02, 0.3, 0.6):
            failure = await examined(examiner, body[: 16 + int(len(body) * share)])
            assert isinstance(failure, DecodeFailure), (image_format, share)
            assert failure.verdict is Verdict.UNDECODABLE
            assert failure.reason


async def test_hostile_files_cost_their_own_row_only(examiner: Examiner) -> None:
    png = encoded(picture(), "PNG")
    text_bomb = with_chunk(png, b"zTXt", b"a\0\0" + b"not zlib at all")
    cases = [png[:40], text_bomb, b"II*\0\x08\0\0\0\xff\xff", b"BM" + bytes(60), b"GIF89a\x01\0\x01\0\0\0\0;"]
    for body in cases:
        assert isinstance(await examined(examiner, body), Examined | DecodeFailure)
    huge = rebuilt(
        png, lambda n, d: [(n, struct.pack(">II", 2**31 - 1, 2**31 - 1) + d[8:] if n == b"IHDR" else d)]
    )
    failure = await examined(examiner, huge)
    assert isinstance(failure, DecodeFailure)
    assert "DecompressionBombError" in failure.reason
    assert isinstance(await examined(examiner, png), Examined)


async def test_the_smallest_memory_limit_still_decodes_a_photo() -> None:
    """Else every row would be called undecodable for a setting of ours."""
    body = encoded(picture(size=(1600, 1200)), "JPEG")
    async with Sandbox(1, 20, memory_mib=256, preload=examine) as small:
        assert isinstance(await examined(Bundles(small, examine), body), Examined)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["RGB", "RGBA", "L", "LA", "P", "1", "CMYK"]))
def test_pixels_are_rgb_of_the_pictures_size(width: int, height: int, mode: str) -> None:
    pixels = rgb_pixels(picture(mode, (width, height)))
    assert pixels.shape == (height, width, 3)
    assert pixels.dtype == np.uint8


def test_a_chunk_built_here_is_one_that_pillow_reads() -> None:
    assert chunk(b"IEND", b"") in encoded(picture(), "PNG")


def test_pictures_described_together_are_described_as_alone() -> None:
    bodies = [
        encoded(picture(mode, (40 + 30 * n, 90)), image_format)
        for n, mode in enumerate(["RGB", "L", "RGB"])
        for image_format in ("JPEG", "PNG")
    ]
    bodies += [encoded(picture(), "JPEG", exif=exif(orientation)) for orientation in range(1, 9)]
    found = [decoded(body, NO_HASHES, LIMIT) for body in bodies]
    together = [one for one in found if isinstance(one, Decoded)]
    assert len(together) == len(bodies)
    assert fingerprints(together) == [fingerprint(body, NO_HASHES, LIMIT) for body in bodies]
    assert fingerprints([]) == []
