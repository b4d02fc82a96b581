"""What was embedded, as detectors want it: one corpus of the rows that could be looked at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poisonscan.hunt.model import Corpus
from poisonscan.stages.embed.squares import PIXELS, ShardedPixels, places_of
from poisonscan.stages.embed.task import VECTORS
from poisonscan.store import schema
from poisonscan.store.parts import read_part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from poisonscan.hunt.model import Floats

_TEXT = ("row", "key", "url", "domain", "caption", "label", "state", "reason")


@dataclass(frozen=True)
class Loaded:
    """A corpus and how its rows are called outside.

    Attributes:
        corpus: the rows that were decoded.
        rows: their row numbers in the source, shape (n,).
        keys: their keys, as written; not necessarily unique.
        unseen: the columns of UNSEEN for all other rows.
    """

    corpus: Corpus
    rows: NDArray[np.int64]
    keys: list[str]
    unseen: pa.Table


def load(embedding: Path, pixels: Path | None) -> Loaded:
    """Read all parts of a folder that was embedded into.

    Args:
        embedding: holds `vectors/`.
        pixels: the run folder whose `work/` holds working pixels; None where there are none.

    Raises:
        SnapshotInvalidError: a part is damaged.
    """
    parts = sorted((embedding / VECTORS).glob("[0-9]*.parquet"))
    tables = [read_part(part) for part in parts]
    seen = [pc.equal(table["state"], schema.DECODED) for table in tables]
    decoded = [table.filter(mask) for table, mask in zip(tables, seen, strict=True)]
    unseen = pa.concat_tables(
        [
            table.filter(pc.invert(mask)).select(schema.UNSEEN.names)
            for table, mask in zip(tables, seen, strict=True)
        ]
    )
    text = pa.concat_tables([table.select(_TEXT) for table in decoded]).to_pydict()
    places = _places([int(part.stem) for part in parts], tables, decoded)
    corpus = Corpus(
        keys=_unique(text["key"], text["row"]),
        vectors=_matrix(decoded, "vector"),
        texts=_matrix(decoded, "text_vector"),
        captions=_any(text["caption"]),
        labels=_any(text["label"]),
        domains=_any(text["domain"]),
        pixels=ShardedPixels(pixels, places) if pixels and (pixels / PIXELS).exists() else None,
    )
    return Loaded(corpus, np.array(text["row"], np.int64), text["key"], unseen.cast(schema.UNSEEN))


def _places(
    indexes: Sequence[int], tables: Sequence[pa.Table], decoded: Sequence[pa.Table]
) -> NDArray[np.int64]:
    """Shard and place there of every decoded row."""
    found = [np.empty((0, 2), np.int64)]
    for index, whole, part in zip(indexes, tables, decoded, strict=True):
        places = places_of(whole["row"].to_pylist())
        place = np.array([places[row] for row in part["row"].to_pylist()], np.int64)
        found.append(np.stack([np.full(len(place), index), place], axis=1))
    return np.concatenate(found)


def _matrix(tables: Sequence[pa.Table], name: str) -> Floats | None:
    """A column of vectors as (n, d); NaN where a row has none, None where no row has one."""
    columns = [table[name].combine_chunks() for table in tables if len(table)]
    width = max((len(vector) for column in columns for vector in _first_valid(column)), default=0)
    if width == 0:
        return None
    return np.concatenate([_filled(column, width) for column in columns])


def _first_valid(column: pa.ListArray) -> list[Any]:
    valid = column.drop_null()
    return [valid[0]] if len(valid) else []


def _filled(column: pa.ListArray, width: int) -> Floats:
    matrix = np.full((len(column), width), np.nan, np.float32)
    matrix[column.is_valid().to_numpy(zero_copy_only=False)] = (
        column.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    )
    return matrix


def _any(values: list[str | None]) -> list[str | None] | None:
    return values if any(values) else None


def _unique(keys: list[str], rows: list[int]) -> list[str]:
    """Keys, with the row number added where several rows have the same."""
    often = Counter(keys)
    return [key if often[key] == 1 else f"{key}#{row}" for key, row in zip(keys, rows, strict=True)]
