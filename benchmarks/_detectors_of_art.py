"""Spectral signatures and activation clustering of ART on features that somebody else computed.

Runs in ART's own environment and imports nothing of ours:

    python _detectors_of_art.py IN.npz OUT.npz

IN holds `features` (n, d), `labels` (n,) from 0 on, and `seed`. OUT holds the scores of each method, shape
(n,), higher is worse, and as many seconds. ART asks a classifier for the activations of its last layer and
for nothing else: the stand-in below hands out the features.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from art.defences.detector.poison import (  # type: ignore[import-not-found] # only its environment has it
    ActivationDefence,
    SpectralSignatureDefense,
)
from sklearn.metrics import silhouette_score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

LEAST_ROWS = 10
"""ART reduces every class to 10 dimensions by PCA and fails where a class has fewer rows."""
_SMALL = 0.35
"""Share of its class below which ART calls a cluster small."""


class Features:
    """What ART takes for a classifier: one layer, whose activations are its input."""

    layer_names = ("features",)

    def __init__(self, classes: int) -> None:
        """A classifier of so many classes."""
        self.nb_classes = classes

    def get_activations(self, x: NDArray[np.float32], layer: int, batch_size: int) -> NDArray[np.float32]:
        """The input, whatever the layer."""
        del layer, batch_size
        return x


def spectral(features: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores of Tran et al. (2018) as ART computes them, a class at a time.

    With a share of 1 to be removed, ART reports the score of every row.
    """
    defence = SpectralSignatureDefense(
        Features(labels.max() + 1), features, labels, expected_pp_poison=1.0, eps_multiplier=1.0
    )
    report, _ = defence.detect_poison()
    return np.array([report[row] for row in range(len(labels))])


def clustered(
    features: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Activation clustering (Chen et al. 2018): scores by size, and by silhouette.

    By size: 1 - share of its class that the row's cluster holds. By silhouette: how well the class falls
    into two, for the rows of a cluster that holds less than 35% of it, and 0 for the others. The clusters are
    ART's, so is the 35%; its own analyses by size and by silhouette end in errors where a class has no small
    cluster (1.20.1 with numpy 2.4).
    """
    defence = ActivationDefence(Features(labels.max() + 1), features, labels)
    defence.detect_poison()
    by_size, by_silhouette = np.zeros(len(labels)), np.zeros(len(labels))
    parts = zip(defence.clusters_by_class, defence.red_activations_by_class, strict=True)
    for number, (clusters, reduced) in enumerate(parts):
        rows = np.flatnonzero(labels == number)
        share = np.bincount(clusters)[clusters] / len(rows)
        by_size[rows] = 1 - share
        by_silhouette[rows] = np.where(share < _SMALL, silhouette(reduced, clusters), 0.0)
    return by_size, by_silhouette


def silhouette(points: NDArray[np.float64], clusters: NDArray[np.int64]) -> float:
    """Mean silhouette of the points, 0..1; 0 where there is but one cluster or the two are not apart."""
    return max(0.0, float(silhouette_score(points, clusters))) if len(set(clusters)) > 1 else 0.0


def of_large_classes(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the classes with enough rows, and the labels of these rows numbered from 0 on."""
    rows = np.flatnonzero(np.bincount(labels)[labels] >= LEAST_ROWS)
    return rows, np.unique(labels[rows], return_inverse=True)[1]


def scored(
    features: NDArray[np.float32], labels: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Every method's scores, and under the name with "_s" behind it how many seconds it took."""
    started = time.perf_counter()
    yield "spectral", spectral(features, labels)
    yield "spectral_s", np.array(time.perf_counter() - started)
    started = time.perf_counter()
    by_size, by_silhouette = np.zeros(len(labels)), np.zeros(len(labels))
    rows, numbered = of_large_classes(labels)
    by_size[rows], by_silhouette[rows] = clustered(features[rows], numbered)
    yield "clusters_size", by_size
    yield "clusters_silhouette", by_silhouette
    yield "clusters_s", np.array(time.perf_counter() - started)


if __name__ == "__main__":
    given = np.load(sys.argv[1])
    np.random.seed(int(given["seed"]))  # noqa: NPY002 - what scikit-learn inside ART draws from
    found = dict(scored(given["features"], given["labels"]))
    np.savez(sys.argv[2], **found)  # type: ignore[arg-type] # its stubs take the names for allow_pickle
