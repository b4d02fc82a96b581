"""The manifest of a checkpoint: every file with its size and sha256, as one JSON document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from poisonscan.authenticity.model import Defect, Entry, Problem
from poisonscan.errors import UsageError
from poisonscan.files import storage, write_text
from poisonscan.store.folder import document_digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = "poisonscan model manifest"
VERSION = 1


def write_manifest(entries: Mapping[str, Entry], name: str, out: Path) -> None:
    """Write a manifest; the same files give the same bytes, whenever and wherever.

    Raises:
        UsageError: there is another manifest already: a trusted moment is not to be forgotten by accident.
        StorageError: it cannot be written.
    """
    files = {
        path: {"size": entry.size, "sha256": entry.sha256} | ({"link": entry.link} if entry.link else {})
        for path, entry in sorted(entries.items())
    }
    document: dict[str, Any] = {"format": FORMAT, "version": VERSION, "name": name, "files": files}
    text = json.dumps(document | {"digest": document_digest(document)}, indent=2) + "\n"
    if out.exists():
        with storage(out):
            same = out.read_bytes() == text.encode("utf-8")
        if not same:
            raise UsageError(
                f"{out} says something else; move it away if you mean it, or choose another --out"
            )
        return
    write_text(text, out)


def read_manifest(path: Path) -> dict[str, Entry] | Defect:
    """Read a manifest; a defect where it was altered.

    Raises:
        UsageError: it is no manifest, or one of a newer version.
        StorageError: it cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such manifest; `poisonscan model manifest` writes one")
    with storage(path):
        body = path.read_bytes()
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no manifest: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{path} is no manifest; `poisonscan model manifest` writes one")
    if document.get("version") != VERSION:
        raise UsageError(f"{path} has version {document.get('version')}, this program reads {VERSION}")
    if document.get("digest") != document_digest(document):
        return Defect("", Problem.CHANGED, f"the manifest {path} was altered: its digest does not fit")
    try:
        files = document["files"].items()
        return {name: Entry(item["size"], item["sha256"], item.get("link", "")) for name, item in files}
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no manifest: its files are not described as ours are") from error
