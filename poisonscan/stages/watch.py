"""How a stage tells whoever is looking what it does; the faces decide how to show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Watch(Protocol):
    """Receives the progress of one stage."""

    def start(self, stage: str, rows: int, done: Mapping[str, int]) -> None:
        """A stage begins: `rows` in all, `done` by label from an earlier attempt."""

    def advance(self, counts: Mapping[str, int]) -> None:
        """Rows were finished, by label."""

    def shard_done(self, index: int) -> None:
        """A shard is complete and written."""

    def note(self, words: str) -> None:
        """A sentence that a person should read: damage that was found, and what is done about it."""

    def stop(self) -> None:
        """The stage ended, well or not."""


class Silent:
    """A `Watch` that shows nothing."""

    def start(self, stage: str, rows: int, done: Mapping[str, int]) -> None:
        """Say nothing."""

    def advance(self, counts: Mapping[str, int]) -> None:
        """Say nothing."""

    def shard_done(self, index: int) -> None:
        """Say nothing."""

    def note(self, words: str) -> None:
        """Say nothing."""

    def stop(self) -> None:
        """Say nothing."""
