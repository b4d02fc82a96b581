"""What every encoder offers and takes.

Encoders are frozen: nothing is ever trained here. Vectors have length 1, so that an inner product is a
cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Fit = Literal["shortest", "squash", "longest"]
"""How a picture becomes a square: crop the middle, squeeze, or pad."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in 0..1; what torchvision's models are trained with."""

WINDOWS = 3
"""Windows a side, where an encoder has no patches of its own; each is half as wide as the picture."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a picture is brought to what an encoder takes.

    Attributes:
        side: width and height of its input, pixels.
        resize: length to which the shorter side is brought before the middle is cropped; only for the
            fit "shortest".
        fit: how a picture becomes a square.
        bicubic: resampling; else bilinear. Both average over what is shrunk.
        mean, std: of RGB in 0..1; subtracted, then divided by.
    """

    side: int
    resize: int
    fit: Fit = "shortest"
    bicubic: bool = False
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def normalised(self, batch: Bytes) -> Floats:
        """Pictures (n, side, side, 3) in 0..255 as (n, 3, side, side), normalised."""
        scale = 1 / (255 * np.asarray(self.std, np.float32))
        shift = np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray((batch * scale - shift).transpose(0, 3, 1, 2), np.float32)


class Encoder(Protocol):
    """Turns pictures, and captions if it has a text side, into vectors of one space."""

    @property
    def preparation(self) -> Preparation:
        """How its input is made."""
        ...

    @property
    def has_text(self) -> bool:
        """Whether it encodes captions."""
        ...

    @property
    def identity(self) -> Mapping[str, str]:
        """What decides its answers: the specification, digest of the weights, device, precision."""
        ...

    def images(self, batch: Bytes) -> Floats:
        """Pictures (n, side, side, 3), RGB, 0..255, as vectors (n, d) of length 1."""
        ...

    def texts(self, captions: Sequence[str]) -> Floats:
        """Captions as vectors (n, d) of length 1. Only where `has_text`."""
        ...

    def patches(self, batch: Bytes) -> Floats:
        """Features of parts of pictures (n, side, side, 3): shape (n, rows, columns, d), of length 1."""
        ...


@dataclass(frozen=True, slots=True)
class Spec:
    """An encoder by name.

    Attributes:
        text: as written.
        kind: "onnx" or "openclip".
        model: name or configuration file of an open_clip model; empty for ONNX.
        weights: file or folder; RANDOM for an open_clip model that knows nothing.
    """

    text: str
    kind: Literal["onnx", "openclip"]
    model: str
    weights: str


RANDOM = "random"
"""Weights drawn at random with a fixed seed: for tests and for measuring speed."""


def unit(vectors: Floats) -> Floats:
    """Vectors along the last axis brought to length 1; those of length 0 stay 0."""
    vectors = np.asarray(vectors, np.float32)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)


def windows(batch: Bytes) -> Bytes:
    """Overlapping windows of pictures (n, s, s, 3): shape (n * WINDOWS**2, s, s, 3), row by row.

    Each is half as wide and high as the picture and enlarged by repeating pixels.
    """
    side = batch.shape[1]
    half = side // 2
    starts = np.linspace(0, side - half, WINDOWS).round().astype(int)
    index = np.minimum(np.arange(side) * half // side, half - 1)
    cut = [batch[:, y + index][:, :, x + index] for y in starts for x in starts]
    return np.stack(cut, axis=1).reshape(-1, side, side, 3)
