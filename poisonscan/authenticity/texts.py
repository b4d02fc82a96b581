"""Texts of a checkpoint that name code: JSON configurations, YAML, Keras models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from poisonscan.authenticity.model import Defect, Problem
from poisonscan.authenticity.onnx_paths import leaves_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TEXT = 256 * 2**20
"""Bytes; the largest tokenizer.json published have some 30 MB."""
_YAML_TAG = "!!python/"
"""Tags by which yaml.load builds objects and calls functions (PyYAML, `yaml.UnsafeLoader`)."""


def text_defects(body: bytes, name: str, path: str) -> Iterator[Defect]:
    """What a text gives away.

    Args:
        body: all of it.
        name: its name.
        path: for the defects.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        yield Defect(path, Problem.UNSCANNABLE, "it is called a text and is none")
        return
    if name.lower().endswith((".yaml", ".yml")) and _YAML_TAG in text:
        yield Defect(path, Problem.UNSAFE_FORMAT, f"a YAML with {_YAML_TAG} builds objects when it is loaded")
    if name.lower().endswith(".json"):
        yield from _json_defects(text, path)


def _json_defects(text: str, path: str) -> Iterator[Defect]:
    try:
        values = list(_tables(json.loads(text)))
    except (ValueError, RecursionError) as error:
        yield Defect(path, Problem.UNSCANNABLE, f"it is no JSON: {error}")
        return
    if any("auto_map" in table for table in values):
        words = "auto_map: transformers runs code of the repository it names, if trust_remote_code is set"
        yield Defect(path, Problem.EXECUTABLE_CODE, words)
    if any(leaves_folder(place) for table in values for place in _weights(table)):
        words = "the index of its weights names files outside of the folder"
        yield Defect(path, Problem.UNSAFE_FORMAT, words)
    if any(table.get("class_name") == "Lambda" for table in values):
        yield Defect(path, Problem.UNSAFE_FORMAT, "a Lambda layer of Keras holds Python code")


def _weights(table: dict[str, Any]) -> list[str]:
    """The files that an index of sharded weights names (`weight_map`, of transformers and diffusers)."""
    named = table.get("weight_map")
    return [str(place) for place in named.values()] if isinstance(named, dict) else []


def _tables(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - what JSON gives
    """Every object in a JSON value."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            yield here
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)
