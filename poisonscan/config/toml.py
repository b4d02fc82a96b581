"""Settings from a TOML file. What is not known is refused."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from typing import TYPE_CHECKING, TypeVar, get_type_hints

from poisonscan.config.fetching import VantageSettings
from poisonscan.config.model import Settings
from poisonscan.config.run import SECTIONS, Config
from poisonscan.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

S = TypeVar("S", bound=Settings)


def from_toml(path: Path, *, others: Collection[str] = ()) -> Config:
    """Read a TOML file with a section per stage, e.g. `[fetch]` with `timeout_s = 10`.

    Args:
        path: of the file.
        others: names of sections that are somebody else's and are passed over.

    Raises:
        SettingsError: the file cannot be read, or a section, key or value in it is not known.
    """
    try:
        with path.open("rb") as stream:
            document = tomllib.load(stream)
    except OSError as error:
        raise SettingsError(f"settings file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path} is not valid TOML: {error}") from error
    sections = {}
    vantages = _vantages(document.pop("vantage", {}), path)
    for name, values in document.items():
        if name in others:
            continue
        if name not in SECTIONS:
            raise SettingsError(f"{path}: unknown section [{name}]{_suggestion(name, list(SECTIONS))}")
        if not isinstance(values, dict):
            raise SettingsError(f"{path}: {name} must be a section, written [{name}]")
        sections[name] = from_mapping(SECTIONS[name], values, where=f"{path} [{name}]")
    return Config(**sections, vantages=vantages)  # type: ignore[arg-type]  # each section was built as its own type above


def _vantages(tables: object, path: Path) -> tuple[VantageSettings, ...]:
    """The tables [vantage.NAME] of a settings file."""
    if not isinstance(tables, dict):
        raise SettingsError(f"{path}: vantage must be a section for each, written [vantage.NAME]")
    found = []
    for name, values in tables.items():
        where = f"{path} [vantage.{name}]"
        if not isinstance(values, dict) or "name" in values:
            raise SettingsError(f"{where}: write [vantage.NAME] with {', '.join(VantageSettings.choices())}")
        found.append(from_mapping(VantageSettings, {**values, "name": name}, where=where))
    return tuple(found)


def from_mapping(kind: type[S], values: Mapping[str, object], where: str) -> S:
    """Build settings of one kind from plain values.

    Raises:
        SettingsError: a name is unknown or a value has the wrong type; `where` opens the message.
    """
    hints = get_type_hints(kind)
    names = [item.name for item in dataclasses.fields(kind)]
    for name, value in values.items():
        if name not in names:
            raise SettingsError(f"{where}: unknown setting {name}{_suggestion(name, names)}")
        if not _fits(value, hints[name]):
            raise SettingsError(f"{where}: {name} must be {_type_name(hints[name])}, not {value!r}")
    return kind(**values)


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"


def _fits(value: object, hint: object) -> bool:
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is bool:
        return isinstance(value, bool)
    return isinstance(value, str)


def _type_name(hint: object) -> str:
    return {float: "a number", int: "a whole number", bool: "true or false"}.get(hint, "text")  # type: ignore[call-overload,no-any-return]  # `hint` is a type object, the keys are types
