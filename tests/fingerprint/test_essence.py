from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import PngImagePlugin

from poisonscan.fingerprint.decode import fingerprint
from poisonscan.fingerprint.essence import bytes_essence, essence, is_outdated, says_same_picture
from poisonscan.fingerprint.jpeg import MOST_SEGMENTS
from poisonscan.fingerprint.sniff import format_of
from poisonscan.records import DecodeFailure, Fingerprint, Published, Verdict

from .files import (
    EVERY_KIND,
    SIZE,
    chunks,
    encoded,
    exif,
    one_of,
    picture,
    rebuilt,
    riff,
    segment,
    webp_chunks,
    with_chunk,
    with_segment,
    without_segments,
)

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><dc:title>boat</dc:title></x:xmpmeta>"
TURNING_XMP = b'<rdf:Description tiff:Orientation="6"/>'
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
TURNED_EXIF = exif(6).tobytes().removeprefix(b"Exif\0\0")
STRAIGHT_EXIF = exif(1).tobytes().removeprefix(b"Exif\0\0")
JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"
ICC = b"ICC_PROFILE\0\x01\x01" + bytes(64)
ADOBE = b"Adobe\0\x64\0\0\0\0"
PHOTOSHOP = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x07\x1c\x02\x05\0\x02hi\0"


def of(body: bytes) -> str:
    found = essence(body, format_of(body) or "")
    assert found is not None
    return found


def fingerprinted(body: bytes) -> Fingerprint:
    seen = fingerprint(body, Published(), 10**9)
    assert isinstance(seen, Fingerprint)
    return seen


JPEG = encoded(picture(), "JPEG", quality=80)
PROGRESSIVE = encoded(picture(), "JPEG", quality=80, progressive=True)
PNG = encoded(picture("P"), "PNG")
TRANSPARENT_PNG = encoded(picture("P"), "PNG", transparency=3)
WEBP = encoded(picture(), "WEBP", quality=80)
LOSSLESS = encoded(picture("RGBA"), "WEBP", lossless=True, exact=True)
TRANSPARENT_WEBP = encoded(picture("RGBA"), "WEBP", quality=80)


@pytest.mark.parametrize("jpeg", [JPEG, PROGRESSIVE, encoded(picture("L"), "JPEG")])
def test_jpeg_metadata_does_not_matter(jpeg: bytes) -> None:
    rewritten = {
        "comment": with_segment(jpeg, 0xFE, b"optimised"),
        "exif": with_segment(jpeg, 0xE1, b"Exif\0\0" + exif(1).tobytes().removeprefix(b"Exif\0\0")),
        "xmp": with_segment(jpeg, 0xE1, XMP_HEADER + XMP),
        "icc": with_segment(jpeg, 0xE2, ICC),
        "photoshop": with_segment(jpeg, 0xED, PHOTOSHOP),
        "ducky": with_segment(jpeg, 0xEC, b"Ducky\0\1\0\4\0\0\0\x3c\0\0"),
        "no JFIF": without_segments(jpeg, 0xE0),
        "several": with_segment(with_segment(with_segment(jpeg, 0xFE, b"a"), 0xFE, b"b"), 0xED, PHOTOSHOP),
    }
    assert {name: of(body) for name, body in rewritten.items()} == dict.fromkeys(rewritten, of(jpeg))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_every_orientation_is_another_picture(orientation: int) -> None:
    for image_format in ("JPEG", "PNG", "WEBP"):
        straight = encoded(picture(), image_format)
        turned = encoded(picture(), image_format, exif=exif(orientation))
        assert of(turned) != of(straight)
        assert of(turned) != of(encoded(picture(), image_format, exif=exif(orientation % 8 + 1)))
        assert fingerprinted(turned).luma != fingerprinted(straight).luma


def test_an_orientation_hidden_in_the_first_of_two_exif_blocks_counts() -> None:
    """Pillow joins the blocks, so the first one decides."""
    straight = with_segment(JPEG, 0xE1, b"Exif\0\0" + exif(1).tobytes().removeprefix(b"Exif\0\0"))
    turned = with_segment(straight, 0xE1, b"Exif\0\0" + exif(6).tobytes().removeprefix(b"Exif\0\0"))
    assert fingerprinted(turned).width == fingerprinted(JPEG).height
    assert of(turned) != of(straight) == of(JPEG)


