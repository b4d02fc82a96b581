"""Walking through a tar file that may be truncated or hostile, without extracting it."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from poisonscan.sources.files import printable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

MARK_BYTES = 512
"""A tar ends in blocks of this many zero bytes; without one, its end is missing."""
_MAX_HEADER = 1 << 20
"""Longest name or extended header read, bytes. A header of 512 bytes may claim gigabytes for a name."""
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
"""What a file begins with in which macOS's tar keeps another file's attributes (RFC 1740)."""
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True, slots=True)
class Damage:
    """The tar cannot be read any further."""

    reason: str


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar.

    Attributes:
        key: its name up to the first dot of the base name, folders included, as webdataset has it.
        suffix: what follows that dot, in lower case.
        path: of the tar.
        info: its header.
    """

    key: str
    suffix: str
    path: Path
    info: tarfile.TarInfo

    def read(self, max_bytes: int) -> bytes | str:
        """Its bytes, or in words why they cannot be had."""
        if not self.info.isreg() or self.info.issparse():
            return "is no regular file inside the tar"
        if self.info.size > max_bytes:
            return f"is larger than {max_bytes} bytes"
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.info.offset_data)
                body = stream.read(self.info.size)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        return body if len(body) == self.info.size else "is cut off, the tar is truncated"


def members(path: Path) -> Iterator[Member | Damage]:
    """The members of a tar in order, and of those put behind it as `cat` does.

    Files of attributes that macOS adds are left out. Last of all comes the damage, if a tar is truncated
    or broken.
    """
    try:
        with _Bounded(io.FileIO(path)) as raw:
            start: int | None = 0
            while start is not None:
                raw.seek(start)
                end = yield from _of_one(path, raw)
                if isinstance(end, Damage):
                    yield end
                    return
                start = _next_tar(raw, end)
    except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
        yield Damage(f"{path.name} is truncated or damaged ({error})")


def _of_one(path: Path, raw: _Bounded) -> Generator[Member, None, int | Damage]:
    """The members of the tar that begins here; where it ends, or why it does not."""
    with tarfile.open(fileobj=raw, mode="r:") as archive:
        behind = -1
        while (info := archive.next()) is not None:
            if info.size < 0 or archive.offset <= behind:  # would walk in circles (CVE-2025-8194)
                raise tarfile.ReadError("a header points backwards")
            behind = archive.offset
            archive.members.clear()  # type: ignore[attr-defined]  # else it remembers every member
            if not info.isdir() and not _holds_attributes(raw, info):
                yield Member(*_split(info.name), path, info)
        end = int(archive.offset)
    raw.seek(end)
    if raw.read(MARK_BYTES) != bytes(MARK_BYTES):
        return Damage(f"{path.name} is truncated or damaged at byte {end}")
    return end


def _next_tar(raw: _Bounded, end: int) -> int | None:
    """Where another tar begins behind the end mark of one; None where only zero bytes follow."""
    raw.seek(end)
    while block := raw.read(MARK_BYTES):
        if block.strip(b"\0"):
            return raw.tell() - len(block)
    return None


def why_unreadable(path: Path) -> str:
    """Why a tar cannot be read at random, as pictures are; empty where it can."""
    with path.open("rb") as stream:
        head = stream.read(8)
    kind = next((name for magic, name in _COMPRESSED.items() if head.startswith(magic)), "")
    return f"{path.name} is compressed with {kind}; decompress it, then name the folder again" if kind else ""


class _Bounded(io.BufferedReader):
    """A file whose single reads are bounded: what tarfile reads of a header it first allocates."""

    def read(self, size: int | None = -1, /) -> bytes:
        """At most _MAX_HEADER bytes.

        Raises:
            ReadError: more were asked for.
        """
        if size is None or not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size)


def _holds_attributes(raw: _Bounded, info: tarfile.TarInfo) -> bool:
    if not PurePosixPath(info.name).name.startswith("._") or not info.isreg():
        return False
    back = raw.tell()
    raw.seek(info.offset_data)
    found = raw.read(len(_APPLE_DOUBLE)) == _APPLE_DOUBLE
    raw.seek(back)
    return found


def _split(name: str) -> tuple[str, str]:
    *folders, last = [part for part in printable(name).split("/") if part not in {"", ".", ".."}] or [""]
    base, _, suffix = last.partition(".")
    return "/".join([*folders, base]), suffix.lower()
