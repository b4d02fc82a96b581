from __future__ import annotations

import io
import json
import pickle
import tarfile
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poisonscan.errors import ManifestError
from poisonscan.records import ImageRef, Published
from poisonscan.sources import Img2datasetShards, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHA = "ab" * 32


def line(n: int, status: str = "success") -> dict[str, str | None]:
    message = None if status == "success" else "HTTP Error 404: Not Found"
    return {
        "key": f"{n:09d}",
        "url": f"http://h/{n}",
        "caption": f"caption {n}",
        "status": status,
        "error_message": message,
        "sha256": SHA.upper() if status == "success" else None,
    }


def files_of(n: int, body: bytes = b"") -> dict[str, bytes]:
    said = line(n)
    return {
        f"{n:09d}.jpg": body or f"picture {n}".encode() * 100,
        f"{n:09d}.json": json.dumps(said).encode(),
        f"{n:09d}.txt": str(said["caption"]).encode(),
    }


def table(path: Path, rows: Sequence[dict[str, str | None]], **columns: pa.Array) -> None:
    written = pa.Table.from_pylist(list(rows))
    for name, column in columns.items():
        written = written.append_column(name, column)
    pq.write_table(written, path)


def tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))


def read_all(root: Path, shard_rows: int = 100) -> list[Picture]:
    source = Img2datasetShards(root)
    plan = source.plan(shard_rows)
    found = [picture for part in plan.slices for picture in source.read(part)]
    assert [picture.ref.row for picture in found] == list(range(plan.rows))
    assert all(part.count <= shard_rows for part in plan.slices)
    return found


def expected(row: int, n: int) -> Picture:
    ref = ImageRef(row, f"{n:09d}", f"http://h/{n}", f"caption {n}", Published(sha256=SHA))
    return Picture(ref, f"picture {n}".encode() * 100)


def failed(row: int, n: int) -> Picture:
    ref = ImageRef(row, f"{n:09d}", f"http://h/{n}", f"caption {n}")
    return Picture(ref, None, "img2dataset: failed_to_download: HTTP Error 404: Not Found")


@pytest.mark.parametrize("shard_rows", [1, 2, 3, 100])
@pytest.mark.parametrize("layout", ["webdataset", "files"])
def test_pictures_then_failed_rows(tmp_path: Path, layout: str, shard_rows: int) -> None:
    for shard in (0, 1):
        first = 10 * shard
        rows = [line(first), line(first + 1, "failed_to_download"), line(first + 2)]
        table(tmp_path / f"{shard:05d}.parquet", rows)
        stored = files_of(first) | files_of(first + 2)
        if layout == "webdataset":
            tar(tmp_path / f"{shard:05d}.tar", stored)
        else:
            (tmp_path / f"{shard:05d}").mkdir()
            for name, body in stored.items():
                (tmp_path / f"{shard:05d}" / name).write_bytes(body)
        (tmp_path / f"{shard:05d}_stats.json").write_text("{}")
    assert read_all(tmp_path, shard_rows) == [
        *[expected(0, 0), expected(1, 2), failed(2, 1)],
        *[expected(3, 10), expected(4, 12), failed(5, 11)],
    ]
    assert Img2datasetShards(tmp_path).plan(9).skipped == ("2 files that are no shards",)


@pytest.mark.parametrize("shard_rows", [1, 2, 100])
@pytest.mark.parametrize("column", ["jpg", "png", "webp"])
def test_pictures_in_parquet(tmp_path: Path, column: str, shard_rows: int) -> None:
    bodies = pa.array([expected(0, 0).body, None, expected(0, 2).body])
    table(tmp_path / "00000.parquet", [line(0), line(1, "failed_to_download"), line(2)], **{column: bodies})
    assert read_all(tmp_path, shard_rows) == [expected(0, 0), failed(1, 1), expected(2, 2)]


def test_a_table_without_its_tar_says_so(tmp_path: Path) -> None:
    table(tmp_path / "00000.parquet", [line(0)])
    (picture,) = read_all(tmp_path)
    assert picture.reason == "00000.parquet does not hold it, though it was downloaded"


def test_a_tar_without_its_table(tmp_path: Path) -> None:
    tar(tmp_path / "00000.tar", files_of(0) | files_of(1))
    assert read_all(tmp_path) == [expected(0, 0), expected(1, 1)]


