"""Look into every file of a checkpoint: can reading it run code, and is it what it says it is?"""

from __future__ import annotations

import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from io import BytesIO
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from poisonscan.authenticity.formats import HEAD, Kind, kind_of, why_unscannable
from poisonscan.authenticity.model import Defect, Problem
from poisonscan.authenticity.onnx_paths import onnx_defects
from poisonscan.authenticity.opcodes import Bounded, imports_of_whole_pickle
from poisonscan.authenticity.pickles import MAX_DEPTH, pickle_defects
from poisonscan.authenticity.safetensors import safetensors_faults
from poisonscan.authenticity.texts import MAX_TEXT, text_defects
from poisonscan.files import storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

MAX_MEMBER = 2**30
"""Bytes of an archive or a pickle in an archive that are read into memory."""
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    struct.error,
)
"""What zipfile raises for a damaged, encrypted or hostile archive: RuntimeError means encrypted."""
_LAMBDA = (b'"class_name": "Lambda"', b'"class_name":"Lambda"')
_LEGACY_TAR = frozenset(("sys_info", "pickle", "storages", "tensors"))
"""The members of a file that torch wrote before 0.1.10: pickles, of which some go on as raw numbers."""
_OVERLAP = 64
_DIGITS = "0123456789"


def scan_file(file: Path, path: str) -> tuple[Kind, list[Defect]]:
    """What is wrong with one file.

    Args:
        file: where it is.
        path: its name in the checkpoint.

    Raises:
        StorageError: it cannot be read.
        MissingDependencyError: it holds a pickle and picklescan is not installed.
    """
    with storage(file), file.open("rb") as stream:
        return _scan(stream, file.stat().st_size, path, path, 0)


def _scan(stream: BinaryIO, size: int, name: str, path: str, depth: int) -> tuple[Kind, list[Defect]]:
    head = stream.read(HEAD)
    stream.seek(0)
    kind = kind_of(name, head)
    if kind is Kind.CLOSED:
        return kind, [Defect(path, Problem.UNSCANNABLE, f"{why_unscannable(head)}: nobody looked into it")]
    defects = list(_SCANNERS[kind](stream, size, name, path, depth))
    if depth == 0 and kind in _POLYGLOTS and _is_zip(stream):
        words = f"a {kind} that is a zip archive as well: programs differ in what they read"
        defects.append(Defect(path, Problem.MALFORMED, words))
    return kind, defects


def _is_zip(stream: BinaryIO) -> bool:
    stream.seek(0)
    return zipfile.is_zipfile(stream)


def _scan_safetensors(stream: BinaryIO, size: int, _: str, path: str, __: int) -> Iterator[Defect]:
    yield from (Defect(path, Problem.MALFORMED, fault[:300]) for fault in safetensors_faults(stream, size))


def _scan_pickle(stream: BinaryIO, size: int, _: str, path: str, depth: int) -> Iterator[Defect]:
    if depth and size > MAX_MEMBER:  # a few megabytes of an archive can be made to give any number of bytes
        words = f"a pickle of {size:,} bytes in an archive, more than the {MAX_MEMBER:,} that are read"
        yield Defect(path, Problem.UNSCANNABLE, words)
    else:
        yield from pickle_defects(Bounded(stream, size), path, depth)


def _scan_text(stream: BinaryIO, size: int, name: str, path: str, depth: int) -> Iterator[Defect]:
    if size > MAX_TEXT:
        words = f"a text of {size:,} bytes, more than the {MAX_TEXT:,} that are looked through"
        yield Defect(path, Problem.UNSCANNABLE, words)
    else:
        body = stream.read()
        yield from text_defects(body, name, path)
        if imports_of_whole_pickle(body):  # of protocol 0, which is all text
            yield from pickle_defects(Bounded(BytesIO(body), len(body)), path, depth)


def _scan_data(_: BinaryIO, __: int, ___: str, ____: str, _____: int) -> Iterator[Defect]:
    yield from ()


def _scan_code(_: BinaryIO, __: int, ___: str, path: str, ____: int) -> Iterator[Defect]:
    yield Defect(path, Problem.EXECUTABLE_CODE, "code: whoever runs or imports it trusts who wrote it")


def _scan_hdf5(stream: BinaryIO, _: int, __: str, path: str, ___: int) -> Iterator[Defect]:
    """Keras keeps a model's configuration as plain JSON in an HDF5 file, so a Lambda layer shows as text."""
    before = b""
    while piece := stream.read(2**20):
        if any(words in before + piece for words in _LAMBDA):
            yield Defect(path, Problem.UNSAFE_FORMAT, "a Lambda layer of Keras holds Python code")
            return
        before = piece[-_OVERLAP:]
    yield Defect(path, Problem.UNSCANNABLE, "HDF5, searched for the text of a Lambda layer and not read")


def _scan_onnx(stream: BinaryIO, size: int, _: str, path: str, __: int) -> Iterator[Defect]:
    yield from onnx_defects(stream, size, path)


