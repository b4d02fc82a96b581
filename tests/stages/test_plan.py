"""Audits by sample: the plan, what a run of it draws, and the guarantee that it reached."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poisonscan.cli.main import main
from poisonscan.config import AuditSettings, Config, JudgeSettings
from poisonscan.domains.sampling import Aim, confidence_reached, rows_needed
from poisonscan.errors import RunMismatchError, UsageError
from poisonscan.records import Algorithm
from poisonscan.redteam.sites import Behaviour, Site
from poisonscan.redteam.web import LyingWeb
from poisonscan.stages.check.audit import Audit, Risk
from poisonscan.stages.check.plan import drawn_rows, plan_audit
from poisonscan.stages.check.run import Selection, check
from poisonscan.stages.sealed import finished_snapshot, rows_parts
from poisonscan.stages.snapshot.take import snapshot, snapshot_hashes
from poisonscan.store import schema
from tests.reporting.inspecting import read_page, squeezed

from .world import config_for, read, urls_of, write_list

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from poisonscan.stages.sealed import SealedPart

AIM = Aim(0.3, 0.95)
SIZES = {"big.test": 40, "swapped.test": 25, "small.test": 6, "one.test": 1, "silent.test": 20}
BEHAVIOURS = {"swapped.test": Behaviour.SWAP, "silent.test": Behaviour.UNREACHABLE}


@pytest.fixture(scope="module")
def sites(pictures: list[Path]) -> list[Site]:
    return [
        Site(
            host,
            BEHAVIOURS.get(host, Behaviour.STABLE),
            {f"/{number}.jpg": pictures[number % len(pictures)] for number in range(size)},
        )
        for host, size in SIZES.items()
    ]


@pytest.fixture(scope="module")
def web(sites: list[Site]) -> Iterator[LyingWeb]:
    with LyingWeb(sites) as web:
        web.change()
        yield web


@pytest.fixture(scope="module")
def taken(sites: list[Site], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    urls = [*urls_of(sites), "not a url at all"]
    with LyingWeb(sites) as honest:
        snapshot(str(write_list(folder / "list.csv", urls)), folder / "then", config=config_for(honest, 37))
    return folder / "then"


def parts_of(snapshot: Path) -> list[SealedPart]:
    return rows_parts(snapshot, finished_snapshot(snapshot))


def audit_of(run: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.ParquetFile(run / "audit.parquet").read().to_pylist()
    return rows


def evidence(path: Path, **columns: list[object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_the_plan_takes_what_the_arithmetic_says(taken: Path) -> None:
    summary = plan_audit(taken, Audit(AIM))
    told = summary.details["audit"]
    needed = {domain: rows_needed(size, AIM) for domain, size in SIZES.items()}
    assert {line["domain"]: line["needed"] for line in summary.details["riskiest"]} == needed
    assert told["needed"] == told["drawn"] == summary.rows == sum(filter(None, needed.values()))
    assert (told["domains"], told["rows"]) == (len(SIZES), sum(SIZES.values()))
    assert told["guaranteed_domains"] == len(SIZES)
    assert summary.details["without_baseline"] == 1


def test_without_evidence_the_largest_domain_comes_first(taken: Path) -> None:
    riskiest = [line["domain"] for line in plan_audit(taken, Audit(AIM)).details["riskiest"]]
    assert riskiest == sorted(SIZES, key=lambda domain: -SIZES[domain])


def test_a_budget_goes_to_the_riskiest(taken: Path) -> None:
    summary = plan_audit(taken, Audit(AIM, budget=12))
    drawn = {line["domain"]: line["drawn"] for line in summary.details["riskiest"]}
    first = rows_needed(SIZES["big.test"], AIM)
    assert first is not None
    assert drawn == {
        "big.test": first,
        "swapped.test": 12 - first,
        "silent.test": 0,
        "small.test": 0,
        "one.test": 0,
    }
    assert summary.details["audit"]["guaranteed_domains"] == 1
    assert summary.details["audit"]["guaranteed_rows"] == SIZES["big.test"]
    partly = summary.details["riskiest"][1]["confidence"]
    assert partly == pytest.approx(confidence_reached(SIZES["swapped.test"], 12 - first, AIM))


@pytest.mark.parametrize(
    ("columns", "risk"),
    [
        ({"swap_suspected": [True]}, Risk.SUSPECTED),
        ({"reregistered": [True]}, Risk.IN_NEW_HANDS),
        ({"hands": ["new"]}, Risk.IN_NEW_HANDS),
        ({"buyable": [True]}, Risk.FOR_SALE),
        ({"status": ["expired"]}, Risk.FOR_SALE),
        ({"edited": [2], "replaced": [0]}, Risk.CHANGED),
        ({"gone": [1]}, Risk.UNANSWERED),
        ({"status": ["parked"]}, Risk.UNANSWERED),
        ({"swap_suspected": [False], "gone": [0], "status": ["registered"]}, Risk.NOTHING_KNOWN),
        ({"reregistered": [None], "edited": [None]}, Risk.NOTHING_KNOWN),
    ],
)
def test_evidence_makes_a_domain_risky(
    taken: Path, tmp_path: Path, columns: dict[str, list[object]], risk: Risk
) -> None:
    file = evidence(tmp_path / "known.parquet", domain=["one.test"], **columns)
    drawn_rows(parts_of(taken), Audit(AIM, evidence=(file,)), 0, tmp_path)
    (line,) = (line for line in audit_of(tmp_path) if line["domain"] == "one.test")
    assert (line["risk"], line["evidence"]) == (risk, risk.words)
    assert (audit_of(tmp_path)[0]["domain"] == "one.test") is (risk is not Risk.NOTHING_KNOWN)


def test_the_worst_of_several_files_counts(taken: Path, tmp_path: Path) -> None:
    files = (
        evidence(tmp_path / "a.parquet", domain=["one.test", "small.test"], gone=[1, 1]),
        evidence(tmp_path / "b.parquet", domain=["small.test"], reregistered=[True]),
    )
    first, second, *_ = plan_audit(taken, Audit(AIM, evidence=files)).details["riskiest"]
    assert (first["domain"], second["domain"]) == ("small.test", "one.test")


def test_the_draw_is_repeatable_fair_and_follows_the_seed(taken: Path, tmp_path: Path) -> None:
    audit = Audit(AIM)
    one, again, other = (
        drawn_rows(parts_of(taken), audit, seed, tmp_path / str(number))
        for number, seed in enumerate((5, 5, 6))
    )
    assert one.tolist() == again.tolist() == sorted(set(one.tolist()))
    assert one.tolist() != other.tolist()
    domains = {row["row"]: row["domain"] for row in read(taken, "rows")}
    drawn = Counter(domains[row] for row in one.tolist())
    assert drawn == {line["domain"]: line["drawn"] for line in audit_of(tmp_path / "0")}


def test_every_row_is_drawn_about_as_often(taken: Path, tmp_path: Path) -> None:
    """60 draws of the 20 rows of one domain."""
    counts: Counter[int] = Counter()
    drawn = rows_needed(SIZES["silent.test"], AIM)
    assert drawn is not None
    rows = {row["row"] for row in read(taken, "rows") if row["domain"] == "silent.test"}
    for seed in range(60):
        counts.update(set(drawn_rows(parts_of(taken), Audit(AIM), seed, tmp_path).tolist()) & rows)
    expected = 60 * drawn / len(rows)
    assert set(counts) == rows
    assert all(abs(n - expected) < 5 * (60 * 0.25) ** 0.5 for n in counts.values())


@pytest.fixture(scope="module")
def audited(taken: Path, web: LyingWeb, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("audited") / "run"
    check(taken, run, selection=Selection(seed=3, audit=Audit(AIM)), config=config_for(web))
    return run


def test_a_run_looks_at_the_rows_drawn_and_at_no_other(audited: Path) -> None:
    seen = Counter(row["domain"] for row in read(audited, "verdicts"))
    assert seen == {line["domain"]: line["drawn"] for line in audit_of(audited)}
    assert pq.read_schema(audited / "audit.parquet").equals(schema.AUDIT)


def test_the_guarantee_reached_counts_only_answers(audited: Path) -> None:
    lines = {line["domain"]: line for line in audit_of(audited)}
    silent, big, swapped = (lines[name] for name in ("silent.test", "big.test", "swapped.test"))
    assert (silent["answered"], silent["confidence"], silent["share_noticed"]) == (0, 0, None)
    assert big["answered"] == big["drawn"]
    assert big["confidence"] >= AIM.confidence
    assert big["share_noticed"] <= AIM.share
    assert (big["replaced"], big["noticed"]) == (0, False)
    assert (swapped["replaced"], swapped["noticed"]) == (swapped["drawn"], True)
    told = json.loads((audited / "summary.json").read_text())["audit"]
    assert told["noticed"] == ["swapped.test"]
    assert told["guaranteed_domains"] == len(SIZES) - 1
    assert told["guaranteed_rows"] == sum(SIZES.values()) - SIZES["silent.test"]
    assert told["answered"] == told["drawn"] - silent["drawn"]


def test_the_report_says_what_is_guaranteed(audited: Path) -> None:
    text = squeezed(read_page(audited / "report.html").text)
    lines = {line["domain"]: line for line in audit_of(audited)}
    silent, swapped = lines["silent.test"], lines["swapped.test"]
    drawn = sum(line["drawn"] for line in lines.values())
    assert f"A sample of {drawn} of 92 rows, which is enough to speak for 4 of 5 domains." in text
    assert "a swap of 30% of them is noticed with a probability of 95%. That holds for 4 of 5 domains" in text
    assert f"swapped[.]test {swapped['replaced']} {swapped['answered']} 25 nothing" in text
    lost = f"{silent['drawn']} of {silent['drawn']} drawn rows gave no picture"
    assert f"silent[.]test 0 20 0% none {lost}" in text


def test_the_same_audit_repeated_asks_nobody(taken: Path, web: LyingWeb, audited: Path) -> None:
    asked, before = web.requests, audit_of(audited)
    summary = check(taken, audited, selection=Selection(seed=3, audit=Audit(AIM)), config=config_for(web))
    assert web.requests == asked
    assert audit_of(audited) == before
    assert summary.as_dict()["audit"] == json.loads((audited / "summary.json").read_text())["audit"]


@pytest.mark.parametrize(
    "selection",
    [
        Selection(seed=3),
        Selection(seed=4, audit=Audit(AIM)),
        Selection(seed=3, audit=Audit(AIM, budget=5)),
        Selection(seed=3, audit=Audit(Aim(0.3, 0.9))),
    ],
)
def test_another_audit_is_refused(taken: Path, web: LyingWeb, audited: Path, selection: Selection) -> None:
    with pytest.raises(RunMismatchError, match="was started with another"):
        check(taken, audited, selection=selection, config=config_for(web))


def test_other_evidence_is_another_audit(taken: Path, web: LyingWeb, tmp_path: Path) -> None:
    file = evidence(tmp_path / "known.parquet", domain=["one.test"], gone=[1])
    selection = Selection(audit=Audit(AIM, 1, (file,)))
    check(taken, tmp_path / "run", selection=selection, config=config_for(web))
    assert [line["domain"] for line in audit_of(tmp_path / "run") if line["drawn"]] == ["one.test"]
    text = squeezed(read_page(tmp_path / "run" / "report.html").text)
    assert "A sample of 1 of 92 rows, which is enough to speak for 1 of 5 domains." in text
    assert "In no domain were enough replaced rows drawn to notice it." in text
    assert "big[.]test 0 40 0% none the budget ended before it" in text
    evidence(file, domain=["small.test"], gone=[1])
    with pytest.raises(RunMismatchError, match="another audit"):
        check(taken, tmp_path / "run", selection=selection, config=config_for(web))


def test_an_earlier_run_is_evidence(taken: Path, audited: Path) -> None:
    first, second, *_ = plan_audit(taken, Audit(AIM, evidence=(audited,))).details["riskiest"]
    assert (first["domain"], second["domain"]) == ("swapped.test", "silent.test")


def test_domains_too_small_for_several_rows_are_said_to_be(taken: Path) -> None:
    told = plan_audit(taken, Audit(Aim(0.3, 0.95, notice_rows=3))).details["audit"]
    assert told["too_small"] == 2  # 30% of six rows are two, of one row one
    assert told["guaranteed_domains"] == len(SIZES) - 2


def test_hashes_alone_can_be_audited(tmp_path: Path) -> None:
    hashes = ["0" * 32] * 10
    manifest = write_list(tmp_path / "list.csv", [f"http://a.test/{n}" for n in range(10)], md5=hashes)
    snapshot_hashes(str(manifest), tmp_path / "then", {"md5": Algorithm.MD5})
    assert plan_audit(tmp_path / "then", Audit(AIM)).details["audit"]["rows"] == 10


def test_the_settings_make_the_aim() -> None:
    config = Config(judge=JudgeSettings(swap_share=0.2), audit=AuditSettings(confidence=0.9, notice_rows=2))
    assert Audit.of(config, 7).aim == Aim(0.2, 0.9, 2)


def test_the_command_line_plans_and_fetches_nothing(
    taken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(taken.rglob("*"))
    assert main(["check", str(taken), "--plan", "--budget", "9", "--confidence", "0.95"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert (summary["verb"], summary["rows"], summary["audit"]["confidence"]) == ("plan", 9, 0.95)
    assert "big.test" in err
    assert sorted(taken.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "needs --out"),
        (["--plan", "--out", "x"], "takes no --out"),
        (["--plan", "--budget", "0"], "at least 1"),
        (["--plan", "--budget", "many"], "'all'"),
        (["--plan", "--sample", "3"], "leave out --sample"),
        (["--out", "x", "--evidence", "y"], "add --plan or --budget"),
        (["--out", "x", "--budget", "3", "--sample", "3"], "leave out --sample"),
        (["--plan", "--evidence", "nowhere"], "there is no nowhere"),
        (["--plan", "--swap-share", "0"], "share above 0"),
        (["--plan", "--confidence", "1"], "confidence"),
    ],
)
def test_flags_that_contradict_each_other_are_one_line(
    taken: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", str(taken), *flags]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"domain\n", b""])
def test_evidence_that_is_none_is_refused(taken: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(UsageError, match="no Parquet file"):
        plan_audit(taken, Audit(AIM, evidence=(tmp_path / "bad.csv",)))


@pytest.mark.parametrize(
    ("columns", "words"), [({"name": ["a"]}, "no column domain"), ({"domain": ["a"]}, "nothing of risk")]
)
def test_tables_that_tell_nothing_are_refused(
    taken: Path, tmp_path: Path, columns: dict[str, list[object]], words: str
) -> None:
    file = evidence(tmp_path / "known.parquet", **columns)
    with pytest.raises(UsageError, match=words):
        plan_audit(taken, Audit(AIM, evidence=(file,)))
