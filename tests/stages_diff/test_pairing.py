from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poisonscan.config import CompareSettings
from poisonscan.errors import UsageError
from poisonscan.fingerprint.decode import fingerprint
from poisonscan.records import Fingerprint, Published, Verdict
from poisonscan.stages.diff.pairing import Matching, decide, pair
from poisonscan.store import schema
from poisonscan.store.rows import fingerprint_row
from tests.stages_diff.pictures import jpeg, original

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Row = dict[str, Any]


def seen(picture: int, quality: int = 95) -> Row:
    found = fingerprint(jpeg(original(picture), quality), Published(), 1 << 30)
    assert isinstance(found, Fingerprint)
    return {"state": schema.FINGERPRINTED, **fingerprint_row(found)}


def laid(tmp_path: Path, old: Sequence[Row], new: Sequence[Row]) -> tuple[Matching, list[tuple[Row, str]]]:
    """The pairs of two sides whose rows are given by key, URL and state, with the verdict on each."""
    parts = []
    for name, rows in (("old [1]", old), ("day=new", new)):
        folder = tmp_path / name
        folder.mkdir()
        numbered = [{"row": number, "key": str(number), "url": "", **row} for number, row in enumerate(rows)]
        pq.write_table(pa.Table.from_pylist(numbered, schema=schema.SNAPSHOT_ROWS), folder / "00000.parquet")
        parts.append([folder / "00000.parquet"])
    matching = pair(parts[0], parts[1], tmp_path / "pairs.parquet", 100)
    rows = pq.ParquetFile(tmp_path / "pairs.parquet").read().to_pylist()
    return matching, [(row, decide(row, matching.by, CompareSettings()).verdict.value) for row in rows]


def test_a_url_with_several_pictures_is_no_baseline_and_repeats_are_counted(tmp_path: Path) -> None:
    old = [
        {"url": "u0", **seen(0)},
        {"url": "u1", **seen(1)},
        {"url": "u2", **seen(2)},
        {"url": "u0", **seen(5)},
    ]
    new = [{"url": "u0", **seen(0)}, {"url": "u1", **seen(1)}, {"url": "u1", **seen(1, 80)}]
    matching, pairs = laid(tmp_path, old, new)
    assert [(row["row"], row["url"], verdict) for row, verdict in pairs] == [
        (0, "u0", "no_baseline"),
        (1, "u1", "identical"),
        (2, "u1", "reencoded"),
        (5, "u2", "gone"),
    ]
    assert "2 different pictures" in decide(pairs[0][0], "url", CompareSettings()).reason
    assert matching == Matching("url", 4, 3, old_duplicates=1, new_duplicates=1, matched=3)


def test_of_repeated_rows_the_one_that_knows_something_is_the_baseline(tmp_path: Path) -> None:
    lost = {"url": "u", "state": "gone", "reason": "HTTP 404"}
    _, pairs = laid(
        tmp_path, [lost, {"url": "u", **seen(0)}, {"url": "u", **seen(0)}], [{"url": "u", **seen(0)}]
    )
    assert [verdict for _, verdict in pairs] == ["identical"]


def test_a_row_without_a_url_is_reported_and_not_matched_by_its_absence(tmp_path: Path) -> None:
    rows = [{"url": "u", **seen(0)}, {"url": "", **seen(1)}]
    _, pairs = laid(tmp_path, rows, rows)
    assert [verdict for _, verdict in pairs] == ["identical", "no_baseline", "gone"]
    assert "no url to match by" in decide(pairs[1][0], "url", CompareSettings()).reason


def test_sides_are_matched_by_key_where_one_of_them_names_no_url(tmp_path: Path) -> None:
    matching, pairs = laid(tmp_path, [{"url": "u", **seen(0)}], [seen(0)])
    assert (matching.by, [verdict for _, verdict in pairs]) == ("key", ["identical"])


def test_nothing_in_common_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no row of NEW has the url of a row of OLD"):
        laid(tmp_path, [{"url": "a", **seen(0)}], [{"url": "b", **seen(0)}])


def test_published_hashes_are_a_baseline_and_missing_answers_are_never_clean(tmp_path: Path) -> None:
    here = seen(0)
    old = [
        {"state": schema.HASHED, "published_sha256": here["sha256"]},
        {"state": schema.HASHED, "published_sha256": "0" * 64},
        {"state": schema.HASHED, "published_md5": "0" * 32},
        {"state": "gone", "reason": "HTTP 404"},
        here,
        here,
    ]
    new = [here, here, here, here, {"state": "not_image", "reason": "HTML"}, {"state": schema.HASHED}]
    _, pairs = laid(tmp_path, old, new)
    said = [decide(row, "key", CompareSettings()) for row, _ in pairs]
    assert [comparison.verdict for comparison in said] == [
        Verdict.IDENTICAL,
        Verdict.CHANGED,
        Verdict.NO_BASELINE,
        Verdict.NO_BASELINE,
        Verdict.NOT_IMAGE,
        Verdict.NO_BASELINE,
    ]
    assert "HTTP 404" in said[3].reason
    assert all(comparison.reason for comparison in said)
