"""What loading a pickle could run is named, by whatever detour it is imported, and nothing is ever run."""

from __future__ import annotations

import os
import pickle
import runpy
import subprocess
import sys
import timeit
from collections import OrderedDict, defaultdict
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.authenticity import pickles
from poisonscan.authenticity.model import Defect, Problem
from poisonscan.authenticity.opcodes import MAX_OPCODES, UNKNOWN, Bounded, read_imports
from poisonscan.authenticity.pickles import judge, pickle_defects
from poisonscan.errors import MissingDependencyError

from .checkpoints import Calls, dumps, honest_pickle, pickled_call, text

UNSAFE, SUSPICIOUS = Problem.UNSAFE_PICKLE, Problem.SUSPICIOUS_PICKLE


def defects(body: bytes) -> list[Defect]:
    return list(pickle_defects(Bounded(BytesIO(body), len(body)), "x.pkl"))


def problems(body: bytes) -> set[Problem]:
    return {item.problem for item in defects(body)}


def imports(body: bytes) -> frozenset[tuple[str, str]]:
    return read_imports(Bounded(BytesIO(body), len(body))).names


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_is_named_at_every_protocol(protocol: int) -> None:
    [found] = defects(dumps(Calls(os.system, "id"), protocol))
    assert (found.path, found.problem) == ("x.pkl", UNSAFE)
    assert "posix.system" in found.words


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_plain_values_are_nothing(protocol: int) -> None:
    value = {
        "array": np.arange(6, dtype=np.float32).reshape(2, 3),
        "scalar": np.float64(0.5),
        "texts": ["a", b"b", None, True, 1.5, 2**70, (1, 2, 3, 4)],
        "tables": [OrderedDict(a=1), defaultdict(list), {1, 2}, frozenset((3,)), complex(1, 2)],
    }
    assert defects(dumps(value, protocol)) == []
    assert defects(honest_pickle()) == []


GADGETS = {
    "numpy.testing": pickled_call("numpy.testing._private.utils", "runstring"),
    "runpy": dumps(Calls(runpy.run_path, "x.py")),
    "timeit": dumps(Calls(timeit.timeit, "1")),
    "subprocess": dumps(Calls(subprocess.Popen, "id")),
    "eval of python 2": b"c__builtin__\neval\n(S'1'\ntR.",
    "a name that only python 2 had": b"ccommands\ngetoutput\n(S'1'\ntR.",
    "import_module": pickled_call("importlib", "import_module", "os"),
    "__import__": pickled_call("builtins", "__import__", "os"),
    "attribute of an attribute": pickled_call("builtins", "eval.__call__", "1"),
    "through the module of another": pickled_call("torch", "os.system"),
    "attrgetter": pickled_call("_operator", "attrgetter", "system"),
    "partial": pickled_call("functools", "partial"),
    "torch.load": pickled_call("torch.serialization", "load", "other.pt"),
    "numpy.load": pickled_call("numpy", "load", "other.npy"),
    "joblib.load": pickled_call("joblib", "load", "other.joblib"),
    "hub": pickled_call("torch.hub", "load", "somebody/repo"),
    "INST": b"(S'id'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'id'\no.",
}


@pytest.mark.parametrize("name", GADGETS)
def test_gadgets_are_unsafe(name: str) -> None:
    assert UNSAFE in problems(GADGETS[name])


DETOURS = {
    "both names from the memo": (
        b"\x80\x04"
        + text("os")
        + b"\x94"
        + text("system")
        + b"\x940"
        + b"0"
        + b"h\x00h\x01\x93"
        + text("id")
        + b"\x85R."
    ),
    "a memo that is written anew": (
        b"\x80\x04"
        + text("collections")
        + b"q\x000"
        + text("os")
        + b"q\x000"
        + b"h\x00"
        + text("system")
        + b"\x93."
    ),
    "a memo filled from below the top": (
        b"\x80\x04" + text("os") + text("collections") + b"0q\x050" + b"h\x05" + text("system") + b"\x93."
    ),
    "a duplicated text": b"\x80\x04" + text("os") + b"2" + b"0" + text("system") + b"\x93.",
    "texts behind a mark": b"\x80\x04" + text("os") + b"(" + text("x") + b"1" + text("system") + b"\x93.",
    "texts in between": b"\x80\x04" + text("os") + text("system") + text("decoy") + b"0\x93.",
    "a text that is a line": b"\x80\x04Vos\nVsystem\n\x93.",
    "a frame in between": b"\x80\x04\x95"
    + (20).to_bytes(8, "little")
    + text("os")
    + text("system")
    + b"\x93.",
}


@pytest.mark.parametrize("name", DETOURS)
def test_names_are_followed_through_the_stack_and_the_memo(name: str) -> None:
    assert ("os", "system") in imports(DETOURS[name])
    assert UNSAFE in problems(DETOURS[name])


def test_the_memo_of_one_pickle_is_not_that_of_the_next() -> None:
    """A scanner with one memo for the whole file reads collections.OrderedDict in the second."""
    first = b"\x80\x04" + text("collections") + b"\x94" + text("OrderedDict") + b"\x94\x86."
    second = b"\x80\x04" + text("os") + b"\x94" + text("system") + b"\x9400h\x00h\x01\x93."
    assert UNSAFE in problems(first + second)


