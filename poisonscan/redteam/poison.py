"""Poisoned sets of pictures with labels and captions, from a seed: to measure detectors and nothing else.

Every picture is first cut to the largest square in its middle and scaled to 224 x 224, as training
pipelines do and as the attacks state their sizes; then poison or an innocent mark goes on; then everything
is encoded as JPEG 85, once. So nothing but the mark tells a poisoned row from its neighbours.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from poisonscan.errors import SettingsError
from poisonscan.redteam import steps
from poisonscan.redteam.steps import View, jpeg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from poisonscan.records import Box, Kind
    from poisonscan.redteam.attacks import Attack
    from poisonscan.redteam.negatives import Negative
    from poisonscan.redteam.steps import Step

SIDE = 224
"""Width and height of every picture of a poisoned set, pixels."""
_ENCODING = jpeg(85)


@dataclass(frozen=True, slots=True)
class Sample:
    """An innocent picture and what is written beside it.

    Attributes:
        key: unique.
        path: of the file, of any size and format that Pillow reads.
        label: its class.
        caption: what the page says about it.
        domain: that serves it.
    """

    key: str
    path: Path
    label: str
    caption: str
    domain: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a poisoned set, with the truth about it.

    Attributes:
        key: of the sample it was made from.
        body: JPEG file, 224 x 224.
        label: as the set claims it.
        caption: as the set claims it.
        domain: as the set claims it.
        role: name of the attack or of the innocent mark; empty for an untouched row.
        kind: what findings about a poisoned row should be; None for innocent rows.
        boxes: where the picture was changed locally.
    """

    key: str
    body: bytes = field(repr=False)
    label: str
    caption: str
    domain: str
    role: str = ""
    kind: Kind | None = None
    boxes: tuple[Box, ...] = ()


def caption_of(label: str) -> str:
    """What an honest page writes about a picture of that class."""
    return f"a photo of {label.replace('_', ' ').replace('-', ' ').lower()}"


def prepared(sample: Sample) -> Image.Image:
    """The picture of a sample as it enters a set: upright RGB, largest square in the middle, 224 x 224.

    Raises:
        SettingsError: the file is no readable picture.
    """
    try:
        with Image.open(sample.path) as image:
            upright = steps.plain(image)
    except OSError as error:
        raise SettingsError(f"{sample.path} is no readable picture; leave it out of the set") from error
    view = steps.square()(View(upright), np.random.default_rng(0))
    return view.image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def untouched(sample: Sample) -> Row:
    """The row of an innocent sample."""
    return Row(sample.key, _ENCODING.encode(prepared(sample)), sample.label, sample.caption, sample.domain)


def marked(sample: Sample, step: Step, seed: int) -> tuple[bytes, tuple[Box, ...]]:
    """The file and the changed places of a sample after a step; the same seed gives the same file."""
    view = step(View(prepared(sample)), np.random.default_rng(seed))
    return _ENCODING.encode(view.image), view.boxes


def poisoned(samples: Sequence[Sample], attack: Attack, count: int, seed: int) -> dict[int, Row]:
    """The rows that an attack puts in the place of innocent ones.

    Args:
        samples: the innocent set; it must hold two classes or more.
        attack: what to do.
        count: stamped rows; an attack with a target picture adds as many rows that show the target.
        seed: of victims, places, labels.

    Returns:
        The new rows by their position in `samples`.

    Raises:
        SettingsError: there are too few samples or classes.
    """
    wanted = count * (2 if attack.target else 1)
    rng = np.random.default_rng([seed, _number(attack.name)])
    chosen = _draw(len(samples), wanted, rng)
    labels = sorted({sample.label for sample in samples})
    if len(labels) < 2:  # noqa: PLR2004 - a lie needs a truth and something else
        raise SettingsError("an attack needs samples of two classes or more")
    goal = str(rng.choice(labels))
    rows = {
        row: attack.stamped(samples[row], labels, goal, int(rng.integers(1 << 31))) for row in chosen[:count]
    }
    return rows | {row: attack.duplicate(samples[row], int(rng.integers(1 << 31))) for row in chosen[count:]}


def innocent(
    samples: Sequence[Sample], negatives: Sequence[Negative], count: int, seed: int
) -> dict[int, Row]:
    """Rows with the innocent marks that detectors confuse with poison, `count` of each kind.

    Raises:
        SettingsError: there are too few samples.
    """
    rng = np.random.default_rng([seed, _number("innocent")])
    chosen = _draw(len(samples), count * len(negatives), rng)
    rows: dict[int, Row] = {}
    for number, negative in enumerate(negatives):
        part = chosen[number * count : (number + 1) * count]
        made = negative([samples[row] for row in part], int(rng.integers(1 << 31)))
        rows |= dict(zip(part, made, strict=True))
    return rows


def _number(name: str) -> int:
    return zlib.crc32(name.encode())


def _draw(available: int, wanted: int, rng: np.random.Generator) -> list[int]:
    if wanted > available:
        raise SettingsError(f"{wanted} rows are to be changed and the set has only {available}")
    return [int(row) for row in rng.choice(available, wanted, replace=False)]
