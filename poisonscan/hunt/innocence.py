"""Rules by which a recurring pattern is set aside: told with their reason, never dropped in silence."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from poisonscan.hunt.diversity import effective_number
from poisonscan.hunt.evidence import REACHES, crop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from poisonscan.hunt.evidence import Pattern
    from poisonscan.hunt.model import Bytes, Corpus, Floats, Suspicion

FEW_DOMAINS = 0.3
"""Domains of members, as a share of what chance would give, up to which a pattern is a site's own mark."""
_BESIDE = 24
"""How far a line of text is followed beyond the pattern, pixels."""
_LINE = 64
"""Height of a line of text, pixels, at most."""
_TONE = 48.0
"""Distance in RGB within which a pixel has a tone, levels."""
_TWO_TONES = 0.75
"""Share of pixels that have one of two tones, from which something is lettering."""
_EACH = 0.03
"""Least share of pixels of each tone."""
_MOST = 0.75
"""Share of members for which the rule of lettering must hold: at least 0.8 in every group of lettering in a
set of benchmarks/hunt.py; up to 0.58 for a stamp of alternate pixels, as some photos are black and white."""


def set_aside(found: Suspicion, reason: str | None) -> Suspicion:
    """A suspicion as one that a rule explains: told, but without weight; itself where there is no reason."""
    if reason is None:
        return found
    summary = f"set aside: {found.summary}; {reason}"
    return replace(found, score=0.0, summary=summary, expected_false=1.0)


def of_few_domains(corpus: Corpus, rows: NDArray[np.int64]) -> str | None:
    """The reason to set aside what stays on few sites; None where it does not or nobody knows the domains.

    The effective number of domains of the rows is compared with the number of domains that so many rows drawn
    from the whole corpus are expected to show, so that a corpus from one site loses nothing to this rule.
    """
    if corpus.domains is None:
        return None
    named = Counter(name for row in rows if (name := corpus.domains[row]))
    count = sum(named.values())
    if not count:
        return None
    everywhere = Counter(name for name in corpus.domains if name)
    shares = np.array(list(everywhere.values())) / sum(everywhere.values())
    expected = float(np.sum(1 - (1 - shares) ** count))
    if effective_number(named.elements()) > FEW_DOMAINS * expected:
        return None
    most = ", ".join(sorted(name for name, _ in named.most_common(2)))
    return f"they stay on few domains ({most}): a watermark or logo of a site"


def is_text(pictures: Bytes, pattern: Pattern) -> str | None:
    """The reason to set aside lettering: two tones that, or whose ground, go on beside it on most members.

    Args:
        pictures: of the pattern's seed, in order.
        pattern: what they share.
    """
    if pattern.mask.shape[0] > _LINE:
        return None
    tones = _tones(pattern.template[pattern.mask])
    if not _lettering(pattern.template[pattern.mask], tones):
        return None
    goes_on = [
        _goes_on(picture, int(y), int(x), pattern, tones)
        for picture, y, x in zip(pictures, pattern.seed.y, pattern.seed.x, strict=False)
    ]
    if np.mean(goes_on) < _MOST:
        return None
    return "two tones that go on beside it: part of a line of text"


def _tones(colours: Floats) -> Floats:
    """The darkest and the lightest colour, shape (2, 3): medians of the outer 3% by luma."""
    order = np.argsort(colours.mean(axis=1), kind="stable")
    few = max(1, len(order) * 3 // 100)
    return np.stack([np.median(colours[order[:few]], axis=0), np.median(colours[order[-few:]], axis=0)])


def _lettering(colours: Floats, tones: Floats) -> bool:
    """Whether nearly all pixels lie on the way between two tones, and enough at either end."""
    axis = tones[1] - tones[0]
    length = float(np.linalg.norm(axis))
    if length < 2 * _TONE or not len(colours):
        return False
    along = np.clip((colours - tones[0]) @ axis / length**2, 0, 1)
    off = np.linalg.norm(colours - tones[0] - along[:, None] * axis, axis=1)
    both = min(float((along < 0.25).mean()), float((along > 0.75).mean()))  # noqa: PLR2004 - outer quarters
    return float((off < _TONE).mean()) >= _TWO_TONES and both >= _EACH


def _goes_on(picture: Bytes, y: int, x: int, pattern: Pattern, tones: Floats) -> bool:
    around = crop(picture, y, x, REACHES[-1] + _BESIDE)
    height, width = pattern.mask.shape
    top, left = (offset + REACHES[-1] + _BESIDE for offset in pattern.offset)
    strips: Sequence[Floats] = (
        around[top : top + height, max(0, left - _BESIDE) : left],
        around[top : top + height, left + width : left + width + _BESIDE],
    )
    shown = [strip[np.isfinite(strip[..., 0])] for strip in strips]
    return any(_lettering(strip, tones) for strip in shown) or all(_ground(strip, tones) for strip in shown)


def _ground(colours: Floats, tones: Floats) -> bool:
    """Whether nearly all pixels have one of the two tones; so it is beyond the picture's edge."""
    distances = np.linalg.norm(colours[:, None] - tones, axis=2)
    return not len(colours) or float((distances < _TONE).mean(axis=0).max()) >= _TWO_TONES
