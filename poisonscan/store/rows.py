"""Rows of the tables in `schema` as dictionaries, made of the vocabulary's values and turned back again."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from poisonscan.records import Algorithm, Fingerprint, Published
from poisonscan.store import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from poisonscan.records import Comparison, FetchResult, ImageRef

Row = dict[str, Any]


def _attributes(fields: Iterable[pa.Field]) -> Callable[[object], Row]:
    """Reads these columns off an object that has attributes of their names; asked for every row."""
    names = tuple(item.name for item in fields)
    values = attrgetter(*names)
    return lambda item: dict(zip(names, values(item), strict=True))


_fetch_row = _attributes(schema.FETCH)
_fingerprint_row = _attributes(schema.FINGERPRINT)
_judgement_row = _attributes(schema.JUDGEMENT)
_FINGERPRINT_NAMES = tuple(item.name for item in schema.FINGERPRINT)
_PUBLISHED_NAMES = {algorithm.value: f"published_{algorithm}" for algorithm in Algorithm}


def ref_row(ref: ImageRef, domain: str | None) -> Row:
    """The REF columns of one row."""
    return {"row": ref.row, "key": ref.key, "url": ref.url, "domain": domain, "caption": ref.caption}


def published_row(published: Published) -> Row:
    """The PUBLISHED columns of one row."""
    return {column: getattr(published, name) for name, column in _PUBLISHED_NAMES.items()}


def fetch_row(result: FetchResult) -> Row:
    """The FETCH columns of one row."""
    return _fetch_row(result)


def fingerprint_row(fingerprint: Fingerprint) -> Row:
    """The FINGERPRINT columns of one row."""
    return _fingerprint_row(fingerprint)


def judgement_row(comparison: Comparison) -> Row:
    """The JUDGEMENT columns of one row."""
    return _judgement_row(comparison)


def fingerprint_of(row: Row) -> Fingerprint | None:
    """The fingerprint in a snapshot row read back; None if the row has none."""
    if row["state"] != schema.FINGERPRINTED:
        return None
    # Parts of older snapshots lack the columns that came later.
    known: Row = {name: row.get(name) for name in _FINGERPRINT_NAMES}
    return Fingerprint(**known)


def published_of(row: Row) -> Published:
    """The published hashes in a row read back."""
    return Published(**{name: row.get(column) for name, column in _PUBLISHED_NAMES.items()})
