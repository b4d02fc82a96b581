"""Do equal essences mean equal pictures in every loader?

Files of JPEG, PNG and WebP are rewritten chunk by chunk (`_rewriting.py`): metadata added as tools add it,
and everything that a loader might trip over inserted, duplicated, moved, cut, shortened, flipped or renamed.
Where a rewritten file has the essence of another one, Pillow, OpenCV and torchvision load both in each way in
which they are called (`_loaders.py`), and must make the same of them: the same shape and pixels, or the same
kind of failure.

Files that our own decoder cannot load are left out, since they are `undecodable` whatever their essence:
libwebp's simple interface reads a coded picture that was cut short on into the metadata behind it, which
Pillow's refuses to do.

    python benchmarks/rewriting.py --cases 20000
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from _common import Goal, machine, show, verdict_on
from _loaders import LOADERS, Isolated, outcomes
from _rewriting import FORMATS, rewritten

from poisonscan.fingerprint.essence import essence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SEED = 20_261
_TOLD = 1_000
DECODER = "Pillow, RGB"
"""What poisonscan decodes with: an essence is asked for only where it gives a picture."""
LEAST_EQUAL = 0.2
"""Share of cases that must have the essence of another file: where none has, the claim holds of nothing."""


class Trial:
    """The cases of one format, and which of them contradict the claim.

    Args:
        image_format: one of `FORMATS`.
        load: gives what each loader makes of a file.

    Attributes:
        counts: cases by what they were: "none" without an essence, "repeated" bytes, "first" of an essence,
            "equal" to another file's; and "readable", those of the latter of which our decoder loads a side.
        counterexamples: the two files and what came of both, for each.
    """

    def __init__(self, image_format: str, load: Callable[[bytes], Mapping[str, str]] = outcomes) -> None:
        self.image_format = image_format
        self._load = load
        self.counts: Counter[str] = Counter()
        self.counterexamples: list[tuple[bytes, bytes, dict[str, tuple[str, str]]]] = []
        self._first: dict[str, bytes] = {}
        self._outcomes: dict[str, Mapping[str, str]] = {}

    def case(self, body: bytes) -> None:
        """Look at one more file."""
        found = essence(body, self.image_format)
        if found is None:
            self.counts["none"] += 1
        elif found not in self._first:
            self.counts["first"] += 1
            self._first[found] = body
        elif self._first[found] == body:
            self.counts["repeated"] += 1
        else:
            self._compare(found, body)

    def _compare(self, found: str, body: bytes) -> None:
        self.counts["equal"] += 1
        if found not in self._outcomes:
            self._outcomes[found] = self._load(self._first[found])
        before, now = self._outcomes[found], self._load(body)
        if not any(_is_picture(of[DECODER]) for of in (before, now)):
            return  # `undecodable` on both sides, whatever another loader makes of it
        self.counts["readable"] += 1
        apart = {name: (before[name], now[name]) for name in LOADERS if before[name] != now[name]}
        if apart:
            self.counterexamples.append((self._first[found], body, apart))


def _is_picture(outcome: str) -> bool:
    return "(" in outcome


def main() -> int:
    """Rewrite, compare, print the table, say whether the goals were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000, help="rewritten files of each format")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--keep", type=Path, help="folder for the files of counter-examples")
    asked = parser.parse_args()
    print(machine())
    trials = [tried(image_format, asked.cases, asked.seed) for image_format in FORMATS]
    columns = ("none", "first", "repeated", "equal", "readable")
    rows = [
        [
            trial.image_format,
            *(f"{trial.counts[name]:,}" for name in columns),
            str(len(trial.counterexamples)),
        ]
        for trial in trials
    ]
    head = [
        "format",
        "no essence",
        "first of an essence",
        "same bytes",
        "equal essence",
        "of these, loads",
        "other picture",
    ]
    show(f"{asked.cases:,} rewritten files of each format, {len(LOADERS)} ways to load", head, rows)
    for trial in trials:
        _explain(trial, asked.keep)
    return verdict_on(_goals(trials, asked.cases))


def tried(image_format: str, cases: int, seed: int) -> Trial:
    """Rewrite so many files of a format and look at each."""
    loaders, random = Isolated(), Random(f"{seed} {image_format}")
    trial = Trial(image_format, loaders.outcomes)
    for number in range(cases):
        trial.case(rewritten(image_format, random)[1])
        if number % _TOLD == 0:
            print(
                f"{image_format} {number:,}: {dict(trial.counts)}, {loaders.crashes} crashes", file=sys.stderr
            )
    loaders.close()
    return trial


def _explain(trial: Trial, folder: Path | None) -> None:
    for number, (one, other, apart) in enumerate(trial.counterexamples[:20]):
        print(f"{trial.image_format} counter-example {number}: {apart}")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for side, body in (("a", one), ("b", other)):
                (folder / f"{trial.image_format}-{number}{side}").write_bytes(body)


def _goals(trials: list[Trial], cases: int) -> list[Goal]:
    found = sum(len(trial.counterexamples) for trial in trials)
    least = min(trial.counts["readable"] / max(cases, 1) for trial in trials)
    return [
        Goal("files of equal essence that show another picture", str(found), "0", found == 0),
        Goal(
            "share of equal essences that load, in each format",
            f"{least:.0%}",
            f"at least {LEAST_EQUAL:.0%}",
            least >= LEAST_EQUAL,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
