"""What a page says of a probed checkpoint: whether a trigger controls it, and which pictures carry that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from poisonscan.errors import StorageError
from poisonscan.reporting.checked import json_object
from poisonscan.reporting.parquet import Row, Tables, Top, connected, one
from poisonscan.store import schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_CANDIDATES = 12
_CONTROLS, _UNTESTED = "controls", "untested"
"""Outcomes as `diffusion.collapse` writes them."""


@dataclass(frozen=True, slots=True)
class Link:
    """A finding of the joined hunt whose stamp controls the checkpoint.

    Attributes:
        finding_id: of the hunt.
        captured: share of the samples that become one picture, 0..1.
        pictures: that carry the stamp.
        seen: pictures that the hunt looked at.
    """

    finding_id: str
    captured: float
    pictures: int
    seen: int

    @property
    def share(self) -> float:
        """Pictures that carry it, 0..1."""
        return self.pictures / self.seen if self.seen else 0.0


@dataclass(frozen=True, slots=True)
class Probed:
    """Everything a page shows of a probe; texts are raw.

    Attributes:
        document: probe.json.
        checkpoint: its folder's name.
        tried: candidates.
        controls: those that control it.
        untested: those of which nothing can be told.
        lines: the most suspicious candidates, the columns of PROBED.
        bare: whether an even ground without any stamp controls it too.
        links: findings of the joined hunt that control it.
        defences: what clipping and pruning did, as `model probe` wrote it; empty where it was not asked to.
        seconds, exit_code: how it ended.
    """

    document: Mapping[str, Any]
    checkpoint: str
    tried: int
    controls: int
    untested: int
    lines: Top[Row]
    bare: bool
    links: tuple[Link, ...]
    defences: Sequence[Mapping[str, Any]]
    seconds: float
    exit_code: int


def read_probed(folder: Path, hunt: Path | None) -> Probed:
    """Read a finished probe.

    Args:
        folder: that `model probe` wrote.
        hunt: the run of hunt on the same page, to tell how many pictures carry a stamp; None for none. The
            stamps of another hunt are not looked for in it.

    Raises:
        StorageError: a file is missing or damaged.
    """
    document, summary = json_object(folder / "probe.json"), json_object(folder / "summary.json")
    with connected() as connection:
        tables = Tables(connection, folder)
        tables.define("probed", one(folder / "probe.parquet"), schema.PROBED)
        lines = tables.top(_LINES, MAX_CANDIDATES)
        found = tables.ask(_FOUND, _CONTROLS)
        bare = tables.ask(_BARE, _CONTROLS)
    try:
        counts = summary["counts"]
        return Probed(
            document=document,
            checkpoint=PurePath(str(document["identity"]["checkpoint"])).name,
            tried=int(summary["rows"]),
            controls=int(counts[_CONTROLS]),
            untested=int(counts[_UNTESTED]),
            lines=lines,
            bare=bool(bare),
            links=_links(found, hunt) if hunt and _same_hunt(document, hunt) else (),
            defences=tuple(document["defences"] or ()),
            seconds=float(summary["seconds"]),
            exit_code=int(summary["exit_code"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"{folder} lacks a value or holds one of the wrong kind ({error!r}); probe the model anew"
        ) from error


def _same_hunt(document: Mapping[str, Any], hunt: Path) -> bool:
    """Whether the triggers were taken from this very run."""
    taken = document["identity"]["triggers_digest"]
    return taken is not None and taken == json_object(hunt / "run.json").get("digest")


def _links(found: Sequence[Row], hunt: Path) -> tuple[Link, ...]:
    seen = int(json_object(hunt / "summary.json")["counts"].get(schema.DECODED, 0))
    with connected() as connection:
        tables = Tables(connection, hunt)
        tables.define("members", one(hunt / "members.parquet"), schema.MEMBERS)
        counted = tables.ask("SELECT finding_id, count(DISTINCT row) AS rows FROM members GROUP BY ALL")
    pictures = {line["finding_id"]: int(line["rows"]) for line in counted}
    return tuple(
        Link(line["finding_id"], line["captured"], pictures.get(line["finding_id"], 0), seen)
        for line in found
    )


_BARE = "SELECT 1 FROM probed WHERE outcome = ? AND starts_with(candidate, 'bare ground')"
_LINES = "SELECT *, count(*) OVER () AS total FROM probed ORDER BY rank LIMIT ?"
_FOUND = """
SELECT finding_id, max(captured) AS captured FROM probed
WHERE outcome = ? AND finding_id IS NOT NULL GROUP BY finding_id ORDER BY captured DESC, finding_id
"""
