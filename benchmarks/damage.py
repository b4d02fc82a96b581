"""Kills, damage, full disks, two runs in one folder, a clock that jumps: is there ever a wrong row?

Each try does one harm at random to a snapshot (of pictures, with their bytes) or to a check (of a loopback
web that lies), repeats the command until it is done, and compares every row, timing left out, with those of a
run that nobody disturbed. A folder that is refused counts as refused, which is right where its document was
damaged, and never a wrong row.

    python benchmarks/damage.py [--tries 200] [--seed 1]

Ctrl-C ends it with the tries so far. A full disk needs the right to mount a small tmpfs, a clock that jumps
a C compiler; what is lacking is left out and named.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from _common import Goal, fresh, machine, show, verdict_on

from poisonscan.config import Config, FetchSettings, RunSettings
from poisonscan.errors import InterruptedRunError
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.sites import Behaviour, Site
from poisonscan.redteam.web import LyingWeb
from poisonscan.stages.check.run import check
from poisonscan.stages.snapshot.take import snapshot, snapshot_images
from poisonscan.stages.watch import Silent

PICTURES, SHARD_ROWS = 45, 15
TIMING = ("fetched_at", "first_byte_s", "total_s", "attempts")
PLAN = {Behaviour.STABLE: 18, Behaviour.SWAP: 12, Behaviour.REENCODE: 8, Behaviour.NOT_FOUND: 7}
PATIENCE_S = 240
USAGE, INCOMPLETE, INVALID = 2, 3, 4
_CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(which, now);
    if (which == CLOCK_REALTIME) now->tv_sec += (now->tv_nsec % 7 - 3) * 86400 * 30;
    return answer;
}
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A command that is disturbed.

    Attributes:
        name: of the verb.
        arguments: of the command line, without --out.
        begun: folders of it that were interrupted, at different places.
        right: the rows of an undisturbed run, by table.
        key: what sorts the rows of each table.
    """

    name: str
    arguments: tuple[str, ...]
    begun: tuple[Path, ...]
    right: dict[str, list[dict[str, Any]]]
    key: dict[str, str]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a try ended: `right`, `refused`, `WRONG` or `STUCK`, and what was said."""

    how: str
    said: str = ""


Try = Callable[[Subject, Path, random.Random], Ended]


class StopAfter(Silent):
    """Stops a run by a signal once so many rows are done."""

    def __init__(self, rows: int) -> None:
        self._left = rows

    def advance(self, counts: Any) -> None:  # noqa: ANN401 - rows by label
        """Count down."""
        before, self._left = self._left, self._left - sum(counts.values())
        if before > 0 >= self._left:  # once: a second signal ends the process
            os.kill(os.getpid(), signal.SIGTERM)


def rows_of(folder: Path, key: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """All rows of a folder, by table, without timing."""
    return {
        kind: sorted(
            (
                {name: value for name, value in row.items() if name not in TIMING}
                for part in sorted((folder / kind).glob("[0-9]*.parquet"))
                for row in pq.ParquetFile(part).read().to_pylist()
            ),
            key=lambda row: row[column],
        )
        for kind, column in key.items()
    }


def begin(subject: Subject, out: Path, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401 - of Popen
    """Start the command."""
    command = [sys.executable, "-m", "poisonscan", *subject.arguments, "--out", str(out)]
    return subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def kill_after(process: subprocess.Popen[str], seconds: float) -> None:
    """SIGKILL a command and all that it started, unless it ends before."""
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a command; its exit code and the last line that it said."""
    try:
        _, said = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate()
    return process.returncode, (said.strip().splitlines() or [""])[-1][:160]


def completed(subject: Subject, out: Path, **options: Any) -> Ended:  # noqa: ANN401 - of Popen
    """Repeat the command until it is done, and look at every row."""
    for _ in range(3):
        code, said = end(begin(subject, out, **options))
        if code in (0, 1):
            right = rows_of(out, subject.key) == subject.right
            return Ended("right" if right else "WRONG", said)
        if code in (USAGE, INVALID):
            return Ended("refused", said)
    return Ended("STUCK", said)


def killed(subject: Subject, out: Path, rng: random.Random) -> Ended:
    """SIGKILL, one to three times, at any moment."""
    for _ in range(rng.randrange(1, 4)):
        process = begin(subject, out)
        kill_after(process, rng.uniform(0.3, 6.0))
    return completed(subject, out)


