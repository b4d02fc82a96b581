"""Which column holds what: the dialects of the known datasets, and what the caller says."""

from __future__ import annotations

import csv
import difflib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from poisonscan.errors import ManifestError
from poisonscan.manifest.model import CANONICAL, ColumnMap
from poisonscan.records import Algorithm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Dialect:
    """A known table layout, in lower case; `columns` beyond those it `needs` are optional."""

    name: str
    needs: frozenset[str]
    columns: ColumnMap


_DIALECTS = (
    Dialect(
        "img2dataset",
        frozenset({"url", "key", "status"}),
        ColumnMap("url", "caption", "key", "sha256", "sha512", "md5"),
    ),
    Dialect(
        "datacomp", frozenset({"uid", "url", "text"}), ColumnMap("url", "text", key="uid", sha256="sha256")
    ),
    Dialect("coyo", frozenset({"url", "text", "image_phash"}), ColumnMap("url", "text", phash="image_phash")),
    Dialect("sbu", frozenset({"image_urls", "captions"}), ColumnMap("image_urls", "captions")),
    Dialect("laion", frozenset({"url", "text"}), ColumnMap("url", "text", md5="md5")),
)
"""In the order they are tried: the pickiest first. LAION's `hash` is left out, it is no digest."""

_URL = ("url", "image_url", "image_urls", "img_url", "originalurl", "original_url")
_GENERIC = {
    "caption": ("caption", "captions", "text", "alt_text", "alt"),
    "key": ("key", "uid"),
    "sha256": ("sha256",),
    "sha512": ("sha512",),
    "md5": ("md5",),
}
"""Names that mean the same wherever they occur. A "phash" may be any of several hashes: the caller says."""


def recognise(names: Sequence[str]) -> tuple[str, ColumnMap | None]:
    """The dialect of a table with these column names, and what its columns hold.

    Returns:
        The dialect's name and its columns, or None for the columns where no URL column is known.
    """
    actual = {name.strip().lower(): name for name in reversed(names)}
    for dialect in _DIALECTS:
        if dialect.needs <= actual.keys():
            present = {canonical: actual.get(column) for canonical, column in dialect.columns.items()}
            return dialect.name, ColumnMap(**present)  # type: ignore[arg-type]  # the URL is among `needs`
    url = _first(_URL, actual)
    if url is None:
        return "generic", None
    return "generic", ColumnMap(url, **{what: _first(known, actual) for what, known in _GENERIC.items()})


def map_columns(
    where: str,
    names: Sequence[str],
    columns: Mapping[str, str],
    hashes: Mapping[str, Algorithm],
) -> tuple[str, ColumnMap]:
    """Decide which column holds what; what the caller says overrules what the dialect suggests.

    Args:
        where: the file or source, for messages.
        names: the columns that exist.
        columns: canonical name to column; an empty column takes a suggested one away.
        hashes: hash column to the algorithm of its values.

    Raises:
        ManifestError: a canonical name is unknown, a column does not exist or there is no URL column.
    """
    asked = _with_hashes(columns, hashes)
    for canonical, column in asked.items():
        if canonical not in CANONICAL:
            raise ManifestError(f"no part of a row is called {canonical}{_suggestion(canonical, CANONICAL)}")
        if column and matching_name(column, names) is None:
            raise ManifestError(f"{where} has no column {column}{_suggestion(column, names)}")
    dialect, suggested = recognise(names)
    named = {what: matching_name(column, names) for what, column in asked.items()}
    merged = {**(asdict(suggested) if suggested else {}), **named}
    if not merged.get("url"):
        raise ManifestError(
            f"{where} has no column that is known to hold URLs; name it with url=COLUMN, "
            f"one of: {_listed(names)}"
        )
    chosen = ColumnMap(**merged)
    twice = [column for _, column in chosen.items() if names.count(column) > 1]
    if twice:
        raise ManifestError(f"{where} has more than one column {twice[0]}; rename one, or map another column")
    return "custom" if columns else dialect, chosen


def matching_name(asked: str, names: Sequence[str]) -> str | None:
    """The column that is meant: of that very name, or else the one that has it but for blanks around it."""
    if not asked or asked in names:
        return asked or None
    return next((name for name in names if name.strip() == asked.strip()), None)


def parse_columns(text: str) -> dict[str, str]:
    """Read "url=link,caption=alt" into a mapping of canonical name to column.

    A column whose name holds a comma is quoted as in CSV: '"url=image, link",caption=alt'.

    Raises:
        ManifestError: a piece is not of the form NAME=COLUMN, or a name is unknown or given twice.
    """
    columns: dict[str, str] = {}
    pieces = next(csv.reader([text], skipinitialspace=True), [])
    for piece in filter(None, (part.strip() for part in pieces)):
        canonical, equals, column = (part.strip() for part in piece.partition("="))
        if not equals:
            raise ManifestError(f"column mapping {piece!r} must be written NAME=COLUMN, e.g. url=link")
        if canonical not in CANONICAL:
            raise ManifestError(f"no part of a row is called {canonical}{_suggestion(canonical, CANONICAL)}")
        if canonical in columns:
            raise ManifestError(f"column mapping names {canonical} twice; name it once")
        columns[canonical] = column
    return columns


def parse_hashes(texts: Iterable[str]) -> dict[str, Algorithm]:
    """Read ["image_phash=phash"] into a mapping of hash column to algorithm.

    Raises:
        ManifestError: a text is not of the form COLUMN=ALGORITHM, or the algorithm is unknown.
    """
    hashes: dict[str, Algorithm] = {}
    for text in texts:
        column, equals, name = (part.strip() for part in text.rpartition("="))
        if not (column and equals):
            raise ManifestError(f"published hash {text!r} must be written COLUMN=ALGORITHM, e.g. md5=md5")
        if name.lower() not in list(Algorithm):
            raise ManifestError(f"no hash algorithm is called {name}{_suggestion(name, list(Algorithm))}")
        hashes[column] = Algorithm(name.lower())
    return hashes


def _with_hashes(columns: Mapping[str, str], hashes: Mapping[str, Algorithm]) -> dict[str, str]:
    asked = dict(columns)
    for column, algorithm in hashes.items():
        other = asked.setdefault(algorithm.value, column)
        if other != column:
            raise ManifestError(f"columns {other} and {column} are both named as {algorithm}; name one")
    return asked


def _first(known: Sequence[str], actual: Mapping[str, str]) -> str | None:
    return next((actual[name] for name in known if name in actual), None)


def _listed(names: Sequence[str]) -> str:
    """Names for a message, quoted where they hold what would separate them."""
    return ", ".join(json.dumps(name) if name != name.strip() or "," in name else name for name in names)


def _suggestion(name: str, known: Sequence[str]) -> str:
    lower = {item.lower(): item for item in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    listed = f"; it may be one of: {_listed(known)}"
    return f"; did you mean {lower[close[0]]}?{listed}" if close else listed
