from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from poisonscan.compare.ladder import Baseline
from poisonscan.config import CompareSettings, DecodeSettings
from poisonscan.fingerprint.decode import fingerprint
from poisonscan.records import Fingerprint, Group, Published
from poisonscan.redteam.optimise import STAMP_SIDE, Aim, Found, strongest
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.steps import jpeg
from poisonscan.stages.examine import Examined, Question, examine

if TYPE_CHECKING:
    from poisonscan.redteam.optimise import IsClean

SIZE = (96, 72)
CALLS = 20


def averaged(body: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image.convert("L").resize((32, 24), Image.Resampling.BOX), dtype=float)


def lenient() -> IsClean:
    """Sees nothing but coarse luma."""
    before = averaged(jpeg(95).encode(draw(3, SIZE)))
    return lambda body: bool(np.abs(averaged(body) - before).max() < 30)


@cache
def search(aim: Aim, seed: int = 1, calls: int = CALLS) -> Found:
    return strongest(draw(3, SIZE), aim, lenient(), calls=calls, seed=seed)


@pytest.mark.parametrize("aim", Aim)
def test_the_best_never_gets_worse_and_calls_are_bounded(aim: Aim) -> None:
    asked = []
    judge = lenient()

    def counted(body: bytes) -> bool:
        asked.append(body)
        return judge(body)

    found = strongest(draw(3, SIZE), aim, counted, calls=CALLS, seed=1)
    assert len(asked) == found.calls == len(found.progress) == CALLS
    assert list(found.progress) == sorted(found.progress)
    assert found.progress[-1] == found.contrast.channel > 10
    assert judge(found.body)


@pytest.mark.parametrize("aim", Aim)
def test_the_same_seed_gives_the_same_answer(aim: Aim) -> None:
    first, other = search(aim), search(aim, seed=2)
    second = strongest(draw(3, SIZE), aim, lenient(), calls=CALLS, seed=1)
    assert (first, first.body) == (second, second.body)
    assert first.attempt != other.attempt


def test_more_calls_are_never_worse() -> None:
    few, many = (search(Aim.BLEND, calls=calls) for calls in (10, CALLS))
    assert many.contrast.channel >= few.contrast.channel > 0


def test_a_judge_who_calls_nothing_clean_is_not_fooled() -> None:
    found = strongest(draw(3, SIZE), Aim.STAMP, lambda _: False, calls=10)
    assert (found.contrast.channel, found.attempt, found.body, found.calls) == (0, None, b"", 10)


def test_a_judge_who_calls_everything_clean_is_fooled_to_the_full() -> None:
    found = strongest(draw(3, SIZE), Aim.STAMP, lambda _: True, calls=30)
    assert found.contrast.channel > 80


def plain_search(aim: Aim) -> tuple[Found, np.ndarray]:
    """What was found without an innocent edit beside it, and the change that it makes."""
    found = strongest(draw(3, SIZE), aim, lenient(), calls=CALLS, seed=1, companions=["png"])
    with Image.open(io.BytesIO(found.body)) as image:
        return found, np.asarray(image, dtype=float) - np.asarray(draw(3, SIZE), dtype=float)


def test_the_contrast_is_that_of_the_file() -> None:
    found, change = plain_search(Aim.BLEND)
    assert np.sqrt((change**2).mean(axis=(0, 1))).max() == pytest.approx(found.contrast.channel)
    blocks = change.reshape(8, 9, 8, 12, 3).mean(axis=(1, 3))
    assert np.abs(blocks).mean() < found.contrast.channel / 2


def test_a_stamp_stays_in_its_place() -> None:
    _, change = plain_search(Aim.STAMP)
    rows, columns, _ = np.nonzero(change)
    side = round(STAMP_SIDE * min(SIZE))
    assert 0 <= rows.max() - rows.min() < side
    assert 0 <= columns.max() - columns.min() < side


@pytest.mark.parametrize("aim", Aim)
def test_the_real_verdict_can_be_asked(aim: Aim) -> None:
    picture = draw(3, (320, 240))
    old = fingerprint(jpeg(92).encode(picture), Published(), DecodeSettings().max_pixels)
    assert isinstance(old, Fingerprint)
    baseline = Baseline(old, Published())

    def is_clean(body: bytes) -> bool:
        limit = DecodeSettings().max_pixels
        (found,) = examine([Question(body, Published(), (baseline,), limit, CompareSettings())])
        assert isinstance(found, Examined)
        return found.comparisons[0].verdict.group is Group.CLEAN

    found = strongest(picture, aim, is_clean, calls=8, seed=3)
    assert found.calls == 8
    assert found.body == b"" or is_clean(found.body)
