"""What all settings have in common: ranges that are checked when they are built."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from poisonscan._version import __version__
from poisonscan.errors import SettingsError

USER_AGENT = f"poisonscan/{__version__} (image dataset integrity check)"
MEBIBYTE = 1 << 20


def setting(
    default: Any,  # noqa: ANN401 - a dataclass field's default has the field's type
    help_text: str,
    *,
    least: float | None = None,
    most: float | None = None,
    among: tuple[str, ...] | None = None,
) -> Any:  # noqa: ANN401 - likewise
    """A dataclass field with a default, a help text, and its range (both ends allowed) or its names."""
    metadata = {"help": help_text, "least": least, "most": most, "among": among}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """Base of all settings: checks ranges and names when built.

    Raises:
        SettingsError: a value lies outside its range, or is none of its names.
    """

    def __post_init__(self) -> None:
        """Check every field against the range or the names in its metadata."""
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            least, most = item.metadata.get("least"), item.metadata.get("most")
            if (among := item.metadata.get("among")) is not None and value not in among:
                raise SettingsError(f"setting {item.name} is {value}, but must be one of {', '.join(among)}")
            if value is None or isinstance(value, str):
                continue
            if not math.isfinite(value):
                raise SettingsError(f"setting {item.name} is {value}, but must be a finite number")
            if (least is not None and value < least) or (most is not None and value > most):
                bounds = f"at least {least}" if most is None else f"between {least} and {most}"
                raise SettingsError(f"setting {item.name} is {value}, but must be {bounds}")
