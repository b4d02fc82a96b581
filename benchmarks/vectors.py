"""How fast vectors are made, searched and clustered, on a GPU where there is one.

    python benchmarks/vectors.py --rows 1000000 --width 512 --model ViT-B-32

Random pictures, random weights and vectors in clusters: for speed it does not matter what they show. Where
faiss sees a GPU the same search runs on the CPU too, on fewer queries, and both answers are compared.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from typing import TYPE_CHECKING

import numpy as np
from _common import machine, show

from poisonscan.config import EmbedSettings
from poisonscan.embed.opening import open_encoder, parse_spec
from poisonscan.hunt.index import build, k_means, layout_for, sees_gpu, use_threads
from poisonscan.hunt.outliers import mean_scores

if TYPE_CHECKING:
    from poisonscan.hunt.model import Floats

NEIGHBOURS, QUERIES = 17, 10_000


def clustered(rows: int, width: int) -> Floats:
    """Vectors of length 1 around one centre in a thousand rows."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(max(rows // 1_000, 1), width)).astype(np.float32)
    vectors = centres[rng.integers(len(centres), size=rows)]
    vectors += rng.standard_normal((rows, width), np.float32) * np.float32(0.5)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def encoding(model: str, batches: int) -> list[object]:
    """Pictures a second of a model with random weights, the first batch left out."""
    settings = EmbedSettings(batch_rows=256)
    encoder = open_encoder(parse_spec(f"openclip:{model}:random"), settings)
    side = encoder.preparation.side
    batch = np.random.default_rng(0).integers(0, 256, (settings.batch_rows, side, side, 3)).astype(np.uint8)
    encoder.images(batch)
    began = time.perf_counter()
    for _ in range(batches):
        encoder.images(batch)
    rate = batches * settings.batch_rows / (time.perf_counter() - began)
    device = f"{encoder.identity['device']} {encoder.identity['precision']}"
    return [f"encode with {model}", device, f"{rate:,.0f} pictures/s"]


def searching(vectors: Floats, *, gpu: bool) -> list[list[object]]:
    """Seconds to index, to find neighbours of every row, to cluster and to score."""
    where = "GPU" if gpu else "CPU"
    began = time.perf_counter()
    index = build(vectors, gpu=gpu)
    built = time.perf_counter()
    queries = vectors if gpu else vectors[:QUERIES]
    index.nearest(queries, NEIGHBOURS)
    searched = time.perf_counter()
    clusters = max(len(vectors) // 1_000, 2)
    k_means(vectors, clusters, gpu=gpu)
    grouped = time.perf_counter()
    mean_scores(vectors, 256, 16, 8, np.random.default_rng(0))
    scored = time.perf_counter()
    return [
        [f"index, {layout_for(*vectors.shape)}", where, f"{built - began:.1f} s"],
        [f"{NEIGHBOURS} neighbours of {len(queries):,} rows", where, f"{searched - built:.1f} s"],
        [f"k-means, {clusters:,} clusters", where, f"{grouped - searched:.1f} s"],
        ["outlier scores, 8 references of 256", "CPU" if not gpu else "GPU", f"{scored - grouped:.1f} s"],
    ]


def agreement(vectors: Floats) -> list[object]:
    """Share of the CPU's neighbours that the GPU finds, exactly the same index."""
    some = vectors[:QUERIES]
    one, other = (build(vectors, gpu=gpu).nearest(some, NEIGHBOURS) for gpu in (False, True))
    same = [
        len(set(a) & set(b)) / len(a) for a, b in zip(one.rows.tolist(), other.rows.tolist(), strict=True)
    ]
    return ["neighbours that CPU and GPU agree on", "both", f"{np.mean(same):.2%}"]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000, metavar="N")
    parser.add_argument("--width", type=int, default=512, metavar="N")
    parser.add_argument("--model", default="ViT-B-32", metavar="NAME", help="of open_clip")
    parser.add_argument("--batches", type=int, default=4, metavar="N", help="of 256 pictures")
    asked = parser.parse_args()
    use_threads(0)
    lines: list[list[object]] = []
    if importlib.util.find_spec("open_clip"):
        lines.append(encoding(asked.model, asked.batches))
    vectors, gpu = clustered(asked.rows, asked.width), sees_gpu()
    lines += searching(vectors, gpu=False)
    if gpu:
        lines += searching(vectors, gpu=True)
        lines.append(agreement(vectors))
    show(f"{asked.rows:,} x {asked.width}; {machine()}", ["what", "where", "measured"], lines)


if __name__ == "__main__":
    main()
