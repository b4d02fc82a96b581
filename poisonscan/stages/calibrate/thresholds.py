"""From the trials of a calibration to rates, and from rates to thresholds. Pure.

Scores are in units of their thresholds, so one factor stands for all thresholds of the local score and
one for that of the global score: what scores 1.2 is suspicious up to a factor of 1.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from poisonscan.config import CompareSettings
from poisonscan.redteam.edits import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

LOCAL, GLOBAL = "local", "global"
"""The scores whose thresholds are swept and chosen."""
_PREFIXES = {
    LOCAL: (
        "luma_energy",
        "chroma_energy",
        "close_luma_energy",
        "close_chroma_energy",
        "close_texture_energy",
        "texture_energy",
    ),
    GLOBAL: ("global_energy", "close_global_energy", "grain_energy"),
}
SETTINGS = {
    score: tuple(item.name for item in fields(CompareSettings) if item.name.startswith(prefixes))
    for score, prefixes in _PREFIXES.items()
}
"""The settings of the comparison that are the thresholds of each score."""
CURRENT, CHOSEN = "current", "chosen"

STEPS = tuple(2.0 ** (step / 8) for step in range(-16, 17))
"""Factors of a sweep: a quarter to four times, eight to an octave."""

_DIGITS = 1000


class Factors(NamedTuple):
    """What the thresholds of each score are multiplied by; (1, 1) leaves them as they are."""

    local: float = 1.0
    overall: float = 1.0


@dataclass(frozen=True, slots=True)
class Trials:
    """Trials as columns of one length.

    Attributes:
        edit, kind: (n,) names.
        suspicious: (n,) what the verdict said at the settings of the calibration.
        same: (n,) whether the original was recognised.
        local, overall: (n,) scores in units of their thresholds.
    """

    edit: NDArray[np.str_]
    kind: NDArray[np.str_]
    suspicious: Mask
    same: Mask
    local: NDArray[np.float64]
    overall: NDArray[np.float64]

    def suspicious_at(self, factors: Factors) -> Mask:
        """(n,) what would be suspicious at other thresholds; what is not recognised always is."""
        flagged: Mask = ~self.same | (self.local >= factors.local) | (self.overall >= factors.overall)
        return flagged


class Rate(NamedTuple):
    """One line of a calibration table.

    Attributes:
        setting: LOCAL or GLOBAL in a sweep; CURRENT or CHOSEN.
        factor: of that score's thresholds, the other's being as they are; None outside a sweep.
        edit: name of the edit.
        kind: "innocent", "malicious" or "drift".
        pairs: trials counted.
        suspicious: how many of them were suspicious.
    """

    setting: str
    factor: float | None
    edit: str
    kind: str
    pairs: int
    suspicious: int


def rates(trials: Trials, chosen: Factors) -> list[Rate]:
    """Rates per edit: by the verdicts given, at the chosen thresholds, and over a sweep of each score."""
    found = _by_edit(trials, CURRENT, None, trials.suspicious)
    found += _by_edit(trials, CHOSEN, None, trials.suspicious_at(chosen))
    for factor in STEPS:
        found += _by_edit(trials, LOCAL, factor, trials.suspicious_at(Factors(local=factor)))
        found += _by_edit(trials, GLOBAL, factor, trials.suspicious_at(Factors(overall=factor)))
    return found


def _by_edit(trials: Trials, setting: str, factor: float | None, flagged: Mask) -> list[Rate]:
    names = list(dict.fromkeys(trials.edit.tolist()))
    found = []
    for name in names:
        mine = trials.edit == name
        kind = str(trials.kind[mine][0])
        found.append(Rate(setting, factor, name, kind, int(mine.sum()), int((mine & flagged).sum())))
    return found


def choose(trials: Trials, false_positives: float) -> Factors:
    """The lowest thresholds at which no more than a share of the innocent trials is suspicious.

    Innocent trials that are not recognised spend of the allowance first, as no threshold here mends
    them; of what is left, the local score gets half and the global score the rest.

    Args:
        trials: of the half of the pictures that thresholds are chosen on.
        false_positives: the share, 0..1.
    """
    innocent = trials.kind == Kind.INNOCENT.value
    seen = innocent & trials.same
    allowed = max(math.floor(false_positives * innocent.sum()) - int((innocent & ~seen).sum()), 0)
    local = _exceeded_by(trials.local[seen], allowed // 2)
    above = trials.local >= local
    rest = allowed - int((seen & above).sum())
    return Factors(local, _exceeded_by(trials.overall[seen & ~above], rest))


def _exceeded_by(scores: NDArray[np.float64], count: int) -> float:
    """A factor that at most `count` of the scores reach, in thousandths; 1 if there is no score."""
    if not len(scores):
        return 1.0
    ranked = np.sort(scores)[::-1]
    return (math.floor(float(ranked[min(count, len(ranked) - 1)]) * _DIGITS) + 1) / _DIGITS


def scaled(settings: CompareSettings, factors: Factors) -> dict[str, float]:
    """The thresholds of both scores multiplied, by the names of their settings."""
    by_score = zip(SETTINGS.values(), factors, strict=True)
    return {name: getattr(settings, name) * factor for names, factor in by_score for name in names}


def share(found: Iterable[Rate], setting: str, kind: Kind, factor: float | None = None) -> float | None:
    """The share of suspicious trials over all edits of a kind; None where there are none."""
    mine = [rate for rate in found if (rate.setting, rate.factor, rate.kind) == (setting, factor, kind)]
    pairs = sum(rate.pairs for rate in mine)
    return sum(rate.suspicious for rate in mine) / pairs if pairs else None


def as_toml(settings: CompareSettings, factors: Factors, notes: Sequence[str]) -> str:
    """The thresholds multiplied as a settings file for `check --config`, with where they come from."""
    values = scaled(settings, factors).items()
    lines = [f"{name} = {value:.6g}  # was {getattr(settings, name):g}" for name, value in values]
    return "\n".join([*(f"# {note}" for note in notes), "[compare]", *lines]) + "\n"
