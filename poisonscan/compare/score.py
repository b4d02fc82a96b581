"""Two numbers read off the residuals: does a region stand out, and is the whole picture disturbed?

Both are in units of their thresholds: 1 is where a picture begins to be suspicious.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from poisonscan.compare import texture
from poisonscan.compare.cells import mean, means, on_luma_cells
from poisonscan.compare.geometry import Window
from poisonscan.compare.noise import veil
from poisonscan.compare.residual import chroma_planes, luma_plane
from poisonscan.records import CHROMA_SIDE, LUMA_SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from poisonscan.compare.align import Alignment
    from poisonscan.compare.geometry import Array
    from poisonscan.compare.noise import Plane
    from poisonscan.compare.reading import Reading
    from poisonscan.compare.texture import Common
    from poisonscan.compare.toning import Colours, Toning
    from poisonscan.config import CompareSettings

GLOBAL_SIDE = 4  # cells: patterns of the known blend attacks repeat every 5 to 8 cells
_GLOBAL_SLOPE, _GLOBAL_FLOOR = 0.1, 1.0
_SOFTENED, _SOFT = 0.8, 6.0  # gain below which a picture was softened: 0.81 is a blend of a tenth
_MOVED = 1.5  # of the threshold: cells laid over other cells disturb the whole
_CALM = 0.25  # share of squares without a peak from which these speak for the whole
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
        elsewhere: the same of what lies outside the peaks; a large stamp disturbs the whole, but not that.
        peaks: connected regions above their threshold, strongest first.
    """

    local: float
    overall: float
    elsewhere: float
    peaks: tuple[Peak, ...]

    @property
    def innocent(self) -> bool:
        """Whether nothing stands out."""
        return max(self.local, self.overall) < 1

    @property
    def everywhere(self) -> bool:
        """Whether a pattern lies over the whole picture, rather than a change in some places."""
        return min(self.overall, self.elsewhere) >= 1 and self.overall >= self.local


def scores(reading: Reading, toning: Toning, settings: CompareSettings, *, toned: bool = False) -> Scores:
    """Score the residuals of a reading.

    Args:
        reading: how the pictures lie.
        toning: what became of the colours.
        settings: the thresholds.
        toned: whether the picture is toned for certain, so that what its model misses is no pattern.
    """
    fit, coarse, fine, framed = reading.fit, reading.coarse, reading.fine, reading.framed
    # Of a framed picture, too few cells are left to tell its flattest from its busiest by.
    common = None if framed else texture.in_common(fit, coarse, fine)
    gain = texture.gain(common) if common and reading.exact else 1.0
    # Noise goes by the old picture's texture, which whoever stamps the new one cannot raise.
    luma = luma_plane(reading, toning, texture.of_old(fit, coarse, fine, framed=framed), gain)
    chroma = chroma_planes(reading, toning, luma.clipping, gain)
    # Energies of independent planes add up, as chi-squared ones do.
    heat = _luma_heat(fit, luma, settings) + _chroma_heat(toning.colours, chroma, settings)
    least = settings.global_energy * (_MOVED if framed or texture.moved(fit.window) else 1.0)
    side = min(GLOBAL_SIDE, *luma.difference.shape)
    energy = disturbance(*luma.means(side, toned=toned), gain) / least
    if mean(energy) >= 1:
        levels = reading.coarse.luma[fit.rows, fit.columns]
        energy = disturbance(*luma.less_steps(levels).means(side, toned=toned), gain) / least
    grain = 0.0
    if common:
        grain = texture.grain(common) / settings.grain_energy
        if not toned and not texture.moved(fit.window):
            grain = max(grain, veil(luma) / settings.veil_levels)
        heat = with_texture(heat, common, _texture_threshold(reading, settings))
    overall = max(mean(energy), grain)
    elsewhere = max(_outside(energy, heat[fit.rows, fit.columns] >= 1, side), grain)
    return Scores(float(heat.max()), overall, elsewhere, peaks_of(heat))


