"""How unlike the pictures are that share something: eight copies of one picture count as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poisonscan.hunt.blocks import block_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes, Corpus, Floats

THUMBNAIL = 16
"""Side of the reduced pictures that are compared, pixels."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


_LEAST, _SHARE, _PLENTY = 3.0, 0.4, 12.0


def enough(effective: float, count: int) -> bool:
    """Whether so many rows, worth `effective` unlike pictures, are more than copies of a few.

    At least 3 and 40% of the rows; 12 are enough for any number.
    """
    return effective >= max(_LEAST, min(_SHARE * count, _PLENTY))


def thumbnails(pictures: Bytes) -> Floats:
    """Reduced luma of square pictures, standardised: shape (n, 256), rows of mean 0 and length 1.

    Args:
        pictures: shape (n, side, side, 3), side a multiple of 16.
    """
    cell = pictures.shape[1] // THUMBNAIL
    small = block_sums(pictures @ _LUMA, cell) / np.float32(cell**2)
    flat = small.reshape(len(pictures), THUMBNAIL**2)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)


def centred(vectors: Floats) -> Floats:
    """Features with the corpus's mean taken away, rows of length 1: unlike pictures are near-orthogonal."""
    moved = vectors - vectors.mean(axis=0)
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-6), np.float32)


def views(corpus: Corpus, small: Floats) -> list[Floats]:
    """What pictures are compared by: thumbnails, and features where the corpus has them."""
    return [small] if corpus.vectors is None else [small, centred(corpus.vectors)]


def unlike(views_of: Sequence[Floats], rows: NDArray[np.int64]) -> float:
    """Effective number of unlike pictures among the rows, 1 to len(rows); 0 for none.

    The Vendi score of order 1 (Friedman and Dieng 2023): exp of the entropy of the eigenvalues of K / n,
    with K the largest of the squared positive cosines of the views.
    """
    if len(rows) < 2:  # noqa: PLR2004 - one picture is one picture
        return float(len(rows))
    cosines = np.maximum.reduce([view[rows] @ view[rows].T for view in views_of])
    eigenvalues = np.linalg.eigvalsh(np.clip(cosines, 0, 1) ** 2) / len(rows)
    shares = eigenvalues[eigenvalues > 1e-9]  # noqa: PLR2004 - rounding
    return float(np.exp(-np.sum(shares * np.log(shares))))
