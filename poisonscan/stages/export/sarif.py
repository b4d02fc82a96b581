"""Findings and suspicious rows as SARIF 2.1.0, which code-scanning dashboards read.

OASIS, Static Analysis Results Interchange Format 2.1.0: a run has rules (what may be wrong), and results that
name a rule, a place and words. The places here are not lines of code but rows of a manifest: each is a
logical location with the row's number and key, and the manifest is the artifact. Live URLs stand in the text
defanged, so that no dashboard makes links of them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from poisonscan._version import __version__
from poisonscan.records import Group, Verdict
from poisonscan.reporting.text import defang, defang_schemes, plain
from poisonscan.reporting.words import FINDING_SENTENCES, VERDICT_SENTENCES, verdicts_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from poisonscan.store.views import Row, Views

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
VERSION = "2.1.0"
MAX_PLACES = 100
"""Rows named with one finding; the rest is counted. Dashboards refuse results with thousands of places."""

_URI = "%:/?#@!$&'()*+,;=~"
"""What may stand in a URI as it is, beside letters, digits and `_.-`; brackets only around an address."""

_SUSPICIOUS = [verdict.value for verdict in verdicts_in(Group.SUSPICIOUS)]
_ROWS = (
    "SELECT verdicts.row, verdicts.key, url, verdict, reason, score, old_sha256, new_sha256, mark "
    "FROM verdicts LEFT JOIN marks USING (row) "
    "WHERE list_contains(?, verdict) OR mark = 'drop' ORDER BY verdicts.row"
)
_ESCAPES = str.maketrans({"\\": r"\\", "[": r"\[", "]": r"\]", "{": "{{", "}": "}}"})
_FINDINGS = "SELECT finding_id, kind, score, n_members, summary FROM findings ORDER BY score DESC, finding_id"
_MEMBERS = "SELECT row, key FROM members WHERE finding_id = ? ORDER BY score DESC NULLS LAST, row LIMIT ?"


def write_sarif(views: Views, manifest: str | None, sink: TextIO) -> int:
    """Write the log, one result in memory at a time; how many results there are.

    Args:
        views: of a finished run.
        manifest: the list of which the run was made, as it was named; None where there was none.
        sink: where to.
    """
    driver = {"name": "poisonscan", "version": __version__, "rules": list(rules())}
    head = {"$schema": SCHEMA, "version": VERSION}
    sink.write(json.dumps(head)[:-1] + ', "runs": [{"tool": ' + json.dumps({"driver": driver}))
    if manifest is not None:
        sink.write(', "artifacts": ' + json.dumps([{"location": {"uri": uri_of(manifest)}}]))
    sink.write(', "columnKind": "unicodeCodePoints", "results": [\n')
    count = 0
    for result in results(views, manifest):
        sink.write((",\n" if count else "") + json.dumps(result))
        count += 1
    sink.write("\n]}]}\n")
    return count


def rules() -> Iterator[dict[str, Any]]:
    """A rule for each suspicious verdict, for each kind of finding and for rows dropped by hand."""
    for verdict in verdicts_in(Group.SUSPICIOUS):
        yield _rule(f"verdict/{verdict}", VERDICT_SENTENCES[verdict])
    for kind, words in FINDING_SENTENCES.items():
        yield _rule(f"finding/{kind}", words)
    yield _rule("mark/drop", "A person decided to drop the row.")


def results(views: Views, manifest: str | None) -> Iterator[dict[str, Any]]:
    """A result for each finding, then for each suspicious or dropped row."""
    if "findings" in views:
        for finding in views.rows(_FINDINGS):
            members = views.rows(_MEMBERS, finding["finding_id"], MAX_PLACES) if "members" in views else []
            yield _of_finding(finding, members, manifest)
    if "verdicts" in views:
        with views.ask(_ROWS, [_SUSPICIOUS]) as reader:
            for batch in reader:
                for row in batch.to_pylist():
                    yield _of_row(row, manifest)


def uri_of(manifest: str) -> str:
    """A manifest as a URI reference (RFC 3986): of a path only its name, of a URL all but who logs in."""
    if "://" not in manifest:
        return quote(manifest.rstrip("/").rpartition("/")[2])
    scheme, _, rest = manifest.partition("://")
    host, slash, path = rest.partition("/")
    return quote(f"{scheme}://{host.rpartition('@')[2]}{slash}{path}", safe=_URI)


def escaped(words: str) -> str:
    """Text as a SARIF message takes it, where brackets begin a link and braces a placeholder (3.11.5, 6)."""
    return words.translate(_ESCAPES)


def _rule(name: str, words: str) -> dict[str, Any]:
    return {"id": name, "shortDescription": {"text": words}, "defaultConfiguration": {"level": "warning"}}


def _of_finding(finding: Row, members: list[Row], manifest: str | None) -> dict[str, Any]:
    more = finding["n_members"] - len(members)
    words = plain(defang_schemes(finding["summary"])) + (f" (and {more:,} more rows)" if more > 0 else "")
    return {
        "ruleId": f"finding/{finding['kind']}",
        "level": "error",
        "message": {"text": escaped(words)},
        "locations": [_place(member, manifest) for member in members],
        "partialFingerprints": {"finding/v1": finding["finding_id"]},
        "properties": {"score": finding["score"], "rows": finding["n_members"]},
    }


def _of_row(row: Row, manifest: str | None) -> dict[str, Any]:
    suspicious = row["verdict"] in _SUSPICIOUS
    told = f"{plain(defang_schemes(row['reason']))} ({plain(defang(row['url'] or 'no URL'))})"
    result: dict[str, Any] = {
        "ruleId": f"verdict/{row['verdict']}" if suspicious else "mark/drop",
        "level": "error"
        if Verdict(row["verdict"]) in {Verdict.REPLACED, Verdict.EDITED, Verdict.BLENDED}
        else "warning",
        "message": {"text": escaped(told)},
        "locations": [_place(row, manifest)],
        "partialFingerprints": {"row/v1": f"{row['row']}:{row['new_sha256'] or row['verdict']}"},
        "properties": {
            name: row[name] for name in ("score", "old_sha256", "new_sha256", "mark") if row[name] is not None
        },
    }
    if row["mark"] == "keep":
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": "marked keep by hand"}
        ]
    return result


def _place(row: Row, manifest: str | None) -> dict[str, Any]:
    """Where a row is: in the manifest, and by its number and key."""
    name = f"row {row['row']}"
    place: dict[str, Any] = {
        "logicalLocations": [
            {"name": name, "fullyQualifiedName": f"{name}, key {plain(row['key'])}", "kind": "member"}
        ]
    }
    if manifest is not None:
        place["physicalLocation"] = {"artifactLocation": {"uri": uri_of(manifest), "index": 0}}
    return place
