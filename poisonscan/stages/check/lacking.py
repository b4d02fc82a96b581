"""What a snapshot of an earlier version does not say, so that a check must do without; said once a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poisonscan.fingerprint.essence import is_outdated
from poisonscan.store.parts import read_part

if TYPE_CHECKING:
    from pathlib import Path

_OUTDATED = (
    "its digests of coded pictures are of an earlier version and are not believed: where bytes changed, "
    "pixels decide, and no row is `same_pixels`; take a new snapshot to have that again"
)


def lacks(part: Path) -> list[str]:
    """Sentences on what a snapshot lacks, from one part of it: a snapshot is taken by one version.

    Args:
        part: a Parquet file of its rows.
    """
    known = read_part(part, ["essence"])["essence"].drop_null().to_pylist()
    if not any(is_outdated(essence) for essence in known):
        return []
    return [_OUTDATED]
