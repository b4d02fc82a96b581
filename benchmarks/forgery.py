"""How often is a forged picture called clean, and an innocent one suspicious, on real photos?

Every forgery of `redteam/forgeries.py` and every edit of `redteam/edits.py` is made of photos at their own
shape and size and judged the way `check` judges: bytes first, then the decoded picture, its detail at hand.
Photos are those of benchmarks/compare.py in its order, or with --varied the other collection.

    python benchmarks/forgery.py [--pictures 200] [--first 1200] [--varied] [--workers N] [--only PATTERN]
"""

from __future__ import annotations

import argparse
import fnmatch
import io
import os
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from _common import Goal, machine, photos, shared_data, show, verdict_on
from PIL import Image

from poisonscan.compare.ladder import Baseline, judge_bytes
from poisonscan.config import CompareSettings, DecodeSettings
from poisonscan.fingerprint.decode import decoded, fingerprints
from poisonscan.fingerprint.hashes import byte_digests
from poisonscan.records import DecodeFailure, Fingerprint, Group, Published, Verdict
from poisonscan.redteam.edits import EDITS, Kind, Series
from poisonscan.redteam.forgeries import FORGERIES
from poisonscan.redteam.forgery import photo_of
from poisonscan.stages.examine import Examined, Question, examine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_NONE = Published()
MAX_PIXELS = DecodeSettings().max_pixels
MOST_CLEAN = 0.02
"""Share of each kind of forgery that may be called clean."""
INNOCENT_GOALS = {
    "turn-*": 0.01,
    "exif-*": 0.0,
    "xmp-*": 0.0,
    "crop-tall-*": 0.02,
    "crop-60": 0.02,
    "straighten-*": 0.05,
    "rounded-*": 0.02,
    "circle-*": 0.02,
    "sepia": 0.02,
    "equalised": 0.02,
    "posterised-4": 0.02,
    "vignette": 0.1,
    "jpeg-10": 0.05,
    "median-5": 0.05,
    "gif-64": 0.05,
    "palette-to-true": 0.02,
    "gif-to-true": 0.02,
    "*-to-srgb": 0.02,
    "stripes-2": 0.02,
    "fill-wide": 0.01,
    "crop-wide-*": 0.01,
    "alpha-[!g]*": 0.01,
    "deep-*": 0.01,
    "frame-*": 0.01,
    "gamma-1.15": 0.01,
    "warmer": 0.01,
    "contrast-0.88": 0.01,
    "fade": 0.01,
    "saturation-0.7": 0.01,
}
"""Share of each that may be suspicious; of strong toning, anything but `toned` counts."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One picture under one forgery or edit.

    Attributes:
        name: of the forgery or edit.
        table: which of the tables it belongs to: "forged", or the kind of the edit.
        group: the forgery's family, or the edit's series.
        verdict: ours, or "raised" where the judgement did.
        right: whether it is a right one.
        clean: whether it is a clean one.
        reason: for it.
    """

    name: str
    table: str
    group: str
    verdict: str
    right: bool
    clean: bool
    reason: str


def verdict_of(old: bytes, new: bytes) -> tuple[Verdict, str]:
    """What `check` would say of a row that served `old` when it was remembered and serves `new`.

    Raises:
        Exception: whatever a decoder raises; in `check` that is `undecodable`.
    """
    baseline = Baseline(_remembered(old), _NONE)
    early = judge_bytes(baseline, byte_digests(new, _NONE))
    if early is not None:
        return early.verdict, early.reason
    (found,) = examine([Question(new, _NONE, (baseline,), MAX_PIXELS, CompareSettings())])
    if not isinstance(found, Examined):
        return found.verdict, found.reason
    (said,) = found.comparisons
    return said.verdict, said.reason


@lru_cache(maxsize=4)
def _remembered(body: bytes) -> Fingerprint:
    found = decoded(body, _NONE, MAX_PIXELS)
    if isinstance(found, DecodeFailure):
        raise SystemExit(f"an old picture cannot be decoded: {found.reason}")
    return fingerprints([found])[0]


def judge_photo(numbered: tuple[int, Path, Path], only: str) -> list[Judged]:
    """One photo under every forgery and edit."""
    return list(_judged(*numbered, only))


def _judged(number: int, path: Path, other: Path, only: str) -> Iterator[Judged]:
    body = path.read_bytes()
    with Image.open(io.BytesIO(body)) as image, Image.open(other) as another:
        photo = photo_of(body, image, another)
    for place, forgery in enumerate(FORGERIES.values()):
        if fnmatch.fnmatch(forgery.name, only):
            pair = forgery.make(photo, np.random.default_rng([number, place]))
            judged = partial(Judged, forgery.name, "forged", forgery.family.value)
            yield _line(judged, pair.old, pair.new, forgery.right.__contains__)
    for place, edit in enumerate(EDITS.values()):
        if fnmatch.fnmatch(edit.name, only):
            seed = [number, place]
            own = edit.original(photo.image, np.random.default_rng(seed))
            new = edit.apply(photo.image, np.random.default_rng(seed)).data
            judged = partial(Judged, edit.name, edit.kind.value, edit.series.value)
            yield _line(judged, body if own is None else own, new, edit.is_right)


