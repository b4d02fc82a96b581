"""How many picture pairs does the verdict ladder compare a second on one core, and what does decoding cost?

    python benchmarks/diff.py [FOLDER] [--pictures N]

Every edit of the first series (those that earlier figures are of), as often as the next; pictures are decoded
first, and that time is kept apart. Without a folder the pictures are drawn. The goal is 400 pairs a second a
core, so that the ladder is never what a diff waits for. Set OPENBLAS_NUM_THREADS=1, as a worker beside others
would have it.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from poisonscan.compare.ladder import Baseline, judge
from poisonscan.config import CompareSettings
from poisonscan.fingerprint.decode import fingerprint
from poisonscan.records import DecodeFailure, Fingerprint, Published
from poisonscan.redteam.edits import EDITS, Series
from poisonscan.redteam.pictures import draw
from poisonscan.sources.images import ImageFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poisonscan.redteam.edits import Edit

GOAL = 400
MAX_PIXELS = 178_956_970
SHOWN = (
    "jpeg-75",
    "resize-0.5",
    "crop-10",
    "crop-square",
    "mirror",
    "letterbox",
    "patch-noise-14",
    "replaced",
)


def bodies(folder: Path | None, count: int) -> Iterator[bytes]:
    """Up to `count` encoded pictures."""
    if folder is None:
        for seed in range(count):
            stream = io.BytesIO()
            draw(seed, (512, 384)).save(stream, "JPEG", quality=90)
            yield stream.getvalue()
        return
    (part,) = ImageFolder(folder).plan(1 << 62).slices
    for number, picture in enumerate(ImageFolder(folder).read(part)):
        if number == count:
            return
        if picture.body is not None:
            yield picture.body


def decoded(body: bytes) -> Fingerprint:
    """The fingerprint of a sound picture."""
    found = fingerprint(body, Published(), MAX_PIXELS)
    if isinstance(found, DecodeFailure):
        raise SystemExit(f"a picture cannot be decoded: {found.reason}; name a folder of sound ones")
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--pictures", type=int, default=60)
    parsed = parser.parse_args()
    originals = list(bodies(parsed.folder, parsed.pictures))
    started = time.process_time()
    old = [decoded(body) for body in originals]
    print(f"decode and fingerprint: {len(old) / (time.process_time() - started):8.0f} pictures/s of CPU\n")
    print(f"{'edit':<16} {'pairs/s':>8}")
    spent = 0.0
    old_series = {name: edit for name, edit in EDITS.items() if edit.series is Series.OLD}
    for name, edit in old_series.items():
        new = [edited(body, edit, number) for number, body in enumerate(originals)]
        started = time.process_time()
        for before, after in zip(old, new, strict=True):
            judge(Baseline(before, Published()), after, CompareSettings())
        took = time.process_time() - started
        spent += took
        if name in SHOWN:
            print(f"{name:<16} {len(old) / took:8.0f}")
    rate = len(old) * len(old_series) / spent
    words = f"all {len(old_series)} edits"
    print(f"{words:<16} {rate:8.0f}   goal {GOAL}: {'met' if rate >= GOAL else 'missed'}")


def edited(body: bytes, edit: Edit, seed: int) -> Fingerprint:
    """The fingerprint of an edited copy."""
    with Image.open(io.BytesIO(body)) as image:
        return decoded(edit.apply(image, np.random.default_rng(seed)).data)


if __name__ == "__main__":
    main()
