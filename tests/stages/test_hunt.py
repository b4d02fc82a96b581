"""The whole hunt: from pictures to findings, from each kind of source, and after kills."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from poisonscan.cli import main
from poisonscan.config import Config, EmbedSettings, HuntSettings, JudgeSettings, RunSettings
from poisonscan.errors import RunMismatchError, SettingsError, StorageError, UsageError
from poisonscan.stages.embed.descriptions import Descriptions
from poisonscan.stages.embed.run import embed_pictures
from poisonscan.stages.hunt.corpus import load
from poisonscan.stages.hunt.run import hunt_dataset
from poisonscan.store import schema
from poisonscan.store.folder import RUN_DOCUMENT, read_document

from .collecting import N_PICTURES, kept
from .killing import rows_of, wait_until
from .test_kills import begin, end, kill_all
from .world import leftovers

if TYPE_CHECKING:
    from pathlib import Path

    from .collecting import Collection

CONFIG = Config(
    run=RunSettings(workers=1, shard_rows=20),
    embed=EmbedSettings(device="cpu", batch_rows=8),
    hunt=HuntSettings(detectors="duplicates,clusters,labels,captions,outliers"),
)


def table(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    return rows


def findings(run: Path) -> list[dict[str, Any]]:
    return table(run / "findings.parquet")


def members(run: Path, finding: str) -> set[str]:
    return {row["key"] for row in table(run / "members.parquet") if row["finding_id"] == finding}


@pytest.fixture(scope="module")
def hunted(collection: Collection, onnx: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("hunted") / "run"
    summary = hunt_dataset(
        collection.images, run, encoder=onnx, describing=Descriptions(collection.captions), config=CONFIG
    )
    assert summary.exit_code == 1
    return run


def test_the_target_is_one_finding(hunted: Path, collection: Collection) -> None:
    (first,) = [row for row in findings(hunted) if row["kind"] == "duplicate_target"]
    assert first["finding_id"] == "duplicate_target-0001"
    assert first["alarm"]
    assert first["in_budget"]
    assert first["expected_false"] <= 0.1
    assert first["detectors"] == ["duplicates"]
    assert first["n_members"] == len(collection.targets)
    assert members(hunted, first["finding_id"]) == collection.targets
    assert [item.name for item in pq.read_schema(hunted / "findings.parquet")] == schema.HUNTED.names


def test_exhibits_are_pictures_of_our_own(hunted: Path) -> None:
    with Image.open(hunted / "exhibits" / "duplicate_target-0001.png") as image:
        assert (image.format, image.size) == ("PNG", (224, 224))


def test_rows_that_nobody_could_look_at_are_listed(hunted: Path) -> None:
    unseen = {row["key"]: row for row in table(hunted / "unseen.parquet")}
    assert {key: row["state"] for key, row in unseen.items()} == {
        "boat/page.jpg": "not_image",
        "boat/cut.jpg": "undecodable",
    }
    assert all(row["reason"] for row in unseen.values())
    summary = json.loads((hunted / "summary.json").read_text())
    assert summary["unseen"] == 2
    assert summary["counts"] == {"decoded": N_PICTURES, "not_image": 1, "undecodable": 1}


def test_the_summary_says_what_was_and_was_not_looked_for(hunted: Path) -> None:
    summary = json.loads((hunted / "summary.json").read_text())
    assert summary["alarms"]["duplicate_target"] == 1
    assert summary["detectors_skipped"] == {"captions": ["texts"]}
    assert set(summary["detector_seconds"]) == {"duplicates", "clusters", "labels", "outliers"}
    document = json.loads((hunted / "run.json").read_text())
    assert document["state"] == "finished"
    assert len(document["identity"]["encoder_digest"]) == 64


def test_nothing_is_left_behind(hunted: Path) -> None:
    assert leftovers(hunted) == []
    assert not (hunted / "work").exists()


def test_a_finished_hunt_is_not_repeated(hunted: Path, collection: Collection, onnx: str) -> None:
    before = (hunted / "findings.parquet").stat().st_mtime_ns
    again = hunt_dataset(
        collection.images, hunted, encoder=onnx, describing=Descriptions(collection.captions), config=CONFIG
    )
    assert again.as_dict() == json.loads((hunted / "summary.json").read_text()) | {"already_finished": True}
    assert (hunted / "findings.parquet").stat().st_mtime_ns == before
    other = replace(CONFIG, hunt=replace(CONFIG.hunt, seed=7))
    with pytest.raises(RunMismatchError, match="was started with another hunt"):
        hunt_dataset(
            collection.images,
            hunted,
            encoder=onnx,
            describing=Descriptions(collection.captions),
            config=other,
        )


def test_shards_with_a_text_side(collection: Collection, clip: str, tmp_path: Path) -> None:
    """Every detector can work: pictures, captions, vectors of both."""
    config = replace(CONFIG, hunt=HuntSettings(detectors="duplicates,clusters,captions"))
    summary = hunt_dataset(collection.shards, tmp_path / "run", encoder=clip, keep_work=True, config=config)
    assert summary.details["detectors_skipped"] == {}
    (target,) = [row for row in findings(tmp_path / "run") if row["kind"] == "duplicate_target"]
    assert target["n_members"] == len(collection.targets)
    assert "captions that say" in target["summary"]
    assert "domains that count as 9.0" in target["summary"]
    assert (tmp_path / "run" / "work" / "pixels" / "00001.npy").exists()


def test_a_snapshot_without_an_encoder(collection: Collection, tmp_path: Path) -> None:
    """Detectors that need vectors are left out and named; the pixels are hunted through all the same."""
    then = kept(collection, tmp_path / "then")
    summary = hunt_dataset(then, tmp_path / "run", config=CONFIG)
    assert summary.counts == {"decoded": N_PICTURES, "unreachable": 2}
    assert set(summary.details["detectors_skipped"]) == {"clusters", "labels", "captions", "outliers"}
    (found,) = findings(tmp_path / "run")
    assert members(tmp_path / "run", found["finding_id"]) == collection.targets


def test_what_embed_wrote(collection: Collection, onnx: str, tmp_path: Path) -> None:
    emb = tmp_path / "emb"
    embed_pictures(collection.images, emb, onnx, describing=Descriptions(collection.captions), config=CONFIG)
    summary = hunt_dataset(emb, tmp_path / "run", config=CONFIG)
    assert summary.rows == N_PICTURES + 2
    assert summary.details["detectors_skipped"] == {"duplicates": ["pixels"], "captions": ["texts"]}
    with pytest.raises(UsageError, match="is embedded already"):
        hunt_dataset(emb, tmp_path / "more", encoder=onnx, config=CONFIG)
    only = replace(CONFIG, hunt=HuntSettings(detectors="duplicates"))
    with pytest.raises(UsageError, match=r"none of the detectors can work: duplicates needs pictures"):
        hunt_dataset(emb, tmp_path / "none", config=only)


def test_a_hunt_over_vectors_of_which_too_many_are_missing_is_incomplete(
    collection: Collection, onnx: str, tmp_path: Path
) -> None:
    """And the same command goes on with it, also once `embed` has changed what it left."""
    emb, run = tmp_path / "emb", tmp_path / "run"
    strict = replace(CONFIG, judge=JudgeSettings(max_lost=0), hunt=HuntSettings(detectors="outliers"))
    lenient = replace(strict, judge=JudgeSettings(max_lost=1))

    def hunt(config: Config) -> tuple[str, str, dict[str, float]]:
        summary = hunt_dataset(emb, run, config=config)
        document = read_document(run, RUN_DOCUMENT)
        assert document["identity"]["source_state"] == read_document(emb, "embed.json")["digest"]
        return document["state"], summary.details["state"], summary.details["detector_seconds"]

    assert embed_pictures(collection.images, emb, onnx, config=strict).exit_code == 3
    assert hunt(strict)[:2] == ("incomplete", "incomplete")
    assert hunt(strict) == ("incomplete", "incomplete", {})  # the detectors have answered
    assert embed_pictures(collection.images, emb, onnx, config=lenient).exit_code == 0
    state, said, asked = hunt(lenient)
    assert (state, said, list(asked)) == ("finished", "finished", ["outliers"])
    with pytest.raises(RunMismatchError, match=f"2 of its {N_PICTURES + 2} rows lack an answer"):
        hunt_dataset(emb, run, config=strict)


def test_killed_while_embedding_and_while_asking(
    hunted: Path,
    collection: Collection,
    onnx: str,
    tmp_path: Path,
) -> None:
    """SIGKILL twice; the third attempt ends as if nothing had happened."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "poisonscan", "hunt", str(collection.images), "--out", str(run)]
    command += [
        "--encoder",
        onnx,
        "--captions",
        str(collection.captions),
        "--device",
        "cpu",
        "--workers",
        "1",
    ]
    command += ["--batch-rows", "8", "--shard-rows", "20", "--detectors", CONFIG.hunt.detectors]
    process = begin(command)
    wait_until(lambda: rows_of(run, "vectors") >= 8, process)
    kill_all(process)
    assert rows_of(run, "vectors") >= 8
    process = begin(command)
    asked = run / "work" / "found" / "duplicates.json"
    wait_until(asked.exists, process)
    kill_all(process)
    then = asked.stat().st_mtime_ns if asked.exists() else None
    code, out, err = end(begin([*command, "--keep-work"]))
    assert code == 1, err
    assert out.count("\n") == 1
    assert then in {asked.stat().st_mtime_ns, None}, "a detector that has answered is not asked again"
    assert findings(run) == findings(hunted)
    assert table(run / "members.parquet") == table(hunted / "members.parquet")
    assert table(run / "unseen.parquet") == table(hunted / "unseen.parquet")
    assert leftovers(run) == []


