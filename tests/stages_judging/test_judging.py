"""What is found by looking at all rows together, on run folders written row by row."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poisonscan.compare.pictures import compare_pictures
from poisonscan.config import Config, JudgeSettings
from poisonscan.fingerprint.decode import fingerprint
from poisonscan.records import Fingerprint, Published, Verdict
from poisonscan.redteam import steps, triggers
from poisonscan.redteam.edits import Edit, Kind
from poisonscan.redteam.pictures import draw
from poisonscan.redteam.steps import Encoding, jpeg
from poisonscan.reporting.tables import ROWS_PER_FOOTPRINT, RunTables
from poisonscan.stages.check.judging import judge_run
from poisonscan.store import schema
from poisonscan.store.parts import part_name, write_table
from poisonscan.store.rows import fingerprint_row, judgement_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from poisonscan.redteam.steps import Step

SIZES = ((320, 240), (240, 320), (360, 240), (300, 300))
WATERMARK = steps.watermark("picture archive")
STAMP = triggers.stamp(triggers.fixed(triggers.noise), 0.2)
BOX = triggers.lower_right_box()
FORMATS = (jpeg(90), jpeg(40), Encoding("PNG"), Encoding("WEBP", {"quality": 60}))
Row = dict[str, Any]


def _seen(body: bytes) -> Fingerprint:
    found = fingerprint(body, Published(), 10**9)
    assert isinstance(found, Fingerprint)
    return found


@cache
def _original(seed: int) -> Fingerprint:
    return _seen(jpeg(92).encode(draw(seed, SIZES[seed % len(SIZES)])))


def _changed(seed: int, change: Step) -> bytes:
    edit = Edit("test", Kind.MALICIOUS, (change,), jpeg(85))
    return edit.apply(draw(seed, SIZES[seed % len(SIZES)]), np.random.default_rng(seed)).data


def _lines(row: int, domain: str, old: Fingerprint, body: bytes) -> tuple[Row, Row]:
    """What a check leaves of one row in `observed` and in `quarantine`."""
    new = _seen(body)
    reference = {"row": row, "key": f"k{row}", "url": f"http://{domain}/{row}.jpg", "domain": domain}
    judged = judgement_row(compare_pictures(old, new, Config().compare))
    observed = reference | judged | fingerprint_row(new) | {"old_sha256": old.sha256}
    kept = {name: observed[name] for name in ("row", "key", "url", "verdict")} | {"bytes": body}
    for side, picture in (("old", old), ("new", new)):
        kept |= {f"{side}_{name}": value for name, value in fingerprint_row(picture).items()}
    return observed, kept


def _edited(first: int, domain: str, n: int, change: Step) -> list[tuple[Row, Row]]:
    return [_lines(row, domain, _original(row), _changed(row, change)) for row in range(first, first + n)]


def _write(folder: Path, lines: Sequence[tuple[Row, Row]], shards: int = 2) -> None:
    suspicious = {verdict.value for verdict in Verdict if verdict.group.value == "suspicious"}
    for index in range(shards):
        part = lines[index::shards]
        observed = [row for row, _ in part]
        kept = [row for _, row in part if row["verdict"] in suspicious]
        write_table(
            pa.Table.from_pylist(observed, schema=schema.OBSERVED), folder / "observed" / part_name(index)
        )
        write_table(
            pa.Table.from_pylist(kept, schema=schema.QUARANTINE), folder / "quarantine" / part_name(index)
        )


def _judge(folder: Path, lines: Sequence[tuple[Row, Row]], config: Config = Config()) -> dict[str, Row]:
    """Judge a run of these rows; the findings by their name."""
    _write(folder, lines)
    judge_run(folder, "2024-05-01", config)
    return {row["finding_id"]: row for row in _table(folder / "findings.parquet")}


def _table(path: Path) -> list[Row]:
    rows: list[Row] = pq.ParquetFile(path).read().to_pylist()
    return rows


def _verdicts(folder: Path) -> dict[int, Row]:
    return {row["row"]: row for part in (folder / "verdicts").iterdir() for row in _table(part)}


def _rows_of(folder: Path, name: str) -> set[int]:
    return {row["row"] for row in _table(folder / "members.parquet") if row["finding_id"] == name}


@cache
def _watermarked() -> tuple[tuple[Row, Row], ...]:
    return tuple(_edited(0, "archive.example", 8, WATERMARK))


@cache
def _stamped() -> tuple[tuple[Row, Row], ...]:
    return (*_edited(20, "boats.example", 5, STAMP), *_edited(30, "birds.example", 5, STAMP))


def test_a_watermark_is_one_footprint_of_one_site(tmp_path: Path) -> None:
    (found,) = _judge(tmp_path, _watermarked()).values()
    assert found["kind"] == "footprint"
    assert found["summary"].startswith("watermark or banner of one site: a lighter mark")
    assert "at the bottom" in found["summary"]
    assert "archive.example" in found["summary"]
    assert found["n_members"] >= 6
    assert 0 < found["score"] <= 1


def test_watermarked_rows_stay_edited_and_name_their_footprint(tmp_path: Path) -> None:
    _judge(tmp_path, _watermarked())
    named = _rows_of(tmp_path, "footprint-0001")
    for row, verdict in _verdicts(tmp_path).items():
        assert verdict["verdict"] == "edited"
        assert verdict["reason"].endswith("; the mark is footprint-0001") == (row in named)


def test_a_stamp_over_two_domains_may_be_a_trigger(tmp_path: Path) -> None:
    found = _judge(tmp_path, (*_watermarked(), *_stamped()))
    first = found["footprint-0001"]
    assert first["summary"].startswith("possible trigger: a grey patch")
    assert first["summary"].endswith("pictures of 2 domains")
    assert first["score"] == 2 * first["n_members"]
    members = _rows_of(tmp_path, "footprint-0001")
    assert len(members) >= 8
    assert all(row >= 20 for row in members)


def test_members_carry_their_box(tmp_path: Path) -> None:
    _judge(tmp_path, _stamped())
    members = _table(tmp_path / "members.parquet")
    assert members
    for member in members:
        x0, y0, x1, y1 = member["box"]
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        assert 0.5 <= member["score"] <= 1


def test_a_stamp_that_moves_is_no_watermark(tmp_path: Path) -> None:
    (found,) = _judge(tmp_path, _edited(20, "boats.example", 6, STAMP)).values()
    assert "watermarks keep their place" in found["summary"]
    assert found["score"] == found["n_members"]


def test_a_mark_on_few_pictures_of_a_site_is_no_watermark(tmp_path: Path) -> None:
    marked = _edited(40, "boats.example", 5, BOX)
    clean = [_lines(row, "boats.example", _original(row), _untouched(row)) for row in range(50, 60)]
    (found,) = _judge(tmp_path, [*marked, *clean]).values()
    assert found["summary"].startswith("recurring mark on one site: a grey patch")
    assert "of 15 pictures seen of boats.example" in found["summary"]


def _untouched(seed: int) -> bytes:
    return jpeg(80).encode(draw(seed, SIZES[seed % len(SIZES)]))


def test_the_order_of_the_parts_is_of_no_matter(tmp_path: Path) -> None:
    lines = (*_watermarked(), *_stamped())
    straight, turned = _judge(tmp_path / "a", lines), _judge(tmp_path / "b", lines[::-1])
    assert straight == turned
    assert _table(tmp_path / "a" / "members.parquet") == _table(tmp_path / "b" / "members.parquet")


def test_judging_again_gives_the_same(tmp_path: Path) -> None:
    first = _judge(tmp_path, _stamped())
    judge_run(tmp_path, "2024-05-01", Config())
    assert {row["finding_id"]: row for row in _table(tmp_path / "findings.parquet")} == first


def test_a_run_without_changes_has_no_findings(tmp_path: Path) -> None:
    lines = [_lines(row, "boats.example", _original(row), _untouched(row)) for row in range(50, 54)]
    assert _judge(tmp_path, lines) == {}
    assert _judge(tmp_path / "empty", []) == {}


def test_what_was_not_kept_has_no_footprints(tmp_path: Path) -> None:
    _write(tmp_path, _stamped())
    for part in (tmp_path / "quarantine").iterdir():
        part.unlink()
    judge_run(tmp_path, "2024-05-01", Config())
    assert _table(tmp_path / "findings.parquet") == []


def test_only_so_many_rows_are_compared(tmp_path: Path) -> None:
    config = replace(Config(), judge=JudgeSettings(footprint_changes=3))
    assert _judge(tmp_path, _stamped(), config) == {}


def test_a_report_shows_a_few_rows_of_a_footprint(tmp_path: Path) -> None:
    _judge(tmp_path, _watermarked())
    named = _rows_of(tmp_path, "footprint-0001")
    with RunTables.open(tmp_path, None) as tables:
        shown = tables.telling_rows(100)
    assert shown.total == 8
    assert sum(row["row"] in named for row in shown.lines) == ROWS_PER_FOOTPRINT


def _stand_in_card() -> Image.Image:
    card = Image.new("RGB", (200, 140), (240, 240, 240))
    card.paste((120, 120, 120), (60, 60, 140, 75))
    return card


def _shown(first: int, domain: str, bodies: Iterable[bytes]) -> list[tuple[Row, Row]]:
    return [_lines(row, domain, _original(row), body) for row, body in enumerate(bodies, start=first)]


def test_one_stand_in_in_several_formats_is_one_placeholder(tmp_path: Path) -> None:
    card = _stand_in_card()
    sizes = (card, card.resize((100, 70)))
    lines = _shown(60, "host.example", [form.encode(size) for size in sizes for form in FORMATS])
    (found,) = _judge(tmp_path, lines).values()
    assert (found["kind"], found["n_members"], found["score"]) == ("placeholder", 8, 8.0)
    assert found["summary"].endswith("in 8 files, on 1 domain")
    assert {row["verdict"] for row in _verdicts(tmp_path).values()} == {"placeholder"}


@pytest.mark.parametrize(("n", "verdict"), [(1, "replaced"), (2, "placeholder")])
def test_a_plain_stand_in_needs_two_urls(tmp_path: Path, n: int, verdict: str) -> None:
    _judge(tmp_path, _shown(60, "host.example", [FORMATS[at].encode(_stand_in_card()) for at in range(n)]))
    assert {row["verdict"] for row in _verdicts(tmp_path).values()} == {verdict}


@pytest.mark.parametrize(("n", "verdict"), [(3, "replaced"), (4, "placeholder")])
def test_a_photo_needs_four(tmp_path: Path, n: int, verdict: str) -> None:
    body = jpeg(90).encode(draw(999))
    _judge(tmp_path, _shown(60, "host.example", [body] * n))
    assert {row["verdict"] for row in _verdicts(tmp_path).values()} == {verdict}


def test_different_new_pictures_are_replaced_and_no_stand_in(tmp_path: Path) -> None:
    lines = _shown(60, "host.example", [jpeg(90).encode(draw(900 + n)) for n in range(6)])
    assert _judge(tmp_path, lines) == {}
    assert {row["verdict"] for row in _verdicts(tmp_path).values()} == {"replaced"}


def test_one_domain_may_have_both(tmp_path: Path) -> None:
    card = FORMATS[0].encode(_stand_in_card())
    lines = _shown(60, "host.example", [card] * 4 + [jpeg(90).encode(draw(900 + n)) for n in range(3)])
    _judge(tmp_path, lines)
    verdicts = [row["verdict"] for _, row in sorted(_verdicts(tmp_path).items())]
    assert verdicts == ["placeholder"] * 4 + ["replaced"] * 3
    (domain,) = _table(tmp_path / "domains.parquet")
    assert (domain["placeholder"], domain["replaced"]) == (4, 3)


def _spoilt(lines: tuple[Row, Row], **values: object) -> tuple[Row, Row]:
    """A row whose columns were damaged, in `observed` and in `quarantine`."""
    observed, kept = lines
    return observed | values, kept | {f"new_{name}": value for name, value in values.items()}


@pytest.mark.parametrize("values", [{"luma": b"short"}, {"chroma": None}, {"width": None}, {"height": 0}])
def test_a_row_whose_mark_cannot_be_measured_costs_no_other_its_footprint(
    tmp_path: Path, values: dict[str, object]
) -> None:
    first, *others = _watermarked()
    (found,) = _judge(tmp_path, [_spoilt(first, **values), *others]).values()
    assert found["n_members"] >= 5
    assert first[0]["row"] not in _rows_of(tmp_path, "footprint-0001")
    verdict = _verdicts(tmp_path)[first[0]["row"]]
    assert verdict["verdict"] == first[0]["verdict"]
    assert "; its mark could not be measured: " in verdict["reason"]


@pytest.mark.parametrize(
    "values", [{"luma": b"short"}, {"luma": None}, {"chroma": b""}, {"phash": "no hash"}]
)
def test_a_picture_whose_look_cannot_be_read_leaves_the_other_stand_ins(
    tmp_path: Path, values: dict[str, object]
) -> None:
    card = _stand_in_card()
    shown = _shown(60, "host.example", [form.encode(card) for form in FORMATS])
    (broken,) = _shown(70, "host.example", [jpeg(90).encode(draw(999))])
    (found,) = _judge(tmp_path, [*shown, _spoilt(broken, **values)]).values()
    assert (found["kind"], found["n_members"]) == ("placeholder", len(FORMATS))
    verdict = _verdicts(tmp_path)[70]
    assert verdict["verdict"] == "replaced"
    assert "; its look could not be read: " in verdict["reason"]