def _scan_numpy(stream: BinaryIO, size: int, name: str, path: str, depth: int) -> Iterator[Defect]:
    try:
        version = np.lib.format.read_magic(stream)
        reader = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        _shape, _order, dtype = reader(stream)
    except (ValueError, EOFError) as error:
        yield Defect(path, Problem.MALFORMED, f"no array of numpy: {' '.join(str(error).split())[:200]}")
        return
    if dtype.hasobject:
        yield from _scan_pickle(stream, size - stream.tell(), name, path, depth)


def _scan_zip(stream: BinaryIO, _: int, __: str, path: str, depth: int) -> Iterator[Defect]:
    try:
        with zipfile.ZipFile(stream) as archive:
            names = [member.filename for member in archive.infolist()]
            yield from (Defect(path, problem, words) for problem, words in _name_faults(names))
            numbers = _torch_numbers(names)
            for member in archive.infolist():
                if not member.is_dir() and member.filename not in numbers:
                    yield from _scan_zip_member(archive, member, path, depth + 1)
    except _BROKEN_ZIP as error:
        yield Defect(path, Problem.MALFORMED, f"its archive cannot be read: {error}"[:300])


def _name_faults(names: Sequence[str]) -> Iterator[tuple[Problem, str]]:
    """What the names in an archive give away."""
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        yield Problem.MALFORMED, f"its archive has {twice[0]!r} twice: programs differ in which they read"
    if any(PurePosixPath(name).match("*/code/*.py") or "/code/__torch__" in name for name in names):
        yield Problem.EXECUTABLE_CODE, "TorchScript: a program, with its weights"


def _torch_numbers(names: Sequence[str]) -> frozenset[str]:
    """The members that are the raw numbers of tensors, named as torch does: x/data/17 beside x/data.pkl."""
    roots = {name.removesuffix("data.pkl") for name in names if PurePosixPath(name).name == "data.pkl"}
    return frozenset(
        name
        for name in names
        if name.rstrip(_DIGITS).endswith("data/") and name.rstrip(_DIGITS)[:-5] in roots
    )


def _scan_zip_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str, depth: int
) -> Iterator[Defect]:
    where = f"{path}!{member.filename}"
    try:
        with archive.open(member) as stream:
            yield from _scan_member(cast("BinaryIO", stream), member.file_size, member.filename, where, depth)
    except _BROKEN_ZIP as error:
        yield Defect(where, Problem.MALFORMED, f"cannot be read from its archive: {error}"[:300])


def _scan_tar(stream: BinaryIO, _: int, __: str, path: str, depth: int) -> Iterator[Defect]:
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                where = f"{path}!{member.name}"
                opened = archive.extractfile(member) if member.isfile() else None
                if opened is not None:
                    body = cast("BinaryIO", opened)
                    scan = _scan_legacy if member.name in _LEGACY_TAR else _scan_member
                    yield from scan(body, member.size, member.name, where, depth + 1)
                elif not member.isdir():
                    yield Defect(where, Problem.MALFORMED, "a link or a device in an archive")
    except (tarfile.TarError, OSError, ValueError) as error:
        yield Defect(path, Problem.MALFORMED, f"its archive cannot be read: {error}"[:300])


def _scan_legacy(stream: BinaryIO, size: int, _: str, path: str, depth: int) -> Iterator[Defect]:
    """What is wrong with the pickles before the raw numbers of a file of torch before 0.1.10."""
    body = Bounded(stream, size)
    for defect in pickle_defects(body, path, depth):
        raw = defect.problem is Problem.UNSCANNABLE and defect.words.startswith("after ")
        if not raw:
            yield defect


def _scan_member(stream: BinaryIO, size: int, name: str, path: str, depth: int) -> Iterator[Defect]:
    """What is wrong with a file in an archive; archives in it are unpacked into memory, nothing else is."""
    kind = kind_of(name, stream.read(HEAD))
    stream.seek(0)
    if kind in {Kind.ZIP, Kind.TAR} and depth > MAX_DEPTH:
        yield Defect(path, Problem.UNSCANNABLE, f"archives in archives, more than {MAX_DEPTH} deep")
    elif kind in {Kind.ZIP, Kind.TAR} and size > MAX_MEMBER:
        words = f"an archive of {size:,} bytes in an archive, more than the {MAX_MEMBER:,} that are unpacked"
        yield Defect(path, Problem.UNSCANNABLE, words)
    elif kind in {Kind.ZIP, Kind.TAR}:
        body = stream.read(size)
        yield from _scan(BytesIO(body), len(body), name, path, depth)[1]
    else:
        yield from _scan(stream, size, name, path, depth)[1]


_SCANNERS: dict[Kind, Callable[[BinaryIO, int, str, str, int], Iterator[Defect]]] = {
    Kind.SAFETENSORS: _scan_safetensors,
    Kind.PICKLE: _scan_pickle,
    Kind.ZIP: _scan_zip,
    Kind.TAR: _scan_tar,
    Kind.NUMPY: _scan_numpy,
    Kind.TEXT: _scan_text,
    Kind.DATA: _scan_data,
    Kind.CODE: _scan_code,
    Kind.HDF5: _scan_hdf5,
    Kind.ONNX: _scan_onnx,
}
_POLYGLOTS = frozenset((Kind.SAFETENSORS, Kind.PICKLE, Kind.NUMPY, Kind.TAR, Kind.TEXT, Kind.DATA))
