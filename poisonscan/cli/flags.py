"""Command-line flags made from the settings classes: name, default, range and help from one place."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_type_hints

from poisonscan.config import SECTIONS, Config, from_toml

if TYPE_CHECKING:
    from poisonscan.config import Settings

_HELP_WIDTH = 79
_TITLES = {
    "fetch": "network",
    "decode": "decoding",
    "compare": "comparison thresholds",
    "judge": "judgement",
    "audit": "audit by sample",
    "run": "processes",
    "domains": "lookups about domains",
    "embed": "encoder",
    "hunt": "hunt",
    "probe": "probing a model",
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and whose long flags must be written out."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - passed on as they are
        if "description" in options:  # the formatter keeps the epilog's lines, and so these
            options["description"] = textwrap.fill(options["description"], _HELP_WIDTH)
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def add_common(parser: argparse.ArgumentParser, *sections: str) -> None:
    """Add what every verb that works through rows has: `--metrics-file` and its settings."""
    parser.add_argument(
        "--metrics-file", type=Path, metavar="FILE", help="keep progress there in Prometheus' text format"
    )
    add_settings(parser, *sections)


def add_settings(parser: argparse.ArgumentParser, *sections: str) -> None:
    """Add `--config` and a flag for every setting of the sections."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file with settings; flags overrule it"
    )
    for section in sections:
        group = parser.add_argument_group(f"{_TITLES[section]} (TOML section [{section}])")
        hints = get_type_hints(SECTIONS[section])
        for item in dataclasses.fields(SECTIONS[section]):
            _add_flag(group, section, item, hints[item.name])


def add_setting(parser: argparse.ArgumentParser, section: str, name: str) -> None:
    """Add a flag for one setting of a section whose others do not concern a verb."""
    (item,) = (item for item in dataclasses.fields(SECTIONS[section]) if item.name == name)
    group = parser.add_argument_group(f"{_TITLES[section]} (TOML section [{section}])")
    _add_flag(group, section, item, get_type_hints(SECTIONS[section])[name])


def config_of(arguments: argparse.Namespace) -> Config:
    """The settings a command line asks for: defaults, then the TOML file, then flags.

    Raises:
        SettingsError: a setting is unknown or out of range.
    """
    file = getattr(arguments, "config", None)
    config = from_toml(file) if file else Config()
    for section in SECTIONS:
        prefix = f"{section}."
        given = {
            name.removeprefix(prefix): value
            for name, value in vars(arguments).items()
            if name.startswith(prefix)
        }
        if given:
            current: Settings = getattr(config, section)
            changed: Any = {section: dataclasses.replace(current, **given)}
            config = dataclasses.replace(config, **changed)
    return config


def _add_flag(
    group: argparse._ArgumentGroup, section: str, item: dataclasses.Field[Any], hint: object
) -> None:
    flag = item.name.replace("_", "-")
    words = item.metadata["help"]
    options: dict[str, Any] = {"dest": f"{section}.{item.name}", "default": argparse.SUPPRESS}
    if hint is bool:
        name = f"--no-{flag}" if item.default else f"--{flag}"
        prefix = "do not " if item.default else ""
        group.add_argument(name, action="store_const", const=not item.default, help=prefix + words, **options)
        return
    kind = hint if hint in (int, float) else str
    default = "" if item.default is None else f" (default: {item.default})"
    text = (words + default).replace("%", "%%")
    group.add_argument(f"--{flag}", type=kind, metavar=_metavar(hint), help=text, **options)


def _metavar(hint: object) -> str:
    return {int: "N", float: "X"}.get(hint, "TEXT")  # type: ignore[call-overload,no-any-return]  # `hint` is a type object
