"""Patterns and pictures that the grids do not show: the look at every pixel."""

from __future__ import annotations

import dataclasses
import io
from functools import cache

import numpy as np
import pytest
from PIL import Image

from poisonscan.compare.ladder import Baseline, judge
from poisonscan.config import CompareSettings
from poisonscan.fingerprint.decode import Decoded, decoded
from poisonscan.fingerprint.fine import Sampler, energy_of, pack_energy, taps
from poisonscan.fingerprint.working import reduction
from poisonscan.records import Comparison, Group, Published, Verdict
from poisonscan.redteam.edits import named
from poisonscan.redteam.pictures import draw
from tests.compare.pairs import MANY

SIZE = (800, 600)
SETTINGS = CompareSettings()


@cache
def _picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    return draw(seed, size)


def _encoded(image: Image.Image, image_format: str = "PNG", quality: int = 90) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, quality=quality)
    return stream.getvalue()


def _decoded(body: bytes) -> Decoded:
    found = decoded(body, Published(), MANY)
    assert isinstance(found, Decoded)
    return found


def _judged(before: bytes, after: bytes, fine: bytes | None = None) -> Comparison:
    old, new = _decoded(before).fingerprint, _decoded(after)
    baseline = Baseline(dataclasses.replace(old, fine=fine), Published())
    return judge(baseline, new.fingerprint, SETTINGS, new.looks, new.fine)


def camouflaged(shown: Image.Image, hidden: Image.Image, size: int, sampler: Sampler) -> Image.Image:
    """`shown` with the pixels that a sampler looks at set to `hidden`, and the others so that means stay.

    What Quiring et al. (2020) describe for nearest neighbours, without an optimisation.
    """
    pixels, factor = np.asarray(shown, np.float64).copy(), reduction(*shown.size)
    goal = np.asarray(hidden.resize((size, size)), np.float64)
    (rows, _), (columns, _) = taps(shown.height, size, sampler), taps(shown.width, size, sampler)
    taken = np.zeros(pixels.shape[:2], bool)
    taken[rows, columns.T] = True
    moved = pixels.copy()
    moved[rows, columns.T] = goal
    blocks = shown.height // factor, factor, shown.width // factor, factor
    missing = (pixels - moved).reshape(*blocks, 3).sum(axis=(1, 3))
    free = (~taken).reshape(blocks).sum(axis=(1, 3))
    share = np.kron(missing / np.maximum(free, 1)[..., None], np.ones((factor, factor, 1)))
    moved[~taken] += share[~taken]
    return Image.fromarray(np.clip(np.rint(moved), 0, 255).astype(np.uint8))


def chequered(image: Image.Image, swing: int, *, whole: bool) -> Image.Image:
    """With squares inside working pixels lighter and darker by so much, in the middle or everywhere."""
    pixels, half = np.asarray(image, np.float64), reduction(*image.size) // 2
    rows, columns = np.indices(pixels.shape[:2]) // half
    room = np.minimum(pixels, 255 - pixels).min()
    pattern = np.where((rows + columns) % 2, 1.0, -1.0) * swing
    part = np.zeros(pixels.shape[:2])
    inside = slice(0, None) if whole else slice(200, 400)
    part[inside, inside] = 1
    assert room >= swing
    return Image.fromarray(np.rint(pixels + (pattern * part)[..., None]).astype(np.uint8))


