from __future__ import annotations

import base64
import hashlib
import random
import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings

from poisonscan.errors import StorageError, UsageError
from poisonscan.records import Verdict
from poisonscan.reporting import html
from poisonscan.reporting.html import render, write_report
from poisonscan.reporting.tables import RunTables
from poisonscan.reporting.text import FULL_TEXT_LIMIT, plain
from poisonscan.store import schema

from .inspecting import NASTY, Checker, page_of, reported, squeezed
from .synthetic import Run, full_run, photo, write_documents, write_one, write_parts

if TYPE_CHECKING:
    from pathlib import Path


@settings(max_examples=25, deadline=None)
@given(NASTY)
@example("\ud800")
@example("\u202e")
def test_text_from_outside_stays_text(text: str) -> None:
    page = render(page_of(text))
    calm = Checker(render(page_of("calm")))
    hostile = Checker(page)
    marks = hostile.elements["i"] - calm.elements["i"]
    assert marks >= 0, "the only elements a text may add are the marks of its hidden characters"
    assert {**hostile.elements, "i": 0} == {**calm.elements, "i": 0, **_unfolded(hostile, calm)}
    assert squeezed(plain(text)) in squeezed(hostile.text)


def _unfolded(hostile: Checker, calm: Checker) -> dict[str, int]:
    """Elements that an over-long text may add: an unfolding of itself."""
    added = hostile.elements["details"] - calm.elements["details"]
    assert added >= 0
    extra = {"details": added, "summary": added, "bdi": added}
    return {tag: calm.elements[tag] + more for tag, more in extra.items()} | _optional(hostile)


def _optional(hostile: Checker) -> dict[str, int]:
    """What is empty is left out with its name, such as the caption of a card."""
    return {tag: hostile.elements[tag] for tag in ("dt", "dd", "bdi", "span", "b")}


def test_the_policy_allows_this_style_sheet_and_nothing_else() -> None:
    page = Checker(render(page_of("calm")))
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert page.policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_a_run_with_everything(tmp_path: Path) -> None:
    run, snapshot = full_run().write(tmp_path)
    page = reported(run, snapshot)
    text = squeezed(page.text)
    assert "2 domains now serve other pictures; 18 of 120 rows are suspicious; 15 rows gave no answer" in text
    assert "Do not rely on this run" not in text
    assert "hxxp://pics[.]bought-yesterday[.]com/album/0.jpg?ref=hxxp://evil.example/x" in text
    assert "<script>alert(1)</script> a U+202Etac" in text
    assert text.count(" as kept") == 18 + 10
    assert text.count("from the stored grid") == 7
    assert text.count("only a hash is known") == 1
    assert "re-registered on 2026-02-27" in text
    assert "the same patch, 4 rows" in text
    assert "HTTP 404" in text
    assert "fetch.connect_to not set" in text
    assert page.elements["img"] == 18 * 3 - 2
    assert [path.name for path in run.iterdir() if "report" in path.name] == ["report.html"]


def test_without_the_snapshot_the_pictures_before_come_from_the_grids(tmp_path: Path) -> None:
    run, _ = full_run().write(tmp_path)
    assert squeezed(reported(run).text).count("from the stored grid") == 17


def test_an_empty_run(tmp_path: Path) -> None:
    run, snapshot = Run().write(tmp_path)
    page = reported(run, snapshot)
    assert "The run has no rows: nothing was checked." in page.text
    assert page.elements["article"] == 0


def test_a_run_without_optional_tables_in_a_folder_with_wildcards(tmp_path: Path) -> None:
    run = tmp_path / "day=4 [a*?]'" / "run"
    line = Run().add(Verdict.IDENTICAL)
    write_parts(run / "verdicts", [line], schema.VERDICTS)
    (run / "verdicts" / ".00001.parquet.77.tmp").write_bytes(b"unfinished")
    write_documents(run, Counter([Verdict.IDENTICAL]), [])
    assert "None of 1 row is suspicious; every row gave an answer." in reported(run).text


def test_a_missing_part_is_said_loudly(tmp_path: Path) -> None:
    run, snapshot = full_run().write(tmp_path)
    (run / "verdicts" / "00002.parquet").unlink()
    text = reported(run, snapshot).text
    assert "summary.json speaks of 120 rows, the verdict files hold 80" in text


def test_suspicious_rows_without_a_kept_picture_are_counted(tmp_path: Path) -> None:
    run = Run()
    run.add(Verdict.CHANGED)
    run.add_changed(Verdict.REPLACED, photo(1), photo(2))
    assert "1 have no kept picture to show" in squeezed(reported(run.write(tmp_path)[0]).text)


def test_a_picture_that_no_longer_decodes_falls_back_to_its_grid(tmp_path: Path) -> None:
    run = Run()
    run.add_changed(Verdict.REPLACED, photo(1), photo(2))
    body = b"\xff\xd8\xff<b>broken</b>"
    digest = hashlib.sha256(body).hexdigest()
    run.quarantine[0] |= {"bytes": body, "new_sha256": digest}
    text = squeezed(reported(run.write(tmp_path)[0]).text)
    assert "Now from the stored grid (UnidentifiedImageError" in text


