"""What the first lines of a file tell: how its fields are separated, and what its columns are called."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.errors import ManifestError
from poisonscan.manifest import text
from poisonscan.manifest.dialects import matching_name, recognise
from poisonscan.manifest.files import open_parquet, open_text, translated
from poisonscan.manifest.model import Format

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from poisonscan.manifest.model import ManifestFile
    from poisonscan.manifest.text import Line

_SAMPLE = 100
"""Lines looked at to tell a header from data."""
_KEY_LINES = 100_000
"""Objects of a JSON-lines file whose keys are looked at: not every object has every key."""
_URL = re.compile(r"\s*https?://", re.IGNORECASE)
_DELIMITERS = {Format.CSV: ",", Format.TSV: "\t"}
_OTHERS = (";", "\t", ",", "|")
"""Delimiters that spreadsheets write into files called .csv, where the locale's comma is a decimal point."""
_EXCEL = re.compile(r"sep=(.)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file's columns are called.

    Attributes:
        names: the columns; empty where no row can be read.
        headerless: the same where the names are ours, since the file has no header.
        dialect: "cc3m" or "cc12m" where the places alone tell; else empty.
    """

    names: tuple[str, ...]
    headerless: tuple[str, ...] = ()
    dialect: str = ""


def with_delimiter(file: ManifestFile, asked: Collection[str]) -> ManifestFile:
    """The file with its delimiter and the lines before its header; unchanged where it has neither.

    A file called .csv is read with another delimiter than the comma only where its first line says so
    ("sep=;") or where that makes a known or asked column of its header.

    Args:
        file: as it was found.
        asked: the columns that the caller named.
    """
    if file.format not in _DELIMITERS:
        return file
    with translated(file.path), open_text(file) as stream:
        head = list(itertools.islice(text.lines(stream), _SAMPLE))
    said = _EXCEL.fullmatch(head[0].text or "") if head else None
    if said:
        return dataclasses.replace(file, delimiter=said[1], preamble=1)
    preamble = len(list(itertools.takewhile(_comment, head)))
    usual = _DELIMITERS[file.format]
    for delimiter in (usual, *_OTHERS):
        first = _fields(head[preamble:], delimiter, file.format)[:1]
        if first and len(first[0]) > 1 and _named(first[0], asked):
            return dataclasses.replace(file, delimiter=delimiter, preamble=preamble)
    return dataclasses.replace(file, delimiter=usual, preamble=preamble)


def layout_of(file: ManifestFile, asked: Collection[str]) -> Layout:
    """The columns of a file; of a text file its first lines are read.

    Args:
        file: with its delimiter.
        asked: the columns that the caller named; where there are any, no header is guessed.

    Raises:
        ManifestError: it holds one JSON document where one a line is expected.
    """
    if file.format is Format.PARQUET:
        with open_parquet(file.path) as table:
            return Layout(tuple(table.schema_arrow.names))
    if file.format is Format.TXT:
        return Layout(("url",), ("url",))
    with open_text(file) as stream:
        lines = text.lines(stream)
        if file.format is Format.JSONL:
            return Layout(_keys(file.path, lines, asked))
        head = list(itertools.islice(lines, file.preamble, file.preamble + _SAMPLE))
    return _separated(file.format, _fields(head, file.delimiter, file.format), guess=not asked)


def _comment(line: Line) -> bool:
    return line.text is not None and line.text.startswith("#")


def _named(header: Sequence[str], asked: Collection[str]) -> bool:
    return recognise(header)[1] is not None or any(matching_name(name, header) for name in asked)


def _fields(head: Iterable[Line], delimiter: str, kind: Format) -> list[list[str]]:
    rows = text.separated(head, delimiter, quoted=kind is Format.CSV)
    return [fields for _, fields in rows if isinstance(fields, list)]


def _keys(path: str, lines: Iterable[Line], asked: Collection[str]) -> tuple[str, ...]:
    """The keys of the first objects, and of as many more as it takes to see those that were asked for."""
    names: dict[str, None] = {}
    for number, line in enumerate(lines):
        if number >= _KEY_LINES and names.keys() >= set(asked):
            break
        value = text.parse_object(line)
        if isinstance(value, dict):
            names.update(dict.fromkeys(value))
        elif number == 0 and (line.text or "").strip() in {"[", "{", "[{"}:
            raise ManifestError(
                f"{path} holds one JSON document over several lines, not an object a line; "
                "write JSON lines, for example with jq -c '.[]'"
            )
    return tuple(names)


def _separated(kind: Format, sample: list[list[str]], *, guess: bool) -> Layout:
    if not sample:
        return Layout(())
    where = Counter(place for fields in sample for place, cell in enumerate(fields) if _URL.match(cell))
    has_url_name = recognise(sample[0])[1] is not None
    mostly_urls = bool(where) and where.most_common(1)[0][1] * 2 >= len(sample)
    if not any(_URL.match(cell) for cell in sample[0]) and (has_url_name or not guess or not mostly_urls):
        return Layout(tuple(sample[0]))
    url = where.most_common(1)[0][0]
    width = Counter(map(len, sample)).most_common(1)[0][0]
    names = [f"column{place + 1}" for place in range(width)]
    names[url] = "url"
    if width == 2:  # noqa: PLR2004 - a pair: the other one is the caption
        names[1 - url] = "caption"
    pair = kind is Format.TSV and width == 2  # noqa: PLR2004 - as above
    return Layout(tuple(names), tuple(names), ("cc12m", "cc3m")[url] if pair else "")
