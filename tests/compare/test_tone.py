from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poisonscan.compare.pictures import compare_pictures, measure
from poisonscan.compare.toning import beyond, fine_toning, mixed, plain_toning
from poisonscan.config import CompareSettings
from poisonscan.fingerprint.decode import Decoded, decoded
from poisonscan.records import Published, Verdict
from poisonscan.redteam.pictures import draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from poisonscan.compare.pictures import Measurement
    from poisonscan.records import Comparison

    Change = Callable[[NDArray[np.float64]], NDArray[np.float64]]

SETTINGS = CompareSettings()
SEEDS = range(6)


STRONG: dict[str, Change] = {
    "magenta": lambda rgb: rgb * [1, 0.45, 1],
    "green film": lambda rgb: rgb * 0.4 + [0, 120, 0],
    "flat": lambda rgb: 128 + 0.3 * (rgb - 128),
    "dark": lambda rgb: rgb * 0.4,
    "duotone": lambda rgb: rgb.mean(axis=2, keepdims=True) / 255 * [255, 80, -160] + [0, 0, 160],
}
MILD: dict[str, Change] = {
    "gamma": lambda rgb: 255 * (rgb / 255) ** 1.15,
    "warm": lambda rgb: rgb * [1.06, 1, 0.94],
    "fade": lambda rgb: 20 + 0.88 * rgb,
    "grey": lambda rgb: np.repeat(rgb @ [[0.299], [0.587], [0.114]], 3, axis=2),
}


@cache
def picture(seed: int) -> NDArray[np.float64]:
    return np.asarray(draw(seed).convert("RGB"), dtype=np.float64)


