"""Pictures that went away and came back, over runs against a web that changes its mind."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poisonscan.cli.main import main
from poisonscan.domains.flapping import FlapKind
from poisonscan.errors import RunMismatchError, SnapshotInvalidError, UsageError
from poisonscan.records import Algorithm
from poisonscan.redteam.sites import Behaviour
from poisonscan.redteam.web import LyingWeb
from poisonscan.stages.check.run import check
from poisonscan.stages.export.run import export
from poisonscan.stages.history.run import exit_code, history
from poisonscan.stages.snapshot.take import snapshot, snapshot_hashes
from poisonscan.store import schema
from poisonscan.store.marks import Mark, put_marks
from tests.reporting.synthetic import seal

from .test_loop import forged
from .world import config_for, leftovers, sites_of, urls_of, write_list

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.config import Config
    from poisonscan.stages.common import Summary

PLAN = {
    Behaviour.STABLE: 2,
    Behaviour.SWAP: 3,
    Behaviour.PLACEHOLDER: 4,
    Behaviour.REENCODE: 2,
    Behaviour.STAMP: 2,
    Behaviour.NOT_FOUND: 1,
}
AWAY = {"swap.test": 3, "placeholder.test": 4, "stamp.test": 2}


class MoodyWeb(LyingWeb):
    """A web that may become honest again."""

    def relent(self) -> None:
        self._lying = False


@dataclass(frozen=True)
class Past:
    """Looks at one list, in order: `then` and `calm` honest, `loud` lying, `quiet` honest, `again` lying.

    `poisoned` is a snapshot taken while the web lied, and `after` a run of it once it was honest again.
    """

    folder: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, pictures: list[Path]) -> Past:
    folder = tmp_path_factory.mktemp("past")
    sites = sites_of(PLAN, pictures)
    manifest = write_list(folder / "list.csv", urls_of(sites))
    with MoodyWeb(sites) as web:
        config = config_for(web)
        snapshot(str(manifest), folder / "then", config=config)
        check(folder / "then", folder / "calm", config=config)
        web.change()
        check(folder / "then", folder / "loud", config=config)
        web.relent()
        check(folder / "then", folder / "quiet", config=config)
        web.change()
        check(folder / "then", folder / "again", config=config)
        snapshot(str(manifest), folder / "poisoned", config=config)
        web.relent()
        check(folder / "poisoned", folder / "after", config=config)
    return Past(folder)


def lines(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    return rows


def by_domain(rows: list[dict[str, Any]], column: str) -> dict[str, set[Any]]:
    return {
        row["domain"]: {other[column] for other in rows if other["domain"] == row["domain"]} for row in rows
    }


def test_what_went_and_came_back_is_found_by_domain(past: Past, tmp_path: Path) -> None:
    summary = history([past.quiet, past.calm, past.loud], tmp_path / "out")
    found = lines(tmp_path / "out" / "history.parquet")
    assert by_domain(found, "kind") == {
        "swap.test": {"flap"},
        "stamp.test": {"flap"},
        "placeholder.test": {"stand_in"},
    }
    assert by_domain(found, "verdict")["stamp.test"] == {"edited"}
    assert by_domain(found, "verdict")["swap.test"] == {"replaced"}
    assert summary.counts == {"flap": 5, "stand_in": 4}
    assert summary.exit_code == 1
    assert summary.rows == sum(PLAN.values())
    for row in found:
        assert (row["before"], row["away"], row["back"]) == (
            str(past.calm),
            [str(past.loud)],
            str(past.quiet),
        )
        assert row["before_at"] < row["away_from"] <= row["away_to"] < row["back_at"]
        assert row["before_sha256"] == row["back_sha256"] != row["away_sha256"]


def test_the_tables_have_the_promised_columns(past: Past, tmp_path: Path) -> None:
    history([past.quiet, past.calm, past.loud], tmp_path)
    assert pq.read_schema(tmp_path / "history.parquet").equals(schema.HISTORY)
    assert pq.read_schema(tmp_path / "groups.parquet").equals(schema.HISTORY_GROUPS)
    assert pq.read_schema(tmp_path / "actions.parquet").equals(schema.ACTIONS)
    assert leftovers(tmp_path) == []


def test_the_order_of_the_runs_does_not_matter(past: Past, tmp_path: Path) -> None:
    for number, runs in enumerate([("quiet", "calm", "loud"), ("loud", "quiet", "calm")]):
        history([past.folder / name for name in runs], tmp_path / str(number))
    for name in ("history", "groups", "actions"):
        one, other = (lines(tmp_path / str(number) / f"{name}.parquet") for number in range(2))
        assert one == other


def test_groups_are_domains_in_one_window(past: Past, tmp_path: Path) -> None:
    history([past.quiet, past.calm, past.loud], tmp_path)
    groups = lines(tmp_path / "groups.parquet")
    assert {group["domain"]: group["rows"] for group in groups} == AWAY
    assert {group["domain"]: group["pictures"] for group in groups} == AWAY | {"placeholder.test": 1}
    found = lines(tmp_path / "history.parquet")
    for group in groups:
        times = [row["away_from"] for row in found if row["domain"] == group["domain"]]
        assert group["away_from"] == min(times)


def test_a_snapshot_taken_during_the_excursion_was_frontrun(past: Past, tmp_path: Path) -> None:
    """Earlier looks and a later run agree with each other and not with the snapshot."""
    summary = history([past.after, past.calm], tmp_path)
    found = lines(tmp_path / "history.parquet")
    assert summary.counts == {"frontrun": sum(AWAY.values())}
    assert {row["domain"] for row in found} == set(AWAY)
    assert all(row["away"] == [str(past.poisoned.resolve())] for row in found)
    honest = {row["row"]: row["sha256"] for row in lines(past.then / "rows" / "00000.parquet")}
    actions = lines(tmp_path / "actions.parquet")
    assert {row["action"] for row in actions} == {"take_later"}
    assert all(row["sha256"] == honest[row["row"]] for row in actions)
    assert all(
        "the snapshot has a picture that was shown only for a while" in row["reason"] for row in actions
    )


def test_what_is_away_again_is_to_be_dropped(past: Past, tmp_path: Path) -> None:
    summary = history([past.calm, past.loud, past.quiet, past.again], tmp_path)
    assert summary.details["actions"] == {"drop": sum(AWAY.values())}
    actions = lines(tmp_path / "actions.parquet")
    assert all(row["sha256"] is None for row in actions)
    assert all(row["url"] and row["key"] and row["reason"] for row in actions)


def test_a_web_that_keeps_quiet_has_no_history(past: Past, tmp_path: Path) -> None:
    summary = history([past.calm, past.quiet], tmp_path)
    assert (summary.counts, summary.exit_code) == ({}, 0)
    for name in ("history", "groups", "actions"):
        assert lines(tmp_path / f"{name}.parquet") == []


def test_a_change_that_stays_is_no_flap(past: Past, tmp_path: Path) -> None:
    assert history([past.calm, past.loud], tmp_path).exit_code == 0


def test_rows_that_were_not_seen_often_enough_are_counted(past: Past, tmp_path: Path) -> None:
    """The one row that is gone in two of four looks."""
    assert history([past.calm, past.loud], tmp_path).details["too_few_looks"] == PLAN[Behaviour.NOT_FOUND]


def test_the_same_command_says_the_same_and_another_is_refused(past: Past, tmp_path: Path) -> None:
    runs = [past.calm, past.loud, past.quiet]
    once = history(runs, tmp_path)
    again = history(runs, tmp_path)
    assert (once.counts, once.details) == (again.counts, again.details)
    with pytest.raises(RunMismatchError, match="another looks"):
        history(runs[:2], tmp_path)


def test_the_command_line(past: Past, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(past.folder / name) for name in ("calm", "loud", "quiet")]
    assert main(["history", *runs, "--out", str(tmp_path / "out")]) == 1
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert json.loads(out)["counts"] == {"flap": 5, "stand_in": 4}
    assert "swap.test" in err
    assert "actions.parquet" in err


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ({}, 0),
        ({FlapKind.STAND_IN: 9}, 0),
        ({FlapKind.FLAP: 1, FlapKind.STAND_IN: 9}, 1),
        ({FlapKind.FRONTRUN: 1}, 1),
    ],
)
def test_an_outage_is_no_reason_to_fail(rows: dict[FlapKind, int], code: int) -> None:
    assert exit_code(rows) == code


def refused(runs: list[Path], out: Path) -> str:
    """What is said of runs that do not belong together, in one line."""
    with pytest.raises((UsageError, SnapshotInvalidError)) as caught:
        history(runs, out)
    assert not (out / "history.parquet").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_inputs_that_do_not_belong_together_are_refused(past: Past, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "named twice" in refused([past.calm, past.loud, past.calm], out)
    assert "three looks" in refused([past.calm], out)
    assert "it has no run.json" in refused([past.calm, tmp_path], out)
    unfinished = shutil.copytree(past.loud, tmp_path / "unfinished")
    forged(unfinished, state="running")
    assert "is unfinished" in refused([past.calm, past.quiet, unfinished], out)
    other_verb = shutil.copytree(past.loud, tmp_path / "other_verb")
    identity = json.loads((other_verb / "run.json").read_text())["identity"]
    forged(other_verb, identity=identity | {"command": "diff"})
    assert "no run of check" in refused([past.calm, past.quiet, other_verb], out)


def test_runs_of_two_lists_are_refused(past: Past, tmp_path: Path, pictures: list[Path]) -> None:
    sites = sites_of({Behaviour.STABLE: 1}, pictures)
    with LyingWeb(sites) as web:
        config = config_for(web)
        snapshot(str(write_list(tmp_path / "other.csv", urls_of(sites))), tmp_path / "other", config=config)
    assert "of another list" in refused([past.calm, past.loud, tmp_path / "other"], tmp_path / "out")


def test_a_snapshot_that_was_altered_or_removed_is_refused(past: Past, tmp_path: Path) -> None:
    folder = shutil.copytree(past.folder, tmp_path / "past")
    for name in ("calm", "loud", "quiet"):
        identity = json.loads((folder / name / "run.json").read_text())["identity"]
        forged(folder / name, identity=identity | {"snapshot": str(folder / "then")})
    runs = [folder / name for name in ("calm", "loud", "quiet")]
    part = folder / "then" / "rows" / "00000.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    assert "its digest does not fit" in refused(runs, tmp_path / "out")
    shutil.rmtree(folder / "then")
    assert "no snapshot folder" in refused(runs, tmp_path / "out")


def test_published_hashes_are_enough_for_a_flap(tmp_path: Path, pictures: list[Path]) -> None:
    sites = sites_of({Behaviour.SWAP: 2, Behaviour.STABLE: 1}, pictures)
    files = [path.read_bytes() for site in sites for path in site.pictures.values()]
    digests = [hashlib.md5(file).hexdigest() for file in files]  # noqa: S324 - as publishers do
    manifest = write_list(tmp_path / "list.csv", urls_of(sites), md5=digests)
    snapshot_hashes(str(manifest), tmp_path / "then", {"md5": Algorithm.MD5})
    with MoodyWeb(sites) as web:
        config: Config = config_for(web)
        web.change()
        check(tmp_path / "then", tmp_path / "loud", config=config)
        web.relent()
        check(tmp_path / "then", tmp_path / "quiet", config=config)
    summary = history([tmp_path / "loud", tmp_path / "quiet"], tmp_path / "out")
    assert summary.counts == {"flap": 2}
    assert by_domain(lines(tmp_path / "out" / "history.parquet"), "verdict") == {"swap.test": {None}}


def divided(run: Path, out: Path, history_folder: Path | None) -> tuple[set[str], dict[str, str], Summary]:
    """The domains that an export keeps, the reasons of those it does not, and its summary."""
    told = export(run, out, history=history_folder)
    kept = {line.split("/")[2] for line in (out / "manifest" / "list.csv").read_text().splitlines()[1:]}
    reasons = {row["url"].split("/")[2]: row["reason"] for row in lines(out / "quarantine.parquet")}
    return kept, reasons, told


AWAY_HOSTS = {"www.swap.test", "www.placeholder.test", "www.stamp.test"}
OTHERS = {"www.stable.test", "www.reencode.test"}
BACK = OTHERS | {"www.not-found.test"}


def test_an_export_takes_the_later_look_at_what_was_frontrun(past: Past, tmp_path: Path) -> None:
    """Against the poisoned snapshot the honest pictures look replaced; the history vouches for them."""
    history([past.after, past.calm], tmp_path / "history")
    kept, _, _ = divided(past.after, tmp_path / "without", None)
    assert kept == OTHERS
    kept, reasons, told = divided(past.after, tmp_path / "with", tmp_path / "history")
    assert kept == OTHERS | AWAY_HOSTS
    assert set(reasons) == {"www.not-found.test"}
    assert told.details["history"] == {"dropped": 0, "taken_later": sum(AWAY.values())}
    honest = {row["row"]: row["sha256"] for row in lines(past.then / "rows" / "00000.parquet")}
    fresh = [row for row in lines(tmp_path / "with" / "refreshed.parquet") if row["taken_later"]]
    assert len(fresh) == sum(AWAY.values())
    assert all(row["sha256"] == honest[row["row"]] for row in fresh)


def test_an_export_leaves_out_what_its_run_saw_only_for_a_while(
    past: Past, tmp_path: Path, pictures: list[Path]
) -> None:
    """The rows that a run of the poisoned snapshot finds identical are the attacker's."""
    with MoodyWeb(sites_of(PLAN, pictures)) as web:
        web.change()
        check(past.poisoned, tmp_path / "during", config=config_for(web))
        web.relent()
        check(past.poisoned, tmp_path / "later", config=config_for(web))
    kept, _, _ = divided(tmp_path / "during", tmp_path / "without", None)
    assert kept == OTHERS | AWAY_HOSTS
    history([past.calm, tmp_path / "during", tmp_path / "later"], tmp_path / "history")
    kept, reasons, told = divided(tmp_path / "during", tmp_path / "with", tmp_path / "history")
    assert kept == OTHERS
    assert told.details["history"] == {"dropped": sum(AWAY.values()), "taken_later": 0}
    assert all("history: the snapshot has a picture that" in reasons[host] for host in AWAY_HOSTS)


