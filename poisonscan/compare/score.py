"""Two numbers read off the residuals: does a region stand out, and is the whole picture disturbed?

Both are in units of their thresholds: 1 is where a picture begins to be suspicious.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from poisonscan.compare import texture
from poisonscan.compare.geometry import Window
from poisonscan.compare.residual import chroma_planes, luma_plane

if TYPE_CHECKING:
    from poisonscan.compare.align import Alignment
    from poisonscan.compare.geometry import Array
    from poisonscan.compare.residual import Plane
    from poisonscan.compare.texture import Common
    from poisonscan.config import CompareSettings
    from poisonscan.fingerprint.grids import Grids

GLOBAL_SIDE = 4  # cells: patterns of the known blend attacks repeat every 5 to 8 cells
_GLOBAL_SLOPE, _GLOBAL_FLOOR = 0.1, 1.0
_MOVED = 1.5  # of the threshold: cells laid over other cells disturb the whole
_GLOBAL_MOST = 25.0  # a single square's say: 5 standard deviations


@dataclass(frozen=True, slots=True)
class Peak:
    """A region that stands out.

    Attributes:
        score: energy over its threshold, of the strongest square in it.
        place: the rectangle around it on the coarse grid, in fractions.
    """

    score: float
    place: Window


@dataclass(frozen=True, slots=True)
class Scores:
    """What the residuals of one alignment say.

    Attributes:
        local: energy of the strongest square over its threshold.
        overall: disturbance of the whole picture over its threshold.
        peaks: connected regions above their threshold, strongest first.
    """

    local: float
    overall: float
    peaks: tuple[Peak, ...]


def scores(fit: Alignment, coarse: Grids, fine: Grids, settings: CompareSettings, *, framed: bool) -> Scores:
    """Score the residuals of an alignment.

    Args:
        fit: the alignment.
        coarse: grids of the picture whose cells are compared.
        fine: grids of the other.
        settings: the thresholds.
        framed: whether `coarse` is the new picture. Noise goes by the old one's texture, which whoever
            stamps the new one cannot raise.
    """
    luma = luma_plane(fit, coarse, texture.of_old(fit, coarse, fine, framed=framed))
    # Energies of independent planes add up, as chi-squared ones do.
    heat = _luma_heat(fit, luma, coarse, settings) + _chroma_heat(fit, coarse, fine, luma.clipping, settings)
    least = settings.global_energy * (_MOVED if framed or texture.moved(fit.window) else 1.0)
    overall = disturbance(*luma.means(min(GLOBAL_SIDE, *luma.difference.shape))) / least
    if not framed:  # of a framed picture, too few cells are left to tell its flattest from its busiest by
        common = texture.in_common(fit, coarse, fine)
        overall = max(overall, texture.grain(common) / settings.grain_energy)
        heat = with_texture(heat, common, settings)
    return Scores(float(heat.max()), overall, peaks_of(heat))


def peaks_of(heat: Array) -> tuple[Peak, ...]:
    """The connected regions of cells at 1 and above."""
    if heat.max() < 1:
        return ()
    regions, n_regions = scipy.ndimage.label(heat >= 1, structure=np.ones((3, 3)))
    side = heat.shape[0]
    peaks = [
        Peak(
            float(heat[at][regions[at] == number].max()),
            Window(at[1].start / side, at[0].start / side, at[1].stop / side, at[0].stop / side),
        )
        for number, at in zip(range(1, n_regions + 1), scipy.ndimage.find_objects(regions), strict=True)
    ]
    return tuple(sorted(peaks, key=lambda peak: -peak.score))


def _luma_heat(fit: Alignment, luma: Plane, coarse: Grids, settings: CompareSettings) -> Array:
    """(32, 32): for each cell the highest score of any square it lies in."""
    heat = np.zeros_like(coarse.luma)
    for size, threshold in enumerate(_luma_thresholds(settings), start=1):
        spread(luma.energy(size) / threshold, size, heat[fit.rows, fit.columns])
    return heat


def _chroma_heat(
    fit: Alignment, coarse: Grids, fine: Grids, clipping: Array, settings: CompareSettings
) -> Array:
    """The same from the chroma planes, each luma cell with the score of the chroma cell under its centre."""
    (vertical, horizontal), planes = chroma_planes(fit, coarse, fine, clipping)
    heat = np.zeros_like(coarse.chroma[0])
    inside = heat[vertical.first : vertical.last, horizontal.first : horizontal.last]
    for plane in planes:
        for size, threshold in enumerate(_chroma_thresholds(settings), start=1):
            spread(plane.energy(size) / threshold, size, inside)
    side = coarse.luma.shape[0]
    under = (2 * np.arange(side) + 1) * heat.shape[0] // (2 * side)
    whole: Array = heat[under[:, None], under]
    return whole


def with_texture(heat: Array, common: Common, settings: CompareSettings) -> Array:
    """(32, 32): the higher of the heat and the score of the new texture in each cell.

    The heat alone where it says enough: cells of texture are twice as wide and would blur what it shows.
    """
    if heat.max() >= 1:
        return heat
    found = heat.copy()
    cells = found[common.rows, common.columns]
    np.maximum(cells, texture.excess(common) / settings.texture_energy, out=cells)
    return found


def _chroma_thresholds(settings: CompareSettings) -> tuple[float, ...]:
    return settings.chroma_energy_1, settings.chroma_energy_2


def spread(scored: Array, size: int, heat: Array) -> None:
    """Raise each cell of `heat` to the best score (0 or more) of the squares of `size` cells over it."""
    height, width = scored.shape
    columns = np.zeros((height + size - 1, width))
    for down in range(size):
        cells = columns[down : down + height]
        np.maximum(cells, scored, out=cells)
    for right in range(size):
        cells = heat[: height + size - 1, right : right + width]
        np.maximum(cells, columns, out=cells)


def _luma_thresholds(settings: CompareSettings) -> tuple[float, ...]:
    return settings.luma_energy_1, settings.luma_energy_2, settings.luma_energy_3, settings.luma_energy_4


def disturbance(difference: Array, active: Array, clipped: Array) -> float:
    """Mean energy of the smoothed residual under a noise that is not fitted.

    What re-encoding leaves changes sign from cell to cell and averages out; a pattern laid over the
    picture does not, and a fitted noise would take it for noise.

    Args:
        difference: of a plane, averaged over squares of GLOBAL_SIDE cells, grey levels.
        active: its activity, likewise.
        clipped: its clipping, likewise.
    """
    noise = _GLOBAL_FLOOR + (_GLOBAL_SLOPE * active) ** 2 + clipped**2
    return float(np.minimum(difference**2 / noise, _GLOBAL_MOST).mean())
