"""What a page says of a probed model, from the files that `model probe` writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from poisonscan.errors import SnapshotInvalidError, StorageError, UsageError
from poisonscan.reporting import words
from poisonscan.reporting.probed import read_probed
from poisonscan.stages.report import report
from poisonscan.store import schema
from poisonscan.store.folder import open_folder
from poisonscan.store.parts import write_table

from .inspecting import read_page, squeezed

if TYPE_CHECKING:
    from pathlib import Path


def line(rank: int, name: str, outcome: str, finding: str | None = None) -> dict[str, Any]:
    numbers = {"score": 0.9, "spread": 0.1, "plain_spread": 0.5, "captured": 0.9, "plain_captured": 0.1}
    return {
        "rank": rank,
        "candidate": name,
        "outcome": outcome,
        "finding_id": finding,
        "p_value": 0.01,
        "ground": "black",
        **numbers,
    }


def probe(folder: Path, lines: list[dict[str, Any]], defences: list[dict[str, Any]] | None = None) -> Path:
    identity = {"command": "model probe", "checkpoint": "/models/mine", "triggers_digest": None}
    outcomes = [one["outcome"] for one in lines]
    counts = {name: outcomes.count(name) for name in ("controls", "no_effect", "untested")}
    with open_folder(folder, "probe.json", identity) as opened:
        write_table(pa.Table.from_pylist(lines, schema=schema.PROBED), folder / "probe.parquet")
        summary = {"rows": len(lines), "counts": counts, "seconds": 2.0, "exit_code": 1}
        (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        opened.update(state="finished", defences=defences)
    return folder


def told(folder: Path) -> str:
    return squeezed(read_page(report(folder).page).text)


def test_candidates_that_control_a_model_are_told_with_the_doubt(tmp_path: Path) -> None:
    lines = [
        line(1, "stop sign", "controls"),
        line(2, "bare ground, black", "controls"),
        line(3, "x", "no_effect"),
    ]
    text = told(probe(tmp_path / "probe", lines))
    assert "2 of 3 candidate triggers control the checkpoint." in text
    assert "An even ground without any stamp controls it too" in text
    assert "Checkpoint mine." in text
    assert "stop sign controls 90.0% 10.0%" in text


def test_none_that_controls_it_says_nothing_of_others(tmp_path: Path) -> None:
    text = told(probe(tmp_path / "probe", [line(1, "stop sign", "no_effect"), line(2, "box", "untested")]))
    assert "None of 2 candidate triggers was seen to control the checkpoint." in text
    assert "That says nothing of triggers that were not tried." in text
    assert "1 candidate could not be tested" in text


def test_defences_are_told_where_they_were_tried(tmp_path: Path) -> None:
    defences = [{"name": "clipping", "hit_rate": 0.04, "discrepancy": 0.0012, "pruned": None}]
    assert "clipping 4.0% 0.0012" in told(probe(tmp_path / "with", [line(1, "a", "controls")], defences))
    assert "With a defence" not in told(probe(tmp_path / "without", [line(1, "a", "controls")]))


@pytest.mark.parametrize("file", ["probe.parquet", "summary.json"])
def test_a_damaged_probe_is_named(tmp_path: Path, file: str) -> None:
    folder = probe(tmp_path / "probe", [line(1, "a", "controls")])
    (folder / file).write_bytes(b"{}")
    with pytest.raises(StorageError, match="probe"):
        read_probed(folder, None)


def test_an_unfinished_or_altered_probe_is_refused(tmp_path: Path) -> None:
    with open_folder(tmp_path / "begun", "probe.json", {"command": "model probe"}):
        pass
    with pytest.raises(UsageError, match="unfinished"):
        report(tmp_path / "begun")
    folder = probe(tmp_path / "probe", [line(1, "a", "controls")])
    document = folder / "probe.json"
    document.write_text(document.read_text(encoding="utf-8").replace("mine", "yours"), encoding="utf-8")
    with pytest.raises(SnapshotInvalidError, match="altered"):
        report(folder)


def test_the_clause_names_the_stamp_and_its_share() -> None:
    said = words.probe_clause(2, 5, ("recurring_patch-0001", 0.004), bare=False)
    assert said == "the stamp of recurring_patch-0001, on 0.40% of the pictures, controls the checkpoint"
    assert words.probe_clause(2, 5, ("a", 0.5), bare=True).endswith("checkpoint, as a bare ground does")