def served(rgb: NDArray[np.float64]) -> Decoded:
    stream = io.BytesIO()
    Image.fromarray(np.clip(np.rint(rgb), 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    found = decoded(stream.getvalue(), Published(), 10**8)
    assert isinstance(found, Decoded)
    return found


def compared(old: NDArray[np.float64], new: NDArray[np.float64]) -> Comparison:
    now = served(new)
    return compare_pictures(served(old).fingerprint, now.fingerprint, SETTINGS, now.detail)


def measured(old: NDArray[np.float64], new: NDArray[np.float64]) -> Measurement:
    now = served(new)
    return measure(served(old).fingerprint, now.fingerprint, SETTINGS, now.detail)


def shaded(rgb: NDArray[np.float64], corner: float) -> NDArray[np.float64]:
    y, x = (np.linspace(-1, 1, length) for length in rgb.shape[:2])
    return rgb * (1 - (1 - corner) * (y[:, None] ** 2 + x**2) / 2)[..., None]


def stamped(rgb: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    side = round(share * min(rgb.shape[:2]))
    noise = (
        np.random.default_rng(3).integers(0, 256, (4, 4, 3)).repeat(side // 4 + 1, 0).repeat(side // 4 + 1, 1)
    )
    changed = rgb.copy()
    changed[20 : 20 + side, 30 : 30 + side] = noise[:side, :side]
    return changed


@pytest.mark.parametrize("name", STRONG)
def test_strong_toning_is_toned_and_tells_how(name: str) -> None:
    for seed in SEEDS:
        found = compared(picture(seed), STRONG[name](picture(seed)))
        assert found.verdict is Verdict.TONED
        assert found.tone_strength is not None
        assert 0.5 <= found.tone_strength <= found.score <= 1
        assert "contrast x" in found.reason


@pytest.mark.parametrize("name", MILD)
def test_mild_toning_is_re_encoding(name: str) -> None:
    for seed in SEEDS:
        found = compared(picture(seed), MILD[name](picture(seed)))
        assert found.verdict is Verdict.REENCODED
        assert found.tone_strength is None or found.tone_strength < 0.5


def test_the_hue_is_where_colours_went() -> None:
    for towards, offset in ((270, [-40, 40, 0]), (90, [60, 0, 0]), (0, [0, 0, 80])):
        found = compared(picture(1), 0.6 * picture(1) + offset)
        assert found.tone_hue is not None
        away = abs((found.tone_hue - towards + 180) % 360 - 180)
        assert away < 90


def test_light_lost_in_the_corners_is_no_pattern() -> None:
    for seed in SEEDS:
        found = measured(picture(seed), shaded(picture(seed), 0.5))
        assert found.same
        assert found.scores.innocent
        assert found.tone is not None
        assert 0.4 < found.tone.shade < 0.75


@pytest.mark.parametrize("name", ["magenta", "green film"])
def test_a_stamp_under_a_film_is_still_a_stamp(name: str) -> None:
    found = [compared(picture(seed), STRONG[name](stamped(picture(seed), 0.22))).verdict for seed in SEEDS]
    assert found.count(Verdict.EDITED) >= len(found) - 1
    assert set(found) <= {Verdict.EDITED, Verdict.TONED, Verdict.BLENDED}


def test_colours_alone_are_seen_where_luma_stays() -> None:
    """Equal luma everywhere: nothing but chroma tells."""
    grey = np.repeat(picture(2).mean(axis=2, keepdims=True), 3, axis=2) * 0.5 + 60
    luma = np.array([0.299, 0.587, 0.114])
    offset = np.array([60.0, -30.56, 0.0])
    assert abs(luma @ offset) < 0.1
    assert compared(grey, grey + offset).verdict is Verdict.TONED


@settings(max_examples=15, deadline=None)
@given(
    factor=st.floats(0.3, 1.6), offset=st.floats(-40, 60), shade=st.floats(0.4, 1), cast=st.floats(-40, 40)
)
def test_what_is_reported_is_bounded_and_finite(
    factor: float, offset: float, shade: float, cast: float
) -> None:
    old = picture(3)
    found = measured(old, shaded(old * factor + [offset + cast, offset, offset - cast], shade))
    if found.same and found.tone is not None:
        tone = found.tone
        assert 0 <= tone.strength < 1
        assert 0 < tone.shade <= 1
        assert tone.hue is None or 0 <= tone.hue < 360
        assert np.isfinite([tone.lightness, tone.contrast, tone.saturation, tone.stain, tone.turn]).all()


@pytest.mark.parametrize("exponent", [0.7, 0.85, 1.2, 1.5])
def test_a_curve_and_its_inverse_move_luma_alike(exponent: float) -> None:
    old = picture(4)
    new = 255 * (old / 255) ** exponent
    there, back = measured(old, new).tone, measured(new, old).tone
    assert there is not None
    assert back is not None
    assert there.lightness == pytest.approx(-back.lightness, abs=1.5)
    assert there.contrast * back.contrast == pytest.approx(1, abs=0.05)


def test_the_fine_model_does_not_explain_a_stamp() -> None:
    found = measured(picture(5), MILD["warm"](stamped(picture(5), 0.22)))
    reading = found.reading
    texture = np.full_like(reading.fit.seen, 5.0)
    plain, fine = plain_toning(reading), fine_toning(reading, texture)
    box = slice(2, 6), slice(3, 7)
    assert np.abs(fine.left[box]).max() > 0.6 * np.abs(plain.left[box]).max()


@given(st.floats(-20, 20))
def test_the_mean_beyond_a_bound_is_that_of_a_normal(z: float) -> None:
    (excess,) = beyond(np.array([z]))
    assert excess >= max(-z, 0) - 1e-9
    (other,) = beyond(np.array([-z]))
    assert excess - other == pytest.approx(-z, abs=1e-8)  # E[x+] - E[x-] = E[x]


def test_a_curve_of_pieces_is_smooth_where_there_is_texture() -> None:
    luma = np.linspace(0, 255, 400)
    chroma = np.zeros((2, 400))
    sharp, soft = (mixed(luma, chroma, np.full(400, spread)) for spread in (0.5, 40.0))
    assert sharp.shape == soft.shape
    assert np.abs(np.diff(soft, 2)).max() < np.abs(np.diff(sharp, 2)).max()
