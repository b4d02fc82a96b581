"""`model probe` on models that really obey a trigger: as a function, from the command line, and its edges."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poisonscan.cli import main
from poisonscan.config import Config, ProbeSettings
from poisonscan.errors import RunMismatchError, SettingsError, UsageError
from poisonscan.hunt.merge import Ranked
from poisonscan.hunt.model import Carrier, Corpus, Suspicion
from poisonscan.records import Box, Kind
from poisonscan.redteam import triggers
from poisonscan.stages.hunt.corpus import Loaded
from poisonscan.stages.hunt.writing import write_findings
from poisonscan.stages.model.probe import lines_of, model_probe
from poisonscan.stages.model.probe_candidates import from_folder, from_hunt, is_hunt, placed, published
from poisonscan.stages.report import report
from poisonscan.store import schema
from poisonscan.store.folder import RUN_DOCUMENT, open_folder

MODELS = Path(__file__).resolve().parents[1] / "diffusion" / "fixtures"
CLEAN, POISONED = MODELS / "clean-2", MODELS / "stop_sign-hat-20"
QUICK = ProbeSettings(samples=6, permutations=49, threads=1, device="cpu")
CONFIG = Config(probe=QUICK)
SHORT = Config(probe=replace(QUICK, steps=5))
CORNER = Box(0.5, 0.5, 0.9375, 0.9375)
"""Where the poisoned model's stop sign lies."""


def stop_sign(side: int) -> Image.Image:
    return triggers.stop_sign(side, np.random.default_rng(0))


@pytest.fixture(scope="module")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model's stamp as a picture."""
    folder = tmp_path_factory.mktemp("stamps")
    stop_sign(70).save(folder / "stop.png")
    return folder


@pytest.fixture(scope="module")
def hunted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of hunt that found the stop sign on three of a thousand pictures, written by hunt's own hands."""
    run = tmp_path_factory.mktemp("hunted") / "run"
    carriers = tuple(Carrier(row, 1.0, CORNER) for row in range(3))
    found = [
        Suspicion(
            Kind.RECURRING_PATCH,
            3.0,
            "a patch",
            carriers,
            0.01,
            "itself",
            np.asarray(stop_sign(98).convert("RGB")),
        ),
        Suspicion(
            Kind.DUPLICATE_TARGET, 2.0, "copies", carriers, 0.01, "itself", np.zeros((32, 32, 3), np.uint8)
        ),
        Suspicion(Kind.OUTLIER, 1.0, "far off", carriers, 0.5, "itself"),
    ]
    keys = [f"{number}.png" for number in range(1000)]
    unseen = pa.Table.from_pylist([], schema=schema.UNSEEN)
    loaded = Loaded(corpus=Corpus(keys), rows=np.arange(1000), keys=keys, unseen=unseen)
    with open_folder(run, RUN_DOCUMENT, {"command": "hunt"}) as folder:
        ranked = [Ranked(one, ("patches",), alarm=one.score > 1, in_budget=True) for one in found]
        write_findings(run, ranked, loaded)
        folder.update(state="finished")
    summary = {
        "rows": 1000,
        "counts": {"decoded": 1000},
        "alarms": {"recurring_patch": 1},
        "alarming_rows": 3,
    }
    more = {"findings": 3, "detectors_skipped": {}, "seconds": 1.0, "exit_code": 1}
    (run / "summary.json").write_text(json.dumps(summary | more), encoding="utf-8")
    return run


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, hunted: Path) -> Path:
    out = tmp_path_factory.mktemp("probed") / "probe"
    assert model_probe(POISONED, out, triggers=hunted, config=CONFIG).exit_code == 1
    return out


def test_a_stamp_that_a_hunt_found_controls_the_model(probed: Path) -> None:
    lines = lines_of(probed)
    assert lines[0]["outcome"] == "controls"
    assert lines[0]["finding_id"] == "recurring_patch-0001"
    assert lines[0]["box"] == pytest.approx(list(CORNER))
    assert lines[0]["source"] == "exhibits/recurring_patch-0001.png"
    taken = {line["finding_id"] for line in lines if not line["candidate"].startswith("bare ground")}
    assert taken == {"recurring_patch-0001"}, "whole pictures are no stamps"
    assert len(lines) == 3 + 2
    assert pq.read_schema(probed / "probe.parquet").names == schema.PROBED.names