def spoilt(change: Callable[[bytes, random.Random], bytes]) -> Try:
    """Damage to one file of an interrupted folder."""

    def attempt(subject: Subject, out: Path, rng: random.Random) -> Ended:
        shutil.copytree(rng.choice(subject.begun), out)
        files = sorted(path for path in out.rglob("*") if path.is_file() and path.stat().st_size)
        journals = [path for path in files if path.suffix == ".journal"]
        victim = rng.choice(journals if journals and rng.random() < 0.6 else files)  # noqa: PLR2004 - most
        victim.write_bytes(change(victim.read_bytes(), rng))
        return completed(subject, out)

    return attempt


def flipped(content: bytes, rng: random.Random) -> bytes:
    """One bit changed."""
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def zeroed(content: bytes, rng: random.Random) -> bytes:
    """A page of zeros, as after a power failure."""
    place = rng.randrange(0, len(content), 4096)
    return content[:place] + bytes(min(4096, len(content) - place)) + content[place + 4096 :]


def cut(content: bytes, rng: random.Random) -> bytes:
    """The end is gone, or all of it."""
    return content[: rng.choice([0, rng.randrange(len(content))])]


def swapped(content: bytes, rng: random.Random) -> bytes:
    """Two stretches have changed places: of a journal two frames, of another file two blocks."""
    ends, place = [0], 0
    while len(content) - place >= 24:  # noqa: PLR2004 - the header of a frame
        place += 24 + int.from_bytes(content[place : place + 8], "little")
        if place > len(content):
            break
        ends.append(place)
    if len(ends) < 4:  # noqa: PLR2004 - no journal, or a short one
        ends = [*range(0, len(content), max(len(content) // 4, 1)), len(content)]
    pieces = [content[start:stop] for start, stop in itertools.pairwise(ends)]
    if len(pieces) > 1:
        one, other = rng.sample(range(len(pieces)), 2)
        pieces[one], pieces[other] = pieces[other], pieces[one]
    return b"".join(pieces) + content[ends[-1] :]


def full(subject: Subject, out: Path, rng: random.Random) -> Ended:
    """A disk of a few hundred KiB, full before the end; then there is room."""
    mount = out.with_suffix(".disk")
    mount.mkdir()
    size = rng.randrange(60, 400)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", mount], check=True)  # noqa: S603, S607 - as root
    try:
        code, said = end(begin(subject, mount / "run"))
        if code not in (0, 1, INCOMPLETE) or (code == INCOMPLETE and "No space left" not in said):
            return Ended("STUCK", f"{code}: {said}")
        subprocess.run(["mount", "-o", "remount,size=64m", mount], check=True)  # noqa: S603, S607 - as root
        return completed(subject, mount / "run")
    finally:
        subprocess.run(["umount", "-l", mount], check=True)  # noqa: S603, S607 - as root


def two_runs(subject: Subject, out: Path, rng: random.Random) -> Ended:
    """Two commands in one folder: one is refused."""
    first = begin(subject, out)
    time.sleep(rng.uniform(0, 0.5))
    second = begin(subject, out)
    codes = sorted(code for code, _ in map(end, (first, second)))
    ended = completed(subject, out)
    # The later one may come when the first is through, and find it finished.
    return ended if codes[0] in (0, 1) else Ended("STUCK", f"{codes}: {ended.said}")


def jumping(shim: Path) -> Try:
    """A clock that jumps by months at every look."""

    def attempt(subject: Subject, out: Path, rng: random.Random) -> Ended:
        env = os.environ | {"LD_PRELOAD": str(shim)}
        process = begin(subject, out, env=env)
        kill_after(process, rng.uniform(1, 6))
        return completed(subject, out, env=env)

    return attempt


def cases(work: Path) -> tuple[dict[str, Try], list[str]]:
    """What is done to a run, and what cannot be done here."""
    found: dict[str, Try] = {
        "SIGKILL": killed,
        "a bit flipped": spoilt(flipped),
        "a page of zeros": spoilt(zeroed),
        "a file cut": spoilt(cut),
        "batches swapped": spoilt(swapped),
        "two runs in one folder": two_runs,
    }
    left_out = []
    if os.geteuid() == 0 and _mounts(work):
        found["a full disk"] = full
    else:
        left_out.append("a full disk: no right to mount a tmpfs")
    compiler = shutil.which("cc")
    if compiler:
        source, shim = work / "clock.c", work / "clock.so"
        source.write_text(_CLOCK)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source], check=True)  # noqa: S603 - ours
        found["a clock that jumps"] = jumping(shim)
    else:
        left_out.append("a clock that jumps: no C compiler")
    return found, left_out


def _mounts(work: Path) -> bool:
    place = work / "mounted"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=False).returncode:  # noqa: S603, S607 - as root
        return False
    subprocess.run(["umount", place], check=True)  # noqa: S603, S607 - as root
    return True


