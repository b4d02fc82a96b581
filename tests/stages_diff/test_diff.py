from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from poisonscan.cli import main
from poisonscan.config import Config, RunSettings
from poisonscan.errors import ManifestError, RunMismatchError, SnapshotInvalidError, UsageError
from poisonscan.records import Group, Verdict
from poisonscan.stages.diff.run import diff
from poisonscan.stages.snapshot.take import snapshot_images, snapshot_shards
from poisonscan.store import schema
from tests.stages_diff.pictures import (
    blotted,
    centre_cropped,
    jpeg,
    original,
    patched,
    resized,
    url,
    verdicts,
    write_folder,
    write_shard,
)

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = Config(run=RunSettings(workers=1, shard_rows=5))


def suspicious(found: dict[str, str]) -> set[str]:
    return {name for name, verdict in found.items() if Verdict(verdict).group is Group.SUSPICIOUS}


def test_tampered_rows_of_a_consumers_shards_are_found_and_no_others(tmp_path: Path) -> None:
    publisher, consumer = tmp_path / "publisher", tmp_path / "consumer"
    publisher.mkdir()
    consumer.mkdir()
    # Clear cases alone: untouched, these pictures score less than half of a threshold, tampered ten times it.
    resized_ones, cropped_ones = (0, 1, 2, 3), (5, 9, 10, 12)
    everything = {n: original(n) for n in (*resized_ones, *cropped_ones, 11)}
    write_shard(publisher / "00000.tar", {n: jpeg(image) for n, image in everything.items()})
    snapshot_shards(publisher, tmp_path / "snapshot", config=CONFIG)
    served = everything | {2: patched(original(2)), 9: original(90), 12: blotted(original(12))}
    write_shard(consumer / "00000.tar", {n: jpeg(resized(served[n]), 90) for n in resized_ones}, lost=[11])
    write_shard(consumer / "00001.tar", {n: jpeg(centre_cropped(served[n]), 85) for n in cropped_ones})
    out = tmp_path / "diff.parquet"
    summary = diff(tmp_path / "snapshot", consumer, out, config=CONFIG)
    found = verdicts(out, "url")
    assert suspicious(found) == {url(2), url(9), url(12)}
    assert found[url(9)] == "replaced"
    assert found[url(11)] == "unreachable"
    assert summary.exit_code == 1
    assert summary.details["matching"]["by"] == "url"
    assert summary.details["matching"]["matched"] == 9
    boxes = {row["url"]: row["boxes"] for row in pq.read_table(out).to_pylist()}
    assert any(x0 <= 0.5 <= x1 and y0 <= 0.5 <= y1 for x0, y0, x1, y1 in boxes[url(12)])
    assert pq.read_schema(out).names == schema.VERDICTS.names
    assert not out.with_name("diff.parquet.work").exists()


def test_folders_are_matched_by_relative_path_and_every_row_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = {f"a/{n}.jpg": jpeg(original(n)) for n in range(4)}
    old = write_folder(tmp_path / "old", pictures)
    changed = {
        "a/1.jpg": jpeg(original(1), 70),
        "a/2.jpg": b"\xff\xd8\xff broken",
        "b/new.jpg": pictures["a/0.jpg"],
    }
    new = write_folder(tmp_path / "new", pictures | changed)
    (new / "a/3.jpg").unlink()
    out = tmp_path / "d.parquet"
    lost_too_many = 3
    assert main(["diff", str(old), str(new), "--out", str(out), "--workers", "1"]) == lost_too_many
    assert verdicts(out) == {
        "a/0.jpg": "identical",
        "a/1.jpg": "reencoded",
        "a/2.jpg": "undecodable",
        "a/3.jpg": "gone",
        "b/new.jpg": "no_baseline",
    }
    reasons = {row["key"]: row["reason"] for row in pq.read_table(out).to_pylist()}
    assert (reasons["a/3.jpg"], reasons["b/new.jpg"]) == ("not in NEW", "not in OLD")
    shown = capsys.readouterr()
    assert json.loads(shown.out)["matching"] == {
        "by": "key",
        "old_rows": 4,
        "new_rows": 4,
        "old_duplicates": 0,
        "new_duplicates": 0,
        "matched": 3,
    }
    assert "matched 3 of 4 rows of NEW" in shown.err


def test_names_that_file_systems_write_differently_belong_together(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9.jpg", "cafe\u0301.jpg"
    old = write_folder(tmp_path / "old", {composed: jpeg(original(0))})
    new = write_folder(tmp_path / "new", {decomposed: jpeg(original(0))})
    diff(old, new, tmp_path / "d.parquet", config=CONFIG)
    assert verdicts(tmp_path / "d.parquet", "key") == {decomposed: "identical"}


def test_a_snapshot_of_a_folder_stands_for_it(tmp_path: Path) -> None:
    old = write_folder(tmp_path / "old", {f"{n}.jpg": jpeg(original(n)) for n in range(3)})
    new = write_folder(tmp_path / "new", {"0.jpg": jpeg(original(0), 60)})
    snapshot_images(old, tmp_path / "snap", config=CONFIG)
    diff(tmp_path / "snap", new, tmp_path / "d.parquet", config=CONFIG)
    assert verdicts(tmp_path / "d.parquet") == {"0.jpg": "reencoded", "1.jpg": "gone", "2.jpg": "gone"}


def test_a_killed_diff_goes_on_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = {f"{n}.jpg": jpeg(original(n)) for n in range(3)}
    old = write_folder(tmp_path / "old", pictures)
    new = write_folder(tmp_path / "new", pictures | {"1.jpg": jpeg(original(1), 70)})
    out = tmp_path / "d.parquet"
    with monkeypatch.context() as patch:
        patch.setattr("poisonscan.stages.diff.run.judge_run", _killed)
        with pytest.raises(KeyboardInterrupt):
            diff(old, new, out, config=CONFIG)
    assert not out.exists()
    before = (out.with_name("d.parquet.work") / "pairs.parquet").stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda _: None)
        diff(old, new, out, config=CONFIG)
    assert (out.with_name("d.parquet.work") / "pairs.parquet").stat().st_mtime_ns == before
    assert verdicts(out) == {"0.jpg": "identical", "1.jpg": "reencoded", "2.jpg": "identical"}
    (new / "2.jpg").write_bytes(jpeg(original(9)))
    with pytest.raises(RunMismatchError, match="new_state"):
        diff(old, new, out, config=CONFIG)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_cannot_be_compared_is_refused_with_what_to_do(tmp_path: Path) -> None:
    old = write_folder(tmp_path / "old", {"0.jpg": jpeg(original(0))})
    other = write_folder(tmp_path / "other", {"1.jpg": jpeg(original(0))})
    out = tmp_path / "d.parquet"
    with pytest.raises(UsageError, match="is no folder"):
        diff(old, tmp_path / "absent", out)
    with pytest.raises(UsageError, match="inside OLD"):
        diff(old, other, old / "d.parquet")
    with pytest.raises(UsageError, match="images, shards, snapshot"):
        diff(old, other, out, new_kind="pictures")
    with pytest.raises(ManifestError, match="no img2dataset shard"):
        diff(old, other, tmp_path / "e.parquet", new_kind="shards", config=CONFIG)


def test_an_altered_snapshot_is_refused(tmp_path: Path) -> None:
    old = write_folder(tmp_path / "old", {"0.jpg": jpeg(original(0))})
    snapshot_images(old, tmp_path / "snap", config=CONFIG)
    part = tmp_path / "snap/rows/00000.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(SnapshotInvalidError, match="altered"):
        diff(tmp_path / "snap", old, tmp_path / "d.parquet", config=CONFIG)