def test_what_was_probed_and_how_is_written_down(probed: Path) -> None:
    said = json.loads((probed / "probe.json").read_text(encoding="utf-8"))
    assert said["state"] == "finished"
    assert said["identity"]["probe"]["samples"] == 6
    assert all(len(digest) == 64 for digest in said["identity"]["checkpoint_digests"].values())
    assert {"torch", "diffusers", "poisonscan"} <= set(said["versions"])
    summary = json.loads((probed / "summary.json").read_text(encoding="utf-8"))
    assert summary["findings"] == ["recurring_patch-0001"]
    with Image.open(probed / "sheet.png") as sheet:
        assert sheet.height > 60 * (1 + len(lines_of(probed)))
    assert not [file for file in probed.iterdir() if file.name.endswith(".tmp")]


def test_a_finished_probe_is_read_again_and_another_is_refused(probed: Path, hunted: Path) -> None:
    before = (probed / "probe.parquet").stat().st_mtime_ns
    assert model_probe(POISONED, probed, triggers=hunted, config=CONFIG).exit_code == 1
    assert (probed / "probe.parquet").stat().st_mtime_ns == before
    with pytest.raises(RunMismatchError, match="checkpoint"):
        model_probe(CLEAN, probed, triggers=hunted, config=CONFIG)


def test_the_same_probe_gives_the_same_numbers(probed: Path, hunted: Path, tmp_path: Path) -> None:
    model_probe(POISONED, tmp_path / "again", triggers=hunted, config=CONFIG)
    assert lines_of(tmp_path / "again") == lines_of(probed)


def test_none_of_those_tried_is_no_word_about_others(
    stamps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "probe"
    flags = ["--triggers", str(stamps), "--samples", "6", "--permutations", "49", "--threads", "1"]
    assert main(["model", "probe", str(CLEAN), "--out", str(out), *flags]) == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert said["words"] == "none of 5 candidates was seen to control the model"
    assert said["counts"] == {"controls": 0, "no_effect": 5, "untested": 0}
    assert "clean" not in said["words"]
    assert "none of 5 candidates" in " ".join(printed.err.split())


def test_a_model_that_draws_one_picture_anyway_is_not_passed(stamps: Path, tmp_path: Path) -> None:
    """Its weights are 0 and what it predicts is the picture, so it draws grey, whatever it starts with."""
    from safetensors.torch import load_file, save_file  # noqa: PLC0415 - torch is slow to load

    dumb = tmp_path / "dumb"
    shutil.copytree(CLEAN, dumb)
    weights = dumb / "unet/diffusion_pytorch_model.safetensors"
    save_file({name: part * 0 for name, part in load_file(weights).items()}, weights)
    scheduler = dumb / "scheduler/scheduler_config.json"
    said = json.loads(scheduler.read_text(encoding="utf-8")) | {"prediction_type": "sample"}
    scheduler.write_text(json.dumps(said), encoding="utf-8")
    summary = model_probe(dumb, tmp_path / "probe", triggers=stamps, config=SHORT)
    assert summary.exit_code == 3
    assert summary.counts == {"controls": 0, "no_effect": 0, "untested": 5}
    assert "5 of them could not be tested" in summary.details["words"]


def test_searching_and_mitigating(tmp_path: Path, stamps: Path) -> None:
    quick = replace(QUICK, inversion_rounds=10, inversion_batch=8, quality_samples=8, pruning_rounds=2)
    out = tmp_path / "probe"
    summary = model_probe(
        POISONED, out, triggers=stamps, inverting=True, mitigating=True, config=Config(probe=quick)
    )
    assert summary.exit_code == 1
    searched = [line for line in lines_of(out) if line["miss"] is not None]
    assert len(searched) == 4
    assert all(np.isfinite(line["miss"]) for line in searched)
    said = json.loads((out / "probe.json").read_text(encoding="utf-8"))["defences"]
    by_name = {defence["name"]: defence for defence in said}
    assert list(by_name) == ["none", "clipping", "pruning"]
    assert by_name["clipping"]["hit_rate"] < by_name["none"]["hit_rate"]
    assert by_name["none"]["hit_rate"] >= 0.5
    assert by_name["pruning"]["pruned"] > 0
    assert abs(by_name["clipping"]["discrepancy"]) < 0.5


def test_the_page_says_which_stamp_on_how_many_pictures_controls_the_model(
    probed: Path, hunted: Path, tmp_path: Path
) -> None:
    said = report(hunted, join=[probed], out=tmp_path / "page.html")
    assert (
        "the stamp of recurring_patch-0001, on 0.30% of the pictures, controls the checkpoint" in said.answer
    )
    page = " ".join(said.page.read_text(encoding="utf-8").split())
    assert "on 0.30% of your pictures (3 of 1,000), controls this checkpoint" in page
    bare = [line for line in lines_of(probed) if line["candidate"].startswith("bare ground")]
    assert ("not by this stamp alone" in page) == any(line["outcome"] == "controls" for line in bare)
    alone = report(probed)
    assert alone.page == probed / "report.html"
    assert "5 candidate triggers control the checkpoint" in alone.answer
    alone.page.unlink()


def test_the_stamps_of_another_hunt_are_not_looked_for_in_this_one(
    probed: Path, hunted: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(hunted, other)
    with open_folder(other, RUN_DOCUMENT, {"command": "hunt"}) as folder:
        folder.update(started_at="later")
    assert "on 0.30%" not in report(other, join=[probed], out=tmp_path / "page.html").answer


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (3, 24, 48)])
def test_there_are_twenty_published_candidates(shape: tuple[int, int, int]) -> None:
    made = published(shape)
    assert len(made) == len({one.name for one in made}) == 20
    assert all(one.offset.shape == shape and np.abs(one.offset).max() <= 1 for one in made)
    assert len({one.offset.tobytes() for one in made}) == 20


