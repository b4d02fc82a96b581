"""One pattern blended over whole pictures: Blended (Chen et al. 2017), SIG (Barni et al. 2019) and the like.

What is added is fainter than the picture, but it is the same at every pixel of every carrier. High-passed
pictures, divided by their local contrast so that no edge outshouts the rest, correlate by a hundredth at most
when they are unlike and by a tenth when they share a blend. Groups found so give a first estimate of the
pattern; correlating every picture with it finds the carriers; their mean is a better one for a second turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from poisonscan.hunt import hosts
from poisonscan.hunt.blocks import block_sums
from poisonscan.hunt.evidence import MEMBERS, at_one_place
from poisonscan.hunt.innocence import is_text, of_few_domains, set_aside
from poisonscan.hunt.model import SIDE, Carrier, Need, Suspicion
from poisonscan.hunt.overlap import suppress_overlapping
from poisonscan.hunt.patches import searched
from poisonscan.hunt.reading import batches
from poisonscan.hunt.rescan import gap_of
from poisonscan.records import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes, Corpus, Floats, Pixels
    from poisonscan.hunt.rescan import Gap

_LUMA = ((0.299, 0.587, 0.114),)
_CHROMA = ((0.5, -0.4187, -0.0813), (-0.1687, -0.3313, 0.5))


@dataclass(frozen=True)
class Band:
    """Which details are compared.

    Attributes:
        words: for the evidence.
        channels: weights of R, G and B, one line a channel.
        reduction: pictures are made smaller by so much first.
        inner: width of the Gaussian that takes the finest details away, reduced pixels; 0: none.
        outer: width of the one that takes the coarse ones away.
        around: side of the window of local contrast.
        sketch: length to which residuals are folded for the comparison of all pairs.
        lines: whether what is constant along a row or column counts; in the finest details that is frames,
            bars, and the seams of JPEG blocks and of resizing, which unlike pictures share.
    """

    words: str
    channels: tuple[tuple[float, float, float], ...]
    reduction: int
    inner: float
    outer: float
    around: int
    sketch: int
    lines: bool

    @property
    def side(self) -> int:
        """Of the reduced pictures, pixels."""
        return SIDE // self.reduction

    @property
    def size(self) -> int:
        """Numbers a picture."""
        return self.side**2 * len(self.channels)


BANDS = (
    Band("fine details", _LUMA, 1, 0.0, 1.5, 13, 8192, lines=False),
    Band("coarse details", _LUMA, 4, 0.7, 2.0, 13, 3136, lines=True),
    Band("colours", _CHROMA, 4, 0.0, 2.0, 13, 6272, lines=True),
)
"""Blends of pictures and of noise show best in the finest details, waves of SIG in coarse ones, and thin
coloured shapes (the glasses of BadDiffusion) in the colours, where most photos have little (measured)."""
_AT_ONCE = 8
"""Pictures whose residuals are computed together: what fits the processor's cache."""
_SOFT = 3.0
"""Local contrast, levels, below which a place counts less: JPEG's own noise."""
BLOCK = 4096
"""Pictures that are compared pair by pair; more are cut into such blocks, so that time grows linearly."""
_UNUSUAL = (16.0, 8.0, 5.0)
"""Correlations from which a pair belongs together, in robust standard deviations of all pairs: the strictest
first, so that few carriers of a strong pattern are not lost among many frames."""
_ALIKE = 0.5
"""Cosine of thumbnails or features from which two pictures are alike without any blend."""
_LEAST = 4
_TURNS = 2
_TEMPLATES = 32
"""Groups followed up, most alike first."""
_SPREAD = 0.5
"""Effective share of the picture over which a pattern must lie to be an overlay."""
_CLEAR = 1.1
"""How far above the others' best correlation the middle of the gap must lie, where many carriers make even a
narrow gap improbable: a common look of photos fades out, a blend ends."""
LOCAL = "it covers a part of the picture only and was judged as a patch"
_BLOCKS = 14
"""Blocks in each direction in which a pattern's strength is measured."""


@dataclass(frozen=True)
class Estimate:
    """A pattern as its carriers show it.

    Attributes:
        total: sum of their residuals, shape (pixels,).
        own: sum of the squares of their residuals.
    """

    total: Floats
    own: Floats


@dataclass(frozen=True)
class Overlays:
    """The detector of blended patterns."""

    name: ClassVar[str] = "overlays"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PIXELS})

    def find(self, corpus: Corpus, rng: np.random.Generator) -> list[Suspicion]:
        """Patterns over whole unlike pictures; see `Detector`."""
        if corpus.pixels is None or len(corpus) < _LEAST:
            return []
        small = np.concatenate([hosts.thumbnails(pictures) for _, pictures in batches(corpus.pixels)])
        views = hosts.views(corpus, small)
        found: list[Suspicion] = []
        for band in BANDS:
            found += _in_band(corpus, corpus.pixels, views, band, rng)
        distinct = suppress_overlapping(found)
        return [*distinct, *_patches(corpus, corpus.pixels, views, distinct)]


