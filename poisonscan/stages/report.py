"""report: one page about a check, a hunt, a table of domains, a history or a probe, or about several."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poisonscan.errors import UsageError
from poisonscan.reporting.html import write_page
from poisonscan.reporting.page import Sources
from poisonscan.stages.check.owners import require_evidence
from poisonscan.store.folder import RUN_DOCUMENT, SETTLED, SNAPSHOT_DOCUMENT, read_document

if TYPE_CHECKING:
    from collections.abc import Sequence

HISTORY_DOCUMENT = "history.json"
PROBE_DOCUMENT = "probe.json"
PAGE = "report.html"
_WHAT = {
    "check": "a run of check",
    "hunt": "a run of hunt",
    "domains": "a table of domains",
    "history": "a history",
    "probe": "a probe of a model",
}


@dataclass(frozen=True, slots=True)
class Reported:
    """What was written.

    Attributes:
        page: the file.
        answer: what it begins with, in a sentence or two.
    """

    page: Path
    answer: str


def report(
    run: Path,
    snapshot: Path | None = None,
    *,
    join: Sequence[Path] = (),
    since: Path | None = None,
    out: Path | None = None,
) -> Reported:
    """Write a page. Nothing is fetched.

    Args:
        run: a finished run of `check` or `hunt`, a FILE.parquet that `domains` wrote, or the folder of a
            `history` or of a `model probe`.
        snapshot: where the pictures from before a check are; by default where the check found them.
        join: others of these, one of each kind, to tell of on the same page.
        since: an earlier check of the same list: the page says what changed since.
        out: the file to write; by default report.html in the folder, or FILE.report.html.

    Raises:
        UsageError: something cannot be told of, is unfinished, or is named twice.
        SnapshotInvalidError: a folder is damaged, or none of ours.
        StorageError: a file is missing or damaged, or the page cannot be written.
    """
    sources = Sources()
    for path in (run, *join):
        kind = kind_of(path)
        if getattr(sources, kind) is not None:
            raise UsageError(
                f"{path} is {_WHAT[kind]}, and {getattr(sources, kind)} is one already; name one"
            )
        sources = dataclasses.replace(sources, **{kind: path})
    if sources.check is None:
        _require_no_check(snapshot, since)
    else:
        sources = dataclasses.replace(
            sources, snapshot=_snapshot(sources.check, snapshot), since=_earlier(since)
        )
    page = out or (run / PAGE if run.is_dir() else run.with_suffix(".report.html"))
    return Reported(page, write_page(sources, page))


def kind_of(path: Path) -> str:
    """What can be told of a path: `check`, `hunt`, `domains`, `history` or `probe`.

    Raises:
        UsageError: it is none of these, or unfinished.
        SnapshotInvalidError: it is a damaged folder, or none of ours.
    """
    if path.is_file() or path.suffix == ".parquet":
        require_evidence("report", path)
        return "domains"
    if (path / HISTORY_DOCUMENT).exists():
        _require_finished(path, read_document(path, HISTORY_DOCUMENT))
        return "history"
    if (path / PROBE_DOCUMENT).exists():
        _require_finished(path, read_document(path, PROBE_DOCUMENT))
        return "probe"
    document = read_document(path, RUN_DOCUMENT)
    _require_finished(path, document)
    command = document["identity"].get("command")
    if command not in ("check", "hunt"):
        raise UsageError(f"{path} was written by {command}, of which there is no page")
    return str(command)


def earlier_checks(run: Path, snapshot: Path) -> list[Path]:
    """The finished checks of a snapshot that lie beside a run and were started before it, oldest first.

    Args:
        run: a folder that a check was or is to be written to.
        snapshot: what was checked.

    Raises:
        SnapshotInvalidError: the snapshot or a run is damaged.
    """
    digest = read_document(snapshot, SNAPSHOT_DOCUMENT)["digest"]
    started = read_document(run, RUN_DOCUMENT).get("started_at") if (run / RUN_DOCUMENT).exists() else None
    found = []
    for path in run.resolve().parent.glob(f"*/{RUN_DOCUMENT}"):
        document = read_document(path.parent, RUN_DOCUMENT)
        identity, at = document["identity"], document.get("started_at", "")
        same = identity.get("command") == "check" and identity.get("snapshot_digest") == digest
        is_earlier = path.parent != run.resolve() and (started is None or at < started)
        if same and is_earlier and document["state"] in SETTLED:
            found.append((at, path.parent))
    return [folder for _, folder in sorted(found)]


def _require_finished(path: Path, document: dict[str, Any]) -> None:
    if document["state"] not in SETTLED:
        raise UsageError(f"run {path} is unfinished; repeat the command that started it")


def _require_no_check(snapshot: Path | None, since: Path | None) -> None:
    for flag, value in (("--snapshot", snapshot), ("--since", since)):
        if value is not None:
            raise UsageError(f"{flag} {value} belongs to a run of check, and none is named")


def _snapshot(check: Path, named: Path | None) -> Path | None:
    recorded = Path(read_document(check, RUN_DOCUMENT)["identity"]["snapshot"])
    return named or (recorded if recorded.exists() else None)


def _earlier(since: Path | None) -> Path | None:
    if since is not None and kind_of(since) != "check":
        raise UsageError(f"--since {since} is no run of check; name an earlier check of the same list")
    return since
