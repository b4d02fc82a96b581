"""The verdict ladder: from the cheapest evidence to the dearest, stopping at the first that decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.compare.fine import judged_finely
from poisonscan.compare.renderings import compare_renderings
from poisonscan.fingerprint.essence import says_same_picture
from poisonscan.fingerprint.hashes import hamming
from poisonscan.fingerprint.variants import agree
from poisonscan.records import Comparison, Fingerprint, Published, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poisonscan.config import CompareSettings
    from poisonscan.fingerprint.detail import Looks
    from poisonscan.fingerprint.fine import FineLook

PHASH_BITS = 64
_FORGEABLE = frozenset({"md5"})
"""Digests for which two files can be made that share one: see docs/verdicts.md."""
FAILED = "poisonscan could not compare it, which is a fault of its own, please report it"
"""How the reason of a row begins on which the comparison itself failed."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of a row from the trusted moment: a fingerprint, published hashes, or nothing."""

    fingerprint: Fingerprint | None
    published: Published

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return self.fingerprint is not None or bool(self.published)


def judge_bytes(baseline: Baseline, digests: Mapping[str, str]) -> Comparison | None:
    """The verdict when the bytes alone decide, without decoding; None when they do not.

    Args:
        baseline: what the row was.
        digests: of the new bytes, hex, by algorithm name.
    """
    old = baseline.fingerprint
    if old is not None:
        if old.sha256 == digests["sha256"]:
            return Comparison(Verdict.IDENTICAL, "same bytes as in the snapshot", 0.0, phash_distance=0)
        return None
    known = _published_digests(baseline.published, digests)
    if known and all(value == digests[name] for name, value in known.items()):
        return _as_published(known)
    return None


def _as_published(known: Mapping[str, str]) -> Comparison:
    """The verdict on bytes that have the published digests."""
    weak = set(known) <= _FORGEABLE
    reason = f"matches the published {' and '.join(known)}"
    if weak:
        reason += ", which who published the picture could have prepared another one for"
    return Comparison(Verdict.IDENTICAL, reason, 0.0, weak_baseline=weak)


def judge(
    baseline: Baseline,
    new: Fingerprint,
    settings: CompareSettings,
    looks: Looks | None = None,
    fine: FineLook | None = None,
) -> Comparison:
    """The verdict on a decoded picture.

    Where comparing fails, for a fault of ours, the verdict is NO_BASELINE with a reason of its own: neither
    clean nor a change of the picture, and no other row suffers for it.

    Args:
        baseline: what the row was.
        new: what the picture is now.
        settings: the thresholds.
        looks: give the detail of the new picture's renderings, where it is at hand (see `pictures.measure`).
        fine: measures it at its full size, likewise; asked where the grids agree.
    """
    try:
        return _judge(baseline, new, settings, looks, fine)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is ours and must not end the run
        return Comparison(Verdict.NO_BASELINE, f"{FAILED}: {type(error).__name__}: {error}", 0.0)


def _judge(
    baseline: Baseline,
    new: Fingerprint,
    settings: CompareSettings,
    looks: Looks | None,
    fine: FineLook | None,
) -> Comparison:
    digests = {"sha256": new.sha256, "sha512": new.sha512 or "", "md5": new.md5 or ""}
    early = judge_bytes(baseline, digests)
    if early is not None:
        return early
    old = baseline.fingerprint
    if old is not None and is_same_picture(old, new):
        return Comparison(Verdict.SAME_PIXELS, "only container or metadata changed", 0.0, phash_distance=0)
    if old is not None:
        found = compare_renderings(old, new, settings, looks)
        return judged_finely(found, old, fine, settings)
    return _judge_published(baseline.published, digests, new, settings)


def is_same_picture(old: Fingerprint, new: Fingerprint) -> bool:
    """Whether two files hold one coded picture: their essences say so, and what was decoded agrees."""
    return (
        says_same_picture(old.essence, new.essence)
        and (old.width, old.height) == (new.width, new.height)
        and old.renderings in {None, new.renderings}
        and agree(old.luma + old.chroma + old.texture, new.luma + new.chroma + new.texture)
    )


def _judge_published(
    published: Published, digests: Mapping[str, str], new: Fingerprint, settings: CompareSettings
) -> Comparison:
    known = _published_digests(published, digests)
    distance = hamming(published.phash, new.phash) if published.phash else None
    if distance is not None:
        return _judge_published_phash(distance, settings)
    if known:
        names = " and ".join(name for name, value in known.items() if value != digests[name])
        reason = f"differs from the published {names}; no picture is known to compare with"
        return Comparison(Verdict.CHANGED, reason, 0.5)
    return Comparison(Verdict.NO_BASELINE, "nothing is known of this row from before", 0.0)


def _judge_published_phash(distance: int, settings: CompareSettings) -> Comparison:
    """A pHash says that a picture is another one, never that it is the same: pictures can be made to fit."""
    words = f"{distance} of {PHASH_BITS} bits from the published pHash"
    if distance <= settings.published_phash_bits:
        reason = f"{words}, which an edited picture or another one can have too; nothing else is known"
        return Comparison(Verdict.NO_BASELINE, reason, 0.0, phash_distance=distance)
    return Comparison(Verdict.CHANGED, words, min(1.0, 2 * distance / PHASH_BITS), phash_distance=distance)


def _published_digests(published: Published, computed: Mapping[str, str]) -> dict[str, str]:
    """The published digests that were also computed for the new bytes, by name."""
    values = {"sha256": published.sha256, "sha512": published.sha512, "md5": published.md5}
    return {name: value for name, value in values.items() if value and computed.get(name)}
