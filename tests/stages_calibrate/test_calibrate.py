from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from poisonscan.cli import main
from poisonscan.config import CompareSettings, Config, RunSettings, from_toml
from poisonscan.errors import RunMismatchError, SettingsError, UsageError
from poisonscan.redteam.pictures import draw
from poisonscan.stages.calibrate.run import calibrate
from poisonscan.stages.calibrate.task import Experiment

if TYPE_CHECKING:
    from pathlib import Path

EDITS = ("jpeg-75", "resize-0.5", "patch-white-22", "replaced", "watermark")
CONFIG = Config(run=RunSettings(workers=1))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(6):
        draw(number, (320, 240)).save(folder / f"{number}.jpg", quality=95)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return folder


def test_a_calibration_ends_in_a_table_a_plot_and_settings(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ["--edits", ",".join(EDITS), "--pictures", "7", "--false-positives", "0.2", "--workers", "1"]
    command = ["calibrate", str(pictures), "--out", str(out), *flags]
    assert main(command) == 0
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    assert (said["rows"], said["unusable"]) == (7 * len(EDITS), len(EDITS))
    assert said["recall"]["current"] == 1.0
    assert said["unexplained"] == 0
    assert "patch-white-22" in shown.err
    rates = pq.read_table(out / "rates.parquet").to_pylist()
    assert {rate["edit"] for rate in rates} == set(EDITS)
    assert all(rate["rate"] == rate["suspicious"] / rate["pairs"] for rate in rates)
    assert (out / "rates.svg").read_text().startswith("<svg")
    assert from_toml(out / "thresholds.toml").compare != CompareSettings()
    before = (out / "thresholds.toml").read_bytes()
    assert main(command) == 0
    again = json.loads(capsys.readouterr().out)
    assert {**again, "seconds": 0, "rows_per_s": 0} == {**said, "seconds": 0, "rows_per_s": 0}
    assert (out / "thresholds.toml").read_bytes() == before
    with pytest.raises(RunMismatchError, match="another seed"):
        calibrate(pictures, out, experiment=Experiment(EDITS, 7, 1, 0.2), config=CONFIG)


def test_what_cannot_be_told_is_not_tried(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be told from zero on 6 innocent pairs"):
        calibrate(pictures, tmp_path / "out", experiment=Experiment(EDITS, 7), config=CONFIG)
    with pytest.raises(SettingsError, match="did you mean jpeg-75"):
        Experiment(("jpg-75",))
    with pytest.raises(UsageError, match="no innocent edit"):
        Experiment(("replaced",))
    with pytest.raises(UsageError, match="between 0 and 1"):
        Experiment(false_positives=1.0)
    with pytest.raises(UsageError, match="at least two"):
        Experiment(pictures=1)
