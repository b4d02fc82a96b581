"""Does anything but a verdict come out, and do the dead slow down the living?

- decoding: pictures of every allowed format, mutated (bits flipped, bytes overwritten, pieces cut out,
  doubled, swapped or zeroed, two files joined), through the decode worker. Every one must end as a
  fingerprint or a verdict with a reason, and the pictures between them must decode as always.
- dead hosts: 10,000 live names served by nginx, alone and with 1,000 dead ones between them: names that
  do not exist and, in a run of its own, names whose server never answers.

    python benchmarks/hostile.py --inputs 20000 --live 10000 --dead 1000 --repeats 3
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
import time
from collections import Counter, defaultdict
from random import Random
from statistics import median
from typing import TYPE_CHECKING

import uvloop
from _common import Goal, fresh, machine, show, verdict_on
from _dns import QuickDns, Zones
from _nginx import addresses, free_port, nginx

from poisonscan.config import CompareSettings, DecodeSettings, FetchSettings
from poisonscan.engine.bundles import Bundles
from poisonscan.engine.sandbox import Sandbox
from poisonscan.fetch.client import Fetcher
from poisonscan.records import DecodeFailure, Outcome, Published
from poisonscan.redteam.pictures import draw
from poisonscan.stages.examine import Examined, Question, examine, examine_safely

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from poisonscan.records import FetchResult

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SLOWER = 1.2
HOSTS = 500
SEED = 20_261

_WAVE = 64
_SIDES = (48, 96, 160)
_EVERY = 50
"""After so many mutated pictures comes one that is whole."""


def main() -> int:
    """Measure, print the tables, say whether the goals were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000, help="mutated pictures; 0: leave it out")
    parser.add_argument("--live", type=int, default=10_000)
    parser.add_argument("--dead", type=int, default=1_000, help="0: leave it out")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    print(machine())
    goals = []
    if asked.inputs:
        goals += asyncio.run(fuzz(asked.inputs))
    if asked.dead:
        goals += dead_hosts(asked.live, asked.dead, asked.repeats)
    return verdict_on(goals)


