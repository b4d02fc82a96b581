"""Does memory stay flat as lists grow?

- `snapshot` and `check` of ROWS rows (real photos made small, repeated under URLs of their own, behind 500
  loopback addresses served by nginx): rows per second, and the largest resident memory of the parent, of any
  worker and of any decoder, for each size of list; curves of memory against rows as SVG.
- planning of a Parquet list of 100 million rows: opened, digested and cut into shards; wall clock and the
  largest resident memory of the process that did it. How long `snapshot` then looks for duplicate URLs is
  shown beside it.

    python benchmarks/scale.py --rows 100000 1000000 --plan-rows 100000000
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import psutil  # type: ignore[import-untyped]  # ships no types
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from _common import CACHE, ROOT, Goal, fresh, machine, photos, show, verdict_on, wall_s
from _nginx import addresses, free_port, nginx
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MIB = 1 << 20
PARENT_MIB, WORKER_MIB = 300, 400
FLAT = 1.25
"""How much more memory the longest list may take than the shortest and still be called flat."""
_LEFT, _TOP, _WIDTH, _HEIGHT = 70, 16, 640, 260  # of the drawing
_FONT = 'font-family="sans-serif" font-size="12"'
PLAN_S, PLAN_MIB = 60, 500
HOSTS = 500
LIMIT_S = 7_200.0

_SIDE = 96
_PICTURES = 200
_LOOK_S = 0.5
_ROW_GROUP = 1_000_000

_PLANNER = r"""\
import json, re, sys, time
from pathlib import Path
from poisonscan.manifest import adoptions, digest, open_manifest, plan
started = time.perf_counter()
manifest = open_manifest(sys.argv[1])
digest(manifest)
digested = time.perf_counter() - started
slices = plan(manifest, 10_000, Path(sys.argv[2]))
planned = time.perf_counter() - started
# not getrusage: its maximum begins with that of the process that started this one
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
rows = sum(part.count for part in slices)
adoptions(manifest, slices, Path(sys.argv[2]))
print(json.dumps({"s": planned, "digest_s": digested, "kib": peak, "slices": len(slices), "rows": rows,
                  "duplicates_s": time.perf_counter() - started - planned}))
"""


@dataclass
class Memory:
    """Resident memory of a run's processes, looked at now and then, bytes.

    Attributes:
        peaks: the largest of any process, by role.
        curve: seconds since the start, and the parent and the largest worker then.
    """

    peaks: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    curve: list[tuple[float, int, int]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._started = time.perf_counter()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            now: dict[str, int] = defaultdict(int)
            for role, size in _sizes():
                now[role] = max(now[role], size)
                self.peaks[role] = max(self.peaks[role], size)
            if now:
                self.curve.append((time.perf_counter() - self._started, now["parent"], now["worker"]))


def _sizes() -> Iterator[tuple[str, int]]:
    """Role and resident bytes of each process that our own process started."""
    roles = ("parent", "worker", "decoder")
    level = psutil.Process().children()
    for role in roles:
        below = []
        for process in level:
            try:
                if "resource_tracker" in " ".join(process.cmdline()) or process.name() == "nginx":
                    continue
                below += process.children()
                yield role, process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        level = below


def main() -> int:
    """Measure, print the tables, draw the curves, say whether the goals were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--plan-rows", type=int, default=100_000_000)
    asked = parser.parse_args()
    print(machine())
    goals = [*planning(asked.plan_rows)] if asked.plan_rows else []
    if asked.rows:
        goals += growing(sorted(asked.rows))
    return verdict_on(goals)


def planning(rows: int) -> list[Goal]:
    """Time and memory of cutting a list into shards."""
    folder = fresh("scale-plan")
    path = _long_list(folder / "list.parquet", rows)
    command = [sys.executable, "-c", _PLANNER, str(path), str(folder / "spill")]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603 - our own
    found = json.loads(done.stdout)
    path.unlink()
    if found["rows"] != rows:
        sys.exit(f"{found['rows']:,} of {rows:,} rows were planned")
    mib = found["kib"] / 1024
    show(
        "planning a Parquet list",
        ("rows", "shards", "seconds", "of these the digest", "largest memory, MiB", "duplicates, seconds"),
        [(f"{rows:,}", found["slices"], found["s"], found["digest_s"], mib, found["duplicates_s"])],
    )
    words = f"{rows:,} rows planned"
    return [
        Goal(f"{words}: seconds", f"{found['s']:.1f}", f"<= {PLAN_S}", found["s"] <= PLAN_S),
        Goal(f"{words}: MiB", f"{mib:.0f}", f"<= {PLAN_MIB}", mib <= PLAN_MIB),
    ]


