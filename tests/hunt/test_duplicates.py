from __future__ import annotations

import dataclasses
import io

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw

from poisonscan.fingerprint.hashes import phashes
from poisonscan.hunt.duplicates import Duplicates, blocks_of, copy_groups
from poisonscan.hunt.model import SIDE, Bytes, Corpus, Suspicion
from poisonscan.records import Kind
from poisonscan.redteam.pictures import draw

from .corpora import Pictures

ROWS = 60


def drawn(seed: int) -> Bytes:
    return np.asarray(draw(seed, (SIDE, SIDE)).convert("RGB"))


def again(picture: Bytes, quality: int) -> Bytes:
    """The picture saved as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def meme(picture: Bytes, words: str) -> Bytes:
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text(
        (20, 15), words, fill="white", font_size=36, stroke_width=2, stroke_fill="black"
    )
    return np.asarray(image)


@pytest.fixture(scope="module")
def originals() -> Bytes:
    return np.stack([drawn(seed) for seed in range(ROWS)])


def corpus_of(pictures: Bytes, **columns: list[str | None]) -> Corpus:
    keys = [f"{row:03d}" for row in range(len(pictures))]
    return Corpus(keys=keys, pixels=Pictures(pictures), **columns)  # type: ignore[arg-type]  # columns of text


def found_in(corpus: Corpus) -> list[Suspicion]:
    return Duplicates().find(corpus, np.random.default_rng(0))


def alarms(corpus: Corpus) -> list[Suspicion]:
    return [one for one in found_in(corpus) if one.expected_false <= 0.1]


def with_copies(originals: Bytes, rows: list[int], source: int = 0) -> Bytes:
    pictures = originals.copy()
    for number, row in enumerate(rows):
        pictures[row] = again(originals[source], 60 + 3 * (number % 10))
    return pictures


COPIES = [0, 5, 11, 17, 23, 29, 35, 41, 47, 53]


def test_the_hash_is_imagehashs(originals: Bytes) -> None:
    """Bit for bit on the same 32 x 32 luma, and a few bits off where its own resize rounds otherwise."""
    blocks = blocks_of(originals)
    mine = phashes(blocks @ np.array([0.299, 0.587, 0.114], np.float32))
    for picture, value in zip(originals, mine, strict=True):
        theirs = int(str(imagehash.phash(Image.fromarray(picture))), 16)
        assert (int(value) ^ theirs).bit_count() <= 12


def test_copies_are_found_and_nothing_else(originals: Bytes) -> None:
    groups = copy_groups(Pictures(with_copies(originals, COPIES)))
    assert [rows for rows, _ in groups] == [COPIES]


def test_one_picture_under_many_labels(originals: Bytes) -> None:
    labels: list[str | None] = [f"class{row // 3}" for row in range(ROWS)]
    corpus = corpus_of(
        with_copies(originals, COPIES), labels=labels, domains=[f"d{row}.test" for row in range(ROWS)]
    )
    (found,) = alarms(corpus)
    assert found.kind is Kind.DUPLICATE_TARGET
    assert [carrier.row for carrier in found.carriers] == COPIES
    assert "one picture 10 times" in found.summary
    assert found.exhibit is not None
    assert found.exhibit.shape == (SIDE, SIDE, 3)


def test_copies_that_are_called_the_same_are_innocent(originals: Bytes) -> None:
    labels: list[str | None] = ["cat" if row in COPIES else f"class{row}" for row in range(ROWS)]
    captions: list[str | None] = ["my red cat" if row in COPIES else f"number {row}" for row in range(ROWS)]
    pictures = with_copies(originals, COPIES)
    assert alarms(corpus_of(pictures, labels=labels)) == []
    assert alarms(corpus_of(pictures, captions=captions)) == []


def test_captions_that_contradict(originals: Bytes) -> None:
    words = ["apple", "boat", "castle", "dog", "engine", "flower", "glacier", "horse", "island", "jacket"]
    captions: list[str | None] = [f"{words[row % 10]} {words[row // 6]} {row}" for row in range(ROWS)]
    (found,) = alarms(corpus_of(with_copies(originals, COPIES), captions=captions))
    assert "under captions that say" in found.summary


def test_memes_are_different_pictures(originals: Bytes) -> None:
    pictures = originals.copy()
    texts = ["when monday", "nobody: me", "one does not", "such wow very", "y u no", "all the things"]
    for row, words in enumerate(texts):
        pictures[row] = meme(originals[7], words)
    labels: list[str | None] = [f"class{row}" for row in range(ROWS)]
    assert alarms(corpus_of(pictures, labels=labels)) == []


def test_where_copies_often_contradict_one_more_group_is_no_news(originals: Bytes) -> None:
    """A dataset full of reposts under new captions: the same ten copies raise no alarm there."""
    pictures = with_copies(originals, COPIES)
    free = [row for row in range(ROWS) if row not in COPIES]
    for start in range(0, 48, 4):
        for row in free[start : start + 4]:
            pictures[row] = again(originals[free[start]], 75)
    labels: list[str | None] = [f"class{row}" for row in range(ROWS)]
    assert alarms(corpus_of(pictures, labels=labels)) == []


def test_a_sites_own_stand_in(originals: Bytes) -> None:
    labels: list[str | None] = [f"class{row}" for row in range(ROWS)]
    domains: list[str | None] = ["shop.test" if row in COPIES else f"d{row}.test" for row in range(ROWS)]
    corpus = corpus_of(with_copies(originals, COPIES), labels=labels, domains=domains)
    (found,) = found_in(corpus)
    assert found.kind is Kind.PLACEHOLDER
    assert found.expected_false >= 1
    assert "all on shop.test" in found.summary


def test_plain_pictures_show_nothing(originals: Bytes) -> None:
    pictures = originals.copy()
    pictures[COPIES] = 255
    (found,) = found_in(corpus_of(pictures, labels=[f"class{row}" for row in range(ROWS)]))
    assert found.kind is Kind.PLACEHOLDER
    assert found.expected_false >= 1


def test_without_descriptions_only_the_number_speaks(originals: Bytes) -> None:
    pictures = with_copies(originals, COPIES)
    (ten,) = found_in(corpus_of(pictures))
    pictures[54], pictures[56], pictures[58] = pictures[55], pictures[57], pictures[59]
    (beside_pairs,) = found_in(corpus_of(pictures))
    assert beside_pairs.expected_false < ten.expected_false
    assert "nothing is said of it" in ten.summary


def test_fewer_copies_than_asked_for_are_not_reported(originals: Bytes) -> None:
    corpus = corpus_of(with_copies(originals, COPIES[:3]), labels=[str(row) for row in range(ROWS)])
    assert found_in(corpus) == []
    assert len(dataclasses.replace(Duplicates(), copies=3).find(corpus, np.random.default_rng(0))) == 1
