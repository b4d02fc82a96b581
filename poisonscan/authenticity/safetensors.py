"""The header of a safetensors file, checked without loading a tensor.

The format: 8 bytes little endian, the length n of the header; n bytes of JSON; the data. The header names
each tensor with its dtype, shape and data_offsets [begin, end) from the beginning of the data. Source of the
rules: the format's description and `SafeTensors::read_metadata` of safetensors 0.8; names given twice, other
keys and bytes that belong to no tensor are refused here too.
"""

from __future__ import annotations

import json
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

MAX_HEADER = 100_000_000
"""Bytes; the cap of the format's own reader (MAX_HEADER_SIZE)."""
_LENGTH = 8
_MAX_DIMENSIONS = 64
"""What torch and numpy can hold; the product of a hostile shape of millions of sizes would take hours."""
_METADATA = "__metadata__"
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
"""Bits of one element by dtype (`Dtype::bitsize`)."""


class _DuplicateKeyError(ValueError):
    """A name that a JSON object has twice: readers differ in which one counts."""


def safetensors_faults(stream: BinaryIO, size: int) -> list[str]:
    """What is wrong with a safetensors file, a clause each; empty for a valid one.

    Args:
        stream: at the beginning of the file; read up to the end of the header.
        size: of the file, bytes.
    """
    length = int.from_bytes(stream.read(_LENGTH), "little")
    if size < _LENGTH:
        return [f"it has {size} bytes, too few for a header"]
    if length > MAX_HEADER:
        return [f"its header claims {length:,} bytes, more than the {MAX_HEADER:,} that the format allows"]
    if _LENGTH + length > size:
        return [f"its header claims {length:,} bytes, and only {size - _LENGTH:,} follow"]
    return header_faults(stream.read(length), size - _LENGTH - length)


def header_faults(header: bytes, data: int) -> list[str]:
    """What is wrong with the header of a safetensors file, a clause each.

    Args:
        header: its JSON.
        data: bytes that follow it.
    """
    if not header.startswith(b"{"):
        return ["its header does not begin with {"]
    try:
        tensors = json.loads(header.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except _DuplicateKeyError as error:
        return [str(error)]
    except (ValueError, RecursionError) as error:
        return [f"its header is no JSON: {error}"]
    faults = list(_metadata_faults(tensors.pop(_METADATA, None)))
    for name, tensor in tensors.items():
        faults += [f"tensor {name!r}: {fault}" for fault in _tensor_faults(tensor)]
    return faults or list(_layout_faults(tensors, data))


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _DuplicateKeyError(f"its header has {name!r} twice")
        found[name] = value
    return found


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no number of JSON")


def _metadata_faults(metadata: object) -> Iterator[str]:
    if metadata is None:  # the format's reader takes null for none
        return
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        yield f"{_METADATA} is no table of texts"


def _tensor_faults(tensor: object) -> Iterator[str]:
    """What is wrong with a tensor by itself."""
    if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
        yield "it does not have exactly dtype, shape and data_offsets"
        return
    dtype, shape, offsets = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        yield f"there is no dtype {dtype!r}"
    elif not _counts(shape) or len(shape) > _MAX_DIMENSIONS:
        yield f"its shape is no list of up to {_MAX_DIMENSIONS} sizes"
    elif not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:  # noqa: PLR2004 - begin, end
        yield "its data_offsets are no [begin, end]"
    elif (bits := prod(shape) * _BITS[dtype]) != 8 * (span := offsets[1] - offsets[0]):
        yield f"{dtype} of shape {shape} takes {bits / 8:g} bytes, its data_offsets span {span}"


def _counts(value: object) -> bool:
    """Whether a value is a list of whole numbers from 0; True and False are none."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**64 for item in value)


def _layout_faults(tensors: dict[str, Any], data: int) -> Iterator[str]:
    """Tensors that overlap, leave holes or reach beyond the data."""
    spans = sorted((*tensor["data_offsets"], name) for name, tensor in tensors.items())
    for (_, end, before), (begin, _, name) in pairwise([(0, 0, ""), *spans]):
        if begin < end:
            yield f"tensor {name!r} begins at {begin:,}, inside of tensor {before!r}"
        elif begin > end:
            yield f"{begin - end:,} bytes before tensor {name!r} belong to no tensor"
    last = max((end for _, end, _ in spans), default=0)
    if last > data:
        yield f"its tensors reach to byte {last:,} of {data:,}"
    elif last < data:
        yield f"{data - last:,} bytes after the last tensor belong to no tensor"