def _texture_threshold(reading: Reading, settings: CompareSettings) -> float:
    return settings.exact_texture_energy if reading.exact else settings.texture_energy


def _outside(energy: Array, hot: NDArray[np.bool_], side: int) -> float:
    """Mean energy of the squares that no hot cell lies in; of all where those are most of the picture."""
    calm = means(hot.astype(np.float64), side) == 0
    return mean(energy[calm] if mean(calm) >= _CALM else energy)


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


def _luma_heat(fit: Alignment, luma: Plane, settings: CompareSettings) -> Array:
    """(32, 32): for each cell the highest score of any square it lies in."""
    heat = np.zeros((LUMA_SIDE, LUMA_SIDE))
    heat[fit.rows, fit.columns] = _plane_heat(luma, _luma_thresholds(settings))
    return heat


def _chroma_heat(colours: Colours, planes: list[Plane], settings: CompareSettings) -> Array:
    """The same from the chroma planes, each luma cell with the score of the chroma cell under its centre."""
    heat = np.zeros((CHROMA_SIDE, CHROMA_SIDE))
    heat[colours.cells] = np.maximum(*(_plane_heat(plane, _chroma_thresholds(settings)) for plane in planes))
    return on_luma_cells(heat)


def _plane_heat(plane: Plane, thresholds: Sequence[float]) -> Array:
    return heat_of([plane.energy(size) / threshold for size, threshold in enumerate(thresholds, start=1)])


def with_texture(heat: Array, common: Common, threshold: float) -> Array:
    """(32, 32): the higher of the heat and the score of the new texture in each cell.

    The heat alone where it says enough: cells of texture are twice as wide and would blur what it shows.
    """
    if heat.max() >= 1:
        return heat
    higher: Array = np.maximum(heat, common.on_luma_cells(texture.excess(common) / threshold))
    return higher


def _chroma_thresholds(settings: CompareSettings) -> tuple[float, ...]:
    return settings.chroma_energy_1, settings.chroma_energy_2


def heat_of(scored: Sequence[Array]) -> Array:
    """(rows, columns): for each cell the highest score of any square that it lies in.

    Args:
        scored: of every square of 1, 2, 3, ... cells, by its upper left cell; 0 or more.
    """
    *smaller, heat = scored
    for squares in reversed(smaller):
        # What all squares of n cells reach is what those of n - 1 cells reach, moved by none or one.
        heat = np.maximum(squares, _widened(heat))
    return heat


def _widened(scored: Array) -> Array:
    """(rows + 1, columns + 1): the highest of the up to four that lie beside each crossing."""
    height, width = scored.shape
    rows = np.zeros((height + 1, width))
    rows[:-1] = scored
    np.maximum(rows[1:], scored, out=rows[1:])
    widened = np.zeros((height + 1, width + 1))
    widened[:, :-1] = rows
    np.maximum(widened[:, 1:], rows, out=widened[:, 1:])
    return widened


def _luma_thresholds(settings: CompareSettings) -> tuple[float, ...]:
    return settings.luma_energy_1, settings.luma_energy_2, settings.luma_energy_3, settings.luma_energy_4


def disturbance(difference: Array, active: Array | float, clipped: Array | float, gain: float = 1.0) -> Array:
    """Energy of the smoothed residual in each square, under a noise that is not fitted.

    What re-encoding leaves changes sign from cell to cell and averages out; a pattern laid over the
    picture does not, and a fitted noise would take it for noise.

    Args:
        difference: of a plane, averaged over squares of GLOBAL_SIDE cells, grey levels.
        active: its activity, likewise.
        clipped: its clipping, likewise.
        gain: by how much squared texture was scaled: what sharpening leaves grows as texture does, and what a
            median leaves as it goes.
    """
    edges = max(gain, 1.0 + _SOFT * max(_SOFTENED - gain, 0.0))
    noise = _GLOBAL_FLOOR + edges * (_GLOBAL_SLOPE * active) ** 2 + clipped**2
    energy: Array = np.minimum(difference**2 / noise, _GLOBAL_MOST)
    return energy