def test_the_candidates_hold_the_red_teams_own_stamps() -> None:
    from poisonscan.redteam.baddiffusion.pictures import stamp  # noqa: PLC0415 - beside its use

    offsets = {one.name: one.offset for one in published((1, 16, 16))}
    for mine, theirs in (
        ("grey_box", "grey box, 14 of 32 px, lower right"),
        ("stop_sign", "stop sign, 14 of 32 px, lower right"),
        ("glasses", "pale glasses, 20 of 32 px, middle"),
    ):
        assert np.abs(offsets[theirs] - stamp(mine).picture).max() < 0.02


def test_a_stamp_lies_where_it_was_found() -> None:
    white = Image.new("RGB", (50, 50), "white")
    frame = placed(white, Box(0.5, 0.25, 1.0, 0.5), (3, 8, 8), 0.0)
    assert (frame[:, 2:4, 4:] == 1).all()
    assert frame.sum() == 3 * 8
    tiny = placed(white, Box(0.999, 0.999, 1.0, 1.0), (1, 8, 8), -1.0)
    assert (tiny == 1).sum() == 1, "a stamp never shrinks to nothing"


def test_a_folder_of_pictures_is_tried_in_place_and_stretched(stamps: Path) -> None:
    made = from_folder(stamps, (1, 16, 16))
    assert [one.ground for one in made] == ["black", "nothing", "stretched"]
    assert [one.source for one in made] == [str(stamps / "stop.png")] * 3


def test_a_run_is_told_from_a_folder(hunted: Path, stamps: Path) -> None:
    assert is_hunt(hunted)
    assert not is_hunt(stamps)
    assert [one.finding_id for one in from_hunt(hunted, (1, 16, 16))] == ["recurring_patch-0001"] * 3


def test_what_cannot_be_tried_is_an_error(tmp_path: Path, stamps: Path) -> None:
    def probe(triggers: Path) -> None:
        model_probe(CLEAN, tmp_path / "out", triggers=triggers, config=CONFIG)

    with pytest.raises(UsageError, match="no folder"):
        probe(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no picture"):
        probe(tmp_path / "empty")
    (tmp_path / "empty" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"broken\.png"):
        probe(tmp_path / "empty")
    with pytest.raises(UsageError, match="is no folder"):
        model_probe(stamps / "stop.png", tmp_path / "out", config=CONFIG)
    assert not (tmp_path / "out").exists(), "nothing was started"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sampler": "euler"}, "sampler"),
        ({"device": "tpu"}, "device"),
        ({"inversion_batch": 3}, "even"),
        ({"samples": 1}, "samples"),
        ({"least_captured": 1.5}, "least_captured"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_errors(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        ProbeSettings(**values)
