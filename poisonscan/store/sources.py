"""Which tables a folder of ours holds, in which files, and what to do where one is absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poisonscan.errors import SnapshotInvalidError, UsageError
from poisonscan.store.folder import RUN_DOCUMENT, SETTLED, SNAPSHOT_DOCUMENT, read_document

if TYPE_CHECKING:
    from collections.abc import Mapping

VECTORS = "vectors"
PARTS = "[0-9]*.parquet"
"""Finished parts of a table; whatever else lies beside them was never finished."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that a folder may hold.

    Attributes:
        name: in SQL.
        pattern: its files below the folder.
        about: what it is, for a person.
        needs: what to do where it is absent.
        of_snapshot: whether it lies in the snapshot of a run.
    """

    name: str
    pattern: str
    about: str
    needs: str
    of_snapshot: bool = False


TABLES = (
    Table("verdicts", f"verdicts/{PARTS}", "the last word on each row", "only `poisonscan check` writes it"),
    Table(
        "rows",
        f"rows/{PARTS}",
        "the dataset as it was remembered",
        "it lies in the snapshot, which is not where the run found it; name it with --snapshot",
        of_snapshot=True,
    ),
    Table(
        "observed",
        f"observed/{PARTS}",
        "what a check saw, each row judged on its own",
        "only `poisonscan check` writes it",
    ),
    Table(
        "quarantine",
        f"quarantine/{PARTS}",
        "changed pictures: both fingerprints and the new bytes",
        "only `poisonscan check` writes it, where it found changed pictures",
    ),
    Table(
        "originals",
        f"bytes/{PARTS}",
        "the pictures of the trusted moment",
        "only `poisonscan snapshot --keep-bytes` keeps pictures",
        of_snapshot=True,
    ),
    Table("domains", "domains.parquet", "a line a domain", "only `poisonscan check` writes it"),
    Table(
        "findings",
        "findings.parquet",
        "what only the whole dataset can tell",
        "only `poisonscan check` and `poisonscan hunt` write it",
    ),
    Table("members", "members.parquet", "the rows behind each finding", "it comes with findings"),
    Table(
        "audit",
        "audit.parquet",
        "what a sample guarantees, a line a domain",
        "only `poisonscan check --budget` writes it",
    ),
    Table(
        "vantages",
        f"vantages/{PARTS}",
        "what others were served at the same moment",
        "only `poisonscan check --vantage` writes it",
    ),
    Table(
        "unseen", "unseen.parquet", "rows that no detector could look at", "only `poisonscan hunt` writes it"
    ),
    Table(
        "embeddings",
        f"{VECTORS}/{PARTS}",
        "features of the pictures",
        "run `poisonscan embed` on the pictures, or query what `poisonscan hunt` wrote",
    ),
    Table(
        "marks", "marks.parquet", "your decisions: keep, drop or watch", "set marks with `poisonscan explore`"
    ),
)
"""Every table there is, in the order in which they are listed."""


EMBED_DOCUMENT = "embed.json"
_DOCUMENTS = (RUN_DOCUMENT, SNAPSHOT_DOCUMENT, EMBED_DOCUMENT)


def document_of(folder: Path) -> dict[str, Any]:
    """The document of a run, of a snapshot or of what `embed` wrote.

    Raises:
        SnapshotInvalidError: it is none of these, or damaged.
    """
    name = next((name for name in _DOCUMENTS if (folder / name).exists()), RUN_DOCUMENT)
    return read_document(folder, name)


def snapshot_of(run: Path, document: Mapping[str, Any], named: Path | None) -> Path | None:
    """The folder of a run's snapshot; the folder itself if it is one; None where it is not at hand.

    Raises:
        SnapshotInvalidError: the snapshot is not the one that was checked, or damaged.
    """
    if (run / SNAPSHOT_DOCUMENT).exists():
        return run.absolute()
    identity = document.get("identity", {})
    hunted = identity.get("source") if identity.get("source_kind") == "snapshot" else None
    recorded = identity.get("snapshot", hunted)
    path = named or (Path(recorded) if recorded else None)
    if path is None or (named is None and not path.is_dir()):
        return None
    digest = read_document(path, SNAPSHOT_DOCUMENT)["digest"]
    if digest != identity.get("snapshot_digest", digest if hunted else None):
        raise SnapshotInvalidError(
            f"{path} is not the snapshot that {run} was made of; name that one with --snapshot"
        )
    return path.absolute()


def vectors_home(run: Path, document: Mapping[str, Any]) -> Path:
    """Where the vectors lie: in the run, or in the embedding that was hunted through."""
    source = document.get("identity", {}).get("source")
    if (run / VECTORS).is_dir() or not source or not (Path(source) / EMBED_DOCUMENT).exists():
        return run.absolute()
    return Path(source)


def vectors_document(run: Path) -> dict[str, Any]:
    """The document that says how a run's vectors were made.

    Raises:
        SnapshotInvalidError: it is missing or damaged.
    """
    return document_of(vectors_home(run, document_of(run)))


def files_of(run: Path, snapshot: Path | None) -> dict[str, list[Path]]:
    """The files of each table; none for a table that is absent.

    Args:
        run: a run or snapshot folder.
        snapshot: where its snapshot lies, if it was moved.

    Raises:
        SnapshotInvalidError: `run` is no such folder, or its snapshot another one.
        UsageError: `run` is unfinished; half a table would pass for a whole one.
    """
    document = document_of(run)
    if document.get("state") not in SETTLED:
        raise UsageError(f"{run} is unfinished; repeat the command that started it")
    past = snapshot_of(run, document, snapshot)
    vectors = vectors_home(run, document)

    def home_of(table: Table) -> Path | None:
        return past if table.of_snapshot else vectors if table.name == "embeddings" else run.absolute()

    return {
        table.name: sorted(home.glob(table.pattern)) if (home := home_of(table)) else [] for table in TABLES
    }