def _patches(
    corpus: Corpus, pixels: Pixels, views: Sequence[Floats], found: Sequence[Suspicion]
) -> list[Suspicion]:
    """What covers a part of the picture, cut out and searched for as a patch is."""
    patterns = []
    for suspicion in found:
        if suspicion.summary.endswith(LOCAL):
            rows = np.array([carrier.row for carrier in suspicion.carriers[:MEMBERS]])
            pictures = pixels.read(rows)
            pattern = at_one_place(pictures, rows)
            if pattern is not None and is_text(pictures, pattern) is None:
                patterns.append(pattern)
    return searched(corpus, views, patterns, _TEMPLATES)


def residuals(pictures: Bytes, band: Band) -> Floats:
    """Details of one band over their local contrast, shape (n, pixels), rows of mean 0 and length 1."""
    parts = [
        _residuals(pictures[start : start + _AT_ONCE], band) for start in range(0, len(pictures), _AT_ONCE)
    ]
    return np.concatenate(parts)


def _residuals(pictures: Bytes, band: Band) -> Floats:
    n, step = len(pictures), band.reduction
    luma = np.concatenate([pictures @ np.array(line, np.float32) for line in band.channels])
    if step > 1:
        luma = block_sums(luma, step) / np.float32(step**2)
    fine = gaussian_filter(luma, (0, band.inner, band.inner), truncate=3) if band.inner else luma
    detail = fine - gaussian_filter(luma, (0, band.outer, band.outer), truncate=2.5)
    contrast = np.sqrt(np.maximum(uniform_filter(detail**2, (0, band.around, band.around)), 0))
    even = detail / (contrast + np.float32(_SOFT))
    if not band.lines:
        even = even - even.mean(axis=1, keepdims=True) - even.mean(axis=2, keepdims=True)
    flat = even.reshape(len(band.channels), n, -1).transpose(1, 0, 2).reshape(n, -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)


