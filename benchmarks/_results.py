"""Results of a long benchmark, kept one a line, so that it can be stopped and continued."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Result: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """A JSON lines file of results, for one writer at a time.

    Attributes:
        path: of the file; its folder is made.
    """

    path: Path

    def read(self) -> list[Result]:
        """All results, oldest first; none where there is no file yet."""
        if not self.path.is_file():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def of(self, **identity: object) -> list[Result]:
        """Those whose fields have these values."""
        return [result for result in self.read() if _is(result, identity)]

    def add(self, result: Mapping[str, object]) -> None:
        """One more, on disk when this returns."""
        self._write([*self.read(), dict(result)])

    def drop(self, **identity: object) -> None:
        """Forget those whose fields have these values."""
        self._write([result for result in self.read() if not _is(result, identity)])

    def _write(self, results: list[Result]) -> None:
        """Whole and renamed: whoever is stopped in the midst of it leaves the old file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".part")
        beside.write_text("".join(f"{json.dumps(result)}\n" for result in results), encoding="utf-8")
        beside.replace(self.path)


def _is(result: Mapping[str, object], identity: Mapping[str, object]) -> bool:
    return all(result.get(name) == value for name, value in identity.items())
