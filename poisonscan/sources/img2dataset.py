"""What img2dataset wrote: shards as tar files (webdataset), as folders (files) or as Parquet files.

Beside a tar or a folder lies `NNNNN.parquet` with a line for every URL, the failed ones included; in the
Parquet format that file also holds the pictures. A shard's rows are its pictures in stored order, then
the rows of the table that have no picture.

Layouts: https://github.com/rom1504/img2dataset/blob/main/img2dataset/writer.py
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pyarrow as pa

from poisonscan.errors import ManifestError
from poisonscan.manifest.files import open_parquet, translated
from poisonscan.manifest.footers import counted_rows
from poisonscan.manifest.hashes import clean_hash
from poisonscan.manifest.normalise import as_text
from poisonscan.records import Algorithm, ImageRef, Published
from poisonscan.sources.files import printable, read_file
from poisonscan.sources.model import MAX_BYTES, Picture, PicturePlan, PictureSlice
from poisonscan.sources.tars import Damage, members, why_unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


_SHARD = re.compile(r".+\.tar|\d{5,}(\.parquet)?")
"""img2dataset numbers its shards; tars of any name are read, as webdataset does."""
_PACKED_SHARD = re.compile(r".+\.(tar\.(gz|bz2|xz|zst)|tgz)")
_IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "jp2", "jxl")
_MAX_TEXT = 1 << 20
"""Longest .json or .txt read, bytes."""
_TEXT_COLUMNS = ("key", "url", "caption", "status", "error_message", *[str(name) for name in Algorithm])
_DOWNLOADED = "success"
_BATCH_ROWS = 16
"""Pictures of a Parquet shard held in memory at once."""

Row = dict[str, Any]


class _Part(Protocol):
    """A file of a sample: a member of a tar, or a file in a shard's folder."""

    @property
    def key(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    def read(self, max_bytes: int) -> bytes | str: ...


class _File(NamedTuple):
    """A file in a shard's folder."""

    root: Path
    name: str

    @property
    def key(self) -> str:
        return printable(self.name).partition(".")[0]

    @property
    def suffix(self) -> str:
        return printable(self.name).partition(".")[2].lower()

    def read(self, max_bytes: int) -> bytes | str:
        return read_file(self.root, self.name, max_bytes)


class _Sample(NamedTuple):
    """One row of a shard, nothing read yet but its line in the table."""

    key: str
    image: _Part | None
    texts: tuple[_Part, ...]
    row: Row
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Img2datasetShards:
    """A folder that img2dataset wrote. No slice spans two shards."""

    root: Path
    max_bytes: int = field(default=MAX_BYTES)

    def plan(self, shard_rows: int) -> PicturePlan:
        """Cut into slices. Reads tar headers, folder listings and the tables' text, no picture.

        Raises:
            ManifestError: there is no shard, or a shard's table is damaged.
        """
        slices: list[PictureSlice] = []
        row = 0
        names, others = self._shards()
        for name in names:
            rows = self._count(name)
            for start in range(0, rows, shard_rows):
                count = min(shard_rows, rows - start)
                slices.append(PictureSlice(len(slices), row, count, (name,), start))
                row += count
        if not slices:
            raise ManifestError(f"{self.root} holds no img2dataset shard with a row; check the path")
        return PicturePlan(tuple(slices), (f"{others} files that are no shards",) if others else ())

    def rows(self, part: PictureSlice) -> range:
        """The numbers of the rows of a slice."""
        return part.rows

    def read(self, part: PictureSlice) -> Iterator[Picture]:
        """The pictures of a slice; rows that were never downloaded or are lost have no body but a reason.

        Raises:
            ManifestError: a shard's table is damaged.
        """
        path = self.root / part.names[0]
        if path.suffix == ".parquet":
            yield from _table_pictures(path, part, self.max_bytes)
            return
        samples = itertools.islice(_samples(path), part.start, part.start + part.count)
        for row, sample in enumerate(samples, start=part.first_row):
            yield _picture(sample, row, self.max_bytes)

    def _shards(self) -> tuple[list[str], int]:
        """Names of the shards, sorted, and how many other files there are."""
        try:
            found = {path.name for path in self.root.iterdir()}
        except OSError as error:
            raise ManifestError(f"{self.root} cannot be listed ({error.strerror}); check the path") from error
        if any(name.endswith(".tfrecord") for name in found):
            raise ManifestError(
                f"{self.root} holds TFRecord shards, which are not read; write webdataset ones"
            )
        packed = [name for name in found if _PACKED_SHARD.fullmatch(name)]
        if packed:
            raise ManifestError(why_unreadable(self.root / min(packed)) or f"{min(packed)} is no shard")
        shards = {name for name in found if _SHARD.fullmatch(name)}
        shards |= {name for name in found if name.endswith(".parquet") and _tar_of(name) in found}
        tables = {name for name in shards if shards & {name.removesuffix(".parquet"), _tar_of(name)} - {name}}
        return sorted(shards - tables), len(found - shards)

    def _count(self, name: str) -> int:
        path = self.root / name
        if path.suffix == ".tar" and (reason := why_unreadable(path)):
            raise ManifestError(reason)
        if path.suffix != ".parquet":
            return sum(1 for _ in _samples(path))
        with translated(str(path)), open_parquet(str(path)) as table:
            _text_columns(path, table.schema_arrow)
            return counted_rows(str(path), table, path.stat().st_size)


def _tar_of(name: str) -> str:
    return name.removesuffix(".parquet") + ".tar"


def _samples(path: Path) -> Iterator[_Sample]:
    """All rows of a tar or folder shard: its pictures in stored order, then the rows without one."""
    table = path.with_suffix(".parquet")
    rows = _table_rows(table) if table.is_file() else {}
    left = dict(rows)
    damage = ""
    for key, group in itertools.groupby(_parts(path), key=lambda part: getattr(part, "key", None)):
        parts: list[_Part] = []
        for part in group:
            if isinstance(part, Damage):
                damage = part.reason
            else:
                parts.append(part)
        if key is not None:
            left.pop(key, None)
            yield from _grouped(key, parts, rows.get(key, {}))
    yield from (_Sample(key, None, (), row, _why_lost(row, damage, path.name)) for key, row in left.items())
    if damage and not rows:
        yield _Sample(path.name, None, (), {}, f"{damage}; how many rows followed is not known")


def _parts(path: Path) -> Iterable[_Part | Damage]:
    if path.suffix == ".tar":
        return members(path)
    try:
        return [_File(path, entry.name) for entry in sorted(path.iterdir())]
    except OSError as error:
        return [Damage(f"{path.name} cannot be listed ({error.strerror})")]


def _grouped(key: str, parts: list[_Part], row: Row) -> Iterator[_Sample]:
    """The files of one key: a sample for each picture among them, or one that says that there is none."""
    texts = tuple(part for part in parts if part.suffix in {"json", "txt"})
    images = [part for part in parts if part.suffix in _IMAGE_SUFFIXES]
    yield from (_Sample(key, image, texts, row) for image in images)
    if not images:
        held = ", ".join(part.suffix or "a file without suffix" for part in parts)
        yield _Sample(key, None, texts, row, f"the shard holds no picture for it, only {held}")


def _picture(sample: _Sample, row: int, max_bytes: int) -> Picture:
    said, note = _said(sample)
    ref = _ref(row, sample.key, said)
    if sample.image is None:
        return Picture(ref, None, sample.lost)
    body = sample.image.read(max_bytes)
    return Picture(ref, body, note) if isinstance(body, bytes) else Picture(ref, None, f"the picture {body}")


def _said(sample: _Sample) -> tuple[Row, str]:
    """What table, .txt and .json say of a sample, the last word last; and what could not be read of it."""
    said, notes = dict(sample.row), []
    for part in sorted(sample.texts, key=lambda part: part.suffix, reverse=True):
        found = _text(part)
        if isinstance(found, dict):
            said.update((name, value) for name, value in found.items() if isinstance(value, str))
            odd = [name for name in _TEXT_COLUMNS if found.get(name) and not isinstance(found[name], str)]
            notes += [f"its .{part.suffix} holds a {name} that is no text" for name in odd]
        else:
            notes.append(f"its .{part.suffix} {found}")
    return said, "; ".join(notes)


def _text(part: _Part) -> Row | str:
    raw = part.read(_MAX_TEXT)
    if isinstance(raw, str):
        return raw
    if part.suffix == "txt":
        return {"caption": raw.decode("utf-8", "replace")}
    try:
        found = json.loads(raw.decode(json.detect_encoding(raw), "replace"))
    except (ValueError, RecursionError):
        return "is not valid JSON"
    return found if isinstance(found, dict) else "is not a JSON object"


def _ref(row: int, key: str, said: Row) -> ImageRef:
    hashes = {name.value: clean_hash(said.get(name.value) or "", name) for name in Algorithm}
    url, caption = _sound(said.get("url")), _sound(said.get("caption"))
    return ImageRef(row, key, url, caption or None, Published(**hashes))


def _sound(text: str | None) -> str:
    """Text that UTF-8 can hold; JSON may escape half of a surrogate pair."""
    return (text or "").encode("utf-8", "replace").decode()


def _why_lost(row: Row, damage: str, shard: str) -> str:
    if row.get("status") not in {None, _DOWNLOADED}:
        return f"img2dataset: {row['status']}: {row.get('error_message') or 'no message'}"
    return f"lost: {damage}" if damage else f"{shard} does not hold it, though it was downloaded"


def _table_rows(path: Path) -> dict[str, Row]:
    """The lines of a shard's table by key."""
    with translated(str(path)), open_parquet(str(path)) as table:
        columns = _text_columns(path, table.schema_arrow)
        batches = [_rows(batch) for batch in table.iter_batches(columns=columns)]
    return {str(row["key"]): row for batch in batches for row in batch}


def _table_pictures(path: Path, part: PictureSlice, max_bytes: int) -> Iterator[Picture]:
    """Pictures kept in a column of the table itself."""
    with translated(str(path)), open_parquet(str(path)) as table:
        columns = _text_columns(path, table.schema_arrow)
        image = next((item.name for item in table.schema_arrow if _holds_pictures(item)), None)
        batches = table.iter_batches(_BATCH_ROWS, columns=[*columns, image] if image else columns)
        pairs = itertools.chain.from_iterable(_with_bodies(batch, image) for batch in batches)
        chosen = itertools.islice(pairs, part.start, part.start + part.count)
        for number, (row, body) in enumerate(chosen, start=part.first_row):
            ref = _ref(number, str(row["key"]), row)
            if body is None:
                yield Picture(ref, None, _why_lost(row, "", path.name))
            elif len(body) > max_bytes:
                yield Picture(ref, None, f"the picture is larger than {max_bytes} bytes")
            else:
                yield Picture(ref, body)


def _holds_pictures(column: pa.Field) -> bool:
    binary = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
    return binary and column.name in _IMAGE_SUFFIXES


def _with_bodies(batch: pa.RecordBatch, image: str | None) -> Iterator[tuple[Row, bytes | None]]:
    bodies = batch.column(image).to_pylist() if image else [None] * batch.num_rows
    return zip(_rows(batch), bodies, strict=True)


def _text_columns(path: Path, schema: pa.Schema) -> list[str]:
    if "key" not in schema.names:
        raise ManifestError(f"{path} has no column key, so it is no table of img2dataset; remove it")
    return [name for name in _TEXT_COLUMNS if name in schema.names]


def _rows(batch: pa.RecordBatch) -> list[Row]:
    names = [name for name in batch.schema.names if name in _TEXT_COLUMNS]
    cells = [as_text(batch.column(name)).to_pylist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)]
