"""What one explorer holds while somebody looks: tables, pictures, the map, and what was chosen on it."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from poisonscan.errors import UsageError
from poisonscan.explorer.plane import plane_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from poisonscan.explorer.catalogue import Catalogue
    from poisonscan.explorer.filters import Filter
    from poisonscan.explorer.guard import Pass
    from poisonscan.explorer.pictures import Gallery
    from poisonscan.explorer.plane import Plane

MAX_SELECTIONS = 32


@dataclass
class Explorer:
    """Everything that the pages need of one run.

    Attributes:
        catalogue: questions to its tables.
        gallery: its pictures.
        entry: who may come in.
        title: name of the run.
        recipes: useful queries for the SQL page, with their titles.
        snapshot: where the run's snapshot lies, if it was moved.
    """

    catalogue: Catalogue
    gallery: Gallery
    entry: Pass
    title: str
    recipes: tuple[tuple[str, str], ...] = ()
    snapshot: Path | None = None
    _plane: Plane | None = None
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _sizes: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plane(self) -> Plane:
        """The map, made when it is first asked for."""
        with self._lock:
            if self._plane is None:
                self._plane = plane_of(self.catalogue.views)
            return self._plane

    def select(self, polygon: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[int, int]:
        """Remember the rows inside a polygon on the map: number of the selection and how many rows."""
        rows = self.plane().inside(polygon)
        with self._lock:
            number = next(self._numbers)
            self.catalogue.views.remember(f"selection_{number}", pa.table({"row": rows}))
            self._sizes[number] = len(rows)
            for old in list(self._sizes)[:-MAX_SELECTIONS]:
                self.catalogue.views.remember(f"selection_{old}", pa.table({"row": rows[:0]}))
                self._sizes[old] = -1
        return number, len(rows)

    def check(self, filtered: Filter) -> Filter:
        """The filter, if what it names is there.

        Raises:
            UsageError: its selection is unknown, e.g. of an earlier start, or forgotten.
        """
        if filtered.selection is not None and self._sizes.get(filtered.selection, -1) < 0:
            raise UsageError("that selection is forgotten; draw it on the map again")
        if filtered.finding or filtered.kind:
            self.catalogue.views.require("findings", "members")
        return filtered
