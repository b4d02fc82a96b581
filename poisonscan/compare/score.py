"""Two numbers read off the residuals: does a region stand out, and is the whole picture disturbed?

Both are in units of their thresholds: 1 is where a picture begins to be suspicious.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from poisonscan.compare.geometry import Window
from poisonscan.compare.order import median
from poisonscan.compare.residual import chroma_planes, luma_plane, textures

if TYPE_CHECKING:
    from poisonscan.compare.align import Alignment
    from poisonscan.compare.geometry import Array
    from poisonscan.compare.residual import Plane
    from poisonscan.config import CompareSettings
    from poisonscan.fingerprint.grids import Grids

GLOBAL_SIDE = 4  # cells: patterns of the known blend attacks repeat every 5 to 8 cells
_GLOBAL_SLOPE, _GLOBAL_FLOOR = 0.1, 0.5
_GLOBAL_MOST = 25.0  # a single square's say: 5 standard deviations
_GRAIN_FLOOR, _GRAIN_SHARE = 5.0, 0.5  # squared grey levels that JPEG adds, and share of the old texture's
_GRAIN_GAIN = 4.0  # sharpening at most doubles texture


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
    ours, theirs = textures(fit, coarse, fine)
    old, new = (theirs, ours) if framed else (ours, theirs)
    luma = luma_plane(fit, coarse, old)
    # Energies of independent planes add up, as chi-squared ones do.
    heat = _luma_heat(fit, luma, coarse, settings) + _chroma_heat(fit, coarse, fine, luma.clipping, settings)
    overall = disturbance(*luma.means(min(GLOBAL_SIDE, *luma.difference.shape))) / settings.global_energy
    if not framed:  # of a framed picture, too few cells are left to tell its flattest from its busiest by
        overall = max(overall, grain(old, new) / settings.grain_energy)
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
    vertical, horizontal, planes = chroma_planes(fit, coarse, fine, clipping)
    heat = np.zeros_like(coarse.chroma[0])
    inside = heat[vertical.first : vertical.last, horizontal.first : horizontal.last]
    for plane in planes:
        for size, threshold in enumerate(_chroma_thresholds(settings), start=1):
            spread(plane.energy(size) / threshold, size, inside)
    side = coarse.luma.shape[0]
    under = (2 * np.arange(side) + 1) * heat.shape[0] // (2 * side)
    whole: Array = heat[under[:, None], under]
    return whole


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


def grain(old: Array, new: Array) -> float:
    """Energy of fine noise laid over the new picture, in units of what is uncertain about it.

    Sharpening, softening and toning scale texture; noise adds to its square. So the squared texture of
    the new picture is laid over that of the old one by a line through two points, medians of the
    flattest quarter and of the busier half; what is left where there was no texture is noise.

    Args:
        old: (rows, columns) texture of the old picture, grey levels.
        new: the same of the new one.
    """
    before, after = old.ravel() ** 2, new.ravel() ** 2
    order = before.argsort()
    flat, busy = order[: len(order) // 4], order[len(order) // 2 :]
    flat_before, flat_after = median(before[flat]), median(after[flat])
    rise = (median(after[busy]) - flat_after) / max(median(before[busy]) - flat_before, 1e-3)
    added = flat_after - np.clip(rise, 0, _GRAIN_GAIN) * flat_before
    return float(added / (_GRAIN_FLOOR + _GRAIN_SHARE * flat_before))
