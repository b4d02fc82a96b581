"""How fast is a check, and a snapshot, next to img2dataset doing its share of the same work?

Real photos, each copy with bytes of its own, behind 2,000 loopback addresses served by nginx. Two modes:

- verify: img2dataset downloads and hashes (no decoding, no files kept) against `poisonscan check`, which
  also compares; with no, a tenth and all of the pictures re-encoded since the snapshot.
- full: img2dataset decodes, resizes to 256 pixels and writes Parquet with sha256, against
  `poisonscan snapshot`, which decodes, hashes and fingerprints.

Runs of both are interleaved and ratios are taken pair by pair, since machines drift. Both use as many
processes as there are cores. img2dataset always closes its connections; ours are measured both ways,
and the goals hold for closed ones.

    python benchmarks/throughput.py --urls 100000 --repeats 3
"""

from __future__ import annotations

import argparse
import compileall
import io
import json
import os
import shutil
import subprocess
import sys
import venv
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from _common import CACHE, ROOT, Goal, fresh, machine, photos, ratio, show, verdict_on, wall_s
from _nginx import addresses, free_port, nginx
from PIL import Image

from poisonscan.records import Group, group_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

RIVAL = "img2dataset==1.47.0"
RIVAL_NEEDS = (RIVAL, "pandas<3", "setuptools<81")  # it imports pkg_resources and pandas 2's frames
RIVAL_ENVIRONMENT = {"WANDB_MODE": "disabled", "NO_ALBUMENTATIONS_UPDATE": "1"}
VERIFY_GOALS = {0: 1.6, 10: 1.4}
FULL_GOAL = 2.5
LIMIT_S = 3_600.0

_FILES_A_FOLDER = 1_000
_DRIFT_QUALITY = 75


@dataclass(frozen=True, slots=True)
class Bench:
    """What every run needs to know.

    Attributes:
        folder: scratch space.
        urls: how many.
        workers: processes of either program.
        manifest: the list, Parquet with a column url.
    """

    folder: Path
    urls: int
    workers: int
    manifest: Path

    @property
    def taken(self) -> Path:
        """The snapshot that checks start from."""
        return self.folder / "taken"

    def ours(self, verb: str, *arguments: object, keep_alive: bool) -> float:
        """Seconds of one of our runs; its folder is `out`."""
        out = fresh("throughput-run")
        command = [sys.executable, "-m", "poisonscan", verb, *map(str, arguments), "--out", str(out / "run")]
        command += ["--allow-private", "--workers", str(self.workers)]
        command += [] if keep_alive else ["--no-keep-alive"]
        command += ["--fail-on", "never"] if verb == "check" else []
        seconds = wall_s(command, {"PYTHONPATH": str(ROOT)}, log=self.folder / "ours.log", limit_s=LIMIT_S)
        self._all_answered(out / "run" / ("run.json" if verb == "check" else "snapshot.json"))
        return seconds

    def theirs(self, *arguments: str) -> float:
        """Seconds of one run of img2dataset."""
        out = fresh("throughput-rival")
        command = [str(rival()), "--url_list", str(self.manifest), "--input_format", "parquet"]
        command += ["--output_folder", str(out / "run"), "--processes_count", str(self.workers)]
        command += ["--url_col", "url", "--compute_hash", "sha256", "--enable_wandb", "False", *arguments]
        seconds = wall_s(command, RIVAL_ENVIRONMENT, log=self.folder / "theirs.log", limit_s=LIMIT_S)
        stats = [json.loads(path.read_text("utf-8")) for path in (out / "run").glob("*_stats.json")]
        successes = sum(item["successes"] for item in stats)
        if successes != self.urls:
            sys.exit(f"img2dataset downloaded {successes} of {self.urls}; see {self.folder / 'theirs.log'}")
        return seconds

    def _all_answered(self, document: Path) -> None:
        counts = json.loads(document.read_text("utf-8"))["counts"]
        answered = sum(n for name, n in counts.items() if group_of(name) is not Group.LOST)
        if answered != self.urls:
            log = self.folder / "ours.log"
            sys.exit(f"poisonscan got answers for {answered} of {self.urls} URLs: {counts}; see {log}")


def rival() -> Path:
    """img2dataset's program in a virtual environment of its own, installed if it is not there yet."""
    home = CACHE.parent / "img2dataset"
    program = home / "bin" / "img2dataset"
    if not program.exists():
        venv.create(home, with_pip=True, clear=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *RIVAL_NEEDS]
        subprocess.run(pip, check=True)  # noqa: S603 - the packages are named above
    return program


