"""Tars as cat, macOS and other tools leave them: every picture with its own URL, or the reason aloud."""

from __future__ import annotations

import gzip
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from poisonscan.errors import ManifestError
from poisonscan.sources import Img2datasetShards
from tests.sources.test_img2dataset import files_of, read_all, tar

if TYPE_CHECKING:
    from pathlib import Path


def seen(root: Path) -> list[tuple[str, str, bool]]:
    return [(picture.ref.key, picture.ref.url, picture.body is not None) for picture in read_all(root)]


def test_folders_inside_a_tar_belong_to_the_key(tmp_path: Path) -> None:
    files = {
        f"./{folder}/0.{suffix}": body
        for n, folder in enumerate("ab")
        for suffix, body in (("jpg", b"picture"), ("json", json.dumps({"url": f"http://h/{n}"}).encode()))
    }
    tar(tmp_path / "00000.tar", files)
    assert seen(tmp_path) == [("a/0", "http://h/0", True), ("b/0", "http://h/1", True)]


def test_tars_put_one_behind_the_other_are_read_to_the_end(tmp_path: Path) -> None:
    for n in range(3):
        tar(tmp_path / f"part{n}", files_of(n))
    whole = b"".join((tmp_path / f"part{n}").read_bytes() for n in range(3))
    (tmp_path / "00000.tar").write_bytes(whole)
    assert [url for _, url, _ in seen(tmp_path)] == ["http://h/0", "http://h/1", "http://h/2"]
    (tmp_path / "00000.tar").write_bytes(whole + b"rubbish" * 100)
    assert [body for _, _, body in seen(tmp_path)] == [True, True, True, False]


def test_attributes_that_macos_adds_are_no_rows(tmp_path: Path) -> None:
    files = {
        name: body
        for file, content in files_of(0).items()
        for name, body in ((f"._{file}", b"\0\5\x16\7attributes"), (file, content))
    }
    tar(tmp_path / "00000.tar", files | {"._1.jpg": b"no attributes, whatever it is"})
    assert seen(tmp_path) == [("000000000", "http://h/0", True), ("", "", False)]


def test_any_name_of_a_tar(tmp_path: Path) -> None:
    tar(tmp_path / "train-000.tar", {"0.jpg": b"picture", "0.json": b'{"url": "http://h/0"}'})
    assert seen(tmp_path) == [("0", "http://h/0", True)]


@pytest.mark.parametrize("name", ["00000.tar.gz", "00000.tar"])
def test_a_compressed_tar_is_refused_for_that(tmp_path: Path, name: str) -> None:
    tar(tmp_path / "plain", files_of(0))
    (tmp_path / name).write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    with pytest.raises(ManifestError, match="compressed with gzip; decompress it"):
        Img2datasetShards(tmp_path).plan(10)


def test_what_a_json_file_says_wrongly_is_told(tmp_path: Path) -> None:
    said = {"url": ["http://h/0"], "caption": None}
    files = {"0.jpg": b"picture", "0.json": json.dumps(said).encode()}
    for n, encoding in ((1, "utf-8-sig"), (2, "utf-16")):
        files |= {f"{n}.jpg": b"picture", f"{n}.json": json.dumps({"url": f"http://h/{n}"}).encode(encoding)}
    tar(tmp_path / "00000.tar", files)
    pictures = read_all(tmp_path)
    assert [picture.ref.url for picture in pictures] == ["", "http://h/1", "http://h/2"]
    assert pictures[0].reason == "its .json holds a url that is no text"


@pytest.mark.parametrize("kind", [b"L", b"x", b"g"])
def test_a_name_of_five_gigabytes_is_damage(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.size, header.type = 5 << 30, kind
    (tmp_path / "00000.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + b"x" * 1024)
    [picture] = read_all(tmp_path)
    assert picture.body is None
    assert "a header of 5368709120 bytes" in picture.reason
