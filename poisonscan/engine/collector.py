"""Python's search for reference cycles, made rarer in worker processes."""

from __future__ import annotations

import gc

_YOUNG = 100_000
"""Objects made before the youngest are searched; Python's own 700 costs a tenth of a worker's time, since
each answer of the web makes some hundred that soon go by themselves, and no picture lies in a cycle."""
_MIDDLE, _OLD = 5, 20


def relax_gc() -> None:
    """Leave what is loaded already out of the search for cycles, and search the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
