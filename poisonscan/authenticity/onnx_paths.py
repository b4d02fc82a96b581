"""The files that an ONNX model says its tensors lie in, read from the bytes of the message.

ONNX is protobuf. Only the fields that lead to a tensor's external data are followed, by their numbers in
`onnx.proto` (ONNX 1.19, IR version 10+); everything else is skipped unread.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from poisonscan.authenticity.model import Defect, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "tensor": {13: "entry"},
    "entry": {1: "key", 2: "value"},
}
_MAX_DEPTH = 100
"""What protobuf's own parsers refuse to go beyond."""
_MAX_PATH = 4096
_MAX_VARINT = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def onnx_defects(stream: BinaryIO, size: int, path: str) -> Iterator[Defect]:
    """Tensors that lie outside of the folder.

    Args:
        stream: the model.
        size: bytes of it.
        path: for the defects.
    """
    try:
        places = sorted(set(_locations(stream, "model", 0, size, 0)))
    except ValueError as error:
        yield Defect(path, Problem.MALFORMED, f"no ONNX model: {error}")
        return
    for place in places:
        if leaves_folder(place):
            words = f"its tensors lie in {place[:200]}, outside of the folder"
            yield Defect(path, Problem.UNSAFE_FORMAT, words)


def leaves_folder(place: str) -> bool:
    """Whether a relative place, as a file names it, may lie outside of the folder of that file."""
    parts = PurePosixPath(place.replace("\\", "/")).parts
    return not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]


def _locations(stream: BinaryIO, kind: str, begin: int, end: int, depth: int) -> Iterator[str]:
    """Where the tensors under a message lie, as written."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"messages in messages, more than {_MAX_DEPTH} deep")
    children = _CHILDREN[kind]
    for number, start, stop in _fields(stream, begin, end):
        child = children.get(number)
        if child == "entry":
            key, value = _entry(stream, start, stop)
            if key == "location":
                yield value
        elif child is not None:
            yield from _locations(stream, child, start, stop, depth + 1)


def _entry(stream: BinaryIO, begin: int, end: int) -> tuple[str, str]:
    texts = {"key": "", "value": ""}
    for number, start, stop in _fields(stream, begin, end):
        if (name := _CHILDREN["entry"].get(number)) is not None:
            stream.seek(start)
            texts[name] = stream.read(min(stop - start, _MAX_PATH)).decode("utf-8")
    return texts["key"], texts["value"]


def _fields(stream: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of each length-delimited field of a message; the others are stepped over."""
    at = begin
    while at < end:
        stream.seek(at)
        tag = _varint(stream)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            _varint(stream)
            at = stream.tell()
        elif wire in {_FIXED32, _FIXED64}:
            at = stream.tell() + (4 if wire == _FIXED32 else 8)
        elif wire == _BYTES:
            length = _varint(stream)
            start = stream.tell()
            at = start + length
            if at <= end:
                yield number, start, at
        else:
            raise ValueError(f"a field of the unknown wire type {wire}")
        if at > end or not number:
            raise ValueError("a field reaches beyond its message")


def _varint(stream: BinaryIO) -> int:
    value = 0
    for place in range(_MAX_VARINT):
        byte = stream.read(1)
        if not byte:
            raise ValueError("it ends in the middle of a field")
        value |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return value
    raise ValueError("a number of more than ten bytes")