async def fuzz(inputs: int) -> list[Goal]:
    """Send mutated pictures through the decode worker."""
    originals, rng = _originals(), Random(SEED)
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    unharmed = escaped = 0
    settings = DecodeSettings(decode_timeout_s=10)
    whole = originals["PNG"][0]
    async with Sandbox(1, settings.decode_timeout_s, settings.memory_mib, preload=examine) as sandbox:
        examiner = Bundles(sandbox, examine)

        async def end_of(body: bytes) -> object:
            question = Question(body, Published(), (), settings.max_pixels, CompareSettings())
            return await examine_safely(examiner, question)

        for start in range(0, inputs, _WAVE):
            wave = [_mutated(originals, rng) for _ in range(min(_WAVE, inputs - start))]
            answers = await asyncio.gather(*[end_of(body) for _, body in wave])
            for (kind, _), answer in zip(wave, answers, strict=True):
                ends[kind][_words(answer)] += 1
                escaped += _words(answer) == "escaped"
            unharmed += isinstance(await end_of(whole), Examined)
    waves = -(-inputs // _WAVE)
    names = sorted({name for counts in ends.values() for name in counts})
    show(
        f"{inputs:,} mutated pictures through the decode worker",
        ("format", *names),
        [(kind, *(ends[kind][name] for name in names)) for kind in FORMATS],
    )
    return [
        Goal("mutated pictures without a verdict", str(escaped), "0", escaped == 0),
        Goal("whole pictures between them decoded", f"{unharmed} of {waves}", "all", unharmed == waves),
    ]


def _words(answer: object) -> str:
    if isinstance(answer, Examined):
        return "decoded"
    if isinstance(answer, DecodeFailure) and answer.reason:
        crashed = answer.reason.startswith("the decoder ")
        return f"{answer.verdict}, worker lost" if crashed else str(answer.verdict)
    return "escaped"


def _originals() -> dict[str, list[bytes]]:
    files: dict[str, list[bytes]] = {}
    for kind in FORMATS:
        files[kind] = []
        for seed, side in enumerate(_SIDES):
            stream = io.BytesIO()
            options = {"progressive": True} if kind == "JPEG" and seed else {}
            draw(seed, (side, side * 3 // 4)).save(stream, kind, **options)
            files[kind].append(stream.getvalue())
    return files


def _mutated(originals: dict[str, list[bytes]], rng: Random) -> tuple[str, bytes]:
    """A format, and a file of it after one to four mutations."""
    kind = rng.choice(FORMATS)
    body = bytearray(rng.choice(originals[kind]))
    other = rng.choice(originals[rng.choice(FORMATS)])
    for _ in range(rng.randint(1, 4)):
        rng.choice(_MUTATIONS)(body, other, rng)
    return kind, bytes(body)


def _flip_bits(body: bytearray, _other: bytes, rng: Random) -> None:
    for _ in range(rng.choice((1, 4, 32)) if body else 0):
        body[_place(body, rng)] ^= 1 << rng.randrange(8)


def _overwrite(body: bytearray, _other: bytes, rng: Random) -> None:
    start = _place(body, rng)
    size = rng.choice((1, 2, 4, 16))
    body[start : start + size] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * size


def _cut_out(body: bytearray, _other: bytes, rng: Random) -> None:
    start = _place(body, rng)
    del body[start : start + rng.randrange(1, 200)]


def _double(body: bytearray, _other: bytes, rng: Random) -> None:
    start = _place(body, rng)
    body[start:start] = body[start : start + rng.randrange(1, 200)]


def _truncate(body: bytearray, _other: bytes, rng: Random) -> None:
    del body[_place(body, rng) :]


def _join(body: bytearray, other: bytes, rng: Random) -> None:
    body[_place(body, rng) :] = other[rng.randrange(len(other)) :]


def _place(body: bytearray, rng: Random) -> int:
    """A position; half of the time in the head, where a decoder believes what it reads."""
    return rng.randrange(max(1, min(len(body), 128) if rng.random() < 0.5 else len(body)))  # noqa: PLR2004 - half


_MUTATIONS: tuple[Callable[[bytearray, bytes, Random], None], ...] = (
    _flip_bits,
    _overwrite,
    _cut_out,
    _double,
    _truncate,
    _join,
)


def dead_hosts(live: int, dead: int, repeats: int) -> list[Goal]:
    """Seconds until the live ones are fetched: alone, among names that do not exist, among silent ones."""
    folder = fresh("hostile")
    (folder / "www").mkdir()
    stream = io.BytesIO()
    draw(1, (160, 120)).save(stream, "JPEG")
    (folder / "www" / "p.jpg").write_bytes(stream.getvalue())
    hosts, port = addresses(HOSTS), free_port()
    names = frozenset(f"dead{number}.test" for number in range(dead))
    living = {f"live{number}.test": hosts[number % HOSTS] for number in range(live)}
    alive = [f"http://live{number}.test:{port}/p.jpg" for number in range(live)]
    mixed = list(_spread(alive, [f"http://{name}:{port}/p.jpg" for name in sorted(names)]))
    seconds: dict[str, list[float]] = defaultdict(list)
    with (
        nginx(folder / "www", folder, hosts, port),
        QuickDns(Zones(dead=names, addresses=living)) as missing,
        QuickDns(Zones(silent=names, addresses=living)) as silent,
    ):
        for _ in range(repeats):
            seconds["alone"].append(_fetch(alive, missing.address, live))
            seconds["among names that do not exist"].append(_fetch(mixed, missing.address, live))
            seconds["among names whose server is silent"].append(_fetch(mixed, silent.address, live))
    base = seconds.pop("alone")
    rows = [("alone", median(base), 1.0)]
    goals = []
    for words, measured in seconds.items():
        slower = median(one / other for one, other in zip(measured, base, strict=True))
        rows.append((words, median(measured), slower))
        goals.append(Goal(f"live hosts {words}", f"{slower:.2f}x", f"<= {SLOWER}x", slower <= SLOWER))
    show(
        f"{live:,} live names, {dead:,} dead ones: until the last live one is fetched",
        ("run", "seconds", "of alone"),
        rows,
    )
    return goals


def _spread(many: Sequence[str], few: Sequence[str]) -> Iterator[str]:
    step = max(1, len(many) // max(1, len(few)))
    rest = iter(few)
    for number, one in enumerate(many):
        if number % step == 0:
            yield from [item for item in [next(rest, None)] if item is not None]
        yield one
    yield from rest


def _fetch(urls: Sequence[str], nameserver: str, live: int) -> float:
    """Seconds until the last live one was there, one process, connections closed."""
    settings = FetchSettings(nameserver=nameserver, allow_private=True, keep_alive=False)
    fetched, last = 0, 0.0

    async def count(result: FetchResult) -> None:
        nonlocal fetched, last
        if result.outcome is Outcome.FETCHED:
            fetched, last = fetched + 1, time.perf_counter()

    async def fetch() -> float:
        started = time.perf_counter()
        async with Fetcher(settings) as fetcher:
            await fetcher.fetch_all(urls, count)
        return last - started

    seconds = uvloop.run(fetch())
    if fetched != live:
        sys.exit(f"{fetched} of {live} live names were fetched")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
