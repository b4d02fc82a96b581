"""Does the integrity loop tell drift from poison on real photos?

The photos are served under 300 and more host names. After the snapshot half of the hosts re-encode or
resize what they serve, ten are bought by somebody else, five are parked, five are gone, the rest stay.
Every answer after the change is drawn beforehand and is the same at every run.

    python benchmarks/integrity.py
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

from _common import Goal, fresh, machine, photos, show, verdict_on
from _web import LoopbackWeb
from PIL import Image

from poisonscan.config import Config
from poisonscan.fetch.url import host_of
from poisonscan.records import Group, group_of
from poisonscan.redteam.answers import Answer, changed, honest
from poisonscan.redteam.sites import Behaviour
from poisonscan.stages.check.judging import VERDICTS
from poisonscan.stages.check.run import check
from poisonscan.stages.snapshot.take import snapshot
from poisonscan.store.query import rows_of, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from poisonscan.stages.common import Summary

SWAPPED, PARKED, GONE = 10, 5, 5
FALSE_ALARMS = 0.01
_LOST = Answer(404, b"no such page on this web", "text/plain")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a host does after the snapshot.

    Attributes:
        name: for the table.
        change: the original and its URL to the new answer.
        innocent: whether a suspicious verdict is a false alarm.
    """

    name: str
    change: Callable[[bytes, str], Answer | None]
    innocent: bool = True


@dataclass(frozen=True, slots=True)
class Reencoding:
    """Serve the picture at another size or in another format.

    Attributes:
        format: Pillow's name.
        quality: of the encoder.
        scale: of both sides.
    """

    format: str
    quality: int
    scale: float = 1.0

    @property
    def name(self) -> str:
        """For the table."""
        scaled = "" if self.scale == 1.0 else f", x{self.scale:g}"
        return f"{self.format} q{self.quality}{scaled}"

    def __call__(self, original: bytes, _: str) -> Answer:
        """The new answer."""
        with Image.open(BytesIO(original)) as image:
            size = (max(1, round(image.width * self.scale)), max(1, round(image.height * self.scale)))
            picture = image if self.scale == 1.0 else image.resize(size, Image.Resampling.LANCZOS)
            buffer = BytesIO()
            picture.convert("RGB").save(buffer, self.format, quality=self.quality)
        return Answer(200, buffer.getvalue(), Image.MIME[self.format])


DRIFTS = [
    Reencoding("JPEG", 95),
    Reencoding("JPEG", 75),
    Reencoding("JPEG", 50),
    Reencoding("JPEG", 30),
    Reencoding("JPEG", 85, 0.75),
    Reencoding("JPEG", 85, 0.5),
    Reencoding("JPEG", 85, 1.5),
    Reencoding("WEBP", 80),
    Reencoding("WEBP", 40),
    Reencoding("WEBP", 75, 0.6),
]


def kinds(hosts: int) -> list[Kind]:
    """What each host does, in the order of the hosts."""
    drifts = [Kind(drift.name, drift) for drift in DRIFTS]
    drifts.append(Kind("metadata stripped", partial(changed, Behaviour.STRIP_METADATA)))
    half = hosts // 2
    new_owner = Kind("swapped", partial(changed, Behaviour.SWAP), innocent=False)
    parked = Kind("parked", partial(changed, Behaviour.PARKED))
    gone = Kind("gone", partial(changed, Behaviour.NOT_FOUND))
    some = [drifts[n % len(drifts)] for n in range(half)]
    some += [new_owner] * SWAPPED + [parked] * PARKED + [gone] * GONE
    return some + [Kind("stable", honest)] * (hosts - len(some))


def main() -> int:
    """Run the loop, print what was said of whom, say whether the goals were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hosts", type=int, default=330, help="host names, 300 or more (default: 330)")
    asked = parser.parse_args()
    folder, pictures, behaviours = fresh("integrity"), photos(), kinds(asked.hosts)
    print(f"{machine()}; {len(pictures):,} photos on {asked.hosts} hosts")
    where = {f"site{n % asked.hosts:03d}.example/{n}.jpg": path for n, path in enumerate(pictures)}
    kind_of = {f"site{n:03d}.example": kind for n, kind in enumerate(behaviours)}
    before = {page: honest(path.read_bytes()) for page, path in where.items()}
    after = _after(where, kind_of)
    summary, seconds = _loop(folder, before, after)
    return _judge(folder, summary, kind_of, seconds)


def _after(where: Mapping[str, Path], kind_of: Mapping[str, Kind]) -> dict[str, Answer | None]:
    with ProcessPoolExecutor() as pool:
        changes = [kind_of[page.partition("/")[0]].change for page in where]
        answers = pool.map(_answer, changes, where.values(), where, chunksize=50)
        return dict(zip(where, answers, strict=True))


def _answer(change: Callable[[bytes, str], Answer | None], path: Path, page: str) -> Answer | None:
    return change(path.read_bytes(), f"http://{page}")


def _loop(
    folder: Path, before: Mapping[str, Answer], after: Mapping[str, Answer | None]
) -> tuple[Summary, dict[str, float]]:
    """Snapshot, change, check; the check's summary and the seconds of both."""
    manifest = folder / "manifest.txt"
    manifest.write_text("".join(f"http://{page}\n" for page in before), encoding="utf-8")
    now: dict[str, Answer | None] = dict(before)
    with LoopbackWeb(lambda page: now.get(page, _LOST)) as web:
        config = Config()
        config = replace(config, fetch=replace(config.fetch, connect_to=web.address))
        started = time.monotonic()
        snapshot(str(manifest), folder / "snapshot", config=config)
        middle = time.monotonic()
        now.update(after)
        summary = check(folder / "snapshot", folder / "check", config=config)
    return summary, {"snapshot": middle - started, "check": time.monotonic() - middle}


def _judge(folder: Path, summary: Summary, kind_of: Mapping[str, Kind], seconds: Mapping[str, float]) -> int:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with tables(folder / "check", VERDICTS) as connection:
        for row in rows_of(connection, "SELECT url, verdict FROM verdicts"):
            counts[kind_of[host_of(row["url"]) or ""].name][row["verdict"]] += 1
    innocent = {kind.name for kind in kind_of.values() if kind.innocent}
    show(
        "verdicts by what the host did",
        ("host", "rows", "verdicts"),
        [(name, found.total(), _words(found)) for name, found in sorted(counts.items())],
    )
    swapped_clean = _in_group(counts["swapped"], Group.CLEAN)
    harmless = sum(counts[name].total() for name in innocent)
    alarms = sum(_in_group(counts[name], Group.SUSPICIOUS) for name in innocent)
    suspects = set(summary.details["suspected_domains"])
    truth = {host for host, kind in kind_of.items() if not kind.innocent}
    print(", ".join(f"{verb} {taken:.1f} s" for verb, taken in seconds.items()))
    return verdict_on(
        [
            Goal("swapped rows called clean", str(swapped_clean), "0", swapped_clean == 0),
            Goal(
                f"innocent rows called suspicious, of {harmless:,}",
                f"{alarms} ({alarms / harmless:.2%})",
                f"{FALSE_ALARMS:.0%} at most",
                alarms <= FALSE_ALARMS * harmless,
            ),
            Goal(
                "suspected domains",
                f"{len(suspects & truth)} right, {len(suspects - truth)} wrong",
                f"{len(truth)} right, 0 wrong",
                suspects == truth,
            ),
        ]
    )


def _words(found: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in found.most_common())


def _in_group(found: Mapping[str, int], group: Group) -> int:
    return sum(n for name, n in found.items() if group_of(name) is group)


if __name__ == "__main__":
    sys.exit(main())
