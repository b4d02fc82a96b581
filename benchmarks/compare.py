"""How well each way of comparing tells innocent edits from tampering, on real photos.

Every edit of `redteam/edits.py` is applied to photos that no threshold was set on; sha256, pHash, PDQ (as
the package pdqhash computes it) and our ladder then judge each pair of original and edited picture. Of the
original only the stored grids are known. The edited picture is at hand, as in a check; beside that stands
the verdict where of it, too, only grids are stored, as between two snapshots.

    python benchmarks/compare.py [--pictures 150] [--first 150] [--workers N]
"""

from __future__ import annotations

import argparse
import io
import os
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from multiprocessing import get_context
from typing import TYPE_CHECKING

import imagehash
import numpy as np
import pandas as pd
import pdqhash
from _common import Goal, machine, photos, shared_data, show, verdict_on
from PIL import Image

from poisonscan.compare.pictures import compare_pictures
from poisonscan.config import CompareSettings, DecodeSettings
from poisonscan.fingerprint.decode import Decoded, decoded
from poisonscan.records import Box, Fingerprint, Group, Published, Verdict
from poisonscan.redteam import triggers
from poisonscan.redteam.edits import EDITS, Kind, Series, patches

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from poisonscan.redteam.edits import Edit

PHASH_LIMIT = 10
"""The customary limit for "the same picture" by a 64-bit pHash."""
PDQ_LIMIT = 31
"""The limit that PDQ's authors recommend for its 256 bits (Meta, "The TMK+PDQF Video-Hashing Algorithm and
the PDQ Image-Hashing Algorithm", 2019)."""
MAX_PIXELS = DecodeSettings().max_pixels


@cache
def edits() -> list[Edit]:
    """Those of the registry, and stamps drawn from those published with SSL-Backdoor (Saha et al. 2022)."""
    stamps = sorted(shared_data("triggers", "ssl-backdoor").glob("*.png"))
    published = triggers.any_of([triggers.from_file(path) for path in stamps])
    return [*EDITS.values(), *patches("published", published)]


@dataclass(frozen=True, slots=True)
class Judged:
    """One picture under one edit.

    Attributes:
        edit, kind, series: what was done.
        verdict: ours.
        suspicious: whether ours is a suspicious one.
        stored_suspicious: whether it would be from the stored grids of both alone.
        sha256_differs: whether comparing digests would have.
        phash_differs: whether a pHash limit would have called it another picture.
        pdq_differs: the same for PDQ.
        boxed: whether a box covers the centre of the true change; None where there is none to cover.
        seconds: what the comparison took.
        stored_seconds: what it took from the stored grids alone.
    """

    edit: str
    kind: Kind
    series: Series
    verdict: Verdict
    suspicious: bool
    stored_suspicious: bool
    sha256_differs: bool
    phash_differs: bool
    pdq_differs: bool
    boxed: bool | None
    seconds: float
    stored_seconds: float


def judge_photo(numbered: tuple[int, Path]) -> list[Judged]:
    """One photo under every edit."""
    number, path = numbered
    body = path.read_bytes()
    image = Image.open(io.BytesIO(body))
    judged = []
    for place, edit in enumerate(edits()):
        made = edit.apply(image, np.random.default_rng([number, place]))
        own = edit.original(image, np.random.default_rng([number, place]))
        old, old_phash, old_pdq = _remembered(body if own is None else own)
        picture = _decoded(made.data)
        new = picture.fingerprint
        started = time.perf_counter()
        found = compare_pictures(old, new, CompareSettings(), picture.detail)
        between = time.perf_counter()
        stored = compare_pictures(old, new, CompareSettings())
        ended = time.perf_counter()
        boxed = _covers(found.boxes, made.boxes[0]) if made.boxes and found.boxes else None
        judged.append(
            Judged(
                edit.name,
                edit.kind,
                edit.series,
                found.verdict,
                suspicious=found.verdict.group is Group.SUSPICIOUS,
                stored_suspicious=stored.verdict.group is Group.SUSPICIOUS,
                sha256_differs=old.sha256 != new.sha256,
                phash_differs=int((old_phash != _phash(made.data)).sum()) > PHASH_LIMIT,
                pdq_differs=int((old_pdq != _pdq(made.data)).sum()) > PDQ_LIMIT,
                boxed=boxed,
                seconds=between - started,
                stored_seconds=ended - between,
            )
        )
    return judged