def _line(
    judged: Callable[..., Judged], old: bytes, new: bytes, is_right: Callable[[Verdict], bool]
) -> Judged:
    try:
        verdict, reason = verdict_of(old, new)
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything, and `check` says so, too
        words = f"{type(error).__name__}: {error}"
        return judged("raised", right=is_right(Verdict.UNDECODABLE), clean=False, reason=words)
    clean = verdict.group is Group.CLEAN
    return judged(verdict.value, right=is_right(verdict), clean=clean, reason=reason)


def main() -> int:
    """Judge, print the tables and the goals; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=200, metavar="N")
    parser.add_argument(
        "--first", type=int, default=1200, metavar="N", help="photos to skip: others use them"
    )
    parser.add_argument("--varied", action="store_true", help="photos at their own shapes and sizes instead")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="forgeries and edits of these names")
    asked = parser.parse_args()
    chosen = chosen_photos(asked.first, asked.pictures, varied=asked.varied)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        rows = [row for part in pool.map(partial(judge_photo, only=asked.only), chosen) for row in part]
    judged = pd.DataFrame(rows)
    collection = "images_varied" if asked.varied else "images"
    title = f"{len(chosen)} photos of {collection}; {machine()}"
    _show(title, judged[judged["table"] == "forged"], "clean", ["forgery", "family", "called clean"])
    for kind in Kind:
        edits = judged[judged["table"] == kind]
        _show(f"{kind} edits", edits, "suspicious", ["edit", "series", "suspicious, toned apart", "toned"])
    return verdict_on(_goals(judged))


def chosen_photos(first: int, count: int, *, varied: bool) -> list[tuple[int, Path, Path]]:
    """Number, photo and another photo for each; the other is never among those judged."""
    files = sorted(shared_data("images_varied").rglob("*.jpg")) if varied else photos()
    random.Random(7).shuffle(files)
    if varied:
        first = min(first, max(len(files) - count, 0))
    chosen = list(enumerate(files))[first : first + count]
    return [(number, path, files[(number + len(files) // 2) % len(files)]) for number, path in chosen]


def _suspicious(rows: pd.DataFrame) -> pd.Series[bool]:
    """Neither clean nor toned."""
    return ~rows["clean"] & (rows["verdict"] != Verdict.TONED)


def _show(title: str, judged: pd.DataFrame, what: str, columns: Sequence[str]) -> None:
    if judged.empty:
        return
    lines = []
    for name, rows in judged.groupby("name", sort=False):
        counts = ", ".join(f"{verdict} {n}" for verdict, n in rows["verdict"].value_counts().items())
        if what == "clean":
            shares = [f"{rows['clean'].mean():.1%}", f"{(~rows['right']).mean():.1%}"]
        else:
            toned = (rows["verdict"] == Verdict.TONED).mean()
            shares = [f"{_suspicious(rows).mean():.1%}", f"{toned:.1%}"]
        lines.append([name, rows["group"].iloc[0], *shares, counts])
    more = ["wrong"] if what == "clean" else []
    show(title, [*columns, *more, "verdicts"], lines)


def _goals(judged: pd.DataFrame) -> list[Goal]:
    forged = judged[judged["table"] == "forged"]
    goals = [
        _at_most(f"{name} not found", ~rows["right"], MOST_CLEAN)
        for name, rows in forged.groupby("name", sort=False)
    ]
    if not forged.empty:
        goals.insert(0, _at_most("all forgeries not found", ~forged["right"], MOST_CLEAN))
    edits = judged[judged["table"].isin([Kind.INNOCENT, Kind.DRIFT])]
    for pattern, most in INNOCENT_GOALS.items():
        named = edits["name"].map(partial(fnmatch.fnmatch, pat=pattern)).astype(bool)  # none may be asked for
        mine = edits[named & (edits["group"] == Series.NEW)]
        goals += [
            _at_most(f"{name} blamed", _suspicious(rows), most)
            for name, rows in mine.groupby("name", sort=False)
        ]
    innocent = edits[edits["table"] == Kind.INNOCENT]
    if not innocent.empty:
        old = innocent[innocent["group"] == Series.OLD]
        goals.append(_at_most("all innocent edits blamed", _suspicious(innocent), 0.005))
        if not old.empty:
            worst = old.assign(blamed=_suspicious(old)).groupby("name")["blamed"].mean().max()
            goals.append(_at_most("the worst of the first series", pd.Series([worst]), 0.02))
    return goals


def _at_most(words: str, values: pd.Series[bool] | pd.Series[float], most: float) -> Goal:
    share = float(values.mean())
    return Goal(words, f"{share:.1%}", f"at most {most:.1%}", share <= most)


if __name__ == "__main__":
    raise SystemExit(main())