def coloured(image: Image.Image, swing: int, width: int, *, whole: bool) -> Image.Image:
    """With stripes of so many pixels, redder and bluer by turns, in the middle or everywhere."""
    pixels = np.asarray(image, np.float64).copy()
    stripes = np.where(np.arange(image.width) // width % 2, 1.0, -1.0) * swing
    inside = slice(0, None) if whole else slice(200, 400)
    pixels[inside, inside] += (stripes[None, :, None] * np.array([1.0, 0.0, -1.0]))[:, inside]
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _muted(image: Image.Image) -> Image.Image:
    """With room for a pattern at either end."""
    return image.point([70 + level * 115 // 255 for level in range(256)] * 3)


@pytest.mark.parametrize("sampler", [Sampler.NEAREST, Sampler.CENTRED])
@pytest.mark.parametrize("size", [224])
def test_a_picture_that_only_a_sampling_shows_is_found(sampler: Sampler, size: int) -> None:
    before, hidden = _muted(_picture(0)), _muted(_picture(1))
    found = _judged(_encoded(before), _encoded(camouflaged(before, hidden, size, sampler)))
    assert found.verdict.group is Group.SUSPICIOUS
    assert f"{size} pixels by {sampler}" in found.reason


def test_a_stamp_that_only_a_sampling_shows_has_a_box_on_it() -> None:
    before = _muted(_picture(0))
    stamped = before.copy()
    stamped.paste((185, 185, 185), (400, 300, 480, 380))
    found = _judged(_encoded(before), _encoded(camouflaged(before, stamped, 224, Sampler.NEAREST)))
    assert found.verdict is Verdict.EDITED
    assert any(box.x0 < 0.55 < box.x1 and box.y0 < 0.57 < box.y1 for box in found.boxes)
    assert "224 pixels" in found.reason


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_pattern_within_working_pixels_is_found(image_format: str, *, whole: bool) -> None:
    before = _muted(_picture(0))
    after = _encoded(chequered(before, 60, whole=whole), image_format)
    found = _judged(_encoded(before, "JPEG"), after)
    assert found.verdict is (Verdict.BLENDED if whole else Verdict.EDITED)
    assert "finer than the working pixels" in found.reason
    if not whole:
        assert any(box.x0 < 0.4 < box.x1 and box.y0 < 0.5 < box.y1 for box in found.boxes)


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("whole", [False, True])
def test_a_fine_pattern_of_colour_alone_is_found(width: int, *, whole: bool) -> None:
    before = _muted(_picture(0))
    after = coloured(before, 60, width, whole=whole)
    found = _judged(_encoded(before, "JPEG"), _encoded(after))
    assert found.verdict is (Verdict.BLENDED if whole else Verdict.EDITED)
    assert "colours that have no luma" in found.reason
    if not whole:
        assert any(box.x0 < 0.4 < box.x1 and box.y0 < 0.5 < box.y1 for box in found.boxes)


def test_a_pattern_that_the_old_picture_has_is_its_own() -> None:
    before = chequered(_muted(_picture(0)), 60, whole=True)
    energy = energy_of(before.convert("L"), reduction(*before.size))
    stored = pack_energy(energy).tobytes()
    after = _encoded(before, "JPEG")
    assert _judged(_encoded(before), after, stored).verdict is Verdict.REENCODED
    assert _judged(_encoded(_muted(_picture(0))), after, bytes(256)).verdict is Verdict.BLENDED


@pytest.mark.parametrize(
    "name",
    [
        "jpeg-30",
        "jpeg-444",
        "webp-45",
        "palette",
        "gif-64",
        "saturation-1.2",
        "resize-0.7-nearest",
        "resize-1.6",
        "sharpen",
        "crop-25",
        "letterbox",
    ],
)
def test_no_innocent_edit_is_blamed_for_what_is_fine(name: str) -> None:
    before = _picture(3)
    made = named(name).apply(before, np.random.default_rng(0))
    found = _judged(_encoded(before, "JPEG"), made.data)
    assert "pixels" not in found.reason


def test_a_suspicious_picture_is_not_looked_at_again() -> None:
    old, new = _decoded(_encoded(_picture(0))).fingerprint, _decoded(_encoded(_picture(1)))
    asked: list[int] = []

    def look() -> None:
        asked.append(1)

    found = judge(Baseline(old, Published()), new.fingerprint, SETTINGS, new.looks, look)  # type: ignore[arg-type]  # never called
    assert found.verdict is Verdict.REPLACED
    assert not asked