@pytest.mark.parametrize("with_table", [True, False])
@pytest.mark.parametrize("cut", [600, 1500, 2600, 4000, 5000, 6100, 7000])
def test_a_truncated_tar_ends_in_reasons(tmp_path: Path, cut: int, with_table: bool) -> None:  # noqa: FBT001 - a parameter
    tar(tmp_path / "00000.tar", files_of(0) | files_of(1) | files_of(2))
    whole = (tmp_path / "00000.tar").read_bytes()
    (tmp_path / "00000.tar").write_bytes(whole[:cut])
    if with_table:
        table(tmp_path / "00000.parquet", [line(0), line(1), line(2)])
    found = read_all(tmp_path)
    assert all(
        (picture.body is None) == bool(picture.reason) for picture in found if "json" not in picture.reason
    )
    assert any("truncated" in picture.reason for picture in found)
    for picture in found:
        assert picture.body in {None, *[expected(0, n).body for n in range(3)]}
    if with_table:
        assert sorted(picture.ref.key for picture in found) == [f"{n:09d}" for n in range(3)]
    else:
        assert found[-1].ref.key == "00000.tar"


def test_random_damage_never_crashes(tmp_path: Path) -> None:
    tar(tmp_path / "00000.tar", files_of(0) | files_of(1))
    whole = (tmp_path / "00000.tar").read_bytes()
    for place in range(0, 3072, 37):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        (tmp_path / "00000.tar").write_bytes(broken)
        assert read_all(tmp_path)


def test_member_names_are_never_paths(tmp_path: Path) -> None:
    names = {"../../escape.jpg": b"a", "/etc/passwd.jpg": b"b", "a/b/key.seg.jpg": b"c", "plain.jpg": b"d"}
    tar(tmp_path / "00000.tar", names)
    before = sorted(tmp_path.parent.rglob("*"))
    found = [(p.ref.key, p.body, p.reason) for p in read_all(tmp_path)]
    assert [key for key, _, _ in found] == ["escape", "etc/passwd", "a/b/key", "plain"]
    assert [body for _, body, _ in found] == [b"a", b"b", None, b"d"]
    assert "only seg.jpg" in found[2][2]
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_links_and_giants_in_a_tar_are_reasons(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "00000.tar", "w") as archive:
        link = tarfile.TarInfo("a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        giant = tarfile.TarInfo("b.jpg")
        giant.size = 11
        archive.addfile(giant, io.BytesIO(b"x" * 11))
    source = Img2datasetShards(tmp_path, max_bytes=10)
    (part,) = source.plan(10).slices
    assert [picture.reason for picture in source.read(part)] == [
        "the picture is no regular file inside the tar",
        "the picture is larger than 10 bytes",
    ]


def test_a_planted_picture_is_a_row_of_its_own(tmp_path: Path) -> None:
    tar(tmp_path / "00000.tar", files_of(0) | {"planted.jpg": b"poison"})
    table(tmp_path / "00000.parquet", [line(0)])
    assert read_all(tmp_path) == [expected(0, 0), Picture(ImageRef(1, "planted", ""), b"poison")]


@pytest.mark.parametrize("said", [b"{", b"[1]", b"[" * 50_000])
def test_a_broken_json_is_noted_beside_the_picture(tmp_path: Path, said: bytes) -> None:
    tar(tmp_path / "00000.tar", {"a.jpg": b"x", "a.json": said})
    (picture,) = read_all(tmp_path)
    assert picture.body == b"x"
    assert picture.reason.startswith("its .json is not")


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="holds no img2dataset shard"):
        Img2datasetShards(tmp_path).plan(1)
    with pytest.raises(ManifestError, match="cannot be listed"):
        Img2datasetShards(tmp_path / "absent").plan(1)
    (tmp_path / "00000.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ManifestError, match="truncated or damaged"):
        Img2datasetShards(tmp_path).plan(1)
    (tmp_path / "00000.tfrecord").write_bytes(b"")
    with pytest.raises(ManifestError, match="TFRecord"):
        Img2datasetShards(tmp_path).plan(1)


def test_source_and_slices_can_be_pickled(tmp_path: Path) -> None:
    tar(tmp_path / "00000.tar", files_of(0))
    source = Img2datasetShards(tmp_path)
    handed = (source, source.plan(1))
    assert pickle.loads(pickle.dumps(handed)) == handed  # noqa: S301 - our own bytes
