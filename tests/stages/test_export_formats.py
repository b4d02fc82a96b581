from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poisonscan import export_as
from poisonscan.cli import main
from poisonscan.errors import RunMismatchError, UsageError
from poisonscan.files import file_digest
from poisonscan.records import Kind
from poisonscan.stages.export.sarif import escaped, rules, uri_of
from poisonscan.store.marks import Mark, put_marks
from tests.explorer import house

from .sarif_schema import LOG, URI

DROPPED, KEPT = 0, house.CLEAN + 1


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, _ = house.check(tmp_path_factory.mktemp("formats"))
    for row, mark in ((DROPPED, Mark.DROP), (KEPT, Mark.KEEP)):
        lines = pa.table({"row": pa.array([row], pa.int64()), "key": [f"{row:06d}"]})
        put_marks(run, lines, mark, None, datetime(2026, 3, 5, tzinfo=UTC))
    return run


def test_fiftyone_gets_pictures_and_boxes_as_its_importer_reads_them(run: Path, tmp_path: Path) -> None:
    written = export_as(run, tmp_path / "out", "fiftyone")
    labels = json.loads(written.file.read_text(encoding="utf-8"))["labels"]
    pictures = {path.stem: path for path in (tmp_path / "out" / "data").iterdir()}
    assert written.items == house.EDITS + 3 == len(labels)
    assert set(labels) == set(pictures)  # the importer looks each name up among the files
    for name, detections in labels.items():
        with Image.open(pictures[name]) as picture:
            picture.load()
        for detection in detections:
            x, y, width, height = detection["bounding_box"]
            assert 0 <= x < x + width <= 1.000001
            assert 0 <= y < y + height <= 1.000001
            assert isinstance(detection["label"], str)
            assert detection["attributes"]["row"] == int(name)
    edited = labels[f"{house.CLEAN:09d}"]
    assert [item["label"] for item in edited] == ["edited", "footprint"]
    assert edited[0]["bounding_box"][0] == pytest.approx(0.72, abs=0.01)
    assert edited[0]["confidence"] == pytest.approx(0.9)
    assert labels[f"{KEPT:09d}"][0]["attributes"]["mark"] == "keep"
    assert labels[f"{house.CLEAN + house.EDITS:09d}"][0]["bounding_box"] == [0, 0, 1, 1]


