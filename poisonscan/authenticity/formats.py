"""What kind of file each file of a checkpoint is, by how it begins and by its name."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath


class Kind(StrEnum):
    """How a file is looked into."""

    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    ZIP = "zip"
    TAR = "tar"
    NUMPY = "numpy"
    TEXT = "text"
    DATA = "data"
    CODE = "code"
    HDF5 = "hdf5"
    ONNX = "onnx"
    CLOSED = "closed"


HEAD = 512
"""Bytes that `kind_of` needs; a tar says what it is at byte 257."""
_TAR_AT, _TAR = 257, b"ustar"
_PICKLES = frozenset((".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin", ".dill"))
_TEXTS = frozenset(
    (".json", ".jsonl", ".txt", ".md", ".yaml", ".yml", ".csv", ".tsv", ".toml", ".jinja", ".cfg")
)
_CODE = frozenset(
    (".py", ".pyc", ".pyd", ".pyw", ".ipynb", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".cmd", ".ps1")
)
_DATA = frozenset((".msgpack", ".onnx_data"))
_SENTENCEPIECE = frozenset(("spiece.model", "tokenizer.model", "sentencepiece.bpe.model"))
_DATA_HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")
_CODE_HEADS = (b"\x7fELF", b"MZ", b"#!", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_CLOSED_HEADS = {
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstandard",
    b"Rar!": "a RAR archive",
    b"GGUF": "a GGUF file, which this program does not read",
}
_HEADS: tuple[tuple[tuple[bytes, ...], Kind], ...] = (
    ((b"PK\x03\x04", b"PK\x05\x06"), Kind.ZIP),
    ((b"\x93NUMPY",), Kind.NUMPY),
    ((b"\x89HDF\r\n\x1a\n",), Kind.HDF5),
    (tuple(bytes((0x80, protocol)) for protocol in range(1, 6)), Kind.PICKLE),
    (_CODE_HEADS, Kind.CODE),
    (_DATA_HEADS, Kind.DATA),
    (tuple(_CLOSED_HEADS), Kind.CLOSED),
)
_SUFFIXES = (
    (_PICKLES, Kind.PICKLE),
    (frozenset((".onnx",)), Kind.ONNX),
    (_TEXTS, Kind.TEXT),
    (_DATA, Kind.DATA),
)


def kind_of(name: str, head: bytes) -> Kind:
    """What kind of file one is.

    The name decides where loaders go by it (safetensors, code); else how it begins does, so that a pickle
    called config.json is a pickle.

    Args:
        name: with or without folders.
        head: its first `HEAD` bytes, or all of a shorter one.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".safetensors":
        return Kind.SAFETENSORS
    if suffix in _CODE:
        return Kind.CODE
    return (
        _kind_by_head(head) or _kind_by_name(name, suffix) or (Kind.TEXT if _is_text(head) else Kind.CLOSED)
    )


def _kind_by_head(head: bytes) -> Kind | None:
    return next((kind for heads, kind in _HEADS if head.startswith(heads)), None) or (
        Kind.TAR if head[_TAR_AT:].startswith(_TAR) else None
    )


def _kind_by_name(name: str, suffix: str) -> Kind | None:
    if PurePosixPath(name).name in _SENTENCEPIECE:
        return Kind.DATA
    return next((kind for suffixes, kind in _SUFFIXES if suffix in suffixes), None)


def why_unscannable(head: bytes) -> str:
    """Words for what a file is that cannot be looked into."""
    known = (words for magic, words in _CLOSED_HEADS.items() if head.startswith(magic))
    return next(known, "of a format that this program does not know")


def _is_text(head: bytes) -> bool:
    """Whether bytes may be the beginning of a UTF-8 text."""
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        cut = error.reason == "unexpected end of data" and error.end == len(head) and len(head) == HEAD
        return cut and b"\0" not in head
    return b"\0" not in head
