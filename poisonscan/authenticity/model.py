"""The vocabulary: what can be wrong with a checkpoint, and what is known of its files."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Level(IntEnum):
    """How much a problem weighs; the value is the exit code it asks for."""

    WRONG = 4
    SUSPICIOUS = 1
    UNSEEN = 3
    NOTE = 0


class Problem(StrEnum):
    """What can be wrong: a closed set, explained in the documents."""

    MISSING = "missing"
    EXTRA = "extra"
    CHANGED = "changed"
    SYMLINK = "symlink"
    SPECIAL = "special"
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad_signature"
    UNSAFE_PICKLE = "unsafe_pickle"
    UNSAFE_FORMAT = "unsafe_format"
    MALFORMED = "malformed"
    SUSPICIOUS_PICKLE = "suspicious_pickle"
    EXECUTABLE_CODE = "executable_code"
    UNSCANNABLE = "unscannable"
    UNAUTHENTICATED = "unauthenticated"
    LEFT_OUT = "left_out"

    @property
    def level(self) -> Level:
        """How much it weighs."""
        return _LEVELS.get(self, Level.WRONG)


_LEVELS = {
    Problem.SUSPICIOUS_PICKLE: Level.SUSPICIOUS,
    Problem.EXECUTABLE_CODE: Level.SUSPICIOUS,
    Problem.UNSCANNABLE: Level.UNSEEN,
    Problem.UNAUTHENTICATED: Level.UNSEEN,
    Problem.LEFT_OUT: Level.NOTE,
}


@dataclass(frozen=True, slots=True, order=True)
class Defect:
    """One thing that is wrong.

    Attributes:
        path: the file, relative to the folder, with forward slashes; "" for the whole checkpoint. A file in
            an archive follows the archive's path after "!".
        problem: what kind of thing.
        words: what was seen, in one clause.
    """

    path: str
    problem: Problem
    words: str

    def as_dict(self) -> dict[str, str]:
        """Plain values for JSON."""
        return {"path": self.path, "problem": self.problem.value, "words": self.words}


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one file.

    Attributes:
        size: bytes, of the content that reading gives.
        sha256: of that content, hex.
        link: where a symbolic link leads, as it is written; "" for no link.
    """

    size: int
    sha256: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Every file under a folder, or one file.

    Attributes:
        entries: by path relative to the folder, with forward slashes; by its name for one file.
        defects: what could not be accounted for: links that leave, sockets, files that cannot be read.
    """

    entries: Mapping[str, Entry]
    defects: tuple[Defect, ...] = ()
