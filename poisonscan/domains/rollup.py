"""From the verdicts on a domain's rows to a judgement on the domain. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.domains.registration import Hands, Owner, day
from poisonscan.records import Group, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poisonscan.config import JudgeSettings

_Z = 1.96  # two-sided 95%


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Whether a domain seems to be in other hands.

    Attributes:
        suspected: whether it does.
        score: 0..1, the share of pictures that was replaced at the least (95% Wilson bound), raised by
            the weight of what changed about the owner (noisy-or).
        reasons: in words; also for domains that are not suspected but not well either.
    """

    suspected: bool
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OneFailure:
    """What became of a domain all of whose rows had a picture then and fail in one way now.

    Attributes:
        kind: the `Outcome` of the fetches, or the verdict where there was a body.
        rows: how many.
    """

    kind: str
    rows: int

    @property
    def hides(self) -> bool:
        """Whether it is an answer that others may read as a picture, rather than none."""
        return self.kind in _HIDING

    def words(self, since: str) -> str:
        """In words."""
        kind = self.kind.replace("_", " ")
        return f"all {self.rows} pictures served on {since} fail in one way now: {kind}"


def suspicion(
    counts: Mapping[Verdict, int],
    since: str,
    settings: JudgeSettings,
    owner: Owner = Owner(),
    failure: OneFailure | None = None,
) -> Suspicion:
    """Judge a domain by the verdicts on its rows and by what is known of its owner.

    A domain that shows one stand-in for everything is broken rather than swapped, and one whose
    pictures were merely re-encoded is never suspected: only `replaced` counts. In new hands local
    changes count too, and fewer rows are enough; in the same hands as before replaced pictures are taken
    for a redesign: the rows stay suspicious, the domain is not.

    A domain of which every picture turned at once into an answer that we cannot read, and others may, counts
    as one whose pictures were all replaced: whoever swaps them could hide it so.

    Args:
        counts: rows by verdict.
        since: date of the snapshot, for the words.
        settings: how many rows and what share of them make a suspicion.
        owner: what evidence about the domain says; by default nothing.
        failure: in which all rows that had a picture ended; None where they did not end in one.
    """
    hidden = failure.rows if failure is not None and failure.hides else 0
    seen = _seen(counts) + hidden
    altered = _altered(counts, owner) + hidden
    least, share = settings.swap_rows, settings.swap_share
    if owner.hands is Hands.NEW:
        least, share = settings.owner_rows, settings.owner_share
    enough = altered >= least and altered >= share * seen
    reasons = [
        f"{counts[verdict]} of {seen} pictures {words} since {since}"
        for verdict, words in _WORDS.items()
        if counts.get(verdict, 0)
    ]
    reasons += [failure.words(since)] if failure is not None and failure.hides else []
    reasons += [change.words for change in owner.changes]
    if enough and owner.hands is Hands.SAME and owner.registered_at is not None:
        reasons.append(f"registered {day(owner.registered_at)}, registrar and name servers as before")
    doubt = 1 - wilson_lower(altered, seen)
    score = 1 - doubt * (1 - owner.weight) if altered else 0.0
    return Suspicion(enough and owner.hands is not Hands.SAME, score, tuple(reasons))


def warnings(
    counts: Mapping[Verdict, int],
    owner: Owner,
    since: str = "then",
    settings: JudgeSettings | None = None,
    failure: OneFailure | None = None,
) -> tuple[str, ...]:
    """What is to be known of a domain that is not suspected; in words, empty where there is nothing.

    Args:
        counts: rows by verdict.
        owner: what evidence about the domain says.
        since: date of the snapshot, for the words.
        settings: from how many rows on a common failure is told.
        failure: in which all rows that had a picture ended, if they did.
    """
    told = settings is not None and failure is not None and failure.rows >= settings.swap_rows
    common = (failure.words(since),) if told and failure is not None and not failure.hides else ()
    return _of_new_hands(counts, owner) + common


def _of_new_hands(counts: Mapping[Verdict, int], owner: Owner) -> tuple[str, ...]:
    if owner.hands is not Hands.NEW or _altered(counts, owner):
        return ()
    words = "; ".join(change.words for change in owner.changes)
    seen, stand_ins = _seen(counts), counts.get(Verdict.PLACEHOLDER, 0)
    if stand_ins:
        return (f"in new hands and serves stand-ins: {words}",)
    if seen:
        return (f"in new hands and still serves the same pictures, so its owner may be waiting: {words}",)
    return (f"in new hands and serves none of its pictures now: {words}",)


def _seen(counts: Mapping[Verdict, int]) -> int:
    return sum(n for verdict, n in counts.items() if verdict.group in (Group.CLEAN, Group.SUSPICIOUS))


def _altered(counts: Mapping[Verdict, int], owner: Owner) -> int:
    telling = _CHANGED if owner.hands is Hands.NEW else (Verdict.REPLACED,)
    return sum(counts.get(verdict, 0) for verdict in telling)


_HIDING = frozenset(
    {
        Outcome.PROTOCOL_ERROR.value,
        Outcome.TOO_LARGE.value,
        Outcome.TOO_MANY_REDIRECTS.value,
        Verdict.UNDECODABLE.value,
    }
)
"""Ways to fail in which a server does answer. A name that is gone, a refusal or a page instead of a picture
is what dead and moved sites do every day, and only told."""
_CHANGED = (Verdict.REPLACED, Verdict.EDITED, Verdict.BLENDED, Verdict.TONED, Verdict.CHANGED)
_WORDS = {
    Verdict.REPLACED: "replaced by another picture",
    Verdict.PLACEHOLDER: "replaced by a stand-in",
    Verdict.EDITED: "changed in places",
    Verdict.BLENDED: "under a pattern",
    Verdict.TONED: "in other colours or contrast",
    Verdict.CHANGED: "changed against their published hash",
}


def wilson_lower(successes: int, trials: int) -> float:
    """Lower end of the 95% Wilson score interval (Wilson 1927) of a share; 0 without trials."""
    if trials == 0:
        return 0.0
    share = successes / trials
    centre = share + _Z**2 / (2 * trials)
    spread = _Z * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    return max(0.0, (centre - spread) / (1 + _Z**2 / trials))