def test_an_orientation_in_xmp_counts() -> None:
    """Pillow takes the orientation from XMP where EXIF has none."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", TURNING_XMP.decode())
    compressed = PngImagePlugin.PngInfo()
    compressed.add_itxt("XML:com.adobe.xmp", TURNING_XMP.decode(), zip=True)
    for straight, turned in (
        (JPEG, with_segment(JPEG, 0xE1, XMP_HEADER + TURNING_XMP)),
        (encoded(picture(), "PNG"), encoded(picture(), "PNG", pnginfo=info)),
        (encoded(picture(), "PNG"), encoded(picture(), "PNG", pnginfo=compressed)),
        (WEBP, encoded(picture(), "WEBP", quality=80, xmp=TURNING_XMP)),
    ):
        assert fingerprinted(turned).width == fingerprinted(straight).height
        assert of(turned) != of(straight)


def test_exif_in_the_text_of_a_png_counts() -> None:
    block = exif(6).tobytes()
    text = b"Raw profile type exif\0" + f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    straight = encoded(picture(), "PNG")
    turned = with_chunk(straight, b"tEXt", text)
    assert fingerprinted(turned).width == fingerprinted(straight).height
    assert of(turned) != of(straight)


def test_adobes_colour_transform_counts() -> None:
    assert of(with_segment(JPEG, 0xEE, ADOBE + b"\0")) != of(JPEG)
    assert of(with_segment(JPEG, 0xEE, ADOBE + b"\0")) != of(with_segment(JPEG, 0xEE, ADOBE + b"\1"))


def test_a_jfif_marker_counts_where_it_decides_on_the_colours() -> None:
    rgb = with_segment(without_segments(JPEG, 0xE0), 0xEE, ADOBE + b"\0")
    as_ycbcr = with_segment(rgb, 0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    assert fingerprinted(rgb).luma != fingerprinted(as_ycbcr).luma
    assert of(rgb) != of(as_ycbcr)


def test_another_coding_is_another_essence() -> None:
    bodies = [JPEG, PROGRESSIVE, encoded(picture(), "JPEG", quality=79), encoded(picture(seed=1), "JPEG")]
    bodies += [PNG, TRANSPARENT_PNG, encoded(picture("P"), "PNG", transparency=4), encoded(picture(), "PNG")]
    bodies += [WEBP, LOSSLESS, TRANSPARENT_WEBP, encoded(picture(), "WEBP", quality=50)]
    assert len({of(body) for body in bodies}) == len(bodies)


def test_all_from_the_first_scan_on_counts() -> None:
    """Also what stands between and behind the scans: a comment there ends a scan early, whatever it says."""
    scan = PROGRESSIVE.index(b"\xff\xda")
    end = PROGRESSIVE.rindex(b"\xff\xd9")
    middle = PROGRESSIVE.index(b"\xff\0", scan)
    bodies = [
        PROGRESSIVE[:middle] + segment(0xFE, b"x") + PROGRESSIVE[middle:],
        PROGRESSIVE[:end] + segment(0xFE, b"") + b"\0" + PROGRESSIVE[scan:],
        PROGRESSIVE[:end] + segment(0xE1, b"Exif\0\0" + TURNED_EXIF) + PROGRESSIVE[end:],
        PROGRESSIVE[:end] + segment(0xE0, JFIF) + PROGRESSIVE[end:],
        PROGRESSIVE[:end],
        PROGRESSIVE + b"<?php eval($_GET[0]);",
        PROGRESSIVE + PROGRESSIVE,
    ]
    assert len({of(body) for body in [PROGRESSIVE, *bodies]}) == 1 + len(bodies)


@pytest.mark.parametrize(
    "jpeg",
    [
        JPEG[:2] + b"\xff\xff\xff" + JPEG[2:],  # padding
        JPEG[:2] + b"\0" + JPEG[2:],  # junk
        JPEG[:2] + b"\xff\xd0" + JPEG[2:],  # a marker of scans
        JPEG[:2] + b"\xff\xfe\0\1" + JPEG[2:],  # shorter than its own length
        with_segment(JPEG, 0xE2, b"MPF\0" + bytes(8)),  # counts bytes from where it stands
        JPEG[:2] + segment(0xFE, b"") * (MOST_SEGMENTS + 1) + JPEG[2:],
        JPEG[: JPEG.index(b"\xff\xda")],
    ],
)
def test_what_a_strict_jpeg_does_not_have_means_no_essence(jpeg: bytes) -> None:
    assert essence(jpeg, "JPEG") is None


@pytest.mark.parametrize(
    ("code", "data"),
    [
        (0xE0, b"JFIF\0\1\1"),  # too short: Pillow fails, libjpeg sees no JFIF
        (0xE0, b"JFXX\0\x10"),
        (0xE1, b"Exif\0\0" + TURNED_EXIF),
        (0xE1, b"Exif\0\0no directory"),
        (0xE1, b"unknown"),
        (0xE2, b"ICC_PROFILE\0\x01"),  # Pillow fails on it
        (0xE2, b"ICC_PROFILE\0\x02\x01" + bytes(9)),
        (0xE3, b"unknown"),
        (0xEC, b"unknown"),
        (0xED, b"Photoshop 3.0\x008BIM\4\4"),  # Pillow fails on it
        (0xEE, ADOBE + b"\0"),
        (0xEE, b"Adobe"),
    ],
)
def test_a_jpeg_segment_that_is_not_known_to_be_harmless_counts(code: int, data: bytes) -> None:
    assert of(with_segment(JPEG, code, data)) != of(JPEG)
    assert of(with_segment(JPEG, code, data)) != of(with_segment(JPEG, code, data + b"\0"))


def test_stale_xmp_counts_with_and_without_the_exif_that_outranks_it() -> None:
    stale = with_segment(JPEG, 0xE1, XMP_HEADER + TURNING_XMP)
    both = with_segment(stale, 0xE1, b"Exif\0\0" + STRAIGHT_EXIF)
    assert fingerprinted(both).width == fingerprinted(JPEG).width != fingerprinted(stale).width
    assert len({of(JPEG), of(stale), of(both)}) == 3


def test_metadata_before_a_turning_exif_counts_since_torchvision_reads_the_first_segment_alone() -> None:
    turned = with_segment(JPEG, 0xE1, b"Exif\0\0" + TURNED_EXIF)
    assert of(with_segment(turned, 0xE1, XMP_HEADER + XMP)) != of(turned)
    assert of(with_segment(turned, 0xFE, b"note")) == of(turned)


@pytest.mark.parametrize("numbers", [b"RGB", b"\0\1\2", b"\1\2\4"])
def test_a_jfif_marker_counts_where_the_numbers_of_the_components_leave_a_doubt(numbers: bytes) -> None:
    frame = JPEG.index(b"\xff\xc0") + 10
    scan = JPEG.index(b"\xff\xda") + 5
    odd = bytearray(JPEG)
    odd[frame : frame + 9 : 3] = numbers
    odd[scan : scan + 6 : 2] = numbers
    assert of(bytes(odd)) != of(without_segments(bytes(odd), 0xE0))


def test_png_metadata_and_chunking_do_not_matter() -> None:
    def cut(name: bytes, data: bytes) -> list[tuple[bytes, bytes]]:
        if name != b"IDAT":
            return [(name, data)]
        return [(name, data[at : at + 100]) for at in range(0, len(data), 100)]

    for png in (PNG, TRANSPARENT_PNG):
        rewritten = {
            "text": with_chunk(png, b"tEXt", b"Comment\0hello"),
            "time": with_chunk(png, b"tIME", bytes(7)),
            "size": with_chunk(png, b"pHYs", bytes(9)),
            "international text": with_chunk(png, b"iTXt", b"Title\0\0\0\0\0Boot"),
            "xmp": with_chunk(png, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
            "exif": with_chunk(png, b"eXIf", exif(1).tobytes().removeprefix(b"Exif\0\0")),
            "IDAT": rebuilt(png, cut),
        }
        assert len(list(chunks(rewritten["IDAT"]))) > len(list(chunks(png)))
        assert {name: of(body) for name, body in rewritten.items()} == dict.fromkeys(rewritten, of(png))


COLOURS = [
    (b"gAMA", struct.pack(">I", 45455)),
    (b"iCCP", b"x\0\0"),
    (b"sRGB", b"\0"),
    (b"sBIT", b"\1\1\1"),
    (b"bKGD", b"\0"),
]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        *COLOURS,
        (b"prVt", b"unknown"),
        (b"tEXt", b"gamma\x001"),
        (b"tEXt", b"no end"),
        (b"tEXt", b"Raw profile type exif\0\nexif\n       4\n00000000\n"),
        (b"tEXt", b"Raw profile type APP1\0\nexif\n       4\n00000000\n"),
        (b"zTXt", b"Title\0\0" + zlib.compress(b"boat")),
        (b"zTXt", b"XML:com.adobe.xmp\0\0" + zlib.compress(TURNING_XMP)),
        (b"iTXt", b"Title\0\1\0\0\0" + zlib.compress(b"boat")),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + TURNING_XMP),
        (b"eXIf", TURNED_EXIF),
        (b"eXIf", b"no directory"),
        (b"tIME", bytes(6)),
        (b"pHYs", bytes(8)),
        (b"tEXt", b"Title\0" + bytes(1 << 17)),
    ],
)
def test_a_png_chunk_that_is_not_known_to_be_harmless_counts(name: bytes, data: bytes) -> None:
    one = of(with_chunk(PNG, name, data))
    assert one != of(PNG)
    noted = with_chunk(with_chunk(PNG, name, data), b"tEXt", b"Title\0boat")
    assert (of(noted) == one) == (name not in {b"tEXt", b"zTXt", b"iTXt", b"eXIf"})


def test_what_is_behind_the_end_of_a_png_counts() -> None:
    assert of(PNG + b"more") != of(PNG)


def frame_control(size: tuple[int, int]) -> bytes:
    return struct.pack(">IIIIIHHBB", 0, *size, 0, 0, 1, 10, 0, 0)


def test_an_animated_png_has_no_essence() -> None:
    first, second = picture(), picture(seed=1)
    body = encoded(first, "PNG", save_all=True, append_images=[second], duration=50)
    assert b"fdAT" in body
    assert essence(body, "PNG") is None
    assert isinstance(fingerprint(body, Published(), 10**9), Fingerprint)


CODED = b"".join(data for name, data in chunks(PNG) if name == b"IDAT")
OTHER_CODED = b"".join(data for name, data in chunks(encoded(picture("P", seed=3), "PNG")) if name == b"IDAT")


def instead_of_idat(*parts: tuple[bytes, bytes]) -> bytes:
    return rebuilt(PNG, lambda name, data: list(parts) if name == b"IDAT" else [(name, data)])


@pytest.mark.parametrize(
    ("png", "word"),
    [
        (instead_of_idat((b"IDAT", b""), (b"DDAT", OTHER_CODED), (b"IDAT", CODED)), "DDAT"),
        (instead_of_idat((b"fdAT", bytes(4) + OTHER_CODED), (b"IDAT", CODED)), "fdAT"),
        (with_chunk(PNG, b"fcTL", frame_control((20, 20))), "fcTL"),
        (instead_of_idat((b"IDAT", CODED[:50]), (b"tEXt", b"Title\0"), (b"IDAT", CODED[50:])), "IDAT"),
        (instead_of_idat((b"IDAT", CODED), (b"tRNS", b"\0")), "tRNS"),
        (with_chunk(TRANSPARENT_PNG, b"tRNS", bytes(3)), "tRNS"),
        (with_chunk(PNG, b"IHDR", bytes(13)), "IHDR"),
        (with_chunk(PNG, b"tEXt", b"interlace\0x"), "interlace"),
        (with_chunk(PNG, b"tEXt", b"bbox\0abcd"), "bbox"),
        (with_chunk(PNG, b"zTXt", b"transparency\0\0"), "transparency"),
        (
            rebuilt(PNG, lambda name, data: [(b"tEXt", b"")] * 20_000 if name == b"IHDR" else [(name, data)]),
            "chunks",
        ),
    ],
)
def test_a_png_that_shows_pillow_another_picture_than_libpng_is_undecodable(png: bytes, word: str) -> None:
    assert essence(png, "PNG") is None
    seen = fingerprint(png, Published(), 10**9)
    assert isinstance(seen, DecodeFailure)
    assert seen.verdict is Verdict.UNDECODABLE
    assert "loaders disagree" in seen.reason
    assert word in seen.reason or "keyword" in seen.reason


def test_a_png_without_picture_or_end_or_with_an_empty_piece_has_no_essence() -> None:
    assert essence(rebuilt(PNG, lambda name, data: [] if name == b"IDAT" else [(name, data)]), "PNG") is None
    assert essence(rebuilt(PNG, lambda name, data: [] if name == b"IEND" else [(name, data)]), "PNG") is None
    assert essence(instead_of_idat((b"IDAT", b""), (b"IDAT", CODED)), "PNG") is None


def test_a_png_with_a_wrong_checksum_has_no_essence() -> None:
    at = PNG.index(b"IDAT") + 10
    assert essence(PNG[:at] + bytes([PNG[at] ^ 1]) + PNG[at + 1 :], "PNG") is None
    assert essence(PNG[:-20], "PNG") is None


@pytest.mark.parametrize("options", [{"quality": 80}, {"lossless": True}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_metadata_does_not_matter(mode: str, options: dict[str, object]) -> None:
    bare = encoded(picture(mode), "WEBP", **options)
    noted = encoded(picture(mode), "WEBP", exif=exif(1), xmp=XMP, icc_profile=bytes(128), **options)
    assert b"EXIF" in noted
    assert of(noted) == of(bare)
    assert essence(bare + b"more", "WEBP") is None


def extended(*parts: tuple[bytes, bytes], flags: int = 0, size: tuple[int, int] = SIZE) -> bytes:
    canvas = b"".join((side - 1).to_bytes(3, "little") for side in size)
    return riff((b"VP8X", bytes([flags, 0, 0, 0]) + canvas), *parts)


def test_an_extended_webp_is_the_plain_one_where_its_header_says_nothing_else() -> None:
    (coded,) = webp_chunks(WEBP)
    assert of(extended(coded)) == of(WEBP)


@pytest.mark.parametrize(
    "webp",
    [
        extended(*webp_chunks(WEBP), size=(SIZE[0] * 4, SIZE[1])),  # another canvas
        extended(*webp_chunks(WEBP), flags=0x10),  # transparency that is not there
        extended(*webp_chunks(WEBP), flags=0x08),  # EXIF that is not there
        extended(*webp_chunks(WEBP), (b"EXIF", STRAIGHT_EXIF)),  # EXIF without its flag
        extended(*webp_chunks(WEBP), flags=0x01),  # a reserved flag
        extended(*webp_chunks(WEBP), (b"note", b"1234")),
        extended(*webp_chunks(WEBP), *webp_chunks(WEBP)),
        extended((b"EXIF", STRAIGHT_EXIF), *webp_chunks(WEBP), flags=0x08),  # misplaced
        riff(*webp_chunks(WEBP), (b"EXIF", STRAIGHT_EXIF)),  # without a header that says so
        riff(),
        riff((b"VP8 ", webp_chunks(WEBP)[0][1][:20])),
        WEBP[:-2],
        encoded(picture(), "WEBP", save_all=True, append_images=[picture(seed=1)]),
    ],
)
def test_a_webp_that_is_not_what_its_header_says_has_no_essence(webp: bytes) -> None:
    assert essence(webp, "WEBP") is None


def test_turning_metadata_of_a_webp_counts() -> None:
    (coded,) = webp_chunks(WEBP)
    turned = extended(coded, (b"EXIF", TURNED_EXIF), flags=0x08)
    assert of(turned) != of(WEBP)
    assert of(turned) != of(extended(coded, (b"EXIF", TURNED_EXIF), (b"XMP ", XMP), flags=0x0C))
    assert of(turned) == of(extended((b"ICCP", bytes(64)), coded, (b"EXIF", TURNED_EXIF), flags=0x28))


def test_a_webp_whose_transparency_is_switched_off_shows_other_pixels() -> None:
    parts = webp_chunks(TRANSPARENT_WEBP)
    name, header = parts[0]
    assert name == b"VP8X"
    opaque = riff((name, bytes([header[0] & ~0x10]) + header[1:]), *parts[1:])
    assert fingerprinted(opaque).luma != fingerprinted(TRANSPARENT_WEBP).luma
    assert essence(opaque, "WEBP") is None


@pytest.mark.parametrize(("image_format", "mode"), EVERY_KIND)
def test_every_kind_has_one_and_it_sees_another_picture(image_format: str, mode: str) -> None:
    one, other = one_of(image_format, mode), one_of(image_format, mode, seed=2)
    assert fingerprinted(one).essence == fingerprinted(one).essence
    if one != other:
        assert fingerprinted(one).essence != fingerprinted(other).essence
    assert fingerprinted(one).essence.partition(":")[0] in {"jpeg2", "png2", "webp2", "bytes"}


def test_a_file_without_an_essence_is_the_same_picture_as_no_other() -> None:
    gif = fingerprinted(encoded(picture("P"), "GIF"))
    assert gif.essence == bytes_essence(gif.sha256)
    assert not says_same_picture(gif.essence, gif.essence)


def test_essences_of_earlier_editions_say_nothing() -> None:
    assert says_same_picture(of(JPEG), of(JPEG))
    assert not is_outdated(of(JPEG))
    assert not is_outdated(bytes_essence("0"))
    for old in ("jpeg:0", "png:0", "webp:0", "pixels:0"):
        assert not says_same_picture(old, old)
        assert is_outdated(old)


@pytest.mark.parametrize("body", [JPEG, PROGRESSIVE, PNG, TRANSPARENT_PNG, WEBP, LOSSLESS, TRANSPARENT_WEBP])
def test_never_raises_on_any_truncation(body: bytes) -> None:
    for length in range(len(body)):
        essence(body[:length], format_of(body) or "")


@settings(max_examples=300)
@given(
    body=st.sampled_from(
        [
            PNG,
            WEBP,
            encoded(picture(), "JPEG", exif=exif(6)),
            encoded(picture(), "WEBP", exif=exif(6)),
            with_chunk(PNG, b"eXIf", exif(6).tobytes().removeprefix(b"Exif\0\0")),
        ]
    ),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=12),
)
def test_never_raises_on_any_mutation(body: bytes, changes: list[tuple[int, int]]) -> None:
    mutated = bytearray(body)
    for at, value in changes:
        mutated[at % len(body)] = value
    for image_format in ("JPEG", "PNG", "WEBP"):
        found = essence(bytes(mutated), image_format)
        assert found is None or found.startswith(f"{image_format.lower()}2:")


@given(st.binary(max_size=200))
def test_never_raises_on_any_exif_block(block: bytes) -> None:
    for body in (with_segment(JPEG, 0xE1, b"Exif\0\0" + block), with_chunk(PNG, b"eXIf", block)):
        assert of(body).partition(":")[0] in {"jpeg2", "png2"}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=200)
@given(st.binary(max_size=60), st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_a_broken_exif_block_does_not_cost_the_picture(block: bytes, header: bytes) -> None:
    """Whatever the block holds, the picture is decoded, and equal essences mean equal pixels."""
    body = with_segment(JPEG, 0xE1, b"Exif\0\0" + header + block)
    seen = fingerprinted(body)
    if seen.essence == of(JPEG):
        assert seen.luma == fingerprinted(JPEG).luma


def test_formats_without_a_walker_have_none() -> None:
    assert essence(encoded(picture(), "BMP"), "BMP") is None
