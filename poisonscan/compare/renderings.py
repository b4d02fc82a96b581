"""Two files that loaders may show differently: the worst verdict over what they show.

A trainer's loader drops transparency or lays it over a colour, cuts 16 bits off or shifts them. Who controls
a file can show each loader another picture, so each rendering of the new file is compared with the same one
of the old file. A file that all loaders agree on shows nothing that the old one did not, if it shows any of
its renderings: that is what an honest conversion to JPEG does. Nor does one
of which loaders show but the plain ground in other colours.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from poisonscan.compare.cutout import is_cut_out
from poisonscan.compare.pictures import compare_pictures
from poisonscan.fingerprint.variants import variants
from poisonscan.records import Group, Rendering

if TYPE_CHECKING:
    from poisonscan.config import CompareSettings
    from poisonscan.fingerprint.detail import Looks
    from poisonscan.records import Comparison, Fingerprint

SHOWN_BY = {
    Rendering.MAIN: "over white or with 16 bits shifted, as img2dataset shows it",
    Rendering.ALPHA_DROPPED: "as Pillow's convert('RGB') and torchvision show it, alpha dropped",
    Rendering.ON_ONE_COLOUR: "as Pillow's convert('RGB') and torchvision show it, alpha dropped",
    Rendering.OVER_BLACK: "over black, as OpenCV shows a transparent GIF or TIFF",
    Rendering.OVER_WHITE: "as loaders that take the transparent colour for alpha show it, over white",
    Rendering.CLIPPED: "as Pillow's convert('RGB') shows it, values above 255 cut off",
    Rendering.RANGED: "as loaders that scale by the range of values show it",
    Rendering.FIRST_FRAME: "as browsers show it, the first frame instead of the default image",
}
"""Which loaders show a rendering, in words."""

NOT_REMEMBERED = "its snapshot, of an earlier version, does not know what other loaders showed"
"""Words for a comparison in the main rendering alone."""

_GROUNDS = {Rendering.ALPHA_DROPPED: (Rendering.ON_ONE_COLOUR, Rendering.MAIN, Rendering.OVER_BLACK)}
"""What may stand in for a rendering of the old file: a ground of one colour for another."""

_PLAIN_GROUNDS = (Rendering.ON_ONE_COLOUR, Rendering.OVER_BLACK)
"""Renderings that, where they are clean, differ from the main one by a plain ground."""

_ALIKE = frozenset({"JPEG"})
"""Formats that have one rendering, so that a snapshot of an earlier version knows all of them."""

_OF_THE_NEW = frozenset({Rendering.ALPHA_DROPPED})
"""Asked about only where the new file has it: one that hides nothing shows nothing that was not seen."""


def compare_renderings(
    old: Fingerprint, new: Fingerprint, settings: CompareSettings, looks: Looks | None = None
) -> Comparison:
    """The verdict on a picture whose bytes changed, over all its renderings.

    Args:
        old: what is remembered of the picture as it was.
        new: what would be of the picture as it is.
        settings: the thresholds.
        looks: give the detail of the new renderings, where the picture is at hand.
    """
    if not old.renderings and not new.renderings:  # nearly all pictures
        return compare_pictures(old, new, settings, looks[Rendering.MAIN] if looks else None)
    pair = _Pair(variants(old), variants(new), settings, looks or {})
    if old.renderings is None and old.format not in _ALIKE:
        return pair.unknown()
    found = pair.worst() if new.renderings else pair.best()
    return dataclasses.replace(found, interpolated=pair.interpolated)


class _Pair:
    """The renderings of two files, and how they compare; no two grids are compared twice."""

    def __init__(
        self,
        old: dict[Rendering, Fingerprint],
        new: dict[Rendering, Fingerprint],
        settings: CompareSettings,
        looks: Looks,
    ) -> None:
        self._old = old
        self._new = new
        self._settings = settings
        self._looks = looks
        self._known: dict[tuple[Rendering, Rendering], Comparison] = {}

    @property
    def interpolated(self) -> bool:
        """Whether a look at the new picture itself may say more of any rendering that was compared."""
        return any(found.interpolated for found in self._known.values())

    def unknown(self) -> Comparison:
        """Of an old file whose other renderings were not remembered: only the main ones can be compared."""
        main = self._compared(Rendering.MAIN, Rendering.MAIN)
        reason = f"{main.reason}; {NOT_REMEMBERED}"
        return main if _suspicious(main) else dataclasses.replace(main, reason=reason)

    def best(self) -> Comparison:
        """Of a new file that shows one picture: it may be any of the old renderings."""
        main = self._compared(Rendering.MAIN, Rendering.MAIN)
        for then in self._old if _suspicious(main) else ():
            found = self._compared(then, Rendering.MAIN)
            if not _suspicious(found):
                reason = f"{found.reason}: what the old file was {SHOWN_BY[then]}"
                return dataclasses.replace(found, reason=reason)
        return main

    def worst(self) -> Comparison:
        """Of a new file that shows several: each as the old file's was."""
        names = (set(self._old) - _OF_THE_NEW | set(self._new)) - {Rendering.ON_ONE_COLOUR}
        found = {name: self._as_then(name) for name in Rendering if name in names}
        name = max(found, key=lambda name: _severity(found[name]))
        if name is Rendering.MAIN:
            return self._on_other_grounds(found[name])
        reason = f"{SHOWN_BY[name]}: {found[name].reason}"
        distance = found[Rendering.MAIN].phash_distance
        return dataclasses.replace(found[name], reason=reason, rendering=name, phash_distance=distance)

    def _as_then(self, name: Rendering) -> Comparison:
        own = self._compared(name, name)
        for ground in _GROUNDS.get(name, ()) if _suspicious(own) else ():
            found = self._compared(ground, name)
            if not _suspicious(found):
                return found
        if name is Rendering.OVER_BLACK and _suspicious(own) and self._became_cut_out():
            return self._compared(Rendering.MAIN, Rendering.MAIN)
        return own

    def _became_cut_out(self) -> bool:
        """Whether what loaders agreed on is now shown by them on plain grounds of their own."""
        black = self._new.get(Rendering.OVER_BLACK)
        if black is None or Rendering.OVER_BLACK in self._old or Rendering.ALPHA_DROPPED in self._new:
            return False
        return is_cut_out(self._new[Rendering.MAIN], black)

    def _on_other_grounds(self, main: Comparison) -> Comparison:
        """The main comparison; its reason says which loaders show the same on a ground of another colour."""
        lacked = [name for name in _PLAIN_GROUNDS if name in self._new and name not in self._old]
        if not lacked or _suspicious(main):
            return main
        loaders = ", and ".join(SHOWN_BY[name] for name in lacked)
        return dataclasses.replace(main, reason=f"{main.reason}; on another plain ground {loaders}")

    def _compared(self, then: Rendering, now: Rendering) -> Comparison:
        """The comparison of two renderings; a file that lacks one shows its main one there."""
        then = then if then in self._old else Rendering.MAIN
        now = now if now in self._new else Rendering.MAIN
        if (then, now) not in self._known:
            look = self._looks.get(now)
            self._known[then, now] = compare_pictures(self._old[then], self._new[now], self._settings, look)
        return self._known[then, now]


def _suspicious(found: Comparison) -> bool:
    return found.verdict.group is Group.SUSPICIOUS


def _severity(found: Comparison) -> tuple[bool, float]:
    return _suspicious(found), found.score
