"""What a snapshot of an earlier version does not say, so that a check must do without; said once a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poisonscan.fingerprint.essence import is_outdated

if TYPE_CHECKING:
    from collections.abc import Iterable

_OUTDATED = (
    "its digests of coded pictures are of an earlier version and are not believed: where bytes changed, "
    "pixels decide, and no row is `same_pixels`; take a new snapshot to have that again"
)

_ONE_RENDERING = (
    "it is of an earlier version and remembers each picture as one loader shows it: what is hidden beneath "
    "transparency or in deep grey cannot be compared; take a new snapshot to have that"
)


def lacks(essences: Iterable[str | None], columns: Iterable[str]) -> list[str]:
    """Sentences on what a snapshot lacks. Pure.

    Args:
        essences: of some of its rows, None where there is none; a snapshot is taken by one version.
        columns: that its parts have.
    """
    outdated = any(known and is_outdated(known) for known in essences)
    return [_OUTDATED] * outdated + [_ONE_RENDERING] * ("renderings" not in columns)
