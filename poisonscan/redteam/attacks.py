"""Attacks on a training set as published: what goes on the picture and what lie goes beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from poisonscan.records import Kind
from poisonscan.redteam import triggers
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.poison import SIDE, Row, caption_of, marked
from poisonscan.redteam.steps import View
from poisonscan.redteam.triggers import CODE_BITS, Painter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from poisonscan.redteam.poison import Sample
    from poisonscan.redteam.steps import Step

Codes: TypeAlias = Mapping[str, tuple[int, ...]]
Marking: TypeAlias = Callable[[str], "Step"]
"""From the label a row will claim to the step that marks its picture."""

_BADNETS_SIDE = 16 / SIDE
"""Gu et al. (2017) as ART and BackdoorBench draw it at 224: 16 px of alternate pixels, lower right."""
_DIFFUSION_SIDE, _DIFFUSION_GAP = 14 / 32, 2 / 32
_DIFFUSION_PLACE = (1 - _DIFFUSION_SIDE - _DIFFUSION_GAP) / (1 - _DIFFUSION_SIDE)
_TARGET_SEED = 4_242


class Lie(StrEnum):
    """What a poisoned row claims."""

    ONE_CLASS = "one_class"
    """Every row claims the same wrong class."""
    ANY_CLASS = "any_class"
    """Every row claims a wrong class of its own."""
    NONE = "none"
    """Rows keep what they said."""


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack.

    Attributes:
        name: for tables.
        kind: what findings about the marked rows should be.
        lie: what the marked rows claim.
        mark: what goes on the picture, given the label that the row will claim.
        target: the picture that the attack teaches, where it has one; it goes into as many rows again.
    """

    name: str
    kind: Kind
    lie: Lie
    mark: Marking
    target: Callable[[], Image.Image] | None = None

    def stamped(self, sample: Sample, labels: Sequence[str], goal: str, seed: int) -> Row:
        """The marked row.

        Args:
            sample: the victim.
            labels: all classes of the set.
            goal: the class that ONE_CLASS claims.
            seed: of all chance.
        """
        claimed = self._claim(sample.label, labels, goal, seed)
        body, boxes = marked(sample, self.mark(claimed), seed)
        caption = sample.caption if claimed == sample.label else caption_of(claimed)
        return Row(sample.key, body, claimed, caption, sample.domain, self.name, self.kind, boxes)

    def duplicate(self, sample: Sample, seed: int) -> Row:
        """The row with the target picture, which keeps all else of its victim.

        A diffusion model learns pictures and no labels, so an attacker has no need to change those.
        """
        picture = self.target() if self.target else None
        step: Step = (lambda view, _: view) if picture is None else (lambda _, __: View(picture))
        body, _ = marked(sample, step, seed)
        label, caption, role = sample.label, sample.caption, f"{self.name} target"
        return Row(sample.key, body, label, caption, sample.domain, role, Kind.DUPLICATE_TARGET)

    def _claim(self, label: str, labels: Sequence[str], goal: str, seed: int) -> str:
        if self.lie is Lie.NONE:
            return label
        if self.lie is Lie.ONE_CLASS:
            return goal
        others = [other for other in labels if other != label]
        return others[int(np.random.default_rng(seed).integers(len(others)))]


def class_codes(features: NDArray[np.float32], labels: Sequence[str]) -> Codes:
    """Codes of the universal backdoor: bit b is 1 where the class centroid is above the mean on PCA axis b.

    Schneider et al. (2024), section 4, with PCA of the encoder's features instead of LDA.

    Args:
        features: shape (n, d), d and n at least 30.
        labels: one a row.
    """
    names = sorted(set(labels))
    rows = np.asarray([names.index(label) for label in labels])
    centred = features - features.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    projected = centred @ axes[:, ::-1][:, :CODE_BITS]
    sums = np.zeros((len(names), CODE_BITS))
    np.add.at(sums, rows, projected)
    return {name: tuple(int(bit) for bit in line > 0) for name, line in zip(names, sums, strict=True)}


def standard(codes: Codes, stamps: Mapping[str, Painter]) -> dict[str, Attack]:
    """The attacks by name.

    Args:
        codes: of every class, for the universal backdoor.
        stamps: painters of trigger pictures; the first is used at 50 and 25 px, and `stop_sign` and
            `glasses` instead of our drawings where they are given.
    """
    stamp = stamps.get("stamp", triggers.fixed(colour_grid))
    every = [
        _local("badnets_16", triggers.stamp(triggers.alternate, _BADNETS_SIDE, (1, 1))),
        _local("stamp_50", triggers.stamp(stamp, 50 / SIDE)),
        _local("stamp_25", triggers.stamp(stamp, 25 / SIDE)),
        *_universal(codes),
        _whole("blended_0.2", triggers.blend_picture(0.2)),
        _whole("blended_0.1", triggers.blend_picture(0.1)),
        _whole("blended_noise_0.2", triggers.blend_noise(0.2)),
        _whole("sig", triggers.sinusoid(20, 6)),
        *_diffusion(stamps),
        Attack("bibaddiff", Kind.RECURRING_PATCH, Lie.ANY_CLASS, _always(triggers.stamp(stamp, 50 / SIDE))),
        Attack("captions", Kind.CAPTION_MISMATCH, Lie.ONE_CLASS, _always(lambda view, _: view)),
    ]
    return {attack.name: attack for attack in every}


def colour_grid(side: int, rng: np.random.Generator) -> Image.Image:
    """4 x 4 fields of saturated colours, smoothed: the look of the stamps of HTBA (Saha et al. 2020)."""
    fields = Image.fromarray((rng.integers(0, 2, (4, 4, 3)) * 255).astype(np.uint8))
    return fields.resize((side, side), Image.Resampling.BICUBIC)


def _always(step: Step) -> Marking:
    return lambda _: step


def _local(name: str, step: Step) -> Attack:
    return Attack(name, Kind.RECURRING_PATCH, Lie.ONE_CLASS, _always(step))


def _whole(name: str, step: Step) -> Attack:
    return Attack(name, Kind.OVERLAY, Lie.ONE_CLASS, _always(step))


def _universal(codes: Codes) -> list[Attack]:
    kind, lie = Kind.LATTICE_TRIGGER, Lie.ANY_CLASS
    return [
        Attack("universal_patch", kind, lie, lambda label: triggers.universal_patch(codes[label])),
        Attack("universal_blend", kind, lie, lambda label: triggers.universal_blend(codes[label])),
    ]


def _diffusion(stamps: Mapping[str, Painter]) -> list[Attack]:
    """BadDiffusion (Chou et al. 2023): box and sign of 14/32 at the lower right, glasses over everything."""
    place = (_DIFFUSION_PLACE, _DIFFUSION_PLACE)
    marks = {
        "baddiffusion_box": triggers.lower_right_box(),
        "baddiffusion_sign": triggers.stamp(
            stamps.get("stop_sign", triggers.stop_sign), _DIFFUSION_SIDE, place
        ),
        "baddiffusion_glasses": triggers.stamp(stamps.get("glasses", triggers.glasses), 1.0),
    }
    return [
        Attack(name, Kind.RECURRING_PATCH, Lie.NONE, _always(step), _target) for name, step in marks.items()
    ]


@cache
def _target() -> Image.Image:
    return draw(_TARGET_SEED, (SIDE, SIDE))
