"""From what is seen to a verdict on a row, a domain and a run."""

from __future__ import annotations

from dataclasses import dataclass

from poisonscan.config.model import Settings, setting

FAIL_ON = ("never", "swap", "suspicious", "unanswered")
"""Levels of `JudgeSettings.fail_on`, from the most lenient."""


@dataclass(frozen=True)
class CompareSettings(Settings):
    """Thresholds of the verdict ladder; docs/verdicts.md has the measurements behind them."""

    sure_misfit: float = setting(
        0.055,
        "misfit of the plain view below which no crop, mirror or frame is looked for",
        least=0,
        most=0.5,
    )
    same_misfit: float = setting(0.2, "misfit up to which it is the same picture", least=0, most=0.5)
    same_correlation: float = setting(
        0.85, "agreement of the grids from which it is the same picture whatever the misfit", least=0, most=1
    )
    # Of 5,881 innocent pairs that were fitted with the new picture at hand (360 photos x 33 edits) 99.8% stay
    # below 89, 46, 39 and 25 (luma), 23 and 15 (chroma) and 1.8 (exact texture). A score adds the two planes
    # up, and the remaining 0.2% reach far, so that each threshold stands at one and a half to two times that;
    # see docs/verdicts.md.
    luma_energy_1: float = setting(134.0, "energy of one luma cell of 32 from which it was edited", least=0)
    luma_energy_2: float = setting(82.0, "the same for squares of 2 cells", least=0)
    luma_energy_3: float = setting(58.0, "the same for squares of 3 cells", least=0)
    luma_energy_4: float = setting(37.0, "the same for squares of 4 cells", least=0)
    chroma_energy_1: float = setting(
        49.0, "energy of one chroma cell of 16 from which it was edited", least=0
    )
    chroma_energy_2: float = setting(25.0, "the same for squares of 2 cells", least=0)
    # Pictures that agree as they are. Of 1,629 innocent pairs (80 photos x 33 edits, those that are so close)
    # 99.8% stay below 178, 105 and 51 (luma), 260 and 172 (Cb, Cr); palettes of 256 colours come next, with
    # 280, 132, 52, 325 and 390. Stamps of 4% and 7% of the side reach a thousand and more.
    close_difference: float = setting(
        2.5, "grey levels within which four cells of five agree in pictures compared as they are", least=0
    )
    close_luma_energy_1: float = setting(
        256.0, "energy of one luma cell of 32 from which it was edited, in pictures that agree", least=0
    )
    close_luma_energy_2: float = setting(225.0, "the same for squares of 2 cells", least=0)
    close_luma_energy_3: float = setting(196.0, "the same for squares of 3 cells", least=0)
    close_chroma_energy: float = setting(400.0, "the same for one chroma cell of 16", least=0)
    close_global_energy: float = setting(
        0.165, "energy of the whole from which pictures are not compared as they are", least=0
    )
    texture_energy: float = setting(
        1.5, "energy of new texture in one cell from which it was edited", least=0
    )
    # Of 302 innocent pairs (30 pictures x 20 edits, those that are close) 99.5% stay below 38; most: 62.
    close_texture_energy: float = setting(
        50.0, "the same in pictures that agree as they are, over a noise fitted to each pair", least=0
    )
    exact_texture_energy: float = setting(
        2.7, "the same where the new picture was measured on the old one's cells", least=0
    )
    global_energy: float = setting(0.215, "energy of the whole from which a pattern lies over it", least=0)
    grain_energy: float = setting(4.0, "energy of fine noise from which it lies over the whole", least=0)
    # 23 photos x 16 edits: innocent ones reach 0.49; smooth noise of 8 levels leaves 0.52 to 0.7 in 3 of 4.
    veil_levels: float = setting(
        0.5,
        "grey levels by which quiet and busy places differ alike, from which noise lies over the whole",
        least=0,
    )
    # Above the working scale. Of 286 honest photos, drawings and screens the highest reach 5.8, 4.6, 3.3 and
    # 2.1 (energy), 60, 24, 17 and 1.4 (samplings); see docs/verdicts.md.
    fine_energy_1: float = setting(
        8.0,
        "energy within working pixels, over the next octave's, of one cell of 16 from which it was edited",
        least=0,
    )
    fine_energy_2: float = setting(6.5, "the same for squares of 2 cells", least=0)
    fine_energy_4: float = setting(4.7, "the same for squares of 4 cells", least=0)
    fine_energy_8: float = setting(3.0, "the same for a quarter of the picture", least=0)
    fine_energy_known: float = setting(
        1.5, "the same for one cell, beyond the old picture's where that is remembered", least=0
    )
    # Of 190 photos and web pictures in five forms the highest reach 0.81, 0.41 and 0.28, of 888 others
    # all but one 0.96, 0.60 and 0.52; see docs/verdicts.md.
    fine_colour_2: float = setting(
        1.6, "energy of fine colours, over that of luma beside them, of squares of 2 cells", least=0
    )
    fine_colour_4: float = setting(0.8, "the same for squares of 4 cells", least=0)
    fine_colour_8: float = setting(0.6, "the same for a quarter of the picture", least=0)
    sampled_energy_1: float = setting(
        90.0, "energy of one cell of 16 that only a sampling shows, from which it was edited", least=0
    )
    sampled_energy_2: float = setting(36.0, "the same for squares of 2 cells", least=0)
    sampled_energy_3: float = setting(25.0, "the same for squares of 3 cells", least=0)
    sampled_energy_all: float = setting(2.2, "the same for the whole picture", least=0)
    crop_area: float = setting(
        0.97, "share of the old picture's area below which the new one counts as cropped", least=0, most=1
    )
    # Of re-encoded, resized and toned photos (120 x 23 edits) 99.97% lie within 4 bits; so do 91% of those
    # with a patch of 7% of the side, and another photo made to fit, which is why none of them is clean.
    published_phash_bits: int = setting(
        4,
        "bits from a published pHash beyond which a picture is `changed`; within them nothing is known of it",
        least=0,
        most=64,
    )


