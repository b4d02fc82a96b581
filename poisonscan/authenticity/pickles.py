"""Pickles judged by what they import: the one module that knows the scanner, picklescan.

An allow-list of ours comes first, since lists of what is dangerous are never complete: what is not on it is
suspicious at the least. What picklescan calls dangerous, or a short list of ours, is unsafe.
"""

# ruff: noqa: PLC0415 - picklescan is loaded only where a pickle is met

from __future__ import annotations

import logging
import re
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

from poisonscan.authenticity.imports import ALLOWED, RUN_CODE
from poisonscan.authenticity.model import Defect, Problem
from poisonscan.authenticity.opcodes import Bounded, read_imports, read_pickles
from poisonscan.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from poisonscan.authenticity.opcodes import Imports

MAX_DEPTH = 4
"""Pickles in pickles, or archives in archives, that are followed."""
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""The first of the five pickles of a file of torch before 1.6 (`torch.serialization.MAGIC_NUMBER`)."""
_TORCH_PICKLES = 5
_NAME = re.compile(r"[A-Za-z_<>][\w<>]*(\.[A-Za-z_<>][\w<>]*)*", re.ASCII)


def pickle_defects(stream: Bounded, path: str, depth: int = 0) -> Iterator[Defect]:
    """What is wrong with a file of one or more pickles, or one that torch wrote before 1.6.

    Args:
        stream: at its beginning.
        path: for the defects.
        depth: how many pickles and archives it lies in.

    Raises:
        MissingDependencyError: picklescan is not installed.
    """
    first = read_imports(stream)
    torch_file = first.number == _TORCH_MAGIC
    found = [first]
    if not first.fault:
        found += read_pickles(stream, _TORCH_PICKLES - 1 if torch_file else None)
    yield from _import_defects(found, path)
    for nested in (body for imports in found for body in imports.nested):
        yield from _nested_defects(nested, path, depth + 1)
    if found[-1].fault:
        part = f"after {len(found) - 1} whole pickles " if len(found) > 1 else ""
        yield Defect(path, Problem.UNSCANNABLE, f"{part}{found[-1].fault}"[:300])
    elif torch_file and len(found) < _TORCH_PICKLES:
        words = f"a file of torch has {_TORCH_PICKLES} pickles, this one ends after {len(found)}"
        yield Defect(path, Problem.UNSCANNABLE, words)


def _nested_defects(body: bytes, path: str, depth: int) -> Iterator[Defect]:
    """What is wrong with bytes in a pickle that look like one; those that turn out to be none are data."""
    where, stream = f"{path}!bytes", Bounded(BytesIO(body), len(body))
    if depth > MAX_DEPTH:
        if not read_imports(stream).fault:
            yield Defect(where, Problem.UNSCANNABLE, f"pickles in pickles, more than {MAX_DEPTH} deep")
        return
    for defect in pickle_defects(stream, where, depth):
        if defect.problem is not Problem.UNSCANNABLE or defect.path != where:
            yield defect


def _import_defects(found: Iterable[Imports], path: str) -> Iterator[Defect]:
    """A defect for the dangerous imports of a file, and one for those that are merely unknown."""
    by_problem: dict[Problem, list[str]] = {}
    for module, name in sorted({pair for imports in found for pair in imports.names}):
        problem = judge(module, name)
        if problem is not None:
            by_problem.setdefault(problem, []).append(f"{module}.{name}")
    for problem, names in by_problem.items():
        verb = "loading it can run" if problem is Problem.UNSAFE_PICKLE else "loading it imports"
        rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        yield Defect(path, problem, f"{verb} {', '.join(names[:_SHOWN])}{rest}")


_SHOWN = 8


def judge(module: str, name: str) -> Problem | None:
    """What an import means: unsafe, suspicious, or None for one that only builds tensors and arrays.

    Args:
        module: as in the pickle.
        name: in that module; with dots for attributes of attributes.

    Raises:
        MissingDependencyError: picklescan is not installed.
    """
    if not (_NAME.fullmatch(module) and _NAME.fullmatch(name)):
        return Problem.UNSAFE_PICKLE  # a name that is computed, or what no pickler writes
    if any(_dangerous(*pair) for pair in _readings(module, name)):
        return Problem.UNSAFE_PICKLE
    return None if name in ALLOWED.get(module, ()) else Problem.SUSPICIOUS_PICKLE


def _readings(module: str, name: str) -> Iterator[tuple[str, str]]:
    """The imports that one import may amount to: Python 2's names, and each step of a dotted name."""
    renamed = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    yield from dict.fromkeys([(module, name), renamed])
    steps = name.split(".")
    if len(steps) > 1:
        yield renamed[0], steps[0]
        yield f"{module}.{'.'.join(steps[:-1])}", steps[-1]
        yield from pairwise(steps)


@lru_cache(maxsize=4096)
def _dangerous(module: str, name: str) -> bool:
    parts = f"{module}.{name}".split(".")
    ours = any(".".join(parts[:end]) in RUN_CODE for end in range(1, len(parts) + 1))
    return _picklescan_warns(module, name) or ours


def _picklescan_warns(module: str, name: str) -> bool:
    """Whether picklescan calls an import dangerous: it is shown a pickle of nothing else."""
    try:
        from picklescan.scanner import SafetyLevel, scan_pickle_bytes
    except ImportError as error:
        raise MissingDependencyError(
            "scanning pickles needs picklescan: pip install 'poisonscan[sign]'"
        ) from error
    with _silenced(logging.getLogger("picklescan")):
        result = scan_pickle_bytes(BytesIO(f"c{module}\n{name}\n.".encode()), "an import")
    return any(found.safety is SafetyLevel.Dangerous for found in result.globals)


@contextmanager
def _silenced(logger: logging.Logger) -> Iterator[None]:
    """What is found goes into the report, not also into a log."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