def test_an_export_leaves_out_what_cannot_make_up_its_mind(past: Past, tmp_path: Path) -> None:
    history([past.calm, past.loud, past.quiet], tmp_path / "once")
    kept, reasons, told = divided(past.quiet, tmp_path / "in", tmp_path / "once")
    assert (kept, reasons) == (BACK | AWAY_HOSTS, {})
    assert told.details["history"] == {"dropped": 0, "taken_later": 0}
    history([past.calm, past.loud, past.quiet, past.again], tmp_path / "twice")
    kept, reasons, told = divided(past.quiet, tmp_path / "out", tmp_path / "twice")
    assert (kept, set(reasons)) == (BACK, AWAY_HOSTS)
    assert told.details["history"]["dropped"] == sum(AWAY.values())
    assert "since then it shows yet another picture" in reasons["www.swap.test"]


def test_a_mark_overrules_the_history(past: Past, tmp_path: Path) -> None:
    run = tmp_path / "quiet"
    shutil.copytree(past.quiet, run)
    row = next(row for row in lines(run / "verdicts" / "00000.parquet") if row["domain"] == "swap.test")
    chosen = pa.table({"row": pa.array([row["row"]], pa.int64()), "key": [row["key"]]})
    put_marks(run, chosen, Mark.KEEP, None, datetime(2026, 3, 5, tzinfo=UTC))
    history([past.calm, past.loud, run, past.again], tmp_path / "history")
    kept, _, told = divided(run, tmp_path / "out", tmp_path / "history")
    assert kept == BACK | {"www.swap.test"}
    assert told.details["history"]["dropped"] == sum(AWAY.values()) - 1


def test_a_history_that_does_not_know_the_run_is_refused(past: Past, tmp_path: Path) -> None:
    history([past.calm, past.loud], tmp_path / "history")
    with pytest.raises(UsageError, match="quiet is none of its looks"):
        export(past.quiet, tmp_path / "out", history=tmp_path / "history")
    with pytest.raises(SnapshotInvalidError):
        export(past.quiet, tmp_path / "out", history=past.loud)
    document = json.loads((tmp_path / "history" / "history.json").read_text())
    seal(tmp_path / "history" / "history.json", document | {"state": "running"})
    with pytest.raises(UsageError, match="is unfinished"):
        export(past.loud, tmp_path / "out", history=tmp_path / "history")
    assert not (tmp_path / "out").exists()
