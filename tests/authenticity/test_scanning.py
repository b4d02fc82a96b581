"""Each kind of file is looked into, and what cannot be looked into is never clean."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.authenticity.formats import HEAD, Kind, kind_of
from poisonscan.authenticity.model import Defect, Level, Problem
from poisonscan.authenticity.pickles import MAX_DEPTH
from poisonscan.authenticity.scanning import scan_file

from .checkpoints import (
    TENSORS,
    Calls,
    dumps,
    header_of,
    honest_pickle,
    pickled_call,
    safetensors_bytes,
    torch_zip,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CALL = pickled_call("os", "system")


def scan(path: Path) -> list[Defect]:
    return scan_file(path, path.name)[1]


def problems(path: Path) -> dict[str, Problem]:
    return {item.path: item.problem for item in scan(path)}


def scan_bytes(folder: Path, name: str, body: bytes) -> list[Defect]:
    (folder / name).write_bytes(body)
    return scan(folder / name)


HONEST = {
    "model.safetensors": (safetensors_bytes(header_of(TENSORS)), Kind.SAFETENSORS),
    "weights.pkl": (honest_pickle(), Kind.PICKLE),
    "config.json": (b'{"a": [1, {"b": "c"}]}', Kind.TEXT),
    "README.md": ("# Gr\u00fc\u00dfe\n".encode() * 100, Kind.TEXT),
    "settings.yaml": (b"a: 1\n", Kind.TEXT),
    "LICENSE": (b"Do what you like.\n", Kind.TEXT),
    "vocab": (("\u00e9" * HEAD).encode(), Kind.TEXT),
    "empty": (b"", Kind.TEXT),
    "sample.png": (b"\x89PNG\r\n\x1a\n\0\0", Kind.DATA),
    "spiece.model": (b"\n\x05\xff\x00", Kind.DATA),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_files_have_nothing(name: str, tmp_path: Path) -> None:
    body, kind = HONEST[name]
    (tmp_path / name).write_bytes(body)
    assert scan_file(tmp_path / name, name) == (kind, [])


def test_a_torch_archive_is_looked_into(tmp_path: Path) -> None:
    torch_zip(tmp_path / "good.pt", honest_pickle())
    assert scan(tmp_path / "good.pt") == []
    torch_zip(tmp_path / "bad.pt", CALL)
    assert problems(tmp_path / "bad.pt") == {"bad.pt!archive/data.pkl": Problem.UNSAFE_PICKLE}
    torch_zip(tmp_path / "bad.bin", honest_pickle(), {"archive/extra.pkl": CALL, "archive/hidden": CALL})
    assert set(problems(tmp_path / "bad.bin")) == {"bad.bin!archive/extra.pkl", "bad.bin!archive/hidden"}


def test_a_name_of_raw_numbers_hides_nothing_elsewhere(tmp_path: Path) -> None:
    """Only archive/data/N beside archive/data.pkl are numbers that torch never unpickles."""
    torch_zip(tmp_path / "x.pt", honest_pickle(), {"other/data/0": CALL, "archive/data/0x": CALL})
    assert set(problems(tmp_path / "x.pt")) == {"x.pt!other/data/0", "x.pt!archive/data/0x"}


def test_torchscript_is_a_program(tmp_path: Path) -> None:
    torch_zip(tmp_path / "x.pt", honest_pickle(), {"archive/code/__torch__.py": b"def f(): pass"})
    assert set(problems(tmp_path / "x.pt").values()) == {Problem.EXECUTABLE_CODE}


def test_archives_in_archives_are_followed_so_far(tmp_path: Path) -> None:
    body = CALL
    for _ in range(3):
        body = zipped({"inner.pkl" if body is CALL else "inner.zip": body})
    [found] = scan_bytes(tmp_path, "deep.zip", body)
    assert (found.problem, found.path) == (Problem.UNSAFE_PICKLE, "deep.zip!inner.zip!inner.zip!inner.pkl")
    for _ in range(MAX_DEPTH):
        body = zipped({"inner.zip": body})
    assert {item.problem for item in scan_bytes(tmp_path, "deeper.zip", body)} == {Problem.UNSCANNABLE}


def zipped(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_an_archive_too_large_to_unpack_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poisonscan.authenticity.scanning.MAX_MEMBER", 50)
    body = zipped({"inner.zip": zipped({"a": b"x" * 100})})
    [found] = scan_bytes(tmp_path, "x.zip", body)
    assert (found.problem, "more than the 50" in found.words) == (Problem.UNSCANNABLE, True)
    [found] = scan_bytes(tmp_path, "y.zip", zipped({"w.pkl": dumps(b"0" * 100)}))
    assert (found.problem, "more than the 50" in found.words) == (Problem.UNSCANNABLE, True)
    assert scan_bytes(tmp_path, "w.pkl", dumps(b"0" * 100)) == []  # on disk it takes what it takes


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # that is what is written here
def test_two_members_of_one_name_are_malformed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("archive/data.pkl", honest_pickle())
        archive.writestr("archive/data.pkl", CALL)
    assert Problem.MALFORMED in {item.problem for item in scan(tmp_path / "x.pt")}


def test_damaged_and_encrypted_archives_are_malformed(tmp_path: Path) -> None:
    body = zipped({"data.pkl": honest_pickle()})
    assert {item.problem for item in scan_bytes(tmp_path, "cut.pt", body[:-10])} == {Problem.MALFORMED}
    flipped = bytearray(body)
    flipped[40] ^= 0xFF
    assert {item.problem for item in scan_bytes(tmp_path, "flip.pt", bytes(flipped))} >= {Problem.MALFORMED}
    encrypted = bytearray(body)
    for at in (6, body.index(b"PK\x01\x02") + 8):
        encrypted[at] |= 1
    [found] = scan_bytes(tmp_path, "secret.pt", bytes(encrypted))
    assert (found.problem, "encrypted" in found.words) == (Problem.MALFORMED, True)
    renamed = body.replace(b"data.pkl", b"fake.pkl", 1)  # in the member's own header, not in the directory
    assert {item.problem for item in scan_bytes(tmp_path, "names.pt", renamed)} == {Problem.MALFORMED}


def test_a_file_that_is_two_things_is_malformed(tmp_path: Path) -> None:
    both = honest_pickle() + zipped({"data.pkl": CALL})
    assert Problem.MALFORMED in {item.problem for item in scan_bytes(tmp_path, "x.bin", both)}
    text = b"# read me\n" + zipped({"data.pkl": CALL})
    assert Problem.MALFORMED in {item.problem for item in scan_bytes(tmp_path, "x.txt", text)}


def test_what_a_file_is_called_does_not_hide_what_it_is(tmp_path: Path) -> None:
    for name in ("config.json", "weights", "notes.txt", "x.msgpack", "x.onnx"):
        assert [item.problem for item in scan_bytes(tmp_path, name, CALL)] == [Problem.UNSAFE_PICKLE]
    for name in ("weights", "notes.txt", "vocab.json"):  # protocol 0 is all text
        seen = scan_bytes(tmp_path, name, dumps(Calls(os.system, "id"), 0))
        assert Problem.UNSAFE_PICKLE in {item.problem for item in seen}
    assert scan_bytes(tmp_path, "cos.txt", b"cos\nsystem\n is how a text may begin") == []
    [found] = scan_bytes(tmp_path, "model.safetensors", CALL)
    assert found.problem is Problem.MALFORMED
    assert scan_bytes(tmp_path, "vocab.txt", b"\x7fELF")[0].problem is Problem.EXECUTABLE_CODE


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_what_torch_wrote_before_1_6_is_five_pickles_and_numbers(protocol: int, tmp_path: Path) -> None:
    def written(value: bytes) -> bytes:
        start = [dumps(0x1950A86A20F9469CFC6C, 2), dumps(1001, 2), dumps({"little_endian": True}, 2)]
        return b"".join([*start, value, dumps(["0"], 2), b"\xff\x80\x04 raw numbers"])

    assert scan_bytes(tmp_path, "good.bin", written(honest_pickle())) == []
    call = dumps(Calls(os.system, "id"), protocol)
    assert [item.problem for item in scan_bytes(tmp_path, "bad.bin", written(call))] == [
        Problem.UNSAFE_PICKLE
    ]
    [cut] = scan_bytes(tmp_path, "cut.bin", written(honest_pickle())[:12])
    assert cut.problem is Problem.UNSCANNABLE


def test_a_magic_number_that_is_computed_is_unsafe(tmp_path: Path) -> None:
    found = scan_bytes(tmp_path, "x.bin", pickled_call("builtins", "eval", "MAGIC"))
    assert [item.problem for item in found] == [Problem.UNSAFE_PICKLE]


def test_bytes_after_a_pickle_are_named(tmp_path: Path) -> None:
    [found] = scan_bytes(tmp_path, "x.pkl", honest_pickle() + b"\xff more")
    assert (found.problem, found.words[:5]) == (Problem.UNSCANNABLE, "after")


def tarred(members: Mapping[str, bytes], link: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return stream.getvalue()


def test_the_tar_of_old_torch_and_any_other_tar_are_looked_into(tmp_path: Path) -> None:
    numbers = dumps(1) + b"\xff raw numbers"
    legacy = {"sys_info": dumps({}), "pickle": honest_pickle(), "storages": numbers, "tensors": numbers}
    assert scan_bytes(tmp_path, "good.pt", tarred(legacy)) == []
    assert [item.path for item in scan_bytes(tmp_path, "bad.pt", tarred(legacy | {"pickle": CALL}))] == [
        "bad.pt!pickle"
    ]
    assert [item.problem for item in scan_bytes(tmp_path, "x.nemo", tarred({"w.ckpt": CALL}))] == [
        Problem.UNSAFE_PICKLE
    ]
    assert [item.problem for item in scan_bytes(tmp_path, "l.tar", tarred({}, link="/etc"))] == [
        Problem.MALFORMED
    ]
    assert {item.problem for item in scan_bytes(tmp_path, "cut.tar", tarred(legacy)[:700])} == {
        Problem.MALFORMED
    }


def npy(value: object, *, objects: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(value), allow_pickle=objects)
    return stream.getvalue()


def test_arrays_of_numbers_are_data_and_arrays_of_objects_are_pickles(tmp_path: Path) -> None:
    assert scan_bytes(tmp_path, "x.npy", npy([1.0, 2.0])) == []
    objects = np.empty(1, dtype=object)
    objects[0] = Calls(os.system, "id")
    assert [item.problem for item in scan_bytes(tmp_path, "o.npy", npy(objects, objects=True))] == [
        Problem.UNSAFE_PICKLE
    ]
    archive = zipped({"a.npy": npy([1]), "b.npy": npy(objects, objects=True)})
    assert [item.path for item in scan_bytes(tmp_path, "x.npz", archive)] == ["x.npz!b.npy"]
    assert [item.problem for item in scan_bytes(tmp_path, "cut.npy", npy([1])[:20])] == [Problem.MALFORMED]


def test_texts_that_name_code_are_named(tmp_path: Path) -> None:
    auto = json.dumps({"x": [{"auto_map": {"AutoModel": "somebody/repo--modeling.Model"}}]}).encode()
    assert [item.problem for item in scan_bytes(tmp_path, "config.json", auto)] == [Problem.EXECUTABLE_CODE]
    index = {"weight_map": {"a": "model-00001.safetensors", "b": "model-00002.safetensors"}}
    assert scan_bytes(tmp_path, "model.index.json", json.dumps(index).encode()) == []
    index["weight_map"]["c"] = "../../elsewhere.bin"
    [found] = scan_bytes(tmp_path, "model.index.json", json.dumps(index).encode())
    assert found.problem is Problem.UNSAFE_FORMAT
    tag = b"a: !!python/object/apply:os.system [id]"
    assert [item.problem for item in scan_bytes(tmp_path, "x.yaml", tag)] == [Problem.UNSAFE_FORMAT]
    keras = json.dumps({"config": {"layers": [{"class_name": "Lambda"}]}}).encode()
    [found] = scan_bytes(tmp_path, "m.keras", zipped({"config.json": keras, "metadata.json": b"{}"}))
    assert (found.path, found.problem) == ("m.keras!config.json", Problem.UNSAFE_FORMAT)
    assert [item.problem for item in scan_bytes(tmp_path, "a.json", b"{")] == [Problem.UNSCANNABLE]
    assert [item.problem for item in scan_bytes(tmp_path, "b.json", b"[" * 10**6)] == [Problem.UNSCANNABLE]
    assert [item.problem for item in scan_bytes(tmp_path, "a.txt", b"\xff\xfe\x00")] == [Problem.UNSCANNABLE]


def test_code_is_named(tmp_path: Path) -> None:
    for name, body in {
        "pipeline.py": b"import os",
        "x.so": b"\x7fELF",
        "x": b"MZ\x90",
        "run": b"#!/bin/sh",
        "n.ipynb": b"{}",
    }.items():
        assert [item.problem for item in scan_bytes(tmp_path, name, body)] == [Problem.EXECUTABLE_CODE]


def test_hdf5_is_searched_and_never_clean(tmp_path: Path) -> None:
    head = b"\x89HDF\r\n\x1a\n"
    [found] = scan_bytes(tmp_path, "a.h5", head + b"x" * 2**20)
    assert found.problem is Problem.UNSCANNABLE
    for at in (100, 2**20 - 12, 2**20 + 5):  # also across the pieces that are read
        body = head + b"x" * at + b'"class_name": "Lambda"' + b"x" * 99
        assert [item.problem for item in scan_bytes(tmp_path, "b.h5", body)] == [Problem.UNSAFE_FORMAT]


CLOSED = {
    "x.7z": b"7z\xbc\xaf\x27\x1c",
    "x.pkl.gz": b"\x1f\x8b",
    "x.gguf": b"GGUF",
    "saved_model.pb": b"\x08\x01\x00",
}


@pytest.mark.parametrize("name", CLOSED)
def test_what_is_of_no_known_format_is_never_clean(name: str, tmp_path: Path) -> None:
    [found] = scan_bytes(tmp_path, name, CLOSED[name])
    assert found.problem is Problem.UNSCANNABLE


def message(number: int, body: bytes) -> bytes:
    """A length-delimited field of protobuf."""
    return varint(number << 3 | 2) + varint(len(body)) + body


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return out + bytes((value,))


def onnx(place: str, *, nested: bool = False) -> bytes:
    """A model with a tensor whose numbers lie elsewhere, in the graph or in the attribute of a node."""
    entry = message(1, b"location") + message(2, place.encode())
    other = message(1, b"length") + message(2, b"12")
    tensor = b"\x10\x01" + message(13, entry) + message(13, other) + b"\x4d" + struct.pack("<f", 1)
    inside = message(1, message(5, message(5, tensor))) if nested else message(5, tensor)
    return b"\x08\x08" + message(2, b"a maker") + b"\x09" + bytes(8) + message(7, inside)


@pytest.mark.parametrize("nested", [False, True])
def test_onnx_may_keep_its_tensors_beside_it_and_nowhere_else(tmp_path: Path, *, nested: bool) -> None:
    assert scan_bytes(tmp_path, "a.onnx", onnx("weights/model.onnx_data", nested=nested)) == []
    for place in ("../secret", "/etc/passwd", "a/../../b", "C:\\x", "..\\x", ""):
        [found] = scan_bytes(tmp_path, "b.onnx", onnx(place, nested=nested))
        assert found.problem is Problem.UNSAFE_FORMAT


def test_onnx_that_is_none_is_malformed(tmp_path: Path) -> None:
    whole = onnx("x")
    for body in (whole[:-3], b"\xff" * 20, b"\x0f", message(7, message(1, b"\x2a\x05")), b"\x80"):
        assert [item.problem for item in scan_bytes(tmp_path, "a.onnx", body)] == [Problem.MALFORMED]
    deep = b""
    for _ in range(60):  # graphs in attributes of nodes
        deep = message(1, message(5, message(6, deep)))
    [found] = scan_bytes(tmp_path, "deep.onnx", message(7, deep))
    assert "deep" in found.words


SUFFIXES = st.sampled_from(
    ["", ".pt", ".pkl", ".json", ".txt", ".npy", ".onnx", ".h5", ".zip", ".safetensors"]
)
HEADS = st.sampled_from(
    [b"", b"PK\x03\x04", b"\x80\x04", b"\x93NUMPY\x01\x00", b"{", b"\x08\x01", b"\x89HDF\r\n\x1a\n"]
)


@given(suffix=SUFFIXES, head=HEADS, body=st.binary(max_size=400))
def test_no_bytes_break_the_scan(
    suffix: str, head: bytes, body: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(head + body)
    kind, found = scan_file(path, path.name)
    assert kind is kind_of(path.name, (head + body)[:HEAD])
    if kind in {Kind.CLOSED, Kind.HDF5}:
        assert {item.problem.level for item in found} & {Level.WRONG, Level.UNSEEN}


def test_what_torch_saves_is_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the extra `clip` or `probe` is not installed")
    state = {
        "w": torch.ones(2, 3, dtype=torch.float16),
        "p": torch.nn.Parameter(torch.zeros(2)),
        "sizes": torch.Size((1, 2)),
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
        "sparse": torch.eye(2).to_sparse(),
        "step": 7,
    }
    for name, as_zip in (("new.pt", True), ("old.bin", False)):
        torch.save(state, tmp_path / name, _use_new_zipfile_serialization=as_zip)
        assert scan(tmp_path / name) == []
        torch.save({"w": Calls(os.system, "id")}, tmp_path / name, _use_new_zipfile_serialization=as_zip)
        assert Problem.UNSAFE_PICKLE in problems(tmp_path / name).values()
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    assert set(problems(tmp_path / "module.pt").values()) == {Problem.SUSPICIOUS_PICKLE}


def test_what_joblib_saves_is_never_clean(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib", reason="joblib is not installed")
    joblib.dump({"w": np.ones(5)}, tmp_path / "x.joblib")
    found = set(problems(tmp_path / "x.joblib").values())
    assert found
    assert {problem.level for problem in found} <= {Level.SUSPICIOUS, Level.UNSEEN}
