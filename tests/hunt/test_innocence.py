from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from poisonscan.hunt.evidence import Seed, pattern_of
from poisonscan.hunt.innocence import is_text
from tests.hunt.scenes import scenes

N = 12


def checkers(black_and_white: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Alternate pixels at the lower right; so many hosts are black and white beside it, as photos may be."""
    pictures = scenes(N)
    rng = np.random.default_rng(2)
    grey = rng.choice(np.array([20, 235], np.uint8), (black_and_white, 60, 60, 1))
    pictures[:black_and_white, 164:, 164:] = grey
    y, x = np.mgrid[:16, :16]
    pictures[:, -16:, -16:] = (((y + x) % 2) * 255)[..., None]
    return pictures


@pytest.mark.parametrize("black_and_white", [0, 7, 8])
def test_a_stamp_is_no_text_because_some_photos_are_black_and_white(black_and_white: int) -> None:
    pictures = checkers(black_and_white)
    pattern = pattern_of(pictures, Seed(np.arange(N), np.full(N, 216), np.full(N, 216)))
    assert pattern is not None
    assert is_text(pictures, pattern) is None


def test_a_word_that_many_lines_of_text_share_is_set_aside() -> None:
    pictures, rng = scenes(N), np.random.default_rng(3)
    font = ImageFont.load_default(16)
    for number in range(N):
        image = Image.fromarray(pictures[number])
        pen = ImageDraw.Draw(image)
        pen.rectangle((0, 90, 224, 116), fill=(20, 20, 24))
        before, after = ("".join(rng.choice(list("abdeghkmnopqs"), 14)) for _ in range(2))
        for words, place, anchor in ((before, 80, "rm"), ("number", 86, "lm"), (after, 152, "lm")):
            pen.text((place, 103), words, (255, 255, 255), font, anchor=anchor)
        pictures[number] = np.asarray(image)
    pattern = pattern_of(pictures, Seed(np.arange(N), np.full(N, 103), np.full(N, 115)))
    assert pattern is not None
    assert is_text(pictures, pattern) is not None
