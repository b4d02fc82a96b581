from __future__ import annotations

import dataclasses
import hashlib

import pytest

from poisonscan.compare.ladder import FAILED, Baseline, judge, judge_bytes
from poisonscan.config import CompareSettings
from poisonscan.fingerprint.variants import packed
from poisonscan.records import Fingerprint, Published, Rendering, Verdict
from tests.compare.pairs import original

SETTINGS = CompareSettings()
NEW = dataclasses.replace(original(0), md5=hashlib.md5(b"x", usedforsecurity=False).hexdigest())
DIGESTS = {"sha256": NEW.sha256, "md5": NEW.md5 or ""}
OTHER = "0" * 64
SAME = dataclasses.replace(NEW, sha256=OTHER)
"""The file of NEW with other metadata."""


def grids(seen: Fingerprint) -> bytes:
    return seen.luma + seen.chroma + seen.texture


def test_the_same_bytes_are_identical_without_decoding() -> None:
    found = judge_bytes(Baseline(NEW, Published()), DIGESTS)
    assert found is not None
    assert found.verdict is Verdict.IDENTICAL


def test_the_same_coded_picture_is_same_pixels() -> None:
    assert judge(Baseline(SAME, Published()), NEW, SETTINGS).verdict is Verdict.SAME_PIXELS


@pytest.mark.parametrize(
    "old",
    [
        dataclasses.replace(SAME, essence="jpeg2:1"),
        dataclasses.replace(SAME, essence=NEW.essence.replace("2:", ":")),
        dataclasses.replace(SAME, width=NEW.width + 1),
        dataclasses.replace(SAME, renderings=packed(grids(SAME), {Rendering.OVER_BLACK: grids(original(1))})),
        dataclasses.replace(SAME, luma=original(1).luma),
        dataclasses.replace(SAME, chroma=original(1).chroma),
        dataclasses.replace(SAME, texture=original(1).texture),
    ],
)
def test_an_essence_alone_is_not_enough(old: Fingerprint) -> None:
    """What was decoded must agree too, and digests of earlier editions say nothing."""
    assert judge(Baseline(old, Published()), NEW, SETTINGS).verdict is not Verdict.SAME_PIXELS


def test_essences_of_an_earlier_edition_say_nothing_on_both_sides_either() -> None:
    one, other = (dataclasses.replace(each, essence="jpeg:1") for each in (SAME, NEW))
    assert judge(Baseline(one, Published()), other, SETTINGS).verdict is Verdict.REENCODED


def test_what_another_release_of_a_decoder_rounds_differently_is_the_same() -> None:
    rounded = bytes(min(value + 1, 255) for value in SAME.luma)
    old = dataclasses.replace(SAME, luma=rounded)
    assert judge(Baseline(old, Published()), NEW, SETTINGS).verdict is Verdict.SAME_PIXELS


def test_other_bytes_need_a_look() -> None:
    assert judge_bytes(Baseline(SAME, Published()), DIGESTS) is None
    assert judge_bytes(Baseline(None, Published()), DIGESTS) is None


@pytest.mark.parametrize(
    ("published", "verdict"),
    [
        (Published(sha256=NEW.sha256), Verdict.IDENTICAL),
        (Published(md5=NEW.md5), Verdict.IDENTICAL),
        (Published(sha256=OTHER), Verdict.CHANGED),
        (Published(md5="0" * 32), Verdict.CHANGED),
        (Published(sha256=NEW.sha256, md5="0" * 32), Verdict.CHANGED),
        (Published(phash=NEW.phash), Verdict.NO_BASELINE),
        (Published(sha256=OTHER, phash=NEW.phash), Verdict.NO_BASELINE),
        (Published(), Verdict.NO_BASELINE),
    ],
)
def test_published_hashes_alone(published: Published, verdict: Verdict) -> None:
    assert judge(Baseline(None, published), NEW, SETTINGS).verdict is verdict


@pytest.mark.parametrize("bits", range(0, 65, 4))
def test_a_published_phash_alone_is_never_clean(bits: int) -> None:
    phash = f"{int(NEW.phash, 16) ^ ((1 << bits) - 1):016x}"
    found = judge(Baseline(None, Published(phash=phash)), NEW, SETTINGS)
    near = bits <= SETTINGS.published_phash_bits
    assert found.verdict is (Verdict.NO_BASELINE if near else Verdict.CHANGED)
    assert found.phash_distance == bits
    assert "pHash" in found.reason


@pytest.mark.parametrize(
    ("published", "weak"),
    [
        (Published(md5=NEW.md5), True),
        (Published(md5=NEW.md5, phash=NEW.phash), True),
        (Published(sha256=NEW.sha256), False),
        (Published(sha256=NEW.sha256, md5=NEW.md5), False),
    ],
)
def test_what_only_an_md5_speaks_for_is_marked(published: Published, weak: bool) -> None:  # noqa: FBT001 - a parameter of the test
    found = judge_bytes(Baseline(None, published), DIGESTS)
    assert found is not None
    assert (found.verdict, found.weak_baseline) == (Verdict.IDENTICAL, weak)
    assert ("prepared" in found.reason) is weak


def test_a_fault_of_ours_is_no_change_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise IndexError("no cells are left")

    monkeypatch.setattr("poisonscan.compare.ladder.compare_renderings", broken)
    found = judge(Baseline(dataclasses.replace(NEW, sha256=OTHER, essence=""), Published()), NEW, SETTINGS)
    assert found.verdict is Verdict.NO_BASELINE
    assert found.reason == f"{FAILED}: IndexError: no cells are left"


def test_a_fingerprint_outranks_published_hashes() -> None:
    found = judge(Baseline(NEW, Published(sha256=OTHER)), NEW, SETTINGS)
    assert found.verdict is Verdict.IDENTICAL
