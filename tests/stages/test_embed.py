"""Pictures in, vectors out: from each kind of source, with both kinds of encoder, and after a kill."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poisonscan.config import Config, EmbedSettings, RunSettings
from poisonscan.embed.opening import open_encoder, parse_spec
from poisonscan.embed.views import prepared
from poisonscan.errors import ManifestError, RunMismatchError, SettingsError, SnapshotInvalidError, UsageError
from poisonscan.stages.embed.descriptions import Description, Descriptions, read_descriptions
from poisonscan.stages.embed.run import embed_pictures
from poisonscan.store import schema
from tests.embed.models import WIDTH, onnx_model

from .collecting import N_PICTURES, kept
from .killing import rows_of, wait_until
from .test_kills import begin, kill_all
from .world import leftovers, read

if TYPE_CHECKING:
    from pathlib import Path

    from .collecting import Collection

CONFIG = Config(run=RunSettings(workers=1, shard_rows=20), embed=EmbedSettings(device="cpu", batch_rows=8))


def vectors_of(
    rows: list[dict[str, Any]], name: str = "vector"
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([row[name] for row in rows if row[name] is not None], np.float32)


def test_a_folder(collection: Collection, onnx: str, tmp_path: Path) -> None:
    out = tmp_path / "emb"
    summary = embed_pictures(
        collection.images, out, onnx, describing=Descriptions(collection.captions), config=CONFIG
    )
    rows = read(out, "vectors")
    assert summary.counts == {"decoded": N_PICTURES, "not_image": 1, "undecodable": 1}
    assert (summary.rows, summary.exit_code, summary.details["width"]) == (N_PICTURES + 2, 0, WIDTH)
    assert [row["row"] for row in rows] == list(range(N_PICTURES + 2))
    lost = {row["key"]: row for row in rows if row["state"] != schema.DECODED}
    assert set(lost) == {"boat/page.jpg", "boat/cut.jpg"}
    assert lost["boat/page.jpg"]["reason"] == "HTML, not a picture"
    assert all(row["vector"] is None for row in lost.values())
    described = {row["key"]: row for row in rows}["dog/002.jpg"]
    assert described["caption"].startswith("dog number 2")
    assert described["label"] == "dog"
    assert leftovers(out) == []
    assert json.loads((out / "summary.json").read_text())["rows"] == N_PICTURES + 2
    assert (
        embed_pictures(
            collection.images, out, onnx, describing=Descriptions(collection.captions), config=CONFIG
        ).rows
        == 38
    )


def test_a_vector_is_what_the_encoder_says_of_that_picture(
    collection: Collection, onnx: str, tmp_path: Path
) -> None:
    embed_pictures(
        collection.images,
        tmp_path / "emb",
        onnx,
        describing=Descriptions(None, folders_as_labels=True),
        config=CONFIG,
    )
    rows = [row for row in read(tmp_path / "emb", "vectors") if row["vector"]]
    encoder = open_encoder(parse_spec(onnx), CONFIG.embed)
    pictures = [Image.open(collection.images / row["key"]) for row in rows]
    crops = np.stack([np.asarray(prepared(picture, encoder.preparation)) for picture in pictures])
    np.testing.assert_allclose(vectors_of(rows), encoder.images(crops), atol=2e-3)
    assert {row["label"] for row in rows} == {row["key"].partition("/")[0] for row in rows}
    found = duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/emb/vectors/*.parquet' WHERE len(vector) = {WIDTH}")  # noqa: S608 - our own path
    assert found is not None
    assert found.fetchall() == [(N_PICTURES,)]


def test_shards_with_captions_and_a_text_side(collection: Collection, clip: str, tmp_path: Path) -> None:
    summary = embed_pictures(collection.shards, tmp_path / "emb", clip, config=CONFIG)
    rows = read(tmp_path / "emb", "vectors")
    assert summary.counts == {"decoded": N_PICTURES}
    assert [row["key"] for row in rows] == [f"{number:09d}" for number in range(N_PICTURES)]
    for name in ("vector", "text_vector"):
        vectors = vectors_of(rows, name)
        assert vectors.shape == (N_PICTURES, 24)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    assert rows[5]["domain"] == "site5.test"


def test_a_snapshot_with_kept_bytes(collection: Collection, onnx: str, tmp_path: Path) -> None:
    then = kept(collection, tmp_path / "then")
    summary = embed_pictures(then, tmp_path / "emb", onnx, config=CONFIG)
    rows = read(tmp_path / "emb", "vectors")
    assert summary.counts == {"decoded": N_PICTURES, "unreachable": 2}
    assert [row["row"] for row in rows] == list(range(N_PICTURES + 2))
    assert {row["reason"] for row in rows if row["vector"] is None} == {
        row["reason"] for row in read(then, "rows") if row["state"] != "fingerprinted"
    }
    part = then / "bytes" / "00001.parquet"
    table = pq.read_table(part)
    bodies = [bytes(reversed(table["bytes"][0].as_py())), *table["bytes"].to_pylist()[1:]]
    pq.write_table(pa.table({"sha256": table["sha256"], "bytes": bodies}, schema=table.schema), part)
    with pytest.raises(SnapshotInvalidError, match="was altered: a picture lacks its digest"):
        embed_pictures(then, tmp_path / "again", onnx, config=CONFIG)


def test_a_snapshot_without_kept_bytes(collection: Collection, onnx: str, tmp_path: Path) -> None:
    from poisonscan.stages.snapshot.take import snapshot_images  # noqa: PLC0415 - beside its only use

    snapshot_images(collection.images, tmp_path / "then", config=CONFIG)
    with pytest.raises(ManifestError, match="take it again with --keep-bytes"):
        embed_pictures(tmp_path / "then", tmp_path / "emb", onnx, config=CONFIG)


def test_killed_and_continued(collection: Collection, onnx: str, tmp_path: Path) -> None:
    out = tmp_path / "emb"
    command = [sys.executable, "-m", "poisonscan", "embed", str(collection.images), "--out", str(out)]
    command += [
        "--encoder",
        onnx,
        "--device",
        "cpu",
        "--batch-rows",
        "2",
        "--workers",
        "1",
        "--shard-rows",
        "20",
    ]
    process = begin(command)
    wait_until(lambda: rows_of(out, "vectors") >= 4, process)
    kill_all(process)
    before = {path.name: path.read_bytes() for path in (out / "vectors").glob("[0-9]*.parquet")}
    config = dataclasses.replace(CONFIG, embed=EmbedSettings(device="cpu", batch_rows=2))
    assert embed_pictures(collection.images, out, onnx, config=config).rows == N_PICTURES + 2
    rows = read(out, "vectors")
    assert [row["row"] for row in rows] == list(range(N_PICTURES + 2))
    assert vectors_of(rows).shape == (N_PICTURES, WIDTH)
    assert all((out / "vectors" / name).read_bytes() == body for name, body in before.items())
    assert leftovers(out) == []
    other = onnx_model(tmp_path / "other.onnx", outputs=("map",))
    with pytest.raises(RunMismatchError, match="was started with another encoder"):
        embed_pictures(collection.images, out, f"onnx:{other}", config=config)


def test_a_cluster_is_refused(collection: Collection, onnx: str, tmp_path: Path) -> None:
    elsewhere = Config(run=RunSettings(engine="ray"))
    with pytest.raises(SettingsError, match="embed works on this machine alone"):
        embed_pictures(collection.images, tmp_path / "run", onnx, config=elsewhere)
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_used_starts_nothing(collection: Collection, onnx: str, tmp_path: Path) -> None:
    out = tmp_path / "emb"
    (tmp_path / "wrong.csv").write_text("path,caption\nnowhere/1.jpg,a cat\n")
    with pytest.raises(UsageError, match="none of its keys is the path of a picture"):
        embed_pictures(
            collection.images, out, onnx, describing=Descriptions(tmp_path / "wrong.csv"), config=CONFIG
        )
    with pytest.raises(UsageError, match="lies inside SOURCE"):
        embed_pictures(collection.images, collection.images / "emb", onnx, config=CONFIG)
    with pytest.raises(UsageError, match=r"SOURCE .* is no folder"):
        embed_pictures(tmp_path / "absent", out, onnx, config=CONFIG)
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(UsageError, match="onnxruntime cannot load it"):
        embed_pictures(collection.images, out, f"onnx:{tmp_path}/junk.onnx", config=CONFIG)
    assert not (out / "embed.json").exists()
    assert not (out / "vectors").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'key,caption,label\n1.jpg,"a cat, asleep",cat\n2.jpg,,dog\n'),
        ("a.tsv", "path\ttext\tclass\n1.jpg\ta cat, asleep\tcat\n2.jpg\t\tdog\n"),
        (
            "a.jsonl",
            '{"image": "1.jpg", "text": "a cat, asleep", "class": "cat"}\n{"key": "2.jpg", "class": "dog"}\n',
        ),
    ],
)
def test_tables_of_captions(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    expected = {"1.jpg": Description("a cat, asleep", "cat"), "2.jpg": Description(None, "dog")}
    assert read_descriptions(tmp_path / name) == expected
    pq.write_table(
        pa.table({"key": ["1.jpg", "2.jpg"], "caption": ["a cat, asleep", None], "label": ["cat", "dog"]}),
        tmp_path / "a.parquet",
    )
    assert read_descriptions(tmp_path / "a.parquet") == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "key,caption\n,a cat\n", "row 1: it has no key"),
        ("a.csv", "key,caption\n1,a cat\n1,a dog\n", "row 2: 1 was described otherwise before"),
        ("a.csv", "key,words\n1,a cat\n", "has no caption and no label"),
        ("a.csv", 'key,caption\n1,"a cat\n', "cannot be read"),
        ("a.jsonl", "[1]\n", "line 1: it is no JSON object"),
        ("a.jsonl", "{\n", "cannot be read"),
        ("a.parquet", "junk", "cannot be read"),
        ("a.txt", "a cat", r"write a .csv, .tsv, .jsonl or .parquet file"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_descriptions(tmp_path / name)
