"""Finding and opening the files of a manifest; errors of file systems and readers are translated here."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from poisonscan.errors import ManifestError, MissingDependencyError
from poisonscan.manifest.footers import long_columns
from poisonscan.manifest.model import Format, ManifestFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poisonscan.manifest.model import Manifest

_SUFFIXES = {
    ".parquet": Format.PARQUET,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".txt": Format.TXT,
}
_IN_FOLDERS = (Format.PARQUET, Format.CSV, Format.TSV, Format.JSONL)
"""What is looked for in a folder; a text file there is more likely a README than a list of URLs."""

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_COMPRESSION_SUFFIXES = (".gz", ".bz2", ".zst")
_NO_LIST = {
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG": "a PNG picture",
    b"GIF8": "a GIF picture",
    b"RIFF": "a WebP picture or another RIFF file",
    b"PK\x03\x04": "a zip archive",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}
_CHUNK = 1 << 20


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """The one place of translation: whatever goes wrong while reading `path` leaves as a ManifestError.

    Raises:
        ManifestError: the file is absent, not readable, truncated or damaged.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise ManifestError(f"{path} does not exist; check the path") from error
    except PermissionError as error:
        raise ManifestError(f"{path} may not be read; check its permissions") from error
    except (pa.ArrowException, OSError, EOFError) as error:
        raise ManifestError(
            f"{path} cannot be read, it may be truncated or damaged; fetch it again ({_one_line(error)})"
        ) from error


def find_files(source: str) -> tuple[ManifestFile, ...]:
    """List the files that a path, a folder, a glob or an fsspec URL stands for, sorted by path.

    Raises:
        ManifestError: nothing is there, or what is there is no list of URLs.
        MissingDependencyError: the package for the URL's scheme is not installed.
    """
    filesystem, path = _filesystem(source)
    with translated(source):
        if filesystem.isfile(path):
            found = [path]
        elif filesystem.isdir(path):
            found = _in_folder(source, _below(filesystem, path), path)
        else:
            found = sorted(filesystem.glob(path)) if any(sign in path for sign in "*?[") else []
            found = [name for name in found if filesystem.isfile(name)]
    if not found:
        raise ManifestError(f"{source} does not exist, or matches no file; check the path")
    return tuple(_describe(filesystem, name) for name in found)


@contextlib.contextmanager
def open_text(file: ManifestFile) -> Iterator[BinaryIO]:
    """Open a text file for reading, decompressed on the way."""
    filesystem, path = _filesystem(file.path)
    with filesystem.open(path, "rb") as raw:
        if file.compression is None:
            yield raw
        else:
            yield io.BufferedReader(pa.CompressedInputStream(raw, file.compression), _CHUNK)


@contextlib.contextmanager
def open_parquet(path: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file so that reading it holds pages, not whole row groups, in memory."""
    filesystem, name = _filesystem(path)
    local = "file" in _protocols(filesystem)
    with contextlib.ExitStack() as stack:
        opened = name if local else stack.enter_context(filesystem.open(name, "rb"))
        metadata = pq.read_metadata(opened)
        few = long_columns(metadata)
        yield stack.enter_context(
            pq.ParquetFile(
                opened, metadata=metadata, read_dictionary=few, pre_buffer=False, buffer_size=_CHUNK
            )
        )


def digest(manifest: Manifest) -> str:
    """SHA-256 over the bytes of all files in order, as `cat FILES | sha256sum` prints it.

    Raises:
        ManifestError: a file can no longer be read.
    """
    total = hashlib.sha256()
    for file in manifest.files:
        filesystem, path = _filesystem(file.path)
        with translated(file.path), filesystem.open(path, "rb") as raw:
            while chunk := raw.read(_CHUNK):
                total.update(chunk)
    return total.hexdigest()


def _filesystem(source: str) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        filesystem, path = fsspec.core.url_to_fs(source)
    except ImportError as error:
        raise MissingDependencyError(f"{source} needs a package that is not installed: {error}") from error
    except ValueError as error:
        raise ManifestError(f"{source} cannot be opened: {_one_line(error)}; check the URL") from error
    return filesystem, path


def _protocols(filesystem: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _below(filesystem: fsspec.AbstractFileSystem, root: str) -> list[str]:
    """All files below a folder. On a local disk links to folders are followed, each folder once."""
    if "file" not in _protocols(filesystem):
        return list(filesystem.find(root))
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        stat = Path(folder).stat()
        if (stat.st_dev, stat.st_ino) in seen:
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders.sort()
        found += [str(Path(folder) / name) for name in names]
    return found


def _in_folder(source: str, names: list[str], root: str) -> list[str]:
    """The manifests below a folder: all of one format, hidden and underscored ones left out."""
    visible = [name for name in names if not _hidden(name.removeprefix(root))]
    formats = {name: _format_of(name) for name in visible}
    present = [kind for kind in _IN_FOLDERS if kind in formats.values()]
    if not present:
        raise ManifestError(f"{source} is a folder without a manifest; one ends in {', '.join(_SUFFIXES)}")
    if len(present) > 1:
        raise ManifestError(
            f"{source} holds files of several formats ({', '.join(present)}); say which, e.g. "
            f"{source.rstrip('/')}/*.{present[0]}"
        )
    return sorted(name for name, kind in formats.items() if kind is present[0])


def _hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) for part in relative.split("/"))


def _format_of(name: str) -> Format | None:
    base = name.lower()
    for suffix in _COMPRESSION_SUFFIXES:
        base = base.removesuffix(suffix)
    return _SUFFIXES.get(os.path.splitext(base)[1])  # noqa: PTH122 - may be the path part of a URL


def _describe(filesystem: fsspec.AbstractFileSystem, name: str) -> ManifestFile:
    path = name if "file" in _protocols(filesystem) else filesystem.unstrip_protocol(name)
    with translated(path):
        with filesystem.open(name, "rb") as raw:
            head = raw.read(8)
        size, version = int(filesystem.size(name) or 0), str(filesystem.ukey(name))
    compression = next((kind for magic, kind in _COMPRESSED.items() if head.startswith(magic)), None)
    return ManifestFile(path, _checked_format(path, head), compression, size, version)


def _checked_format(path: str, head: bytes) -> Format:
    for magic, what in _NO_LIST.items():
        if head.startswith(magic):
            raise ManifestError(f"{path} is {what}, not a list of URLs; a manifest is UTF-8 text or Parquet")
    if head.startswith(b"PAR1"):
        return Format.PARQUET
    kind = _format_of(path)
    if kind is None and path.lower().endswith(".json"):
        raise ManifestError(
            f"{path} is a JSON document; write JSON lines into a .jsonl file, e.g. with jq -c '.[]'"
        )
    if kind is None:
        raise ManifestError(f"{path} has no known suffix; name it {', '.join(_SUFFIXES)} (or with .gz added)")
    if kind is Format.PARQUET and head:
        raise ManifestError(f"{path} is no Parquet file, it does not begin with PAR1; fetch it again")
    return kind


def _one_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
