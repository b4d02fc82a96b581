"""domains.parquet of a run: verdicts joined with evidence about owners and with footprints."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poisonscan.config import Config, DomainSettings, JudgeSettings
from poisonscan.domains.registration import Hands
from poisonscan.errors import UsageError
from poisonscan.records import Kind, Verdict
from poisonscan.stages.check.owners import Known, known_domains, owner_in, write_domains
from poisonscan.stages.domains.run import survey_domains
from poisonscan.store import schema
from poisonscan.store.folder import FINISHED, RUN_DOCUMENT, open_folder
from poisonscan.store.parts import write_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

EARLY, SINCE, LATE = (datetime(year, 2, 11, tzinfo=UTC) for year in (2003, 2025, 2026))
EVIDENCE: dict[str, Any] = dict.fromkeys((item.name for item in schema.DOMAIN_EVIDENCE), None)


def write_run(
    folder: Path, verdicts: Sequence[tuple[str | None, Verdict]], marked: Sequence[int] = ()
) -> None:
    rows = [
        {"row": n, "key": str(n), "domain": domain, "verdict": verdict.value, "reason": "test"}
        for n, (domain, verdict) in enumerate(verdicts)
    ]
    write_table(pa.Table.from_pylist(rows, schema=schema.VERDICTS), folder / "verdicts" / "00000.parquet")
    summary = f"possible trigger: a grey patch, on {len(marked)} pictures"
    findings = [
        {"finding_id": name, "kind": kind.value, "score": 1.0, "n_members": len(marked), "summary": summary}
        for name, kind in (("footprint-1", Kind.FOOTPRINT), ("placeholder-1", Kind.PLACEHOLDER))
    ]
    members = [
        {"finding_id": finding["finding_id"], "row": row, "key": str(row), "box": None, "score": 1.0}
        for finding in findings
        for row in marked
    ]
    write_table(pa.Table.from_pylist(findings, schema=schema.FINDINGS), folder / "findings.parquet")
    write_table(pa.Table.from_pylist(members, schema=schema.MEMBERS), folder / "members.parquet")


def write_evidence(path: Path, lines: Mapping[str, Mapping[str, object]]) -> Path:
    empty = dict.fromkeys(schema.DOMAINS.names, None)
    rows = [
        empty | {"domain": domain, "reasons": [], "warnings": []} | dict(line)
        for domain, line in lines.items()
    ]
    write_table(pa.Table.from_pylist(rows).select(schema.DOMAINS.names).cast(_nullable()), path)
    return path


def _nullable() -> pa.Schema:
    return pa.schema([item.with_nullable(nullable=True) for item in schema.DOMAINS])


def judged(folder: Path, known: Known = Known()) -> dict[str | None, dict[str, Any]]:
    write_domains(folder, "2025-02-11", JudgeSettings(), known)
    return {row["domain"]: row for row in pq.read_table(folder / "domains.parquet").to_pylist()}


def test_marks_on_a_domains_pictures_are_among_its_reasons(tmp_path: Path) -> None:
    write_run(tmp_path, [("a.test", Verdict.EDITED)] * 3 + [("b.test", Verdict.IDENTICAL)], marked=(0, 1))
    found = judged(tmp_path)
    assert found["a.test"]["reasons"] == [
        "3 of 3 pictures changed in places since 2025-02-11",
        "2 pictures with the mark footprint-1 (possible trigger)",
    ]
    assert found["b.test"]["reasons"] == []
    assert not any(row["swap_suspected"] for row in found.values())


def test_without_evidence_its_columns_are_null(tmp_path: Path) -> None:
    write_run(tmp_path, [("a.test", Verdict.REPLACED)] * 3 + [(None, Verdict.REFUSED)])
    found = judged(tmp_path)
    assert found["a.test"]["swap_suspected"] is True
    assert {found["a.test"][name] for name in EVIDENCE} == {None}
    assert found[None]["swap_suspected"] is False


def test_evidence_is_joined_and_judged_against_the_snapshot(tmp_path: Path) -> None:
    write_run(
        tmp_path,
        [("bought.test", Verdict.REPLACED), ("bought.test", Verdict.IDENTICAL)]
        + [("redesigned.test", Verdict.REPLACED)] * 9
        + [("waiting.test", Verdict.IDENTICAL)]
        + [("unheard.test", Verdict.REPLACED)] * 3,
    )
    lines: dict[str, dict[str, object]] = {
        "bought.test": {"registered_at": LATE, "changes": ["name servers changed from a.test to b.test"]},
        "redesigned.test": {"registered_at": EARLY, "hands": "same", "changes": []},
        "waiting.test": {"registered_at": LATE, "hands": "new", "changes": [], "price_usd": 11.0},
        "not-of-the-run.test": {"registered_at": LATE},
    }
    known = Known(write_evidence(tmp_path / "e.parquet", lines), SINCE)
    found = judged(tmp_path, known)
    suspected = {domain for domain, row in found.items() if row["swap_suspected"]}
    assert suspected == {"bought.test", "unheard.test"}
    assert found["bought.test"]["reasons"] == [
        "1 of 2 pictures replaced by another picture since 2025-02-11",
        "registered 2026-02-11, after 2025-02-11",
        "name servers changed from a.test to b.test",
    ]
    assert found["bought.test"]["reregistered"] is True
    assert found["bought.test"]["registered_at"] == LATE
    assert found["redesigned.test"]["reregistered"] is False
    assert "registrar and name servers as before" in found["redesigned.test"]["reasons"][-1]
    assert found["waiting.test"]["warnings"]
    assert found["waiting.test"]["price_usd"] == 11.0
    assert "not-of-the-run.test" not in found


@pytest.mark.parametrize(
    ("line", "since", "hands"),
    [
        ({"registered_at": LATE}, SINCE, Hands.NEW),
        (
            {"registered_at": LATE, "changes": ["registered 2026-02-11, after 2020-01-01"]},
            LATE,
            Hands.UNKNOWN,
        ),
        ({"registered_at": LATE, "formerly_registered_at": EARLY}, LATE, Hands.NEW),
        ({"registered_at": EARLY, "hands": "same"}, SINCE, Hands.SAME),
        ({"registered_at": EARLY, "hands": "unknown"}, SINCE, Hands.UNKNOWN),
        ({"registered_at": LATE, "hands": "same"}, SINCE, Hands.NEW),
        (
            {"changes": ["registrar changed from A to B", "name servers changed from a to b"]},
            SINCE,
            Hands.NEW,
        ),
        ({"changes": ["registrar changed from A to B"]}, SINCE, Hands.UNKNOWN),
    ],
)
def test_an_owner_read_back(line: dict[str, Any], since: datetime, hands: Hands) -> None:
    """What was new against an older moment need not be new against the snapshot."""
    assert owner_in(EVIDENCE | line, since).hands is hands


def test_a_file_that_is_no_evidence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        known_domains(tmp_path / "absent.parquet", {"created_at": "2025-02-11T00:00:00+00:00"})
    assert known_domains(None, {}) == Known()


@pytest.mark.parametrize("anew", [False, True], ids=["check", "domains RUN"])
def test_a_domain_whose_pictures_all_fail_in_one_way_at_once(tmp_path: Path, *, anew: bool) -> None:
    """Told by a check, and by `domains` that judges it anew, in the same words."""
    lines = [
        *[("hides.test", Verdict.UNREACHABLE, "protocol_error", "then")] * 3,
        ("hides.test", Verdict.NO_BASELINE, "fetched", None),  # it had no picture then, and tells nothing
        *[("broken.test", Verdict.UNDECODABLE, "fetched", "then")] * 4,
        *[("mixed.test", Verdict.UNREACHABLE, "protocol_error", "then")] * 3,
        ("mixed.test", Verdict.UNREACHABLE, "timeout", "then"),
        *[("partly.test", Verdict.UNREACHABLE, "protocol_error", "then")] * 9,
        ("partly.test", Verdict.IDENTICAL, "fetched", "then"),
        *[("gone.test", Verdict.UNREACHABLE, "dns_not_found", "then")] * 5,
        *[("few.test", Verdict.UNREACHABLE, "protocol_error", "then")] * 2,
        *[(None, Verdict.UNREACHABLE, "protocol_error", "then")] * 5,
    ]
    run = tmp_path / "run"
    with open_folder(run, RUN_DOCUMENT, {"command": "check"}) as folder:
        folder.update(state=FINISHED, snapshot={"created_at": SINCE.isoformat()})
    write_run(run, [(domain, verdict) for domain, verdict, _, _ in lines])
    path = run / "verdicts" / "00000.parquet"
    rows = pq.ParquetFile(path).read().to_pylist()
    for row, (_, _, outcome, old) in zip(rows, lines, strict=True):
        url = f"http://{domain}/{row['row']}.jpg" if (domain := row["domain"]) else ""
        row |= {"outcome": outcome, "old_sha256": old, "url": url}
    write_table(pa.Table.from_pylist(rows, schema=schema.VERDICTS), path)
    found = _judged_anew(run) if anew else judged(run)
    assert {domain for domain, row in found.items() if row["swap_suspected"]} == {"hides.test", "broken.test"}
    words = "all 3 pictures served on 2025-02-11 fail in one way now: protocol error"
    assert words in found["hides.test"]["reasons"]
    assert found["gone.test"]["warnings"] == [
        "all 5 pictures served on 2025-02-11 fail in one way now: dns not found"
    ]
    assert found["mixed.test"]["warnings"] == found["partly.test"]["warnings"] == []


def _judged_anew(run: Path) -> dict[str | None, Any]:
    """The table that `domains` makes of a run without asking anybody."""
    out = run.with_name("domains.parquet")
    survey_domains(str(run), out, config=Config(domains=DomainSettings(offline=True)))
    return {row["domain"]: row for row in pq.ParquetFile(out).read().to_pylist()}