def _long_list(path: Path, rows: int) -> Path:
    """A list as long as it must be, every URL its own."""
    schema = pa.schema({"url": pa.string(), "caption": pa.string()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, _ROW_GROUP):
            numbers = pa.array(range(start, min(start + _ROW_GROUP, rows))).cast(pa.string())
            urls = pc.binary_join_element_wise("http://pictures.example/", numbers, ".jpg", "")
            captions = pc.binary_join_element_wise("picture", numbers, " ")
            writer.write_table(pa.table([urls, captions], schema))
    return path


def growing(sizes: Sequence[int]) -> list[Goal]:
    """Snapshot and check lists of growing length."""
    folder = fresh("scale")
    hosts, port = addresses(HOSTS), free_port()
    _small_pictures(folder / "www")
    measured: dict[tuple[str, int], Memory] = {}
    lines = []
    with nginx(folder / "www", folder, hosts, port):
        for rows in sizes:
            manifest = _manifest(folder / f"{rows}.parquet", rows, hosts, port)
            for verb, source in (("snapshot", manifest), ("check", folder / f"snapshot-{rows}")):
                with Memory() as memory:
                    seconds = _run(verb, source, folder / f"{verb}-{rows}", folder)
                measured[verb, rows] = memory
                peaks = [memory.peaks[role] / MIB for role in ("parent", "worker", "decoder")]
                lines.append((verb, f"{rows:,}", rows / seconds, *(round(peak) for peak in peaks)))
    show(
        "rows per second and largest resident memory of one process, MiB",
        ("verb", "rows", "rows/s", "parent", "worker", "decoder"),
        lines,
    )
    drawing = folder / "scale.svg"
    drawing.write_text(_drawing(measured), encoding="utf-8")
    print(f"memory against time: {drawing.relative_to(CACHE.parent.parent)}")
    return [goal for verb in ("snapshot", "check") for goal in _goals(verb, sizes, measured)]


def _goals(verb: str, sizes: Sequence[int], measured: dict[tuple[str, int], Memory]) -> Iterator[Goal]:
    short, long = (measured[verb, rows].peaks for rows in (sizes[0], sizes[-1]))
    for role, limit in (("parent", PARENT_MIB), ("worker", WORKER_MIB)):
        mib = long[role] / MIB
        yield Goal(f"{verb}, {sizes[-1]:,} rows: {role}, MiB", f"{mib:.0f}", f"< {limit}", mib < limit)
        if len(sizes) > 1:
            growth = long[role] / short[role]
            words = f"{verb}: {role}, {sizes[-1]:,} rows against {sizes[0]:,}"
            yield Goal(words, f"{growth:.2f}", f"<= {FLAT}", growth <= FLAT)


def _run(verb: str, source: Path, out: Path, folder: Path) -> float:
    command = [sys.executable, "-m", "poisonscan", verb, str(source), "--out", str(out), "--allow-private"]
    command += ["--fail-on", "never"] if verb == "check" else []
    return wall_s(command, {"PYTHONPATH": str(ROOT)}, log=folder / f"{verb}.log", limit_s=LIMIT_S)


def _small_pictures(folder: Path) -> None:
    folder.mkdir(parents=True)
    paths = photos()
    for number, path in enumerate(paths[:: len(paths) // _PICTURES][:_PICTURES]):
        with Image.open(path) as picture:
            small = picture.convert("RGB").resize((_SIDE, _SIDE))
        stream = io.BytesIO()
        small.save(stream, "JPEG", quality=80)
        (folder / f"{number}.jpg").write_bytes(stream.getvalue())


def _manifest(path: Path, rows: int, hosts: Sequence[str], port: int) -> Path:
    names = [f"http://{hosts[n % len(hosts)]}:{port}/{n % _PICTURES}.jpg?{n}" for n in range(rows)]
    pq.write_table(pa.table({"url": names}), path)
    return path


def _drawing(measured: dict[tuple[str, int], Memory]) -> str:
    """An SVG: memory of the parent (solid) and of the largest worker (dashed) over each run."""
    parts = [_line(mib, f"{mib} MiB") for mib in range(0, WORKER_MIB + 1, 100)]
    for number, ((verb, rows), memory) in enumerate(measured.items()):
        hue, total = 360 * number // len(measured), memory.curve[-1][0]
        for column, dash in ((1, "none"), (2, "4 3")):
            points = " ".join(
                f"{_LEFT + _WIDTH * point[0] / total:.1f},{_down(point[column] / MIB):.1f}"
                for point in memory.curve
            )
            style = f'fill="none" stroke="hsl({hue} 60% 40%)" stroke-dasharray="{dash}"'
            parts.append(f'<polyline {style} points="{points}"/>')
        y = _down(0) + 22 + 16 * number
        parts.append(f'<text x="{_LEFT}" y="{y}" fill="hsl({hue} 60% 30%)">{verb}, {rows:,} rows</text>')
    words = "from start to end of each run; solid: the parent, dashed: the largest worker"
    parts.append(f'<text x="{_LEFT + _WIDTH}" y="{_down(0) + 22}" text-anchor="end">{words}</text>')
    width, height = _LEFT + _WIDTH + 20, _down(0) + 22 + 16 * len(measured)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {_FONT}>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>\n"])


def _down(mib: float) -> float:
    return _TOP + _HEIGHT * (1 - mib / WORKER_MIB)


def _line(mib: int, words: str) -> str:
    y = _down(mib)
    line = f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y}" y2="{y}" stroke="#ddd"/>'
    return f'{line}<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{words}</text>'


if __name__ == "__main__":
    sys.exit(main())