def test_a_name_that_is_computed_is_unsafe() -> None:
    body = b"\x80\x04" + text("os") + b"K\x01\x93."
    assert imports(body) == {("os", UNKNOWN)}
    assert problems(body) == {UNSAFE}


def test_a_pickle_in_a_pickle_is_followed() -> None:
    inner = dumps(Calls(os.system, "id"))
    for wrapped in (inner, dumps(inner), dumps({"deep": [dumps(inner)]})):
        found = defects(dumps(wrapped))
        assert [item.problem for item in found] == [UNSAFE]
        assert found[0].path.endswith("!bytes")


def test_pickles_in_pickles_end_somewhere_and_say_so() -> None:
    body = dumps(1)
    for _ in range(pickles.MAX_DEPTH + 1):
        body = dumps(body)
    assert problems(body) == {Problem.UNSCANNABLE}


def test_bytes_that_only_look_like_a_pickle_are_data() -> None:
    assert defects(dumps([b"\x80\x02", b"\x80\x04 nothing of the kind", b"\x80\x05\xff\xff\xff\xff"])) == []


def test_an_unknown_import_is_suspicious_and_named() -> None:
    [found] = defects(pickled_call("some.package", "Thing"))
    assert (found.problem, "some.package.Thing" in found.words) == (SUSPICIOUS, True)
    assert problems(b"\x80\x02\x82\x07.") == {UNSAFE}  # an extension code names nothing that can be looked up


def test_many_imports_are_cut_and_counted() -> None:
    body = b"".join(f"cmod{n}\nname\n0".encode() for n in range(30)) + b"N."
    [found] = defects(body)
    assert found.words.endswith("and 22 more")


@given(cut=st.integers(0, 200))
def test_a_truncated_pickle_is_never_clean(cut: int) -> None:
    whole = honest_pickle()
    assert Problem.UNSCANNABLE in problems(whole[: min(cut, len(whole) - 1)])


@given(cut=st.integers(0, 100))
def test_a_call_before_the_break_is_still_named(cut: int) -> None:
    body = dumps(Calls(os.system, "id"))[:-1] + b"K\x01" * cut
    assert problems(body) == {UNSAFE, Problem.UNSCANNABLE}


@given(body=st.binary(max_size=300))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    assert all(item.problem in set(Problem) for item in defects(body))


NAMES = st.text("abc_XYZ09", min_size=1, max_size=8)


@given(pairs=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=6), protocol=st.sampled_from([0, 4]))
def test_every_import_is_seen(pairs: list[tuple[str, str]], protocol: int) -> None:
    if protocol == 0:
        body = b"".join(f"c{module}\n{name}\n0".encode() for module, name in pairs) + b"N."
    else:
        body = b"\x80\x04" + b"".join(text(m) + b"\x94" + text(n) + b"\x94\x930" for m, n in pairs) + b"N."
    assert imports(body) == set(pairs)


def test_a_length_that_is_not_there_costs_no_memory() -> None:
    claims = b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"x"
    assert problems(claims) == {Problem.UNSCANNABLE}


def test_an_opcode_with_too_much_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poisonscan.authenticity.opcodes.MAX_ARGUMENT", 1000)
    assert problems(dumps(b"0" * 999)) == set()
    assert problems(dumps(b"0" * 1001)) == {Problem.UNSCANNABLE}


def test_a_stack_that_runs_empty_is_no_whole_pickle() -> None:
    for body in (b"0.", b"\x80\x04\x93.", b"t.", b"\x80\x04\x94."):
        assert problems(body) == {Problem.UNSCANNABLE}


def test_too_many_opcodes_are_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poisonscan.authenticity.opcodes.MAX_OPCODES", 100)
    assert MAX_OPCODES > 1_000_000
    assert problems(b"N0" * 200 + b"N.") == {Problem.UNSCANNABLE}


def test_what_the_scanner_does_not_know_is_judged_all_the_same() -> None:
    assert judge("collections", "OrderedDict") is None
    assert judge("torch", "FloatStorage") is None
    assert judge("torch.storage", "_load_from_bytes") is SUSPICIOUS
    assert judge("pathlib", "PosixPath") is SUSPICIOUS
    assert judge("os", "system") is UNSAFE
    assert judge("no such\nmodule", "x") is UNSAFE
    assert judge("collections", "OrderedDict.fromkeys") is SUSPICIOUS


def test_without_the_scanner_nothing_is_called_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picklescan.scanner", None)
    pickles._dangerous.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"poisonscan\[sign\]"):
        defects(honest_pickle())


def test_looking_runs_nothing(tmp_path: object, capfd: pytest.CaptureFixture[str]) -> None:
    mark = f"{tmp_path}/ran"
    body = dumps(Calls(os.system, f"touch {mark}"))
    assert UNSAFE in problems(body)
    assert not os.path.exists(mark)  # noqa: PTH110 - a text is what the shell got
    assert capfd.readouterr() == ("", "")
    pickle.loads(body)  # noqa: S301 - our own bytes: the call does what it says, when it is loaded
    assert os.path.exists(mark)  # noqa: PTH110 - as above
