"""What does it cost that a run survives a power failure? Syncs counted and timed while rows are recorded.

Writes the journals and parts of one shard of a snapshot with kept pictures, with syncing as it is and with
fsync doing nothing, in turn.

    python benchmarks/durability.py [--rows 10000] [--kib 40] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from statistics import median
from typing import TYPE_CHECKING
from unittest import mock

from _common import fresh, machine, show

from poisonscan.stages.recorder import SYNC_S, Recorder
from poisonscan.store import schema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BATCH = 64


class Alone:
    """The context of a task that nobody runs."""

    share = 1

    def advance(self, counts: Mapping[str, int]) -> None:
        """Hear it."""

    def stopping(self) -> bool:
        """Go on."""
        return False


def record(folder: Path, rows: int, picture: bytes) -> list[float]:
    """Record a shard as a worker does; seconds of each sync."""
    kinds = ("rows", schema.SNAPSHOT_ROWS), ("bytes", schema.BYTES)
    took: list[float] = []
    really = os.fsync

    def timed(handle: int) -> None:
        began = time.perf_counter()
        really(handle)
        took.append(time.perf_counter() - began)

    with mock.patch("os.fsync", timed):
        recorder = Recorder(folder, 0, *kinds, "state", Alone(), range(rows))
        for number in range(rows):
            digest = f"{number:064x}"
            row = {"row": number, "key": str(number), "state": "fingerprinted", "sha256": digest}
            recorder.add(row | {"luma": bytes(1024)}, {"sha256": digest, "bytes": picture})
            if number % BATCH == 0:
                recorder.flush()
        recorder.finish()
    return took


def main() -> int:
    """Record with and without syncs, in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--kib", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print(machine())
    picture = os.urandom(asked.kib << 10)
    seconds: dict[str, list[float]] = {"synced": [], "not synced": []}
    syncs: list[list[float]] = []
    for _ in range(asked.rounds):
        for name, took in seconds.items():
            folder = fresh("durability")
            began = time.perf_counter()
            if name == "synced":
                syncs.append(record(folder, asked.rows, picture))
            else:
                with mock.patch("os.fsync", return_value=None):
                    record(folder, asked.rows, picture)
            took.append(time.perf_counter() - began)
    mib = asked.rows * asked.kib / 1024
    show(
        f"one shard of {asked.rows:,} rows, {mib:,.0f} MiB of pictures, a journal synced every {SYNC_S:g} s",
        ("", "seconds (median)", "syncs", "longest sync, s", "all syncs, s"),
        [
            (
                name,
                median(seconds[name]),
                len(syncs[0]) if name == "synced" else 0,
                max(max(took) for took in syncs) if name == "synced" else 0.0,
                median(sum(took) for took in syncs) if name == "synced" else 0.0,
            )
            for name in seconds
        ],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
