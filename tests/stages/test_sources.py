"""Snapshots of what is already on disk, and of what publishers printed."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import tarfile
from typing import TYPE_CHECKING

import imagehash
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poisonscan.config import Config, RunSettings
from poisonscan.errors import ManifestError, StorageError
from poisonscan.manifest.dialects import parse_hashes
from poisonscan.redteam.sites import Behaviour
from poisonscan.redteam.web import LyingWeb
from poisonscan.stages.check.run import check
from poisonscan.stages.lanes import each
from poisonscan.stages.snapshot.take import snapshot_hashes, snapshot_images, snapshot_shards

from .world import by_url, config_for, leftovers, offline, read, sites_of, urls_of

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.sources.model import Picture


def folder_of(pictures: list[Path], root: Path) -> Path:
    (root / "sub folder").mkdir(parents=True)
    for path in pictures[:3]:
        (root / path.name).write_bytes(path.read_bytes())
    (root / "sub folder" / "Zürich.jpg").write_bytes(pictures[3].read_bytes())
    (root / "copy.jpg").write_bytes(pictures[0].read_bytes())
    (root / "page.jpg").write_bytes(b"<html>not here any more</html>")
    (root / "cut.jpg").write_bytes(pictures[4].read_bytes()[:900])
    (root / "captions.txt").write_text("beside the pictures")
    return root


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed")
def test_the_same_over_ray(pictures: list[Path], tmp_path: Path) -> None:
    root = folder_of(pictures, tmp_path / "images")
    over_ray = Config(run=RunSettings(workers=2, engine="ray", shard_rows=4))
    snapshot_images(root, tmp_path / "ray", config=over_ray)
    snapshot_images(root, tmp_path / "local", config=offline(shard_rows=4))
    assert read(tmp_path / "ray", "rows") == read(tmp_path / "local", "rows")


def test_a_folder_of_pictures(pictures: list[Path], tmp_path: Path) -> None:
    root = folder_of(pictures, tmp_path / "images")
    taken = tmp_path / "taken"
    summary = snapshot_images(root, taken, keep_bytes=True, config=offline(shard_rows=4))
    rows = {row["key"]: row for row in read(taken, "rows")}
    assert {key: row["state"] for key, row in rows.items()} == {
        **{path.name: "fingerprinted" for path in pictures[:3]},
        "copy.jpg": "fingerprinted",
        "sub folder/Zürich.jpg": "fingerprinted",
        "page.jpg": "not_image",
        "cut.jpg": "undecodable",
    }
    assert rows["copy.jpg"]["sha256"] == hashlib.sha256(pictures[0].read_bytes()).hexdigest()
    assert rows["page.jpg"]["reason"] == "HTML, not a picture"
    assert (summary.rows, summary.exit_code) == (7, 0)
    assert json.loads((taken / "snapshot.json").read_text())["skipped"] == [
        "1 .txt files beside the pictures"
    ]
    assert leftovers(taken) == []


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "absent"):
        with pytest.raises(ManifestError, match=folder):
            snapshot_images(tmp_path / folder, tmp_path / "out", config=offline())


def tar_of(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))


def test_what_img2dataset_downloaded_is_checked_against_the_web(pictures: list[Path], tmp_path: Path) -> None:
    sites = sites_of({Behaviour.STABLE: 2, Behaviour.SWAP: 2}, pictures[:4])
    urls = [*urls_of(sites), "http://gone.test/x.jpg"]
    shards = tmp_path / "downloaded"
    shards.mkdir()
    lines = [
        {
            "key": f"{number:09d}",
            "url": url,
            "caption": f"picture {number}",
            "status": "success" if number < 4 else "failed_to_download",
            "error_message": None if number < 4 else "HTTP Error 404: Not Found",
            "sha256": hashlib.sha256(pictures[number].read_bytes()).hexdigest() if number < 4 else None,
        }
        for number, url in enumerate(urls)
    ]
    pq.write_table(pa.Table.from_pylist(lines), shards / "00000.parquet")
    files = {}
    for number in range(4):
        files[f"{number:09d}.jpg"] = pictures[number].read_bytes()
        files[f"{number:09d}.json"] = json.dumps(lines[number]).encode()
    tar_of(shards / "00000.tar", files)

    taken = tmp_path / "taken"
    summary = snapshot_shards(shards, taken, config=offline())
    assert summary.counts == {"fingerprinted": 4, "unreachable": 1}
    with LyingWeb(sites) as web:
        web.change()
        check(taken, tmp_path / "run", config=config_for(web))
    assert list(by_url(read(tmp_path / "run", "verdicts"), "verdict").values()) == [
        *["identical"] * 2,
        *["replaced"] * 2,
        "gone",
    ]
    assert [row["key"] for row in read(tmp_path / "run", "verdicts")] == [line["key"] for line in lines]


def test_published_hashes_are_a_baseline(pictures: list[Path], tmp_path: Path) -> None:
    """Per algorithm: it fits, it does not fit; and a row where nothing was published."""
    (site,) = sites_of({Behaviour.STABLE: 7}, pictures[:7])
    bodies = [path.read_bytes() for path in pictures[:7]]
    columns: dict[str, list[str | None]] = {
        "sha256": [hashlib.sha256(bodies[0]).hexdigest(), "0" * 64, *[None] * 5],
        "md5": [*[None] * 2, md5_of(bodies[2]).upper(), "0" * 32, *[None] * 3],
        "phash": [*[None] * 4, phash_of(bodies[4]), phash_of(bodies[0]), None],
    }
    pq.write_table(pa.table({"link": urls_of([site]), **columns}), tmp_path / "list.parquet")
    hashes = parse_hashes([f"{name}={name}" for name in columns])
    taken, run = tmp_path / "then", tmp_path / "now"
    source = str(tmp_path / "list.parquet")
    with LyingWeb([site]) as web:
        config = config_for(web)
        summary = snapshot_hashes(source, taken, hashes, columns={"url": "link"}, config=config)
        assert summary.counts == {"hashed": 6, "no_baseline": 1}
        assert not web.requests
        check(taken, run, config=config)
    verdicts = read(run, "verdicts")
    fits = ["identical", "changed", "identical", "changed", "no_baseline", "changed", "no_baseline"]
    assert [row["verdict"] for row in verdicts] == fits
    assert "published hash is empty" in verdicts[-1]["reason"]
    assert len(read(run, "quarantine")) == 3


def md5_of(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def phash_of(body: bytes) -> str:
    with Image.open(io.BytesIO(body)) as image:
        return str(imagehash.phash(image))


def test_a_hash_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    table = pa.table({"URL": ["http://a.test/1"], "TEXT": ["a"], "hash": pa.array([42], pa.int64())})
    pq.write_table(table, tmp_path / "laion.parquet")
    for column in ("hash=md5", "hsh=md5"):
        with pytest.raises(ManifestError, match=column.partition("=")[0]):
            snapshot_hashes(
                str(tmp_path / "laion.parquet"), tmp_path / "out", parse_hashes([column]), config=offline()
            )
    with pytest.raises(ManifestError, match="crc32"):
        parse_hashes(["hash=crc32"])


async def test_an_error_while_pictures_are_handled_comes_out_bare() -> None:
    """Not in an exception group, which the command line would show as a traceback."""

    async def fail(_: Picture) -> None:
        raise StorageError("disk full; free space, then repeat")

    picture: Picture = object()  # type: ignore[assignment]  # `fail` does not look at it
    with pytest.raises(StorageError, match="disk full"):
        await each(iter([picture] * 40), fail, lambda: False)
    await each(iter([picture]), fail, lambda: True)
