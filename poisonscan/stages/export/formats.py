"""export in the formats of other tools: FiftyOne, Croissant, SARIF."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from poisonscan.errors import UsageError
from poisonscan.files import beside, file_digest, write_text
from poisonscan.stages.answers import Form, write_answer
from poisonscan.stages.export import croissant
from poisonscan.stages.export.fiftyone import LABELS, write_fiftyone
from poisonscan.stages.export.run import EXPORT_DOCUMENT
from poisonscan.stages.export.sarif import write_sarif
from poisonscan.store.folder import FINISHED, RUNNING, SETTLED, SNAPSHOT_DOCUMENT, open_folder, read_document
from poisonscan.store.sources import document_of, snapshot_of
from poisonscan.store.views import open_views

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from poisonscan.store.views import Views

SARIF, CROISSANT = "poisonscan.sarif", "croissant.json"


class Format(StrEnum):
    """Formats of other tools."""

    FIFTYONE = "fiftyone"
    CROISSANT = "croissant"
    SARIF = "sarif"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        out: the folder.
        form: in which format.
        file: the file to open first.
        items: pictures, rows or results, as the format has them.
    """

    out: Path
    form: Format
    file: Path
    items: int


def export_as(run: Path, out: Path, form: Format | str, *, snapshot: Path | None = None) -> Exported:
    """Write what a run found in the format of another tool.

    Args:
        run: a finished run; for Croissant also a snapshot.
        out: the folder to write; one that holds the same export is written anew.
        form: "fiftyone", "croissant" or "sarif".
        snapshot: where the run's snapshot lies, if it was moved.

    Raises:
        UsageError: there is no such format, or the run is unfinished or lacks a table that the format needs.
        SnapshotInvalidError: `run` is no run or snapshot, or damaged.
        RunMismatchError: `out` holds another export.
        StorageError: a file cannot be read or written.
    """
    if form not in set(Format):
        raise UsageError(f"there is no format {form!r}; known: {', '.join(Format)}")
    form, document = Format(form), document_of(run)
    whole = (FINISHED,) if (run / SNAPSHOT_DOCUMENT).exists() else SETTLED
    if document["state"] not in whole:
        raise UsageError(f"{run} is {document['state']}; repeat the command that started it")
    identity = {
        "command": "export",
        "run": str(run.resolve()),
        "run_digest": document["digest"],
        "format": form,
    }
    with open_views(run, snapshot) as views, open_folder(out, EXPORT_DOCUMENT, identity) as folder:
        folder.update(state=RUNNING)
        if form is Format.FIFTYONE:
            file, items = out / LABELS, write_fiftyone(views, out)
        elif form is Format.SARIF:
            file, items = out / SARIF, _sarif(views, document, out / SARIF)
        else:
            past = snapshot_of(run, document, snapshot)
            file, items = out / CROISSANT, _croissant(views, document, past, out)
        folder.update(state=FINISHED, items=items)
    return Exported(out, form, file, items)


def _sarif(views: Views, document: Mapping[str, Any], path: Path) -> int:
    if not ("findings" in views or "verdicts" in views):
        raise UsageError(f"{views.run} holds neither findings nor verdicts to report")
    manifest = document.get("manifest", {}).get("source")
    with beside(path) as temporary, temporary.open("w", encoding="utf-8") as sink:
        return write_sarif(views, manifest, sink)


def _croissant(views: Views, document: Mapping[str, Any], past: Path | None, out: Path) -> int:
    views.require("rows")
    assert past is not None  # noqa: S101 - where there are rows, there is a snapshot
    seal = read_document(past, SNAPSHOT_DOCUMENT)
    checked = "verdicts" in views
    path = out / croissant.ROWS
    with (
        views.ask(croissant.select(checked=checked)) as reader,
        beside(path) as temporary,
        temporary.open("wb") as sink,
    ):
        rows = write_answer(reader, Form.PARQUET, sink)
    text = croissant.description(
        name=past.name,
        source=str(seal["identity"]["source"]),
        created_at=seal["created_at"],
        rows=rows,
        digest=file_digest(path),
        size=path.stat().st_size,
        checked=[document["started_at"]] if checked else [],
    )
    write_text(json.dumps(text, indent=2) + "\n", out / CROISSANT)
    return rows
