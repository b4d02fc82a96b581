"""Working pixels outside of memory: one file a shard, a picture at the place of its row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.format import open_memmap

from poisonscan.errors import StorageError
from poisonscan.files import storage
from poisonscan.hunt.model import SIDE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes

PIXELS = "work/pixels"


def pixels_path(folder: Path, index: int) -> Path:
    """The file of a shard."""
    return folder / PIXELS / f"{index:05d}.npy"


def places_of(rows: Collection[int]) -> dict[int, int]:
    """The place of each row of a shard in its file of pixels.

    Row numbers of a shard need not follow each other: a snapshot keeps the rows of one URL in one shard.
    """
    return {row: place for place, row in enumerate(sorted(rows))}


@dataclass(frozen=True)
class Squares:
    """The file of a shard while it is being filled.

    Attributes:
        path: of the file.
        pixels: what is in it, shape (rows, SIDE, SIDE, 3); black where nothing is yet.
        places: see `places_of`.
    """

    path: Path
    pixels: np.memmap[Any, np.dtype[np.uint8]]
    places: Mapping[int, int]

    def put(self, row: int, square: Bytes) -> None:
        """Put the pixels of a row at their place."""
        self.pixels[self.places[row]] = square

    def sync(self) -> None:
        """Wait until all pixels are on the disk.

        Raises:
            StorageError: the disk did not take them.
        """
        with storage(self.path):
            self.pixels.flush()


def open_squares(folder: Path, index: int, rows: Collection[int], *, begun: bool) -> Squares:
    """Open the file of a shard, or begin it.

    Args:
        folder: the run folder.
        index: the shard.
        rows: the numbers of all its rows.
        begun: whether some of its rows are done, whose pixels must be there.

    Raises:
        StorageError: the file cannot be written, or pixels that must be there are not.
    """
    path, shape = pixels_path(folder, index), (len(rows), SIDE, SIDE, 3)
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        found = _opened(path, shape)
        if found is None:
            if begun:  # black pictures would pass for what was seen
                raise StorageError(f"{path} is missing or damaged; start the hunt again with another --out")
            found = open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    return Squares(path, found, places_of(rows))


def _opened(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]] | None:
    """What an earlier attempt left, if it is whole."""
    try:
        found = open_memmap(path, mode="r+")
    except (FileNotFoundError, ValueError, EOFError):
        return None  # or killed before the header was written whole
    return found if found.shape == shape and found.dtype == np.uint8 else None


@dataclass(frozen=True)
class ShardedPixels:
    """The `Pixels` of a corpus whose rows are some of the rows of all shards.

    Attributes:
        folder: the run folder.
        places: for each row of the corpus its shard and its place there, shape (n, 2).
    """

    folder: Path
    places: NDArray[np.int64]

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.places)

    def read(self, rows: Sequence[int] | NDArray[np.int64]) -> Bytes:
        """Pictures by row number, shape (len(rows), SIDE, SIDE, 3), RGB, 0..255.

        Raises:
            StorageError: a shard's file is gone or damaged.
        """
        places = self.places[np.asarray(rows, np.int64)]
        pictures = np.empty((len(places), SIDE, SIDE, 3), np.uint8)
        for shard in np.unique(places[:, 0]):
            mine = places[:, 0] == shard
            pictures[mine] = self._shards[int(shard)][places[mine, 1]]
        return pictures

    @cached_property
    def _shards(self) -> dict[int, Bytes]:
        numbers = [int(number) for number in np.unique(self.places[:, 0])]
        return {number: _mapped(pixels_path(self.folder, number)) for number in numbers}


def _mapped(path: Path) -> Bytes:
    try:
        return open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} is missing or damaged; start the hunt again with another --out"
        ) from error
