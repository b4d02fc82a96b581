from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from tests.explorer import house
from tests.explorer.conftest import marks_of

if TYPE_CHECKING:
    from tests.explorer.conftest import Served

PAGES = ("/", "/rows", "/rows?verdict=suspicious", f"/rows/{house.CLEAN}", "/map", "/sql?q=FROM+verdicts")


class Found(HTMLParser):
    """What a browser would make of a page: its tags with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def rows_on(page: str) -> list[int]:
    return [int(row) for row in re.findall(r'<article class="tile" data-row="(\d+)"', page)]


@pytest.mark.parametrize("path", PAGES)
def test_hostile_text_stays_text_and_nothing_leads_outside(checked: Served, path: str) -> None:
    found = Found(checked.page(path))
    scripts = [attributes["src"] for tag, attributes in found.tags if tag == "script"]
    assert set(scripts) <= {"/static/explore.js", "/static/map.js"}
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action"):
            target = attributes.get(name)
            assert target is None or target.startswith(("/", "#", "?")), (tag, target)
            assert not (target or "").startswith("//")
    assert "\u202e" not in found.text


def test_a_hostile_row_is_told_whole_and_defanged(checked: Served) -> None:
    text = Found(checked.page(f"/rows/{house.CLEAN}")).text
    assert "<script>document.title='owned'</script> U+202Ecat" in text
    assert "javascript:alert(document.cookie)//hxxp://evil[.]example/x.jpg" in text
    assert "http://evil" not in text


def test_the_overview_answers_first_and_lists_findings_by_strength(checked: Served) -> None:
    text = Found(checked.page("/")).text
    assert "1 domain now serves other pictures; 8 of 40 rows are suspicious" in text
    assert text.index("a grey patch on 5 pictures of <b>forum</b>.example") < text.index("one stand-in")
    assert "bought[.]example" in text


@pytest.mark.parametrize(
    ("query", "footprint", "placeholder"),
    [
        ("?kind=footprint", True, False),
        ("?least=3", True, False),
        ("?domain=bought.example", False, True),
        ("?verdict=edited", True, False),
        ("?verdict=clean", False, False),
        ("?text=DOG", True, False),
        ("?text=100%25", False, False),
    ],
)
def test_findings_are_filtered(checked: Served, query: str, *, footprint: bool, placeholder: bool) -> None:
    text = Found(checked.page(f"/{query}")).text
    assert ("a grey patch" in text) == footprint
    assert ("one stand-in" in text) == placeholder


EDITED = set(range(house.CLEAN, house.CLEAN + house.EDITS))


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("?verdict=edited", EDITED),
        ("?verdict=lost", {38}),
        ("?verdict=unknown", {39}),
        ("?domain=site1.example&text=lake", set(range(1, house.CLEAN, 3))),
        ("?finding=footprint-0001", EDITED),
        ("?kind=placeholder", {35, 36}),
        ("?text=<SCRIPT>", {house.CLEAN}),
        ("?least=0.95", {35, 36, 37}),
        ("?mark=watch", set()),
        ("?text='); DROP VIEW verdicts; --", set()),
        ("?domain=' OR true --", set()),
    ],
)
def test_rows_are_filtered(checked: Served, query: str, rows: set[int]) -> None:
    assert set(rows_on(checked.page("/rows" + quote(query, safe="?=&")))) == rows


def test_rows_are_ordered_by_score_or_by_number(checked: Served) -> None:
    assert rows_on(checked.page("/rows"))[:4] == [35, 36, 37, 30]
    assert rows_on(checked.page("/rows?order=row")) == list(range(40))


@pytest.mark.parametrize(
    "query",
    [
        "?mark=maybe",
        "?least=much",
        "?least=-1",
        "?least=nan",
        "?kind=odd",
        "?selection=77",
        "?order=x",
        "?finding=none",
    ],
)
def test_what_makes_no_sense_is_told_in_words(checked: Served, query: str) -> None:
    status, _, body = checked.ask(f"/rows{query}")
    assert status == 400
    assert "That is not possible" in body.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/rows/12345",
        "/rows/-1",
        "/static/../app.py",
        "/pictures/1/now/9999",
        "/pictures/1/odd/192",
    ],
)
def test_what_is_not_there_is_refused(checked: Served, path: str) -> None:
    assert checked.ask(path)[0] in {400, 404}


def picture(served: Served, path: str) -> tuple[str, Image.Image | None, bytes]:
    status, headers, body = served.ask(path)
    assert status == 200
    kind = headers["content-type"]
    return kind, None if "svg" in kind else Image.open(io.BytesIO(body)), body


def test_a_changed_row_has_before_now_and_residual(checked: Served) -> None:
    row = house.CLEAN
    shown = {side: picture(checked, f"/pictures/{row}/{side}/480") for side in ("before", "now", "residual")}
    assert [kind for kind, _, _ in shown.values()] == ["image/jpeg", "image/jpeg", "image/png"]
    before, now = (np.asarray(shown[side][1]).astype(int) for side in ("before", "now"))
    assert before.shape == now.shape == (240, 320, 3)
    changed = np.abs(before - now).max(axis=2) > 60
    ys, xs = np.nonzero(changed)
    assert 0.70 < np.median(xs) / 320 < 0.94
    assert 0.64 < np.median(ys) / 240 < 0.92
    residual = shown["residual"][1]
    assert residual is not None
    assert residual.size == (480, 360)


def test_pictures_are_encoded_anew(checked: Served) -> None:
    from tests.reporting.synthetic import jpeg, photo, stamped  # noqa: PLC0415 - what was stored

    served = picture(checked, f"/pictures/{house.CLEAN}/now/480")[2]
    assert served != jpeg(stamped(photo(0))[0])
    assert len(served) < 40_000


def test_a_clean_row_shows_what_was_kept_and_a_lost_one_says_so(checked: Served) -> None:
    assert picture(checked, "/pictures/3/now/192")[0] == "image/jpeg"
    kind, _, body = picture(checked, "/pictures/38/now/192")
    assert (kind, b"no picture" in body) == ("image/svg+xml", True)
    assert picture(checked, "/pictures/36/before/192")[0] == "image/jpeg"  # the grid: no bytes were kept
    for row in (3, house.CLEAN):
        now, face = (picture(checked, f"/pictures/{row}/{side}/192")[2] for side in ("now", "face"))
        assert now == face


def test_a_hunts_pictures_come_from_its_source(hunted: Served) -> None:
    assert picture(hunted, "/pictures/5/now/192")[0] == "image/jpeg"
    (hunted.run.parent / "pictures" / "sub" / "011.jpg").write_bytes(b"\xff\xd8\xff broken")
    assert b"cannot be decoded" in picture(hunted, "/pictures/11/now/192")[2]
    assert b"no picture" in picture(hunted, "/pictures/99/now/192")[2]


def test_a_hunt_is_walked_like_a_check(hunted: Served) -> None:
    assert "2 findings in 12 rows" in Found(hunted.page("/")).text
    assert rows_on(hunted.page("/rows?finding=recurring_patch-0001")) == [2, 3, 4]
    page = hunted.page("/rows/1")
    assert "cosine of the embeddings" in page
    assert set(rows_on(page)[:5]) == {0, 2, 3, 4, 5}
    assert hunted.page("/rows?finding=recurring_patch-0001").count('class="over"') == 3


def test_what_recurs_in_a_finding_is_shown(hunted: Served) -> None:
    assert 'src="/exhibits/recurring_patch-0001"' in hunted.page("/rows?finding=recurring_patch-0001")
    kind, shown, _ = picture(hunted, "/exhibits/recurring_patch-0001")
    assert kind == "image/jpeg"
    assert shown is not None
    assert shown.size == (24, 24)
    assert "/exhibits/" not in hunted.page("/rows?finding=outlier-0001")
    for name in ("outlier-0001", "nothing", "../run.json"):
        assert hunted.ask(f"/exhibits/{name}")[0] == 400


def test_neighbours_of_a_check_are_found_by_hash(checked: Served) -> None:
    page = checked.page("/rows/5")
    assert "perceptual hashes" in page
    assert all(row % 5 == 0 for row in rows_on(page)[:5])
    assert "Nothing is known of how this row looks" in checked.page("/rows/38")


def post(served: Served, path: str, values: object) -> tuple[int, Any]:
    status, _, body = served.ask(path, "POST", json.dumps(values))
    return status, json.loads(body)


def test_marks_are_kept_in_the_run_and_shown(checked: Served) -> None:
    assert post(checked, "/marks", {"rows": [1, 2, 12345], "mark": "keep", "note": "fine"}) == (
        200,
        {"rows": 2, "marked": 2},
    )
    assert (
        post(checked, "/marks", {"filter": {"verdict": "edited"}, "mark": "drop"})[1]["rows"] == house.EDITS
    )
    assert marks_of(checked.run) == {1: "keep", 2: "keep", **dict.fromkeys(EDITED, "drop")}
    assert set(rows_on(checked.page("/rows?mark=keep"))) == {1, 2}
    assert 'value="fine"' in checked.page("/rows/1")
    assert post(checked, "/marks", {"filter": {"mark": "drop"}, "mark": None})[1] == {
        "rows": house.EDITS,
        "marked": 2,
    }
    assert len(rows_on(checked.page("/rows?mark=none"))) == 38
    post(checked, "/marks", {"rows": [1, 2], "mark": None})
    assert marks_of(checked.run) == {}


@pytest.mark.parametrize(
    "asked",
    [
        {"rows": [1], "mark": "love"},
        {"rows": "all", "mark": "keep"},
        {"rows": [1.5], "mark": "keep"},
        {"rows": [True], "mark": "keep"},
        {"rows": [1], "mark": "keep", "note": 7},
        {"mark": "keep"},
        {"mark": ["keep"], "rows": [1]},
        {"mark": {}, "rows": [1]},
        {"mark": "keep", "rows": [1 << 70]},
        {"mark": "keep", "rows": [-1]},
        {"mark": "keep", "filter": {"text": 5}},
        {"mark": "keep", "filter": {"least": [1]}},
        [],
        "text",
    ],
)
def test_marks_that_make_no_sense_are_refused(checked: Served, asked: object) -> None:
    status, told = post(checked, "/marks", asked)
    assert status == 400
    assert told["error"]
    assert marks_of(checked.run) == {}


def points(served: Served) -> tuple[Any, Any]:
    body = served.ask("/map/points")[2]
    count = int(np.frombuffer(body, "<u4", 1)[0])
    return np.frombuffer(body, "<f4", 2 * count, 16).reshape(-1, 2), np.frombuffer(
        body, "<f8", count, 16 + 8 * count
    )


def test_the_map_holds_every_row_whose_picture_is_known(checked: Served, hunted: Served) -> None:
    spots, rows = points(checked)
    assert rows.tolist() == list(range(38))
    assert (spots >= 0).all()
    assert (spots <= 1).all()
    spots, rows = points(hunted)
    halves = spots[:6], spots[6:]
    assert abs(halves[0].mean(axis=0) - halves[1].mean(axis=0)).max() > 0.4  # the two clouds lie apart
    assert (hunted.run / "map.parquet").exists()


def test_points_have_classes(checked: Served) -> None:
    body = checked.ask("/map/classes/verdict")[2]
    head, _, codes = body.partition(b"\n")
    names = [item["name"] for item in json.loads(head)]
    assert [names[code - 1] for code in codes[:2]] == ["identical", "identical"]
    assert names[codes[house.CLEAN] - 1] == "edited"
    head, _, codes = checked.ask("/map/classes/finding")[2].partition(b"\n")
    assert codes[0] == 0
    assert json.loads(head)[codes[house.CLEAN] - 1]["name"] == "footprint"
    assert checked.ask("/map/classes/colour")[0] == 400


def test_a_lasso_selects_rows_that_can_be_looked_at_and_marked(checked: Served) -> None:
    everything = [[-0.1, -0.1], [1.1, -0.1], [1.1, 1.1], [-0.1, 1.1]]
    status, told = post(checked, "/map/selections", {"polygon": everything})
    assert (status, told["rows"]) == (200, 38)
    chosen = told["selection"]
    assert len(rows_on(checked.page(f"/rows?selection={chosen}"))) == 38
    assert post(checked, "/marks", {"filter": {"selection": str(chosen)}, "mark": "watch"})[1]["rows"] == 38
    post(checked, "/marks", {"filter": {}, "mark": None})


@pytest.mark.parametrize(
    "polygon",
    [
        None,
        [],
        [[0, 0], [1, 1]],
        [[0, 0, 0]] * 3,
        "abc",
        [["a", "b"]] * 3,
        [[0, 0]] * 6000,
        [[0, 1e999]] * 3,
        [[0, 10**400]] * 3,
    ],
)
def test_a_selection_that_is_no_polygon_is_refused(checked: Served, polygon: object) -> None:
    assert post(checked, "/map/selections", {"polygon": polygon})[0] == 400


def test_json_that_is_nested_without_end_is_refused(checked: Served) -> None:
    assert checked.ask("/marks", "POST", "[" * 100_000)[0] == 400


def test_the_sql_box_answers_and_only_reads(checked: Served) -> None:
    edited = "SELECT row, caption FROM verdicts WHERE verdict = 'edited' ORDER BY row"
    page = checked.page(f"/sql?q={quote(edited)}")
    assert f'<a href="/rows/{house.CLEAN}">' in page
    assert "U+202E" in page
    for sql in (
        "DROP VIEW verdicts",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT nothing FROM verdicts",
    ):
        assert 'role="alert"' in checked.page("/sql?q=" + quote(sql))
    many = "SELECT a.row FROM verdicts AS a, verdicts AS b"
    assert "and more" in checked.page(f"/sql?q={quote(many)}")