def main() -> int:
    """Measure, print the tables, say whether the goals were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--urls", type=int, default=100_000)
    parser.add_argument("--hosts", type=int, default=2_000, help="loopback addresses that serve them")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--changed", type=int, nargs="*", default=(0, 10, 100), metavar="PERCENT")
    parser.add_argument("--mode", choices=("verify", "full", "both"), default="both")
    parser.add_argument("--nginx-workers", type=int, default=1)
    asked = parser.parse_args()
    rival()
    compileall.compile_dir(ROOT / "poisonscan", quiet=1)  # as pip does with what it installs, img2dataset too
    folder = CACHE / "throughput"
    folder.mkdir(parents=True, exist_ok=True)
    hosts, port = addresses(asked.hosts), free_port()
    manifest = write_manifest(folder, asked.urls, hosts, port)
    bench = Bench(folder, asked.urls, len(os.sched_getaffinity(0)), manifest)
    print(f"{machine()}; {asked.urls:,} URLs on {asked.hosts:,} addresses, {asked.repeats} interleaved runs")
    with nginx(folder / "now", folder, hosts, port, asked.nginx_workers):
        goals = []
        if asked.mode != "verify":
            goals += full(bench, asked.repeats)
        if asked.mode != "full":
            goals += verify(bench, asked.repeats, asked.changed)
    return verdict_on(goals)


def write_manifest(folder: Path, urls: int, hosts: Sequence[str], port: int) -> Path:
    """The list: every URL names another file, and neighbours lie on different hosts."""
    path = folder / "manifest.parquet"
    names = [f"http://{hosts[n % len(hosts)]}:{port}/{picture_path(n)}" for n in range(urls)]
    pq.write_table(pa.table({"url": names}), path)
    return path


def picture_path(number: int) -> str:
    """Path of a picture below the served folder."""
    return f"{number // _FILES_A_FOLDER:03d}/{number:06d}.jpg"


def full(bench: Bench, repeats: int) -> list[Goal]:
    """Decode and describe everything, against decode, resize and store."""
    seconds: dict[str, list[float]] = defaultdict(list)
    with serving(bench, changed_percent=0):
        for _ in range(repeats):
            seconds["img2dataset, closed"].append(
                bench.theirs("--image_size", "256", "--output_format", "parquet")
            )
            for words, keep_alive in (("closed", False), ("kept alive", True)):
                seconds[f"poisonscan snapshot, {words}"].append(
                    bench.ours("snapshot", bench.manifest, keep_alive=keep_alive)
                )
    table("full: everything decoded", bench, seconds)
    return [goal("full", seconds, FULL_GOAL)]


def verify(bench: Bench, repeats: int, changed: Sequence[int]) -> list[Goal]:
    """Download, hash and compare, against download and hash."""
    with serving(bench, changed_percent=0):
        bench.ours("snapshot", bench.manifest, keep_alive=True)
        shutil.rmtree(bench.taken, ignore_errors=True)
        (CACHE / "throughput-run" / "run").rename(bench.taken)
    goals = []
    for percent in changed:
        seconds: dict[str, list[float]] = defaultdict(list)
        with serving(bench, percent):
            for _ in range(repeats):
                seconds["img2dataset, closed"].append(
                    bench.theirs("--output_format", "dummy", "--disable_all_reencoding", "True")
                )
                for words, keep_alive in (("closed", False), ("kept alive", True)):
                    seconds[f"poisonscan check, {words}"].append(
                        bench.ours("check", bench.taken, keep_alive=keep_alive)
                    )
        table(f"verify: {percent}% of the pictures re-encoded", bench, seconds)
        if percent in VERIFY_GOALS:
            goals.append(goal(f"verify, {percent}% changed", seconds, VERIFY_GOALS[percent]))
    return goals


def table(title: str, bench: Bench, seconds: dict[str, list[float]]) -> None:
    """Print wall clock, rate and ratio of each program."""
    theirs = next(iter(seconds.values()))
    rows = [
        (name, mid, min(runs), max(runs), round(bench.urls / mid), f"{ratio(runs, theirs):.2f}x")
        for name, runs in seconds.items()
        for mid in [median(runs)]
    ]
    show(title, ("program, connections", "median s", "min s", "max s", "URLs/s", "speed-up"), rows)


def goal(words: str, seconds: dict[str, list[float]], target: float) -> Goal:
    """The goal for closed connections: the second program against the first."""
    theirs, ours, *_ = seconds.values()
    measured = ratio(ours, theirs)
    return Goal(f"{words}, connections closed", f"{measured:.2f}x", f"{target}x", measured >= target)


@contextmanager
def serving(bench: Bench, changed_percent: int) -> Iterator[None]:
    """Point nginx's root at a farm of pictures of which so many percent are re-encoded."""
    farm = bench.folder / f"pictures-{bench.urls}-{changed_percent}"
    if not farm.exists():
        grow(farm, bench, changed_percent)
    link = bench.folder / "now"
    link.unlink(missing_ok=True)
    link.symlink_to(farm)
    yield


def grow(farm: Path, bench: Bench, changed_percent: int) -> None:
    """Write the pictures: photos in turn, each copy with a trailer that makes its bytes its own."""
    growing = farm.with_suffix(".growing")
    shutil.rmtree(growing, ignore_errors=True)
    firsts = range(0, bench.urls, _FILES_A_FOLDER)
    numbers = [range(first, min(first + _FILES_A_FOLDER, bench.urls)) for first in firsts]
    with ProcessPoolExecutor(bench.workers) as pool:
        list(pool.map(partial(_grow_folder, growing, changed_percent), numbers))
    growing.rename(farm)


def _grow_folder(farm: Path, changed_percent: int, numbers: range) -> None:
    sources = photos()
    (farm / picture_path(numbers.start)).parent.mkdir(parents=True)
    for number in numbers:
        body = sources[number % len(sources)].read_bytes()
        if _changes(number, changed_percent):
            body = _drifted(body)
        (farm / picture_path(number)).write_bytes(body + f"copy {number}".encode())


def _changes(number: int, percent: int) -> bool:
    """Whether a picture is among the changed ones, spread evenly over hosts and photos."""
    return number * 7919 % 100 < percent


def _drifted(body: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(body)) as image:
        image.convert("RGB").save(buffer, "JPEG", quality=_DRIFT_QUALITY)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