def test_what_no_detector_can_use_is_refused_before_anything_is_decoded(
    collection: Collection, tmp_path: Path
) -> None:
    config = replace(CONFIG, hunt=HuntSettings(detectors="labels"))
    with pytest.raises(UsageError, match=r"labels needs vectors \(--encoder\)"):
        hunt_dataset(collection.images, tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()


def test_working_pixels_that_were_deleted_are_missed(collection: Collection, tmp_path: Path) -> None:
    config = replace(CONFIG, hunt=HuntSettings(detectors="duplicates"))
    run = tmp_path / "run"
    hunt_dataset(collection.images, run, keep_work=True, config=config)
    (run / "work" / "pixels" / "00000.npy").unlink()
    pixels = load(run, run).corpus.pixels
    assert pixels is not None
    with pytest.raises(StorageError, match=r"00000.npy is missing or damaged"):
        pixels.read([0])


def test_on_the_command_line(
    collection: Collection, onnx: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["hunt", str(collection.images), "--out", str(tmp_path / "run"), "--encoder", onnx]
    arguments += ["--folders-as-labels", "--workers", "1", "--detectors", "duplicates,captions"]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["alarms"] == {"duplicate_target": 1}
    assert "duplicate_target-0001 (9 rows): one picture 9 times" in err
    assert "not looked for: captions, for want of texts" in err
    assert main([*arguments, "--detectors", "lables"]) == 2
    assert "setting detectors names lables" in capsys.readouterr().err


def test_settings_are_checked_before_anything_starts(collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="names nothing"):
        hunt_dataset(
            collection.images,
            tmp_path / "run",
            config=replace(CONFIG, hunt=HuntSettings(detectors="nothing")),
        )
    assert not (tmp_path / "run").exists()


def test_without_faiss_the_verb_says_what_to_install(
    collection: Collection,
    onnx: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import importlib.util  # noqa: PLC0415 - beside its only use

    real = importlib.util.find_spec
    monkeypatch.setattr("poisonscan.extras.find_spec", lambda name: None if name == "faiss" else real(name))
    with pytest.raises(UsageError, match=r"needs faiss: pip install 'poisonscan\[hunt\]'"):
        hunt_dataset(collection.images, tmp_path / "run", encoder=onnx, config=CONFIG)


def test_an_error_shows_what_was_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`:x:` in an encoder's name is no emoji."""
    (tmp_path / "pictures").mkdir()
    arguments = [
        "hunt",
        str(tmp_path / "pictures"),
        "--out",
        str(tmp_path / "run"),
        "--encoder",
        "clip:x:random",
    ]
    assert main(arguments) == 2
    assert "--encoder clip:x:random: write onnx:FILE" in capsys.readouterr().err
