from __future__ import annotations

from typing import TYPE_CHECKING

from poisonscan.fingerprint.grids import Grids, grids_from, means_of, pack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def grids_of(pixels: NDArray[np.uint8], extent: tuple[float, float] | None = None) -> Grids:
    """The grids of one RGB picture (height, width, 3)."""
    return grids_from(means_of(pixels, extent))


def stored(pixels: NDArray[np.uint8]) -> tuple[bytes, bytes, bytes]:
    """Luma, chroma and texture of one RGB picture as a fingerprint holds them."""
    luma, chroma, texture = pack(grids_of(pixels))
    return luma.tobytes(), chroma.tobytes(), texture.tobytes()
