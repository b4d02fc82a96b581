"""A valid header passes, whatever its tensors; one that does not add up is named."""

from __future__ import annotations

import copy
import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from poisonscan.authenticity.safetensors import MAX_HEADER, safetensors_faults

from .checkpoints import TENSORS, header_of, safetensors_bytes

TENSOR = st.tuples(
    st.sampled_from(["F32", "F16", "I64", "U8"]), st.lists(st.integers(0, 5), max_size=3).map(tuple)
)
TABLES = st.dictionaries(st.text(min_size=1, max_size=6).filter(lambda name: name != "__metadata__"), TENSOR)


def faults(body: bytes) -> list[str]:
    return safetensors_faults(BytesIO(body), len(body))


@given(tensors=TABLES, padding=st.integers(0, 8))
def test_a_valid_file_has_no_faults(tensors: dict[str, Any], padding: int) -> None:
    header = header_of(tensors)
    size = len(safetensors_bytes(header)) - 8 - len(json.dumps(header))
    assert faults(safetensors_bytes(json.dumps(header).encode() + b" " * padding, size)) == []


@given(tensors=TABLES.filter(bool), end=st.integers(0, 1), by=st.integers(-9, 9), data=st.data())
def test_a_shifted_offset_is_named(tensors: dict[str, Any], end: int, by: int, data: st.DataObject) -> None:
    assume(by != 0)
    header = header_of(tensors)
    whole = safetensors_bytes(header)
    size = len(whole) - 8 - len(json.dumps(header))
    name = data.draw(st.sampled_from(sorted(tensors)))
    header[name]["data_offsets"][end] += by
    assert faults(safetensors_bytes(header, size))


@given(tensors=TABLES.filter(bool), by=st.integers(1, 9))
def test_a_tensor_moved_as_a_whole_is_named(tensors: dict[str, Any], by: int) -> None:
    header = header_of(tensors)
    size = len(safetensors_bytes(header)) - 8 - len(json.dumps(header))
    last = list(tensors)[-1]
    assume(header[last]["data_offsets"][0] != header[last]["data_offsets"][1])
    header[last]["data_offsets"] = [at + by for at in header[last]["data_offsets"]]
    assert faults(safetensors_bytes(header, size))
    assert faults(safetensors_bytes(header))  # also where the data are as long as it says: a hole


@given(body=st.binary(max_size=200))
def test_no_bytes_break_the_check(body: bytes) -> None:
    found = faults(body)
    assert found
    assert all(isinstance(fault, str) for fault in found)


def changed(**fields: object) -> dict[str, Any]:
    header = copy.deepcopy(header_of(TENSORS))
    header["conv_in.weight"] |= fields
    return header


ATTACKS: dict[str, tuple[bytes, str]] = {
    "too short": (b"\x01\x00", "too few"),
    "a header beyond the cap": ((MAX_HEADER + 1).to_bytes(8, "little") + b"{}", "more than the"),
    "a header beyond the file": ((500).to_bytes(8, "little") + b"{}", "only 2 follow"),
    "no JSON": (safetensors_bytes(b"{oops", 0), "no JSON"),
    "no object": (safetensors_bytes(b"[]", 0), "does not begin with"),
    "not UTF-8": (safetensors_bytes(b'{"\xff":1}', 0), "no JSON"),
    "infinitely deep": (safetensors_bytes(b'{"a":' + b"[" * 100_000, 0), "no JSON"),
    "NaN": (safetensors_bytes(b'{"a":NaN}', 0), "no JSON"),
    "the same name twice": (
        safetensors_bytes(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{}}', 1),
        "'a' twice",
    ),
    "metadata that is no text": (safetensors_bytes({"__metadata__": {"a": 1}}, 0), "no table of texts"),
    "a tensor that is a number": (safetensors_bytes({"a": 1}, 0), "exactly dtype"),
    "another key": (safetensors_bytes(changed(extra=1)), "exactly dtype"),
    "an unknown dtype": (safetensors_bytes(changed(dtype="F33")), "no dtype 'F33'"),
    "a negative side": (safetensors_bytes(changed(shape=[-2, -3])), "list of up to"),
    "a side that is true": (safetensors_bytes(changed(shape=[True, 6])), "list of up to"),
    "a thousand sides": (safetensors_bytes(changed(shape=[2**63] * 1000)), "list of up to"),
    "a shape that overflows": (safetensors_bytes(changed(shape=[2**63, 2])), "takes"),
    "offsets the wrong way round": (safetensors_bytes(changed(data_offsets=[24, 0])), "no [begin, end]"),
    "one offset": (safetensors_bytes(changed(data_offsets=[24]), 40), "no [begin, end]"),
    "dtype and offsets that differ": (safetensors_bytes(changed(dtype="F16")), "takes 12 bytes"),
    "data that end early": (safetensors_bytes(header_of(TENSORS), 10), "reach to byte 36 of 10"),
    "data after the last tensor": (safetensors_bytes(header_of(TENSORS), 50), "14 bytes after"),
    "two tensors in one place": (
        safetensors_bytes(
            {name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for name in ("a", "b")}, 4
        ),
        "inside of tensor 'a'",
    ),
    "a hole": (
        safetensors_bytes({"a": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}}, 6),
        "2 bytes before tensor 'a'",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_the_header_is_named(name: str) -> None:
    body, words = ATTACKS[name]
    found = faults(body)
    assert len(found) == 1
    assert words in found[0]


def test_it_agrees_with_the_format_s_own_reader() -> None:
    reader = pytest.importorskip("safetensors", reason="the extra `probe` or `clip` is not installed")
    accepted = {"the same name twice", "another key"}  # by the reader; here they are refused on purpose
    for name, (body, _) in ATTACKS.items():
        if name not in accepted:
            with pytest.raises(reader.SafetensorError):
                reader.deserialize(body)
    assert reader.deserialize(safetensors_bytes(header_of(TENSORS)))
