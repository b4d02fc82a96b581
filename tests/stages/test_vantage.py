"""Hosts that serve one thing to us and another to somebody else."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from poisonscan.cli.main import main
from poisonscan.cli.verb_check import mute_vantages, vantages_with
from poisonscan.config import AuditSettings, Config, FetchSettings, JudgeSettings, VantageSettings, from_toml
from poisonscan.errors import RunMismatchError, SettingsError, UsageError
from poisonscan.records import Comparison, FetchResult, Fingerprint, Group, Outcome, Sight, Verdict
from poisonscan.redteam.answers import Answer as Served
from poisonscan.redteam.answers import honest
from poisonscan.redteam.sites import Behaviour
from poisonscan.redteam.web import LyingWeb
from poisonscan.stages.check.run import check, exit_code
from poisonscan.stages.check.vantage import Answer, first_sight, stays
from poisonscan.stages.export.run import export
from poisonscan.stages.snapshot.take import snapshot
from poisonscan.store import schema
from tests.reporting.inspecting import read_page, squeezed

from .test_loop import forged
from .world import config_for, leftovers, read, sites_of, urls_of, write_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from aiohttp import web

    from poisonscan.redteam.sites import Site

PLAN = {
    Behaviour.STABLE: 2,
    Behaviour.SWAP: 3,
    Behaviour.STAMP: 2,
    Behaviour.REENCODE: 2,
    Behaviour.NOT_FOUND: 1,
}
BROWSER = VantageSettings(name="browser", user_agent="Mozilla/5.0 (X11; Linux) like: Gecko, really")
BOT = VantageSettings(name="bot", user_agent="img2dataset")
_ASKED: ContextVar[web.Request] = ContextVar("asked")


class MaskedWeb(LyingWeb):
    """Once changed, it shows each request the face that it was given for it: honest, changed or blocked."""

    def __init__(self, sites: Iterable[Site], face: Callable[[web.Request, int], str]) -> None:
        super().__init__(sites)
        self._face = face

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        _ASKED.set(request)
        return await super()._answer(request)

    async def _look_up(self, url: str) -> Served | None:
        page = url[url.rindex("http://") :]  # through a proxy the whole URL stands where else the path does
        face = self._face(_ASKED.get(), self._counts[url]) if self._lying else "honest"
        if face == "blocked":
            return Served(403, b"no scanners", "text/plain")
        if face == "changed":
            return await super()._look_up(page)
        return honest(await asyncio.to_thread(self._pages[page][1].read_bytes))


def to_browsers(request: web.Request, _: int) -> str:
    return "changed" if "Mozilla" in request.headers["User-Agent"] else "honest"


@pytest.fixture(scope="module")
def then(tmp_path_factory: pytest.TempPathFactory, pictures: list[Path]) -> Path:
    """A snapshot from the time when everybody was served the same."""
    folder = tmp_path_factory.mktemp("then")
    sites = sites_of(PLAN, pictures)
    with LyingWeb(sites) as web:
        snapshot(
            str(write_list(folder / "list.csv", urls_of(sites))), folder / "then", config=config_for(web)
        )
    return folder / "then"


def seen_from(
    then: Path,
    out: Path,
    pictures: list[Path],
    face: Callable[[web.Request, int], str],
    vantages: Iterable[VantageSettings] = (BROWSER,),
    rows: int = 200,
) -> Path:
    """A run of the snapshot, with vantages, once the web wears its mask."""
    with MaskedWeb(sites_of(PLAN, pictures), face) as web:
        web.change()
        check(then, out / "now", config=watched(web, vantages, rows))
    return out / "now"


def watched(web: LyingWeb, vantages: Iterable[VantageSettings] = (BROWSER,), rows: int = 200) -> Config:
    config = config_for(web)
    return dataclasses.replace(config, vantages=tuple(vantages), audit=AuditSettings(vantage_rows=rows))


def sights(run: Path, vantage: str = "browser") -> dict[str, set[str]]:
    seen = [row for row in read(run, "vantages") if row["vantage"] == vantage]
    return {row["domain"]: {one["sight"] for one in seen if one["domain"] == row["domain"]} for row in seen}


def summary_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


@pytest.fixture(scope="module")
def cloaked(then: Path, tmp_path_factory: pytest.TempPathFactory, pictures: list[Path]) -> Path:
    return seen_from(then, tmp_path_factory.mktemp("cloaked"), pictures, to_browsers, (BOT, BROWSER))


def test_what_only_browsers_are_served_is_cloaked(cloaked: Path) -> None:
    assert sights(cloaked) == {
        "stable.test": {"same"},
        "swap.test": {"cloaked"},
        "stamp.test": {"cloaked"},
        "reencode.test": {"same"},
        "not-found.test": {"one_sided"},
    }
    assert set().union(*sights(cloaked, "bot").values()) == {"same"}
    assert all(row["verdict"] == "identical" for row in read(cloaked, "verdicts"))


def test_both_fingerprints_are_kept(then: Path, cloaked: Path) -> None:
    before = {row["row"]: row for row in read(then, "rows")}
    for row in read(cloaked, "vantages"):
        assert row["reason"]
        if row["sight"] == "cloaked":
            assert (row["here_verdict"], row["here_sha256"]) == ("identical", before[row["row"]]["sha256"])
            assert row["there_verdict"] in {"replaced", "edited"}
            assert row["there_sha256"] != row["here_sha256"]
            assert len(row["there_luma"]) == len(row["here_luma"])
            assert row["there_status"] == row["here_status"] == 200
    for part in (cloaked / "vantages").glob("*.parquet"):
        assert pq.read_schema(part).equals(schema.VANTAGES)


def test_the_summary_counts_them_and_the_run_fails(cloaked: Path) -> None:
    summary = summary_of(cloaked)
    assert summary["cloaked"] == 5
    assert summary["vantages"] == {
        "bot": {"same": 10, "cloaked": 0, "unstable": 0, "one_sided": 0, "lost": 0},
        "browser": {"same": 4, "cloaked": 5, "unstable": 0, "one_sided": 1, "lost": 0},
    }
    assert summary["groups"]["suspicious"] == 0
    assert summary["exit_code"] == 1


def test_domain_finding_and_report_name_them(cloaked: Path) -> None:
    domains = pq.ParquetFile(cloaked / "domains.parquet").read().to_pylist()
    named = {row["domain"]: row["reasons"] for row in domains if row["reasons"]}
    assert set(named) == {"swap.test", "stamp.test"}
    assert "browser was served something else than we were for 3 of 3 rows" in named["swap.test"][0]
    findings = pq.ParquetFile(cloaked / "findings.parquet").read().to_pylist()
    assert {(row["kind"], row["n_members"]) for row in findings} == {("cloaking", 3), ("cloaking", 2)}
    members = pq.ParquetFile(cloaked / "members.parquet").read().to_pylist()
    found = {row["row"] for row in read(cloaked, "vantages") if row["sight"] == "cloaked"}
    assert {member["row"] for member in members} == found
    page = (cloaked / "report.html").read_text(encoding="utf-8")
    assert "5 rows are served differently to others" in page
    assert 'class="answer alarm"' in page


def test_the_report_shows_what_others_are_served(cloaked: Path) -> None:
    page = read_page(cloaked / "report.html")
    text = squeezed(page.text)
    assert "bot 10 0 0 0 0 user-agent img2dataset" in text
    assert "browser 4 5 0 1 0 user-agent Mozilla/5.0 (X11; Linux) like: Gecko, really" in text
    assert "swap[.]test browser 3 3" in text
    assert "stamp[.]test browser 2 2" in text
    assert text.count("We identical") == 5
    assert (text.count("browser replaced"), text.count("browser edited")) == (3, 2)
    assert page.elements["img"] == 2 * 5 + 5  # the pairs, and what the findings name


def test_the_exported_list_has_none_of_them(cloaked: Path, tmp_path: Path) -> None:
    export(cloaked, tmp_path)
    left_out = pq.ParquetFile(tmp_path / "quarantine.parquet").read().to_pylist()
    assert {row["row"] for row in left_out} == {
        row["row"] for row in read(cloaked, "vantages") if row["sight"] == "cloaked"
    }
    assert all("browser is served something else than we are" in row["reason"] for row in left_out)


def test_nothing_is_left_behind(cloaked: Path) -> None:
    assert leftovers(cloaked) == []


def test_a_web_that_changes_its_mind_all_the_time_is_unstable(
    then: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    """It serves two pictures in turn, which is no cloaking although the first two answers differ."""
    run = seen_from(then, tmp_path, pictures, lambda _, count: ("honest", "changed")[count % 2])
    found = sights(run)
    assert found["swap.test"] == found["stamp.test"] == {"unstable"}
    assert summary_of(run)["cloaked"] == 0


def test_whoever_turns_us_away_and_serves_others_something_new_cloaks(
    then: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    def face(request: web.Request, _: int) -> str:
        return "changed" if "Mozilla" in request.headers["User-Agent"] else "blocked"

    run = seen_from(then, tmp_path, pictures, face)
    text = squeezed(read_page(run / "report.html").text)
    assert text.count("no picture We blocked") == 5
    assert sights(run) == {
        "stable.test": {"one_sided"},
        "swap.test": {"cloaked"},
        "stamp.test": {"cloaked"},
        "reencode.test": {"one_sided"},
        "not-found.test": {"lost"},
    }
    assert {row["verdict"] for row in read(run, "verdicts")} == {"blocked"}
    assert summary_of(run)["exit_code"] == 1


def test_through_a_proxy(then: Path, tmp_path: Path, pictures: list[Path]) -> None:
    """The web is its own proxy: it is asked for whole URLs, and then shows its other face."""
    asked: list[str] = []

    def face(request: web.Request, _: int) -> str:
        proxied = request.raw_path.startswith("http://")
        asked.append(request.raw_path)
        return "changed" if proxied else "honest"

    with MaskedWeb(sites_of(PLAN, pictures), face) as masked:
        masked.change()
        office = VantageSettings(name="office", proxy=f"http://{masked.address}")
        summary = check(then, tmp_path / "now", config=watched(masked, [office]))
    assert sights(tmp_path / "now", "office")["swap.test"] == {"cloaked"}
    assert "http://www.swap.test/0.jpg" in asked
    assert summary.details["cloaked"] == 5


def test_doubtful_domains_come_first_and_no_more_rows_than_asked_for(
    then: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    """Half of the rows are of the domains that changed, the rest of any."""
    run = seen_from(then, tmp_path, pictures, lambda _, __: "changed", rows=4)
    rows = read(run, "vantages")
    assert len({row["row"] for row in rows}) == len(rows) == 4
    assert sum(row["domain"] in {"swap.test", "stamp.test"} for row in rows) >= 2
    assert all(row["sight"] != "cloaked" for row in rows)


def test_an_interrupted_look_goes_on_and_a_finished_one_asks_nobody(
    then: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    run = tmp_path / "now"
    with MaskedWeb(sites_of(PLAN, pictures), to_browsers) as masked:
        masked.change()
        config = watched(masked)
        lame = watched(masked, [VantageSettings(name="lame", nameserver="nowhere")])
        with pytest.raises(SettingsError):  # nothing is started with a vantage that cannot ask
            check(then, run, config=lame)
        assert not run.exists()
        check(then, run, config=config)
        before, asked = read(run, "vantages"), masked.requests
        check(then, run, config=config)
        assert masked.requests == asked
        [part] = (run / "vantages").glob("*.parquet")
        part.unlink()
        forged(run, state="running")
        check(then, run, config=config)
        assert [(row["row"], row["sight"]) for row in read(run, "vantages")] == [
            (row["row"], row["sight"]) for row in before
        ]
        with pytest.raises(RunMismatchError, match="another vantages"):
            check(then, run, config=watched(masked, rows=5))


@pytest.mark.parametrize(("level", "code"), [("never", 0), ("swap", 0), ("suspicious", 1), ("unanswered", 1)])
def test_fail_on_decides_what_cloaking_costs(level: str, code: int) -> None:
    groups = {group.value: 5 if group is Group.CLEAN else 0 for group in Group}
    config = Config(judge=JudgeSettings(fail_on=level))
    assert exit_code(groups, 0, 5, config, cloaked=1) == code
    assert exit_code(groups, 0, 5, config) == 0


def test_the_command_line(
    then: Path, tmp_path: Path, pictures: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with MaskedWeb(sites_of(PLAN, pictures), to_browsers) as masked:
        masked.change()
        flags = ["--connect-to", masked.address, "--workers", "1", "--vantage"]
        command = ["check", str(then), "--out", str(tmp_path / "now")]
        assert main([*command, *flags, "phone=user-agent:Mozilla/5.0 (iPhone; U)"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["vantages"]["phone"]["cloaked"] == 5
    assert "seen from elsewhere" in err


PICTURE = Fingerprint("a" * 64, "e", "0" * 16, 1, 1, "PNG", b"", b"", b"", "d")
CLEAN, OTHER = Comparison(Verdict.REENCODED, "same", 0.1), Comparison(Verdict.REPLACED, "other", 0.9)
GONE = Comparison(Verdict.GONE, "HTTP 404", 0.0)


def answer(now: Comparison, *others: Comparison) -> Answer:
    result = FetchResult("http://a.test/", Outcome.FETCHED, "HTTP 200", datetime(2026, 1, 1, tzinfo=UTC))
    return Answer(result, None if now is GONE else PICTURE, now, others)


@pytest.mark.parametrize(
    ("here", "there", "compared", "sight"),
    [
        (answer(CLEAN), answer(CLEAN), CLEAN, Sight.SAME),
        (answer(OTHER), answer(OTHER), CLEAN, Sight.SAME),
        (answer(CLEAN), answer(OTHER), OTHER, Sight.CLOAKED),
        (answer(OTHER), answer(CLEAN), OTHER, Sight.CLOAKED),
        (answer(GONE), answer(GONE), None, Sight.LOST),
        (answer(CLEAN), answer(GONE), None, Sight.ONE_SIDED),
        (answer(OTHER), answer(GONE), None, Sight.ONE_SIDED),
        (answer(GONE), answer(CLEAN), None, Sight.ONE_SIDED),
        (answer(GONE), answer(OTHER), None, Sight.CLOAKED),
    ],
)
def test_first_sights(here: Answer, there: Answer, compared: Comparison | None, sight: Sight) -> None:
    assert first_sight(here, there, compared) is sight


def test_a_vantage_that_says_nothing_is_named() -> None:
    nothing = {sight.value: 0 for sight in Sight}
    sights = {"a": nothing | {"one_sided": 9}, "b": nothing | {"same": 1}, "c": nothing}
    assert mute_vantages(sights) == ["a", "c"]


def test_what_stays() -> None:
    assert stays(answer(CLEAN), answer(CLEAN, CLEAN))
    assert not stays(answer(CLEAN), answer(CLEAN, OTHER))
    assert stays(answer(GONE), answer(GONE))
    assert not stays(answer(GONE), answer(CLEAN))
    assert not stays(answer(CLEAN), answer(GONE))


def test_vantages_from_a_file_and_from_flags(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        '[vantage.phone]\nuser_agent = "iPhone"\n\n[vantage.office]\nproxy = "http://127.0.0.1:3128"\n'
    )
    known = from_toml(file).vantages
    assert known == (
        VantageSettings(name="phone", user_agent="iPhone"),
        VantageSettings(name="office", proxy="http://127.0.0.1:3128"),
    )
    flags = ["phone=user-agent:Android: 9", "phone=nameserver:9.9.9.9:53", "new=connect-to:127.0.0.1:1"]
    assert vantages_with(known, flags) == (
        VantageSettings(name="phone", user_agent="Android: 9", nameserver="9.9.9.9:53"),
        known[1],
        VantageSettings(name="new", connect_to="127.0.0.1:1"),
    )


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("phone", "write NAME=SETTING:VALUE"),
        ("=user-agent:x", "write NAME=SETTING:VALUE"),
        ("phone=user-agent:", "write NAME=SETTING:VALUE"),
        ("phone=userr-agent:x", "there is no setting userr-agent; use one of user-agent, proxy"),
        ("phone=name:x", "there is no setting name"),
    ],
)
def test_flags_of_another_form_are_refused(flag: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        vantages_with((), [flag])


@pytest.mark.parametrize(
    "text",
    [
        "vantage = 3",
        "[vantage]\nphone = 3",
        "[vantage.phone]",
        '[vantage.phone]\nname = "x"',
        '[vantage.phone]\nuser_agnet = "x"',
        "[vantage.phone]\nuser_agent = 3",
    ],
)
def test_files_that_describe_no_vantage_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(SettingsError):
        from_toml(tmp_path / "settings.toml")


def test_a_vantages_own_way_out_takes_the_place_of_ours() -> None:
    ours = FetchSettings(connect_to="127.0.0.1:1")
    assert VantageSettings(name="a", proxy="http://127.0.0.1:2").applied(ours) == FetchSettings(
        proxy="http://127.0.0.1:2"
    )
    assert BROWSER.applied(ours).connect_to == "127.0.0.1:1"


@pytest.mark.parametrize(
    ("strict", "weak", "code"), [(False, 5, 0), (True, 0, 0), (True, 2, 0), (True, 3, 3)]
)
def test_rows_that_only_an_md5_speaks_for_are_no_answer_if_one_is_strict(
    strict: bool,  # noqa: FBT001 - a parameter of the test
    weak: int,
    code: int,
) -> None:
    config = dataclasses.replace(Config(), judge=JudgeSettings(strict_baseline=strict))
    groups = {group.value: 0 for group in Group} | {Group.CLEAN.value: 5}
    assert exit_code(groups, 0, 5, config, weak=weak) == code
