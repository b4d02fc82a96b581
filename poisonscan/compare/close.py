"""Two pictures that agree as they are: re-encoded or resized at most, so that nothing need be fitted.

Without a crop or a tone curve between them, what differs is what the codec and the grids' rounding left. That
is little, and the same wherever the picture is as busy, so a stamp of 4% of the side stands out that a fit
would have to allow for. And it takes a tenth of the time of a fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poisonscan.compare.cells import mean, means, on_luma_cells
from poisonscan.compare.order import median, quantile
from poisonscan.compare.residual import activity_of
from poisonscan.compare.score import GLOBAL_SIDE, Scores, disturbance, heat_of, peaks_of, with_texture
from poisonscan.compare.texture import as_they_lie, grain, surplus

if TYPE_CHECKING:
    from poisonscan.compare.geometry import Array
    from poisonscan.compare.texture import Common
    from poisonscan.config import CompareSettings
    from poisonscan.fingerprint.grids import Grids

_MOST = 0.8  # the share of cells that must agree
_COMPACT = 0.92  # the share that must, for what stands out to be a stamp and no object that moved
_COLOURED = 8.0  # grey levels from which a chroma cell has a colour
_LEAST_COLOURED = 8  # such cells, to tell from them whether colours are as strong as they were
_STAINED = 6.0  # grey levels by which most cells' chroma may differ: JPEG at quality 30 moves it by 3
_RECOLOURED = 0.1  # by how much their saturation may differ
_QUANTILE, _NORMAL = 0.9, 1.645  # the share of cells that sets the noise, and its place on a normal
_CLEARLY = 1.5  # local score that is no accident of a pattern over the whole
_FLOOR = 0.45  # grey levels: two grids rounded to bytes differ by 0.41 rms


def close_scores(old: Grids, new: Grids, settings: CompareSettings) -> Scores | None:
    """The scores of two pictures laid over each other as they are; None if they differ too much for that.

    A stamp that covers a good part of the picture disturbs the whole as a pattern does. What stands out
    clearly is called a stamp here; where only the whole is disturbed, the fit has to say whether tone
    explains it, and where too many cells stand out for a stamp, whether an object has moved.
    """
    luma = new.luma - old.luma
    away = np.abs(luma)
    if quantile(away, _MOST) > settings.close_difference or _recoloured(old.chroma, new.chroma):
        return None
    colours = new.chroma - old.chroma
    if quantile(np.abs(colours), _MOST) > _STAINED:
        return None
    heat = _luma_heat(luma, activity_of(old), settings)
    np.maximum(heat, on_luma_cells(_chroma_heat(colours, settings)), out=heat)
    common = as_they_lie(old, new)
    if heat.max() >= 1 and quantile(away, _COMPACT) > settings.close_difference:
        return None
    overall = _overall(luma, common, settings)
    if overall >= 1:
        local = float(heat.max())
        return Scores(local, 0.0, 0.0, peaks_of(heat)) if local >= _CLEARLY else None
    heat = with_texture(heat, common, settings.texture_energy)
    if heat.max() < 1:
        np.maximum(heat, on_luma_cells(surplus(common) / settings.close_texture_energy), out=heat)
    return Scores(float(heat.max()), overall, overall, peaks_of(heat))


def _recoloured(old: Array, new: Array) -> bool:
    """Whether colours are stronger or weaker than they were, in most of the cells that have any."""
    coloured = np.abs(old) >= _COLOURED
    if np.count_nonzero(coloured) < _LEAST_COLOURED:
        return False
    return abs(median(new[coloured] / old[coloured]) - 1) > _RECOLOURED


def _overall(luma: Array, common: Common, settings: CompareSettings) -> float:
    energy = disturbance(means(luma, GLOBAL_SIDE), active=0.0, clipped=0.0)
    pattern = mean(energy) / settings.close_global_energy
    return max(pattern, grain(common) / settings.grain_energy)


def _luma_heat(difference: Array, active: Array, settings: CompareSettings) -> Array:
    """(32, 32): for each cell the highest score of a square it lies in."""
    limits = settings.close_luma_energy_1, settings.close_luma_energy_2, settings.close_luma_energy_3
    both = np.stack([difference, active])
    scored = []
    for side, limit in enumerate(limits, start=1):
        average, busy = means(both, side)
        scored.append(average * average / (limit * _variance(np.abs(average), busy, side)))
    return heat_of(scored)


def _chroma_heat(difference: Array, settings: CompareSettings) -> Array:
    """(16, 16): the higher of both planes' scores of each cell."""
    sizes = np.abs(difference)
    noise = [max(quantile(size, _QUANTILE) / _NORMAL, _FLOOR) for size in sizes]
    highest: Array = (sizes / np.reshape(noise, (-1, 1, 1))).max(axis=0)
    return highest * highest / settings.close_chroma_energy


def _variance(size: Array, busy: Array, side: int) -> Array:
    """Of every square's noise: a level, fitted where the picture is quiet, and a share of its activity."""
    quiet = busy.ravel() <= quantile(busy, 0.5)
    level = max(quantile(size.compress(quiet), _QUANTILE) / _NORMAL, _FLOOR / side)
    loud = ~quiet
    share = size.compress(loud) / np.maximum(busy.compress(loud), 1)
    slope = quantile(share, _QUANTILE) / _NORMAL if share.size else 0.0
    variance: Array = level**2 + slope**2 * (busy * busy)
    return variance
