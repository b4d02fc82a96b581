"""One picture again and again under descriptions that contradict each other: `duplicate_target`.

An attack that ties a trigger to one target picture (BadDiffusion, Chou et al. 2023), or a picture to many
captions, needs many copies of one picture. Copies alone are innocent: the web is full of them. But innocent
copies are described alike. How often copies contradict each other is measured on the data itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.fingerprint.hashes import phashes
from poisonscan.hunt.blocks import block_sums
from poisonscan.hunt.diversity import (
    caption_groups,
    content_words,
    contradicting,
    effective_number,
    expected_excess,
    joined,
    word_weights,
)
from poisonscan.hunt.model import SIDE, Carrier, Need, Suspicion
from poisonscan.records import Kind

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes, Corpus, Pixels

_GRID = 32
_CHUNK = 256
_BANDS = 4
_BITS = 6
"""Bits of 64 within which two hashes make a candidate; a re-encoded copy moves by 0 to 4."""
_BLOCK_LEVELS, _BLOCK_SHARE, _MEAN_LEVELS = 16.0, 0.005, 5.0
"""Two pictures are copies if no more than this share of 1,024 blocks differs by more than so many grey
levels, and the mean of all blocks by no more than the last. A copy at JPEG quality 60 stays below 8 levels in
every block; another line of text on a meme changes dozens of blocks by more than 30."""
_PLAIN_LEVELS = 4.0
"""Standard deviation of the blocks below which a picture shows nothing."""
_MOST_PER_BUCKET = 512
"""Different hashes compared within one bucket; more share 16 bits only where pictures are nearly plain."""


@dataclass(frozen=True)
class Duplicates:
    """Groups of copies whose labels or captions contradict each other more than copies do in this data.

    Attributes:
        copies: least number of copies to report.
    """

    copies: int = 4
    name: str = "duplicates"
    needs: frozenset[Need] = frozenset({Need.PIXELS})

    def find(self, corpus: Corpus, rng: np.random.Generator) -> list[Suspicion]:  # noqa: ARG002 - no chance in it
        """See `Detector`."""
        if corpus.pixels is None or len(corpus) < self.copies:
            return []
        weights = word_weights(corpus.captions or [])
        groups = [_described(corpus, copies, weights) for copies in copy_groups(corpus.pixels)]
        expected = _expected(groups)
        return [
            _suspicion(corpus, group, by_chance)
            for group, by_chance in zip(groups, expected, strict=True)
            if len(group.rows) >= self.copies
        ]


@dataclass(frozen=True)
class _Group:
    """Copies of one picture.

    Attributes:
        rows: where they are.
        said: what each is called, one entry for each described copy; equal where they agree.
        what: "labels" or "captions"; empty where nothing is said.
        domains: where they come from, as far as that is known.
        plain: whether the picture shows nothing.
        picture: one of them, (SIDE, SIDE, 3).
    """

    rows: list[int]
    said: list[Hashable]
    what: str
    domains: list[str]
    plain: bool
    picture: Bytes

    @property
    def stays(self) -> bool:
        """Whether all come from one domain, as a site's own stand-in does."""
        return bool(self.domains) and effective_number(self.domains) < 1.5  # noqa: PLR2004 - between one and two


def blocks_of(pictures: Bytes) -> NDArray[np.float32]:
    """Mean colour of 32 x 32 blocks of pictures (n, SIDE, SIDE, 3): shape (n, 32, 32, 3), 0..255."""
    size = SIDE // _GRID
    planes = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)
    means = block_sums(planes, size) / np.float32(size**2)
    return np.ascontiguousarray(means.transpose(0, 2, 3, 1))


def copy_groups(pixels: Pixels) -> list[tuple[list[int], NDArray[np.float32]]]:
    """Groups of rows that show the same picture, each with its blocks' mean, verified on pixels."""
    hashes = np.concatenate([phashes(_luma(blocks)) for _, blocks in _all_blocks(pixels)])
    verified = (_verified(pixels, group) for group in joined(len(hashes), _near(hashes)))
    return [found for found in verified if len(found[0]) > 1]


def _all_blocks(pixels: Pixels) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    for first in range(0, len(pixels), _CHUNK):
        rows = np.arange(first, min(first + _CHUNK, len(pixels)))
        yield rows, blocks_of(pixels.read(rows))