def main() -> int:
    """Judge, print the tables and the goals; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=150, metavar="N")
    parser.add_argument(
        "--first", type=int, default=150, metavar="N", help="photos to skip: thresholds saw them"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    asked = parser.parse_args()
    files = photos()
    random.Random(7).shuffle(files)
    chosen = list(enumerate(files))[asked.first : asked.first + asked.pictures]
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # Spawned, or they would keep the number of threads that numpy counted here.
    with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        judged = pd.DataFrame([row for rows in pool.map(judge_photo, chosen) for row in rows])
    show(
        f"{len(chosen)} photos x {len(edits())} edits; {machine()}",
        [
            "edit",
            "kind",
            "suspicious",
            "from grids alone",
            "sha256 differs",
            f"pHash > {PHASH_LIMIT}",
            f"PDQ > {PDQ_LIMIT}",
            "boxed",
            "verdicts",
        ],
        [_line(edit, rows) for edit, rows in judged.groupby("edit", sort=False)],
    )
    at_hand = len(judged) / judged["seconds"].sum()
    show("with the new picture at hand", ["pairs a second a core"], [[f"{at_hand:,.0f}"]])
    return verdict_on(_goals(judged))


def _line(edit: object, rows: pd.DataFrame) -> list[object]:
    boxed = rows["boxed"].dropna()
    counts = rows["verdict"].value_counts()
    return [
        edit,
        rows["kind"].iloc[0],
        f"{rows['suspicious'].mean():.1%}",
        f"{rows['stored_suspicious'].mean():.1%}",
        f"{rows['sha256_differs'].mean():.1%}",
        f"{rows['phash_differs'].mean():.1%}",
        f"{rows['pdq_differs'].mean():.1%}",
        f"{boxed.astype(bool).mean():.1%}" if len(boxed) else "",
        ", ".join(f"{name} {n}" for name, n in counts.items()),
    ]


def _goals(judged: pd.DataFrame) -> list[Goal]:
    innocent = judged[judged["kind"] == Kind.INNOCENT]
    malicious = judged[(judged["kind"] == Kind.MALICIOUS) & (judged["series"] == Series.OLD)]
    late = {name: rows["suspicious"] for name, rows in judged.groupby("edit")}
    small = malicious["edit"].str.match(r"patch-\w+-4($|-)")
    noise = malicious["edit"].str.startswith("blended-noise")
    replaced = malicious["edit"] == "replaced"
    rest = malicious[~small & ~noise & ~replaced]
    first = innocent["series"] == Series.OLD
    crops = innocent[innocent["edit"].str.startswith("crop")]
    edited = malicious[malicious["verdict"] == Verdict.EDITED]["boxed"].dropna().astype(bool)
    cropped = crops["verdict"].isin([Verdict.CROPPED, Verdict.REENCODED])
    return [
        _share("innocent pairs suspicious", innocent["suspicious"], most=0.005),
        _share("the worst innocent edit of the first series", _worst(innocent[first], "max"), most=0.02),
        _share("replaced found", malicious[replaced]["suspicious"], least=0.999),
        _share("malicious edits found (no 4% patches, no noise blends)", rest["suspicious"], least=0.97),
        _share("the worst of them", _worst(rest, "min"), least=0.92),
        _share("4% patches found", malicious[small]["suspicious"], least=0.85),
        _share("noise blends at alpha 0.2 found", late["blended-noise-0.2"], least=0.7),
        _share("warps found", late["warp"], least=0.95),
        _share("erased patches of 18% found", late["erased-18"], least=0.95),
        _share("noise patches of 7%, cropped by 10%, found", late["patch-noise-7-crop-10"], least=0.95),
        _share("smooth noise of 8 levels found", late["smooth-noise-8"], least=0.5),
        _share("edited with a box on the change", edited, least=0.95),
        _share("crops called cropped or re-encoded", cropped, least=0.98),
        _share("crops called replaced", crops["verdict"] == Verdict.REPLACED, most=0.002),
        _rate(
            "pairs a second a core, first series, from grids alone as diff",
            judged[judged["series"] == Series.OLD]["stored_seconds"],
            least=400,
        ),
    ]


def _worst(rows: pd.DataFrame, which: str) -> pd.Series[float]:
    return pd.Series([rows.groupby("edit")["suspicious"].mean().agg(which)])


def _share(
    words: str, values: pd.Series[bool] | pd.Series[float], *, least: float = 0.0, most: float = 1.0
) -> Goal:
    share = float(values.mean())
    target = f"at least {least:.1%}" if least else f"at most {most:.1%}"
    return Goal(words, f"{share:.2%}", target, least <= share <= most)


def _rate(words: str, seconds: pd.Series[float], *, least: float) -> Goal:
    rate = len(seconds) / seconds.sum()
    return Goal(words, f"{rate:,.0f}", f"at least {least:,.0f}", rate >= least)


def _decoded(body: bytes) -> Decoded:
    found = decoded(body, Published(), MAX_PIXELS)
    if not isinstance(found, Decoded):
        raise TypeError(f"an edit gave no picture: {found.reason}")
    return found


@lru_cache(maxsize=2)
def _remembered(body: bytes) -> tuple[Fingerprint, NDArray[np.bool_], NDArray[np.int64]]:
    return _decoded(body).fingerprint, _phash(body), _pdq(body)


def _phash(body: bytes) -> NDArray[np.bool_]:
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(imagehash.phash(image).hash).ravel()


def _pdq(body: bytes) -> NDArray[np.int64]:
    """256 bits."""
    with Image.open(io.BytesIO(body)) as image:
        bits, _ = pdqhash.compute(np.asarray(image.convert("RGB")))
    return np.asarray(bits)


def _covers(boxes: Iterable[Box], truth: Box) -> bool:
    x, y = (truth.x0 + truth.x1) / 2, (truth.y0 + truth.y1) / 2
    return any(box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1 for box in boxes)


if __name__ == "__main__":
    raise SystemExit(main())
