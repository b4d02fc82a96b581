"""Reading CSV, TSV, JSON lines and bare lists line by line, losing nothing on the way.

pyarrow's and DuckDB's readers are faster, but one unclosed quote, one overlong line or one bad byte
stops them or makes them skip rows without telling which. Here a line that cannot be parsed becomes a
record with an issue, and reading goes on with the next line.
"""

from __future__ import annotations

import csv
import json
import math
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINE = 1 << 20
"""Longest line read, bytes. What is longer becomes an issue, so that memory stays flat."""

MAX_FIELD = 16 << 20
"""Longest quoted field, characters, over however many lines. A longer one is an issue of its first line."""

csv.field_size_limit(MAX_FIELD)  # one limit for the whole process; the module's own, 131,072, is too short

_BOM = b"\xef\xbb\xbf"


class Record(NamedTuple):
    """One record of a text file: the cells asked for, or what was wrong with it."""

    cells: tuple[str | None, ...]
    issue: str = ""


class Line(NamedTuple):
    """One line with its newline; `text` is None when it is longer than MAX_LINE."""

    number: int
    text: str | None


class Piece(NamedTuple):
    """Bytes of a line, at most MAX_LINE of them; a longer line comes in several pieces."""

    raw: bytes
    begins: bool


def pieces(stream: BinaryIO) -> Iterator[Piece]:
    """The bytes of a file, cut where lines end: at line feeds, or at carriage returns where it has none."""
    first = stream.readline(MAX_LINE)
    if b"\r" in first and not first.endswith(b"\n"):
        yield from _cut_at_returns(stream, first)
        return
    raw, begins = first, True
    while raw:
        yield Piece(raw, begins)
        begins = raw.endswith(b"\n")
        raw = stream.readline(MAX_LINE)


def _cut_at_returns(stream: BinaryIO, ahead: bytes) -> Iterator[Piece]:
    begins = True
    while ahead:
        *whole, rest = ahead.split(b"\r")
        for line in whole:
            raw = line + b"\r"
            for start in range(0, len(raw), MAX_LINE):
                yield Piece(raw[start : start + MAX_LINE], begins and not start)
            begins = True
        more = stream.read(MAX_LINE)
        while len(rest) >= MAX_LINE or (rest and not more):
            yield Piece(rest[:MAX_LINE], begins)
            rest, begins = rest[MAX_LINE:], False
        ahead = rest + more


def lines(stream: BinaryIO) -> Iterator[Line]:
    """The lines of a file, numbered from 1; bytes that are not UTF-8 become U+FFFD."""
    number = 0
    for raw, begins in pieces(stream):
        if not begins:
            continue
        number += 1
        if len(raw) >= MAX_LINE and not raw.endswith((b"\n", b"\r")):
            yield Line(number, None)
            continue
        yield Line(number, (raw.removeprefix(_BOM) if number == 1 else raw).decode("utf-8", "replace"))


def separated(
    source: Iterable[Line], delimiter: str, *, quoted: bool
) -> Iterator[tuple[int, list[str] | str]]:
    """Split lines into fields: pairs of line number and fields, or what was wrong with the line.

    With `quoted`, RFC 4180: a quoted field may hold delimiters, newlines and doubled quotes. A quote
    that is never closed costs its own line, at most: the lines it swallowed are read again.
    """
    if not quoted:
        yield from ((line.number, _split(line, delimiter)) for line in source if not _blank(line))
        return
    feed = _Feed(source)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.taken.clear()
        try:
            fields: list[str] | str = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLongError):
            fields = _salvage(feed.keep_first(), delimiter)
        if fields:
            yield feed.taken[0].number, fields


def pick(
    records: Iterable[tuple[int, list[str] | str]], width: int, positions: tuple[int, ...]
) -> Iterator[Record]:
    """Take the cells at `positions` from records of `width` fields; empty cells become None."""
    nothing = (None,) * len(positions)
    for number, fields in records:
        if isinstance(fields, str):
            yield Record(nothing, f"line {number}: {fields}")
        elif len(fields) != width:
            yield Record(nothing, f"line {number}: {len(fields)} fields instead of {width}")
        else:
            yield Record(tuple([fields[position] or None for position in positions]))


def objects(source: Iterable[Line], names: tuple[str, ...]) -> Iterator[Record]:
    """Take the values called `names` from lines that each hold one JSON object."""
    nothing = (None,) * len(names)
    for line in source:
        if _blank(line):
            continue
        value = parse_object(line)
        if isinstance(value, str):
            yield Record(nothing, f"line {line.number}: {value}")
            continue
        nested = [name for name in names if isinstance(value.get(name), list | dict)]
        issue = f"line {line.number}: {nested[0]} is not plain text" if nested else ""
        yield Record(tuple([_plain(value.get(name)) for name in names]), issue)


def parse_object(line: Line) -> dict[str, object] | str:
    """The JSON object of a line, or what was wrong with it."""
    if line.text is None:
        return f"longer than {MAX_LINE} bytes"
    try:
        value = json.loads(line.text)
    except (ValueError, RecursionError):
        return "not valid JSON"
    return value if isinstance(value, dict) else "not a JSON object"


def bare(source: Iterable[Line]) -> Iterator[Record]:
    """One URL a line."""
    for line in source:
        if line.text is None:
            yield Record((None,), f"line {line.number}: longer than {MAX_LINE} bytes")
        elif not _blank(line):
            yield Record((line.text.rstrip("\r\n"),))


class _TooLongError(Exception):
    """A line too long to be read ends the record it belongs to."""


class _Feed:
    """Feeds lines to csv.reader and can take back those that a broken record swallowed."""

    def __init__(self, source: Iterable[Line]) -> None:
        self._source = iter(source)
        self._again: deque[Line] = deque()
        self.taken: list[Line] = []

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._source)
        self.taken.append(line)
        if line.text is None:
            raise _TooLongError
        return line.text

    def keep_first(self) -> Line:
        """The first line of the record at hand; the others will be fed again."""
        self._again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]
        return self.taken[0]


def _salvage(line: Line, delimiter: str) -> list[str] | str:
    """Fields of a line on its own, taken leniently: stray quotes and carriage returns belong to the text."""
    if line.text is None:
        return f"longer than {MAX_LINE} bytes"
    try:
        return next(csv.reader([line.text.rstrip("\r\n").replace("\r", " ")], delimiter=delimiter))
    except csv.Error as error:
        return f"not valid CSV ({error})"


def _split(line: Line, delimiter: str) -> list[str] | str:
    return f"longer than {MAX_LINE} bytes" if line.text is None else line.text.rstrip("\r\n").split(delimiter)


def _blank(line: Line) -> bool:
    return line.text is not None and not line.text.strip("\r\n")


def _plain(value: object) -> str | None:
    if value is None or isinstance(value, list | dict) or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON may escape half of a surrogate pair, UTF-8 has no place for it
        return value.encode("utf-8", "replace").decode()
    return value