def _in_band(
    corpus: Corpus, pixels: Pixels, views: Sequence[Floats], band: Band, rng: np.random.Generator
) -> list[Suspicion]:
    sketches = _sketches(pixels, band, rng)
    groups: list[NDArray[np.int64]] = []
    order = rng.permutation(len(corpus))
    for part in np.array_split(order, -(-len(order) // BLOCK)):
        groups += unlike_groups(sketches[part], [view[part] for view in views], part)
    groups = groups[:_TEMPLATES]
    if not groups:
        return []
    templates = [_estimate(pixels, rows, band) for rows in groups]
    members = groups
    for _ in range(_TURNS):
        scores = _scores(pixels, band, templates, members)
        gaps = [gap_of(line, _least(line)) for line in scores]
        chosen = [
            np.flatnonzero(line >= gap.threshold) if gap else np.zeros(0, np.int64)
            for line, gap in zip(scores, gaps, strict=True)
        ]
        kept = [number for number, rows in enumerate(chosen) if len(rows) >= _LEAST]
        if not kept:
            return []
        members = [chosen[number] for number in kept]
        scores = [scores[number] for number in kept]
        final = [(gaps[number], templates[number]) for number in kept]
        templates = [_estimate(pixels, rows, band) for rows in members]
    made = (
        _judged(corpus, views, band, rows, line, gap, template, len(groups))
        for rows, line, (gap, _), template in zip(members, scores, final, templates, strict=True)
        if gap is not None
    )
    return [suspicion for suspicion in made if suspicion is not None]


def _sketches(pixels: Pixels, band: Band, rng: np.random.Generator) -> Floats:
    """Residuals folded to `band.sketch` numbers with random signs; correlations stay, with noise of its root.

    The count sketch of Charikar et al. (2002).
    """
    size = band.size
    signs = rng.choice(np.array([-1, 1], np.float32), size)
    places = rng.permutation(size)
    folds = -(-size // band.sketch)
    lines = []
    for _, pictures in batches(pixels):
        flat = (residuals(pictures, band) * signs)[:, places]
        padded = np.pad(flat, ((0, 0), (0, folds * band.sketch - size)))
        lines.append(padded.reshape(len(flat), folds, band.sketch).sum(axis=1))
    return np.concatenate(lines)


def unlike_groups(
    sketches: Floats, views: Sequence[Floats], rows: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Groups of rows whose residuals correlate although the pictures are unlike.

    Args:
        sketches: of a block, shape (n, d).
        views: what the pictures are compared by.
        rows: row number of each.
    """
    cosines = sketches @ sketches.T
    middle = float(np.median(cosines))
    spread = 1.4826 * float(np.median(np.abs(cosines - middle)))
    unlike = np.logical_and.reduce([view @ view.T < _ALIKE for view in views])
    np.fill_diagonal(unlike, val=False)
    groups: list[NDArray[np.int64]] = []
    for level in _UNUSUAL:
        groups += _cores(unlike & (cosines > middle + level * spread), rows)
    return groups


def _cores(edges: NDArray[np.bool_], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Disjoint groups of rows, each a row with most neighbours and those that neighbour each other."""
    groups: list[NDArray[np.int64]] = []
    for _ in range(_TEMPLATES):
        hub = int(edges.sum(axis=1).argmax())
        near = np.flatnonzero(edges[hub])
        if len(near) < _LEAST - 1:
            break
        inside = edges[np.ix_(near, near)].sum(axis=1)
        core = np.r_[hub, near[inside >= max(1, inside.max() / 2)]]
        if len(core) >= _LEAST:
            groups.append(np.sort(rows[core]))
        edges[core] = False
        edges[:, core] = False
    return groups


def _estimate(pixels: Pixels, rows: NDArray[np.int64], band: Band) -> Estimate:
    """What the residuals of some rows add up to."""
    size = band.size
    total, own = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for part in np.array_split(rows, -(-len(rows) // 64)):
        lines = residuals(pixels.read(part), band)
        total += lines.sum(axis=0)
        own += (lines**2).sum(axis=0)
    return Estimate(total, own)


def _scores(
    pixels: Pixels, band: Band, templates: Sequence[Estimate], members: Sequence[NDArray[np.int64]]
) -> list[Floats]:
    """Correlation of every picture with each template, members with what the others make of it."""
    stack = np.stack([template.total for template in templates], axis=1)
    products = np.concatenate([residuals(pictures, band) @ stack for _, pictures in batches(pixels)])
    norms = np.linalg.norm(stack, axis=0)
    scores = products / norms
    for number, rows in enumerate(members):
        with_self = products[rows, number]
        rest = np.sqrt(np.maximum(norms[number] ** 2 - 2 * with_self + 1, 1e-6))
        scores[rows, number] = (with_self - 1) / rest
    return list(scores.T)


def _least(scores: Floats) -> float:
    """Scores below this are what unlike pictures have: four robust standard deviations."""
    middle = float(np.median(scores))
    return middle + 4 * 1.4826 * float(np.median(np.abs(scores - middle)))


def _judged(
    corpus: Corpus,
    views: Sequence[Floats],
    band: Band,
    rows: NDArray[np.int64],
    scores: Floats,
    gap: Gap,
    template: Estimate,
    tried: int,
) -> Suspicion | None:
    unlike = hosts.unlike(views, rows)
    if not hosts.enough(unlike, len(rows)):
        return None
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    share = spread_of(template, band)
    if share >= _SPREAD and gap.threshold < _CLEAR * gap.nearest:
        return None
    words = (
        f"the same pattern in the {band.words} of {len(rows)} pictures that are worth {unlike:.1f} unlike "
        f"ones, over {share:.0%} of the picture; carriers correlate with it by {gap.threshold:.2f} or more, "
        f"no other by more than {gap.nearest:.2f}"
    )
    reason = of_few_domains(corpus, rows)
    if share < _SPREAD:
        reason = reason or LOCAL
    found = Suspicion(
        Kind.OVERLAY,
        len(rows) * unlike,
        words,
        tuple(Carrier(int(row), float(np.clip(scores[row] * 2, 0, 1))) for row in rows),
        min(1.0, gap.chance * tried),
        f"correlation of the {len(corpus) - len(rows)} other pictures, {tried} groups tried",
        _exhibit(template.total[: band.side**2]),
    )
    return set_aside(found, reason)


def spread_of(estimate: Estimate, band: Band) -> float:
    """Effective share of the picture over which carriers agree, 0..1.

    The sum over all pairs of carriers of the products of their residuals, which is zero on average where they
    share nothing, in each of 14 x 14 blocks; exp(entropy) of the blocks' positive shares over their number.
    """
    shared = (estimate.total**2 - estimate.own).reshape(-1, band.side, band.side).sum(axis=0)
    cell = band.side // _BLOCKS
    shared = shared.reshape(_BLOCKS, cell, _BLOCKS, cell).sum(axis=(1, 3)).ravel()
    positive = np.clip(shared, 0, None)
    share = positive / max(float(positive.sum()), 1e-9)
    share = share[share > 0]
    return float(np.exp(-np.sum(share * np.log(share)))) / _BLOCKS**2


def _exhibit(template: Floats) -> Bytes:
    """The estimated pattern, stretched to 0..255."""
    side = int(np.sqrt(len(template)))
    low, high = np.quantile(template, (0.01, 0.99))
    grey = np.clip((template.reshape(side, side) - low) / max(float(high - low), 1e-9), 0, 1) * 255
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)