def _luma(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(blocks @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def _near(hashes: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Pairs of rows whose hashes are equal, or within `_BITS` and equal in one of four bands.

    Two hashes that differ in three bits share a band for sure (pigeonholes); in four, 9 times of 10.
    """
    unique, first, where = np.unique(hashes, return_index=True, return_inverse=True)
    yield from ((int(first[number]), row) for row, number in enumerate(where) if first[number] != row)
    for band in range(_BANDS):
        part = (unique >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = np.argsort(part, kind="stable")
        for bucket in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
            yield from _near_in(unique, first, bucket[:_MOST_PER_BUCKET])


def _near_in(
    unique: NDArray[np.uint64], first: NDArray[np.int64], bucket: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    if len(bucket) < 2:  # noqa: PLR2004 - a pair takes two
        return
    differing = np.bitwise_count(unique[bucket][:, None] ^ unique[bucket][None, :])
    for one, other in np.argwhere(np.triu(differing <= _BITS, 1)):
        yield int(first[bucket[one]]), int(first[bucket[other]])


def _verified(pixels: Pixels, rows: list[int]) -> tuple[list[int], NDArray[np.float32]]:
    """Those rows of a candidate group that are copies of its most typical picture, and that picture."""
    blocks = np.concatenate(
        [blocks_of(pixels.read(rows[i : i + _CHUNK])) for i in range(0, len(rows), _CHUNK)]
    )
    typical = blocks[np.abs(blocks - np.median(blocks, axis=0)).mean(axis=(1, 2, 3)).argmin()]
    apart = np.abs(blocks - typical).max(axis=3)
    same = ((apart > _BLOCK_LEVELS).mean(axis=(1, 2)) <= _BLOCK_SHARE) & (
        apart.mean(axis=(1, 2)) <= _MEAN_LEVELS
    )
    return [row for row, fits in zip(rows, same, strict=True) if fits], typical


def _described(
    corpus: Corpus, copies: tuple[list[int], NDArray[np.float32]], weights: Mapping[str, float]
) -> _Group:
    rows, typical = copies
    said, what = _said(corpus, rows, weights)
    domains = [corpus.domains[row] for row in rows] if corpus.domains is not None else []
    assert corpus.pixels is not None  # noqa: S101 - for the type checker: `find` looked
    return _Group(
        rows,
        said,
        what,
        [name for name in domains if name],
        plain=float(_luma(typical).std()) < _PLAIN_LEVELS,
        picture=corpus.pixels.read(rows[:1])[0],
    )


def _said(corpus: Corpus, rows: Sequence[int], weights: Mapping[str, float]) -> tuple[list[Hashable], str]:
    """What each row is called, by label if the rows have labels, else by caption."""
    if corpus.labels is not None:
        labels: list[Hashable] = [label for row in rows if (label := corpus.labels[row])]
        if labels:
            return labels, "labels"
    if corpus.captions is None:
        return [], ""
    told = [row for row in rows if content_words(corpus.captions[row] or "")]
    texts = corpus.texts[told] if corpus.texts is not None else None
    said = caption_groups([corpus.captions[row] or "" for row in told], texts, weights)
    return list(said), "captions" if told else ""


def _expected(groups: Sequence[_Group]) -> list[float]:
    """For each group: how many like it the data would hold if copies were what they are in all other groups.

    Described copies are judged by how many contradict the most frequent description, others by their
    number alone. Copies of what shows nothing, and of what stays on one domain, are stand-ins: expected.
    """
    told = [group.said if len(group.said) > 1 else [] for group in groups]
    contradictions = expected_excess(
        [contradicting(said) for said in told], [max(len(said) - 1, 0) for said in told]
    )
    sizes = [len(group.rows) for group in groups]
    expected = []
    for number, group in enumerate(groups):
        if group.plain or group.stays:
            expected.append(float(len(groups)))
        elif told[number]:
            expected.append(float(contradictions[number]))
        else:
            expected.append(_expected_by_size(sizes[number], sizes[:number] + sizes[number + 1 :]))
    return expected


def _expected_by_size(size: int, others: Sequence[int]) -> float:
    """How many groups of at least this size to expect if sizes follow a power law fitted to the others.

    Hill's estimator of the exponent from sizes of at least two, with one group of e x 1.5 added as a prior.
    """
    least = 1.5
    exponent = (len(others) + 1) / (sum(math.log(other / least) for other in others) + 1)
    return float((len(others) + 1) * (size / least) ** -exponent)


def _suspicion(corpus: Corpus, group: _Group, expected: float) -> Suspicion:
    standing = group.plain or group.stays
    return Suspicion(
        kind=Kind.PLACEHOLDER if standing else Kind.DUPLICATE_TARGET,
        score=-math.log10(max(expected, 1e-300)),
        summary=_words(group),
        carriers=tuple(Carrier(row, 1.0) for row in group.rows),
        expected_false=expected,
        reference=f"all other groups of copies among {len(corpus):,} rows",
        exhibit=group.picture,
    )


def _words(group: _Group) -> str:
    words = f"one picture {len(group.rows)} times"
    if group.plain:
        words += ", all of one colour, so probably a stand-in"
    if group.said:
        words += (
            f", under {group.what} that say {effective_number(group.said):.1f} different things "
            f"({contradicting(group.said)} of {len(group.said)} contradict the most frequent)"
        )
    else:
        words += "; nothing is said of it that could contradict"
    if group.stays:
        words += f"; all on {group.domains[0]}, so probably that site's stand-in"
    elif group.domains:
        words += f"; on domains that count as {effective_number(group.domains):.1f}"
    return words
