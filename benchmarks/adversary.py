"""How strong a change stays clean when it is optimised against the verdict itself?

For each photo, at its own shape and size, `redteam/optimise.py` searches for the strongest stamp (7% of the
shorter side) and the strongest blend over everything that the judgement of `check` still calls clean.

    python benchmarks/adversary.py [--pictures 20] [--first 1200] [--varied] [--calls 300] [--workers N]
"""

from __future__ import annotations

import argparse
import io
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from _common import Goal, machine, show, verdict_on
from forgery import chosen_photos, verdict_of
from PIL import Image

from poisonscan.records import Group
from poisonscan.redteam.optimise import STAMP_SIDE, Aim, Contrast, strongest
from poisonscan.redteam.steps import plain

if TYPE_CHECKING:
    from pathlib import Path

GOALS = {Aim.STAMP: 12.0, Aim.BLEND: 4.0}
"""Rms contrast in levels of the strongest change that may stay clean."""


class Strongest(NamedTuple):
    """What the search found on one photo."""

    aim: Aim
    photo: str
    contrast: Contrast
    how: str


def attack(numbered: tuple[int, Path, Path], calls: int) -> list[Strongest]:
    """Both searches on one photo."""
    number, path, _ = numbered
    old = path.read_bytes()
    with Image.open(io.BytesIO(old)) as image:
        upright = plain(image)
    answers = []
    for aim in Aim:
        found = strongest(upright, aim, partial(_is_clean, old), calls=calls, seed=number)
        how = found.attempt.words if found.attempt else "nothing"
        answers.append(Strongest(aim, f"{path.parent.name}/{path.name}", found.contrast, how))
    return answers


def _is_clean(old: bytes, new: bytes) -> bool:
    verdict, _ = verdict_of(old, new)
    return verdict.group is Group.CLEAN


def main() -> int:
    """Search, print the tables and the goals; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=20, metavar="N")
    parser.add_argument(
        "--first", type=int, default=1200, metavar="N", help="photos to skip: others use them"
    )
    parser.add_argument("--varied", action="store_true", help="photos of the other collection")
    parser.add_argument("--calls", type=int, default=300, metavar="N", help="verdicts asked for in a search")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    asked = parser.parse_args()
    chosen = chosen_photos(asked.first, asked.pictures, varied=asked.varied)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        found = [one for part in pool.map(partial(attack, calls=asked.calls), chosen) for one in part]
    goals = []
    for aim, most in GOALS.items():
        mine = sorted((one for one in found if one.aim is aim), key=lambda one: -one.contrast.channel)
        size = f" of {STAMP_SIDE:.0%} of the side" if aim is Aim.STAMP else ""
        show(
            f"the strongest {aim}{size} called clean, {asked.calls} tries each; {machine()}",
            ("photo", "rms of a channel", "rms of luma", "how"),
            [(one.photo, one.contrast.channel, one.contrast.luma, one.how) for one in mine],
        )
        channels = [one.contrast.channel for one in mine]
        lumas = [one.contrast.luma for one in mine]
        show(
            f"{aim}, levels rms",
            ("", "median", "worst"),
            [
                ("a channel", float(np.median(channels)), max(channels)),
                ("luma", float(np.median(lumas)), max(lumas)),
            ],
        )
        goals.append(
            Goal(f"worst {aim}, rms", f"{max(channels):.1f}", f"at most {most:g}", max(channels) <= most)
        )
    return verdict_on(goals)


if __name__ == "__main__":
    raise SystemExit(main())
