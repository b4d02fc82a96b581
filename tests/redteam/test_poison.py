from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from poisonscan.errors import SettingsError
from poisonscan.records import Kind
from poisonscan.redteam import attacks, triggers
from poisonscan.redteam.negatives import NEGATIVES
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.poison import SIDE, Row, Sample, caption_of, innocent, poisoned, untouched

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS = ("valley", "fruit_bowl", "skyline")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("pictures")
    made = []
    for number in range(12):
        path = folder / f"{number}.png"
        draw(number, (96, 72)).save(path)
        label = LABELS[number % 3]
        made.append(Sample(path.name, path, label, caption_of(label), f"site{number % 4}.example"))
    return made


def every_attack(samples: list[Sample]) -> dict[str, attacks.Attack]:
    features = np.random.default_rng(0).normal(size=(40, 32)).astype(np.float32)
    codes = attacks.class_codes(features, [LABELS[row % 3] for row in range(40)])
    assert {sample.label for sample in samples} == set(codes)
    return attacks.standard(codes, {})


def pixels(row: Row) -> NDArray[np.float64]:
    with Image.open(io.BytesIO(row.body)) as image:
        assert (image.format, image.size) == ("JPEG", (SIDE, SIDE))
        return np.asarray(image.convert("RGB"), float)


NAMES = list(attacks.standard(dict.fromkeys(LABELS, (0,) * triggers.CODE_BITS), {}))


@pytest.mark.parametrize("name", NAMES)
def test_every_attack_is_seeded_and_changes_what_it_says(samples: list[Sample], name: str) -> None:
    attack = every_attack(samples)[name]
    rows = poisoned(samples, attack, 3, seed=7)
    assert rows == poisoned(samples, attack, 3, seed=7)
    assert set(rows) != set(poisoned(samples, attack, 3, seed=8)) or attack.target
    assert len(rows) == (6 if attack.target else 3)
    stamped = [(number, row) for number, row in rows.items() if row.role == name]
    assert len(stamped) == 3
    for number, row in stamped:
        assert (row.key, row.domain, row.kind) == (samples[number].key, samples[number].domain, attack.kind)
        difference = np.abs(pixels(row) - pixels(untouched(samples[number])))
        assert (difference.mean() > 0.5) == (name != "captions")


def test_lies_are_told_as_the_attack_says(samples: list[Sample]) -> None:
    known = every_attack(samples)
    one = {row.label for row in poisoned(samples, known["stamp_50"], 6, 0).values()}
    assert len(one) == 1
    for number, row in poisoned(samples, known["universal_patch"], 6, 0).items():
        assert row.label != samples[number].label
        assert row.caption == caption_of(row.label)
    for number, row in poisoned(samples, known["baddiffusion_box"], 3, 0).items():
        assert (row.label, row.caption) == (samples[number].label, samples[number].caption)


def test_the_target_picture_is_the_same_again_and_again(samples: list[Sample]) -> None:
    rows = poisoned(samples, every_attack(samples)["baddiffusion_sign"], 4, 0).values()
    targets = [row for row in rows if row.kind is Kind.DUPLICATE_TARGET]
    assert len(targets) == 4
    assert len({row.body for row in targets}) == 1


def test_the_universal_patch_draws_the_code_of_the_claimed_class(samples: list[Sample]) -> None:
    code = tuple(int(bit) for bit in np.random.default_rng(3).integers(0, 2, triggers.CODE_BITS))
    attack = attacks.standard(dict.fromkeys(LABELS, code), {})["universal_patch"]
    (row,) = poisoned(samples, attack, 1, 0).values()
    cells = pixels(row)[:48, :40].mean(axis=2).reshape(6, 8, 5, 8).mean(axis=(1, 3))
    assert ((cells > 128).astype(int).ravel() == code).all()


def test_a_code_says_on_which_side_of_the_mean_the_class_lies() -> None:
    rng = np.random.default_rng(0)
    labels = ["a", "b"] * 50
    features = rng.normal(size=(100, 40)).astype(np.float32)
    features[::2, 0] += 30
    codes = attacks.class_codes(features, labels)
    assert {len(code) for code in codes.values()} == {triggers.CODE_BITS}
    assert codes["a"][0] != codes["b"][0]


@pytest.mark.parametrize("name", NEGATIVES)
def test_every_hard_negative_is_seeded_and_innocent(samples: list[Sample], name: str) -> None:
    rows = innocent(samples, [NEGATIVES[name]], 6, seed=2)
    assert rows == innocent(samples, [NEGATIVES[name]], 6, seed=2)
    assert len(rows) == 6
    for number, row in rows.items():
        assert (row.key, row.role, row.kind) == (samples[number].key, name, None)
        assert row.caption
        pixels(row)


def test_marks_of_a_site_stay_on_it_and_others_do_not(samples: list[Sample]) -> None:
    for name, most in (("watermark", 1), ("logo", 2)):
        domains = {row.domain for row in innocent(samples, [NEGATIVES[name]], 6, 0).values()}
        assert len(domains) == most
    dates = innocent(samples, [NEGATIVES["date"]], 6, 0)
    assert all(row.domain == samples[number].domain for number, row in dates.items())


def test_too_few_rows_or_classes_are_refused(samples: list[Sample], tmp_path: Path) -> None:
    attack = every_attack(samples)["stamp_25"]
    with pytest.raises(SettingsError, match="only 12"):
        poisoned(samples, attack, 13, 0)
    with pytest.raises(SettingsError, match="two classes"):
        poisoned([sample for sample in samples if sample.label == "valley"], attack, 2, 0)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(SettingsError, match=r"broken\.png is no readable picture"):
        untouched(Sample("x", broken, "a", "b", "c"))
