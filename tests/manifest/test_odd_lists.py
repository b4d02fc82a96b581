"""Lists as spreadsheets, scripts and other systems leave them: read as pandas does, or refused aloud."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.errors import ManifestError
from poisonscan.manifest import open_manifest, parse_columns, plan, read_slice, text

if TYPE_CHECKING:
    from pathlib import Path

URLS = [f"http://h/{n}.jpg" for n in range(4)]


def rows_of(path: Path, columns: dict[str, str] | None = None) -> list[tuple[str, str | None, str]]:
    manifest = open_manifest(str(path), columns)
    spill = path.parent / "spill"
    entries = [entry for part in plan(manifest, 100, spill) for entry in read_slice(manifest, part)]
    return [(entry.ref.url, entry.ref.caption, entry.issue) for entry in entries]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_a_csv_file_with_the_delimiter_of_another_country(tmp_path: Path, delimiter: str) -> None:
    lines = [f"url{delimiter}caption", *[f"{url}{delimiter}c" for url in URLS]]
    expected = [(url, "c", "") for url in URLS]
    assert rows_of(written(tmp_path, "a.csv", "\n".join(lines))) == expected
    assert rows_of(written(tmp_path, "b.csv", f"sep={delimiter}\r\n" + "\r\n".join(lines))) == expected


def test_a_semicolon_in_a_url_separates_nothing(tmp_path: Path) -> None:
    urls = ["http://h/a;b", "http://h/c;d"]
    assert rows_of(written(tmp_path, "a.csv", "\n".join(["url", *urls]))) == [(url, None, "") for url in urls]
    assert [url for url, _, _ in rows_of(written(tmp_path, "b.csv", "\n".join(urls)))] == urls


def test_carriage_returns_alone_end_lines(tmp_path: Path) -> None:
    content = "\r".join(["url,caption", *[f"{url},c" for url in URLS]])
    assert rows_of(written(tmp_path, "a.csv", content)) == [(url, "c", "") for url in URLS]


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 16))
def test_pieces_are_the_file(lines: list[bytes], limit: int) -> None:
    import io  # noqa: PLC0415 - beside what it is for

    content = b"\r".join(line.replace(b"\n", b"") for line in lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "MAX_LINE", limit)
        found = list(text.pieces(io.BytesIO(content)))
    assert b"".join(piece.raw for piece in found) == content
    assert all(0 < len(piece.raw) <= limit for piece in found)


def test_blanks_around_column_names_and_comments_before_them(tmp_path: Path) -> None:
    content = "# made in 2024\nurl , caption\n" + "".join(f"{url},c\n" for url in URLS)
    assert rows_of(written(tmp_path, "a.csv", content)) == [(url, "c", "") for url in URLS]


def test_a_column_may_be_named_although_its_name_holds_blanks_or_commas(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image, link ": URLS}), tmp_path / "a.parquet")
    with pytest.raises(ManifestError, match='one of: "image, link "'):
        open_manifest(str(tmp_path / "a.parquet"))
    found = rows_of(tmp_path / "a.parquet", parse_columns('"url=image, link"'))
    assert [url for url, _, _ in found] == URLS


def test_a_caption_of_200_kilobytes_and_2000_lines_is_one_caption(tmp_path: Path) -> None:
    lines = [f"http://h/inside-{n}.jpg,no row {'x' * 100}" for n in range(2000)]
    caption = "\n".join(lines)
    found = rows_of(written(tmp_path, "a.csv", f'url,caption\n{URLS[0]},"{caption}"\n{URLS[1]},b\n'))
    assert found == [(URLS[0], caption, ""), (URLS[1], "b", "")]


def test_keys_that_only_later_objects_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"id": n}) for n in range(150)]
    lines += [json.dumps({"url": url, "caption": "late"}) for url in URLS]
    path = written(tmp_path, "a.jsonl", "\n".join(lines))
    assert rows_of(path)[150:] == [(url, "late", "") for url in URLS]
    monkeypatch.setattr("poisonscan.manifest.layout._KEY_LINES", 100)
    with pytest.raises(ManifestError, match="no column that is known to hold URLs"):
        rows_of(path)
    assert rows_of(path, {"url": "url"})[150:] == [(url, "late", "") for url in URLS]


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", json.dumps([{"url": "u"}], indent=1)), ("a.json", "[]")]
)
def test_one_json_document_is_refused_for_what_it_is(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(ManifestError, match="JSON document"):
        open_manifest(str(written(tmp_path, name, content)))


def test_links_to_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "list").mkdir()
    pq.write_table(pa.table({"url": URLS[:2]}), tmp_path / "away" / "b.parquet")
    pq.write_table(pa.table({"url": URLS[2:]}), tmp_path / "list" / "a.parquet")
    (tmp_path / "list" / "more").symlink_to("../away")
    (tmp_path / "away" / "round").symlink_to("../list")
    assert sorted(url for url, _, _ in rows_of(tmp_path / "list")) == URLS


def test_one_long_caption_under_many_rows_is_held_once(tmp_path: Path) -> None:
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 60, pa.int32()), pa.array(["a" * (8 << 20)]))
    table = pa.table({"url": URLS * 15, "caption": shared})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", dictionary_pagesize_limit=1 << 30)
    before = pa.total_allocated_bytes()
    found = rows_of(tmp_path / "a.parquet")
    assert {(caption, issue) for _, caption, issue in found} == {
        (None, "column caption holds a cell longer than 1048576 bytes")
    }
    assert [url for url, _, _ in found] == URLS * 15
    assert pa.total_allocated_bytes() - before < 8 << 20


@pytest.mark.parametrize("claimed", [3, 15, 25_000, 2**40])
def test_a_footer_that_contradicts_itself_is_refused(tmp_path: Path, claimed: int) -> None:
    pq.write_table(pa.table({"url": URLS + URLS[:2]}), tmp_path / "a.parquet", compression="none")
    claim_rows(tmp_path / "a.parquet", 6, claimed, everywhere=False)
    with pytest.raises(ManifestError, match=f"contradicts itself: {claimed} rows, but 6"):
        plan(open_manifest(str(tmp_path / "a.parquet")), 100, tmp_path / "spill")


def test_a_file_that_claims_more_rows_than_it_holds_bytes_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"url": URLS + URLS[:2]}), path, compression="none")
    claim_rows(path, 6, 2**40, everywhere=True)
    with pytest.raises(ManifestError, match="cannot hold"):
        plan(open_manifest(str(path)), 10_000, tmp_path / "spill")


def claim_rows(path: Path, true: int, claimed: int, *, everywhere: bool) -> None:
    """Rewrite the number of rows in a footer, or every count that equals it.

    It is field 3 of FileMetaData: an i64 in Thrift's compact protocol, before a list.
    """
    raw = path.read_bytes()
    length = struct.unpack_from("<I", raw, len(raw) - 8)[0]
    head, footer = raw[: -8 - length], raw[-8 - length : -8]
    after = b"" if everywhere else b"\x19"
    before = b"\x16" + zigzag(true) + after
    assert before in footer
    footer = footer.replace(before, b"\x16" + zigzag(claimed) + after)
    path.write_bytes(head + footer + struct.pack("<I", len(footer)) + b"PAR1")


def zigzag(value: int) -> bytes:
    left, out = value << 1, b""
    while left > 127:
        out += bytes([left & 127 | 128])
        left >>= 7
    return out + bytes([left])