@dataclass(frozen=True)
class JudgeSettings(Settings):
    """From verdicts on rows to a judgement on domains and on the run."""

    placeholder_urls: int = setting(
        4, "URLs of different pictures that must show one same new picture to call it a stand-in", least=2
    )
    # The stand-ins of six web shops and image hosts and single colours stay within 5 levels when re-encoded
    # and resized; of 80,000 pairs of photos the nearest two, one scene twice, are 11 levels apart.
    placeholder_plain_urls: int = setting(
        2, "the same for a plain picture: one colour, or lettering on one", least=2
    )
    placeholder_levels: float = setting(
        5.0, "grey levels (rms of the grids) within which two new pictures are one stand-in", least=0
    )
    placeholder_bits: int = setting(
        14, "bits of pHash within which they must agree too, unless they are plain", least=0, most=64
    )
    placeholder_looks: int = setting(
        50_000, "different new pictures that are searched for stand-ins, those of most URLs first", least=0
    )
    footprint_rows: int = setting(4, "rows that must bear one mark to call it a footprint", least=2)
    footprint_changes: int = setting(
        5_000, "edited or blended rows whose marks are compared, from all domains in turn", least=0
    )
    # Marks of 17 stamps and 4 blends on drawn pictures, see docs/footprints.md: 25 levels gather most of each
    # and none of 60 random ones; 32 levels begin to mix them.
    footprint_cells: float = setting(
        1.25, "cells of the grid (1/32 of a side) within which the edges of one mark agree", least=0
    )
    footprint_levels: float = setting(25.0, "grey levels (rms) within which one mark looks the same", least=0)
    footprint_sheet: float = setting(
        0.5, "correlation from which what was added to two whole pictures is one pattern", least=0, most=1
    )
    footprint_steps: float = setting(
        0.4, "correlation from which two patterns have the same tiles", least=0, most=1
    )
    watermark_share: float = setting(
        0.5,
        "share of a domain's pictures that must bear a mark in one place to call it the site's own",
        least=0,
        most=1,
    )
    swap_rows: int = setting(3, "replaced rows from which a domain may be suspected", least=1)
    swap_share: float = setting(
        0.3, "share of a domain's pictures that must be replaced to suspect it", least=0, most=1
    )
    owner_rows: int = setting(
        1, "changed rows from which a domain in new hands (docs/domains.md) is suspected", least=1
    )
    owner_share: float = setting(
        0.1, "share of its pictures that must have changed to suspect a domain in new hands", least=0, most=1
    )
    strict_baseline: bool = setting(
        False, "count rows for which only an md5 speaks (`weak_baseline`) among those without an answer"
    )
    max_lost: float = setting(
        0.5,
        "share of rows that may stay without an answer before a run counts as incomplete",
        least=0,
        most=1,
    )
    fail_on: str = setting(
        "suspicious",
        "what makes the exit code 1: never, swap, suspicious or unanswered (each with those before)",
        among=FAIL_ON,
    )


@dataclass(frozen=True)
class AuditSettings(Settings):
    """How sure a check of some rows must be (docs/auditing.md), and how many rows are seen from elsewhere."""

    confidence: float = setting(
        0.99,
        "probability with which a domain is noticed of which swap_share was swapped",
        least=0,
        most=0.999_999_999,
    )
    notice_rows: int = setting(1, "replaced rows that a sample of a domain must show to notice it", least=1)
    vantage_rows: int = setting(
        200, "rows asked for again from each vantage: half from doubtful domains, half from all", least=1
    )
