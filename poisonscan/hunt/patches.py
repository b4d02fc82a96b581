"""Recurring patches: the same pixels on pictures that have nothing else in common.

Two miners propose groups of alike windows (content-chosen points anywhere; equal tiles at equal places). Each
group is laid over itself to cut out what agrees, rules set innocent recurrences aside, and every picture is
searched for what is left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from poisonscan.hunt import evidence, hosts, keypoints, tiles
from poisonscan.hunt.evidence import Pattern, Seed
from poisonscan.hunt.hashing import Hashing, groups
from poisonscan.hunt.innocence import is_text, of_few_domains
from poisonscan.hunt.model import Carrier, Need, Suspicion
from poisonscan.hunt.overlap import suppress_overlapping
from poisonscan.hunt.reading import batches
from poisonscan.hunt.rescan import gap_of, search
from poisonscan.records import Box, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes, Corpus, Floats, Pixels
    from poisonscan.hunt.rescan import Gap, Matches

LEAST = 4
"""Pictures that make a recurrence."""
_SAME = 0.6
"""Share of rows from which two groups are about the same thing."""
_LEAST_DETAIL = 100
"""Pixels with structure that a pattern must have: a 10 px square."""
_LEAST_SHARE = 0.2
"""Share of a pattern that must have structure; natural edges on plain ground have 0.03 to 0.12, published
stamps 0.9, lettering 0.3 to 0.5 (measured on the 3,720 photos of benchmarks/hunt.py)."""
_EXAMINED = 600
"""Groups that are laid over themselves, most unlike pictures first; some 20 ms each."""
_SEARCHED = 10
"""Patterns that every picture is searched for; some 4 s each for 3,700 pictures."""


@dataclass(frozen=True)
class Patches:
    """The detector of recurring patches."""

    name: ClassVar[str] = "recurring_patches"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PIXELS})

    def find(self, corpus: Corpus, rng: np.random.Generator) -> list[Suspicion]:
        """Patterns on unlike pictures, and those that a rule sets aside; see `Detector`."""
        if corpus.pixels is None or len(corpus) < LEAST:
            return []
        mined = _mine(corpus.pixels, rng)
        views = hosts.views(corpus, mined.thumbnails)
        ranked = _ranked(mined.seeds, views)
        candidates, aside = _candidates(corpus, corpus.pixels, ranked)
        suspicions = searched(corpus, views, candidates, len(ranked))
        return [*suppress_overlapping(suspicions, share=_SAME), *_by_reason(aside)]


def searched(
    corpus: Corpus, views: Sequence[Floats], candidates: Sequence[Pattern], tried: int
) -> list[Suspicion]:
    """Search every picture for each pattern and judge what carries it.

    Args:
        corpus: with pixels.
        views: what pictures are compared by, see `hosts`.
        candidates: the patterns.
        tried: groups among which they were chosen.
    """
    if corpus.pixels is None or not candidates:
        return []
    found = search(corpus.pixels, candidates)
    made = (
        _judged(corpus, views, pattern, matches, tried)
        for pattern, matches in zip(candidates, found, strict=True)
    )
    return [suspicion for suspicion in made if suspicion is not None]


@dataclass(frozen=True)
class _Mined:
    seeds: list[Seed]
    thumbnails: Floats


def _mine(pixels: Pixels, rng: np.random.Generator) -> _Mined:
    """Read every picture once; everything later looks at few."""
    directions = tiles.projection(rng)
    points: list[keypoints.Points] = []
    flat: list[tiles.Tiles] = []
    small: list[Floats] = []
    for rows, pictures in batches(pixels):
        points.extend(
            keypoints.points_of(int(row), picture) for row, picture in zip(rows, pictures, strict=True)
        )
        flat.append(tiles.tiles_of(rows, pictures, directions))
        small.append(hosts.thumbnails(pictures))
        side = pictures.shape[1]
    anywhere = _point_seeds(keypoints.joined(points), rng)
    return _Mined([*anywhere, *tiles.seeds(tiles.joined(flat), side, rng)], np.concatenate(small))


def _point_seeds(points: keypoints.Points, rng: np.random.Generator) -> Iterator[Seed]:
    for scale in keypoints.SCALES:
        here = np.flatnonzero(points.scales == scale)
        for members in groups(points.windows[here], points.rows[here], Hashing(least=LEAST), rng):
            chosen = here[members]
            yield Seed(points.rows[chosen], points.y[chosen], points.x[chosen])


def _ranked(seeds: Iterable[Seed], views: Sequence[Floats]) -> list[Seed]:
    """Groups on unlike pictures, most unlike first."""
    counted = ((hosts.unlike(views, seed.rows), seed) for seed in seeds)
    kept = [(unlike, seed) for unlike, seed in counted if hosts.enough(unlike, len(seed.rows))]
    return [seed for _, seed in sorted(kept, key=lambda one: -one[0])]


def _candidates(
    corpus: Corpus, pixels: Pixels, ranked: Sequence[Seed]
) -> tuple[list[Pattern], list[Suspicion]]:
    """Patterns worth a search of every picture, and what a rule sets aside."""
    candidates: list[Pattern] = []
    aside: list[Suspicion] = []
    seen: list[frozenset[int]] = []
    examined = 0
    for seed in ranked:
        rows = frozenset(seed.rows.tolist())
        if any(len(rows & other) >= _SAME * len(rows) for other in seen):
            continue
        examined += 1
        pictures = pixels.read(seed.rows[: evidence.MEMBERS])
        pattern = evidence.pattern_of(pictures, seed)
        if pattern is None or not _structured(pattern):
            continue
        seen.append(rows)
        reason = of_few_domains(corpus, seed.rows) or is_text(pictures, pattern)
        if reason is None:
            candidates.append(pattern)
        else:
            aside.append(_set_aside(seed, pattern, reason))
        if len(candidates) == _SEARCHED or examined == _EXAMINED:
            break
    return candidates, aside


def _structured(pattern: Pattern) -> bool:
    return pattern.detail >= max(_LEAST_DETAIL, _LEAST_SHARE * int(pattern.mask.sum()))


def _judged(
    corpus: Corpus, views: Sequence[Floats], pattern: Pattern, matches: Matches, tried: int
) -> Suspicion | None:
    gap = gap_of(matches.score)
    if gap is None:
        return None
    rows = np.flatnonzero(matches.score >= gap.threshold)
    rows = rows[np.argsort(-matches.score[rows], kind="stable")]
    unlike = hosts.unlike(views, rows)
    if len(rows) < LEAST or not hosts.enough(unlike, len(rows)):
        return None
    reason = of_few_domains(corpus, rows)
    carriers = tuple(_carrier(pattern, matches, int(row)) for row in rows)
    if reason is not None:
        return _aside(pattern, carriers, reason)
    return Suspicion(
        Kind.RECURRING_PATCH,
        len(rows) * unlike,
        _words(pattern, rows, unlike, gap),
        carriers,
        min(1.0, gap.chance * tried),
        f"best match in each of the {len(corpus) - len(rows)} other pictures, {tried} groups tried",
        exhibit(pattern),
    )


def _words(pattern: Pattern, rows: NDArray[np.int64], unlike: float, gap: Gap) -> str:
    height, width = pattern.mask.shape
    return (
        f"the same patch of {width} x {height} px on {len(rows)} pictures that are worth {unlike:.1f} unlike "
        f"ones; its carriers correlate with it by {gap.threshold:.2f} or more, no other picture by more than "
        f"{gap.nearest:.2f}"
    )


def _carrier(pattern: Pattern, matches: Matches, row: int) -> Carrier:

    return Carrier(
        row, float(np.clip(matches.score[row], 0, 1)), _box(pattern, matches.y[row], matches.x[row])
    )


def _box(pattern: Pattern, top: int, left: int) -> Box:
    height, width = pattern.mask.shape
    side = pattern.side
    return Box(left / side, top / side, (left + width) / side, (top + height) / side)


def _set_aside(seed: Seed, pattern: Pattern, reason: str) -> Suspicion:
    corners = zip(
        pattern.seed.rows, pattern.seed.y + pattern.offset[0], pattern.seed.x + pattern.offset[1], strict=True
    )
    boxes = {int(row): _box(pattern, max(0, int(y)), max(0, int(x))) for row, y, x in corners}
    return _aside(pattern, tuple(Carrier(int(row), 1.0, boxes.get(int(row))) for row in seed.rows), reason)


def _aside(pattern: Pattern, carriers: tuple[Carrier, ...], reason: str) -> Suspicion:
    """A recurrence that a rule explains: reported, but expected by chance, so that it raises no alarm."""
    height, width = pattern.mask.shape
    summary = f"set aside: a patch of {width} x {height} px on {len(carriers)} pictures; {reason}"
    return Suspicion(
        Kind.RECURRING_PATCH, 0.0, summary, carriers, 1.0, "a rule, not an estimate", exhibit(pattern)
    )


def _by_reason(aside: Sequence[Suspicion]) -> list[Suspicion]:
    """One suspicion a reason, with the rows of all that were set aside for it."""
    reasons: dict[str, list[Suspicion]] = {}
    for suspicion in aside:
        reasons.setdefault(suspicion.summary.partition("; ")[2], []).append(suspicion)
    return [_together(reason, same) for reason, same in reasons.items()]


def _together(reason: str, same: Sequence[Suspicion]) -> Suspicion:
    largest = max(same, key=lambda one: len(one.carriers))
    if len(same) == 1:
        return largest
    carriers = {carrier.row: carrier for one in same for carrier in one.carriers}
    summary = f"set aside: {len(same)} patches on {len(carriers)} pictures; {reason}"
    return replace(largest, summary=summary, carriers=tuple(carriers[row] for row in sorted(carriers)))


def exhibit(pattern: Pattern) -> Bytes:
    """The pattern to look at; grey where its pictures differ."""
    return np.where(pattern.mask[..., None], pattern.template, 128).round().astype(np.uint8)