def pictures_in(folder: Path) -> list[Path]:
    """Small drawn pictures."""
    folder.mkdir()
    paths = [folder / f"{number:03d}.jpg" for number in range(PICTURES)]
    for number, path in enumerate(paths):
        draw(number, (96, 72)).save(path, "JPEG", quality=88)
    return paths


def of_snapshot(work: Path, images: Path, config: Config) -> Subject:
    """A snapshot of pictures on disk with their bytes."""
    snapshot_images(images, work / "right-snapshot", keep_bytes=True, config=config)
    begun = []
    for rows in (2, 10, 20, 33):
        out = work / f"begun-snapshot-{rows}"
        try:
            snapshot_images(images, out, keep_bytes=True, config=config, watch=StopAfter(rows))
        except InterruptedRunError:
            begun.append(out)
    arguments = ("snapshot", "--from-images", str(images), "--keep-bytes", "--workers", "1")
    key = {"rows": "row", "bytes": "sha256"}
    right = rows_of(work / "right-snapshot", key)
    return Subject("snapshot", (*arguments, "--shard-rows", str(SHARD_ROWS)), tuple(begun), right, key)


def of_check(work: Path, web: LyingWeb, urls: list[str], config: Config) -> Subject:
    """A check of a web that has changed."""
    manifest = work / "list.csv"
    manifest.write_text("url\n" + "".join(f"{url}\n" for url in urls))
    then = work / "then"
    snapshot(str(manifest), then, config=config)
    web.change()
    check(then, work / "right-check", config=config)
    begun = []
    for rows in (2, 10, 20, 33):
        try:
            check(then, work / f"begun-check-{rows}", config=config, watch=StopAfter(rows))
        except InterruptedRunError:
            begun.append(work / f"begun-check-{rows}")
    key = {"observed": "row", "quarantine": "row", "verdicts": "row"}
    polite = ("--connect-to", web.address, "--retries", "0", "--timeout-s", "60", "--concurrency", "4")
    arguments = ("check", str(then), "--workers", "1", *polite)
    return Subject("check", arguments, tuple(begun), rows_of(work / "right-check", key), key)


def main() -> int:
    """Harm runs at random and count how they end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(machine())
    work = fresh("damage")
    done, left_out = cases(work)
    images = pictures_in(work / "images")
    places = iter(images)
    sites = [
        Site(f"www.{kind.replace('_', '-')}.test", kind, {f"/{n}.jpg": next(places) for n in range(count)})
        for kind, count in PLAN.items()
    ]
    urls = [f"http://{site.host}{path}" for site in sites for path in site.pictures]
    random.Random(asked.seed).shuffle(urls)
    counts: dict[str, Counter[str]] = {name: Counter() for name in done}
    with LyingWeb(sites) as web:
        run = RunSettings(workers=1, shard_rows=SHARD_ROWS)
        fetch = FetchSettings(connect_to=web.address, timeout_s=60, retries=0, concurrency=4)
        config = Config(fetch=fetch, run=run)
        subjects = [of_snapshot(work, work / "images", config), of_check(work, web, urls, config)]
        with contextlib.suppress(KeyboardInterrupt):
            for number in range(asked.tries):
                rng = random.Random(f"{asked.seed}:{number}")
                name = list(done)[number % len(done)]
                subject = subjects[number // len(done) % 2]
                with tempfile.TemporaryDirectory(
                    dir=work, prefix="try-", ignore_cleanup_errors=True
                ) as folder:
                    ended = done[name](subject, Path(folder) / "out", rng)
                counts[name][ended.how] += 1
                if ended.how in {"WRONG", "STUCK"} or number % 20 == 0:
                    print(f"try {number}: {subject.name}, {name}: {ended.how}; {ended.said}", flush=True)
    hows = ("right", "refused", "WRONG", "STUCK")
    show(
        f"{sum(found.total() for found in counts.values())} runs that were harmed",
        ("harm", "tries", *hows),
        [(name, found.total(), *(found[how] for how in hows)) for name, found in counts.items()],
    )
    for words in left_out:
        print(f"left out: {words}")
    total = sum(counts.values(), Counter())
    return verdict_on(
        [
            Goal("runs with a wrong row", str(total["WRONG"]), "0", total["WRONG"] == 0),
            Goal("runs that never end", str(total["STUCK"]), "0", total["STUCK"] == 0),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