@pytest.mark.filterwarnings("ignore")  # of what fiftyone itself uses
def test_fiftyone_is_what_its_own_importer_reads(run: Path, tmp_path: Path) -> None:
    """Without its database, which downloads a server: the importer alone opens the folder."""
    importers = pytest.importorskip("fiftyone.utils.data.importers", reason="fiftyone is not installed")
    written = export_as(run, tmp_path / "out", "fiftyone")
    with importers.FiftyOneImageDetectionDatasetImporter(dataset_dir=str(tmp_path / "out")) as importer:
        read = {Path(path).stem: labels.detections for path, _, labels in importer}
    assert len(read) == written.items
    edited, footprint = read[f"{house.CLEAN:09d}"]
    assert (edited.label, footprint.label) == ("edited", "footprint")
    assert edited.bounding_box[0] == pytest.approx(0.72, abs=0.01)
    assert edited.confidence == pytest.approx(0.9)
    assert (edited.row, edited.caption) == (house.CLEAN, house.HOSTILE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what mlcroissant itself uses
def test_croissant_is_what_its_own_library_loads(run: Path, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    written = export_as(run, tmp_path / "out", "croissant")
    dataset = mlcroissant.Dataset(written.file)
    assert dataset.metadata.issues.errors == set()
    records = list(dataset.records("rows"))
    assert [record["rows/row"] for record in records] == list(range(40))
    assert records[house.CLEAN]["rows/verdict"] == b"edited"
    assert records[house.CLEAN]["rows/caption"].decode() == house.HOSTILE
    assert (records[DROPPED]["rows/mark"], records[KEPT]["rows/mark"]) == (b"drop", b"keep")


def test_croissant_names_a_file_that_is_there_and_its_digest(run: Path, tmp_path: Path) -> None:
    told = json.loads(export_as(run, tmp_path / "out", "croissant").file.read_text(encoding="utf-8"))
    [file] = told["distribution"]
    rows = tmp_path / "out" / file["contentUrl"]
    assert file["sha256"] == file_digest(rows)
    assert file["contentSize"] == f"{rows.stat().st_size} B"
    fields = [field["source"]["extract"]["column"] for field in told["recordSet"][0]["field"]]
    assert fields == pq.read_schema(rows).names


def test_croissant_of_a_snapshot_alone_has_hashes_and_no_verdicts(run: Path, tmp_path: Path) -> None:
    written = export_as(run.parent / "snapshot", tmp_path / "out", "croissant")
    names = pq.read_schema(tmp_path / "out" / "rows.parquet").names
    assert written.items == 40
    assert "sha256" in names
    assert "verdict" not in names


def sarif(run: Path, out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(export_as(run, out, "sarif").file.read_text(encoding="utf-8"))
    return document


def test_sarif_has_what_its_standard_demands(run: Path, tmp_path: Path) -> None:
    document = sarif(run, tmp_path / "out")
    assert document["version"] == "2.1.0"
    [log] = document["runs"]
    known = {rule["id"] for rule in log["tool"]["driver"]["rules"]}
    assert log["artifacts"] == [{"location": {"uri": "my%20list.csv"}}]
    for result in log["results"]:
        assert result["ruleId"] in known
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["message"]["text"]
        for place in result["locations"]:
            assert place["physicalLocation"]["artifactLocation"]["index"] == 0
            assert place["logicalLocations"][0]["fullyQualifiedName"]
    prints = [json.dumps(result["partialFingerprints"]) for result in log["results"]]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize("kind", ["check", "hunt"])
def test_sarif_is_nothing_but_what_its_standard_knows(run: Path, tmp_path: Path, kind: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    folder = run if kind == "check" else house.hunt(tmp_path)
    validator = jsonschema.Draft202012Validator(LOG)
    validator.check_schema(LOG)
    assert [error.message for error in validator.iter_errors(sarif(folder, tmp_path / "out"))] == []


@pytest.mark.parametrize(
    ("manifest", "uri"),
    [
        ("/data/my list.csv", "my%20list.csv"),
        ("lists/part-*.parquet", "part-%2A.parquet"),
        ("s3://bucket/a list[1].parquet", "s3://bucket/a%20list%5B1%5D.parquet"),
        ("https://me:secret@host.example/l.csv?v=1", "https://host.example/l.csv?v=1"),
        ("hf://datasets/x/100%25.csv", "hf://datasets/x/100%25.csv"),
    ],
)
def test_a_manifest_is_a_uri_without_who_logs_in(manifest: str, uri: str) -> None:
    assert uri_of(manifest) == uri
    assert re.match(URI["pattern"], uri)


def test_sarif_tells_findings_suspicious_rows_and_marks(run: Path, tmp_path: Path) -> None:
    results = sarif(run, tmp_path / "out")["runs"][0]["results"]
    names = [result["ruleId"] for result in results]
    assert names[:2] == ["finding/footprint", "finding/placeholder"]
    assert (names.count("verdict/edited"), names.count("verdict/replaced"), names.count("mark/drop")) == (
        house.EDITS,
        3,
        1,
    )
    [kept] = [result for result in results if result["properties"].get("mark") == "keep"]
    assert kept["suppressions"][0]["status"] == "accepted"
    told = json.dumps(results)
    assert "http://" not in told
    assert "\u202e" not in json.dumps(results, ensure_ascii=False)


def test_a_text_that_looks_like_a_link_or_a_placeholder_stays_text() -> None:
    assert escaped(r"[click](http://evil) {0} \ ]") == r"\[click\](http://evil) {{0}} \\ \]"


def test_every_kind_of_finding_has_a_rule() -> None:
    names = {rule["id"] for rule in rules()}
    assert {f"finding/{kind}" for kind in Kind} <= names


def test_a_hunt_goes_to_sarif_and_says_what_it_lacks_for_the_others(tmp_path: Path) -> None:
    run = house.hunt(tmp_path)
    results = sarif(run, tmp_path / "sarif")["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["finding/recurring_patch", "finding/outlier"]
    assert "physicalLocation" not in results[0]["locations"][0]
    for form in ("fiftyone", "croissant"):
        with pytest.raises(UsageError, match="has no table"):
            export_as(run, tmp_path / form, form)
        assert not (tmp_path / form / "export.json").exists()


def test_what_does_not_belong_together_is_refused(run: Path, tmp_path: Path) -> None:
    export_as(run, tmp_path / "out", "sarif")
    export_as(run, tmp_path / "out", "sarif")
    with pytest.raises(RunMismatchError):
        export_as(run, tmp_path / "out", "croissant")
    with pytest.raises(UsageError, match="no format 'coco'; known: fiftyone"):
        export_as(run, tmp_path / "other", "coco")


def test_the_verb(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "--format", "sarif", "--out", str(tmp_path / "out")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], told["items"]) == ("sarif", 2 + house.EDITS + 3 + 1)
    assert (
        main(["export", str(run), "--format", "sarif", "--drop", "lost", "--out", str(tmp_path / "o")]) == 2
    )