@pytest.mark.parametrize("name", ["verdicts/00001.parquet", "quarantine/00002.parquet", "domains.parquet"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    run, snapshot = full_run().write(tmp_path)
    body = (run / name).read_bytes()
    (run / name).write_bytes(body[: len(body) // 2])
    with pytest.raises(StorageError, match=re.escape(name)):
        write_report(run, snapshot)
    assert not (run / "report.html").exists()


def test_a_kept_picture_that_was_exchanged_is_an_error(tmp_path: Path) -> None:
    run = full_run()
    run.originals[0]["bytes"] = b"something else"
    folder, snapshot = run.write(tmp_path)
    with pytest.raises(StorageError, match="does not fit its SHA-256"):
        write_report(folder, snapshot)


def test_a_damaged_fingerprint_is_an_error(tmp_path: Path) -> None:
    run = full_run()
    run.quarantine[0]["old_luma"] = b"short"
    with pytest.raises(StorageError, match="row 86: the old fingerprint is damaged"):
        write_report(*run.write(tmp_path))


def test_an_unknown_verdict_is_an_error(tmp_path: Path) -> None:
    made = full_run()
    run, snapshot = made.write(tmp_path)
    made.verdicts[0]["verdict"] = "fine"
    write_one(run / "verdicts" / "00000.parquet", made.verdicts[:40], schema.VERDICTS)
    with pytest.raises(StorageError, match="unknown verdict 'fine'"):
        write_report(run, snapshot)


@pytest.mark.parametrize(
    "content", [None, "[]", "{", '{"rows": 3}', '{"rows": 1, "counts": []}', '"\\ud800"']
)
def test_an_unusable_summary_is_an_error_that_names_it(tmp_path: Path, content: str | None) -> None:
    run, _ = Run().write(tmp_path)
    (run / "summary.json").unlink()
    if content is not None:
        (run / "summary.json").write_text(content, encoding="utf-8")
    with pytest.raises(StorageError, match=r"summary\.json"):
        write_report(run, None)


def test_what_is_no_run_or_no_snapshot_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"it has no run\.json"):
        write_report(tmp_path, None)
    run, _ = Run().write(tmp_path)
    with pytest.raises(UsageError, match="there is no snapshot folder"):
        write_report(run, tmp_path / "nowhere")


def test_rows_are_chosen_over_verdicts_and_domains(tmp_path: Path) -> None:
    run, small = Run(), photo(1, 16, 16)
    for index in range(90):
        domain = "big.example" if index < 80 else f"small{index % 5}.example"
        run.add_changed(Verdict.REPLACED, small, small, domain=domain, score=index / 100)
    run.add_changed(Verdict.EDITED, small, small, score=0.1)
    folder, _ = run.write(tmp_path)
    with RunTables.open(folder, None) as tables:
        top = tables.telling_rows(8)
        assert tables.telling_rows(0).lines == ()
    assert top.total == 91
    assert [line["verdict"] for line in top.lines].count("edited") == 1
    replaced = [line for line in top.lines if line["verdict"] == "replaced"]
    assert len({line["domain"] for line in replaced}) == 6
    assert [line["row"] for line in replaced if line["domain"] == "big.example"] == [79]


def test_a_run_of_a_version_that_toned_nothing_reads_the_same(tmp_path: Path) -> None:
    folder, _ = full_run().write(tmp_path)
    with RunTables.open(folder, None) as tables:
        now = tables.domains_with_suspicious_rows(20)
    file = folder / "domains.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["toned"]), file)
    with RunTables.open(folder, None) as tables:
        assert tables.domains_with_suspicious_rows(20) == now


def test_the_page_keeps_to_its_size_by_leaving_cards_out() -> None:
    page = page_of("x", cards=60, uri_bytes=20_000)
    limit = 1_200_000
    told = render(page, limit)
    cards, findings = (told.count(f'<article class="{name}">') for name in ("card", "finding"))
    assert 0 < cards < 60
    assert 0 < findings < 40
    assert limit - 200_000 < len(told.encode()) <= limit
    assert f"{60 - cards} were left out to keep this file small" in squeezed(told)


def test_the_longest_texts_in_every_place_still_leave_room() -> None:
    worst = "\U000e0001&" * (2 * FULL_TEXT_LIMIT)
    page = page_of(worst, cards=60, uri_bytes=40_000, entries=2 * html.MAX_SETTINGS)
    told = render(page)
    assert len(told.encode()) <= html.MAX_PAGE_BYTES
    assert told.count('<article class="card">') > 5
    assert told.count('<article class="finding">') > 5


def test_a_large_run_gives_a_page_of_bounded_size(tmp_path: Path) -> None:
    run, rows = tmp_path / "run", 200_000
    verdicts = random.Random(5).choices(list(Verdict), k=rows)
    domains = np.char.add(np.arange(rows).__mod__(5000).astype(str), ".example")
    columns = {
        "row": np.arange(rows),
        "key": np.arange(rows).astype(str),
        "url": np.char.add("http://", domains),
        "domain": domains,
        "caption": np.full(rows, "caption " * 8),
        "verdict": [verdict.value for verdict in verdicts],
        "reason": np.char.add("reason ", np.arange(rows).__mod__(900).astype(str)),
        "score": np.linspace(0, 1, rows, dtype=np.float32),
    }
    arrays = [columns.get(item.name, pa.nulls(rows, item.type)) for item in schema.VERDICTS]
    table = pa.table(
        [pa.array(array).cast(item.type) for array, item in zip(arrays, schema.VERDICTS, strict=True)],
        schema=schema.VERDICTS,
    )
    (run / "verdicts").mkdir(parents=True)
    for index in range(20):
        pq.write_table(table.slice(index * 10_000, 10_000), run / "verdicts" / f"{index:05d}.parquet")
    kept = Run()
    template = kept.add_changed(Verdict.REPLACED, photo(1), photo(2))
    assert template["row"] == 0
    write_one(
        run / "quarantine" / "00000.parquet",
        [{**kept.quarantine[0], "row": row} for row in range(2000)],
        schema.QUARANTINE,
    )
    write_documents(run, Counter(verdicts), [])
    page = write_report(run, None)
    text = squeezed(Checker(page.read_text(encoding="utf-8")).text)
    assert page.stat().st_size < html.MAX_PAGE_BYTES
    assert "60 of " in text
    assert "the first 25 of" in text
