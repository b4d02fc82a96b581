"""Each recipe in pipelines/ is run as a user would run it: as a program, against a loopback web."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from poisonscan.authenticity.signing import Signer
from poisonscan.config import Config
from poisonscan.redteam.sites import Behaviour, demo_sites
from poisonscan.redteam.web import LyingWeb
from poisonscan.stages.demo import sample_folder
from poisonscan.stages.export.run import export
from poisonscan.stages.signing import sign_snapshot
from poisonscan.stages.snapshot.take import snapshot
from tests.authenticity.checkpoints import make_keys
from tests.embed.models import onnx_model
from tests.registry.servers import name_server, rdap_domain, rdap_server, zone

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
NIGHTLY, AUDIT = (ROOT / "pipelines" / f"{name}.py" for name in ("nightly", "full_audit"))
SHOWN = (Behaviour.STABLE, Behaviour.SWAP, Behaviour.NOT_FOUND)


class Night(NamedTuple):
    """A snapshot of a web that has changed since, its list, and the settings that lead there."""

    list: Path
    snapshot: Path
    settings: Path
    pictures: dict[Behaviour, int]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    sites = [site for site in demo_sites(sample_folder()) if site.behaviour in SHOWN]
    urls = [(site.behaviour, f"http://{site.host}{path}") for site in sites for path in site.pictures]
    (folder / "list.txt").write_text("".join(f"{url}\n" for _, url in urls), encoding="utf-8")
    with LyingWeb(sites) as web:
        config = Config(fetch=replace(Config().fetch, connect_to=web.address, timeout_s=300))
        snapshot(str(folder / "list.txt"), folder / "snapshot", config=config)
        web.change()
        settings = folder / "poisonscan.toml"
        settings.write_text(f'[fetch]\nconnect_to = "{web.address}"\ntimeout_s = 300\n', encoding="utf-8")
        pictures = {kind: sum(found is kind for found, _ in urls) for kind in SHOWN}
        yield Night(folder / "list.txt", folder / "snapshot", settings, pictures)


def run_nightly(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_recipe(NIGHTLY, *arguments)


def run_recipe(recipe: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(recipe), *map(str, arguments)]
    here = os.environ | {"PYTHONPATH": str(ROOT)}  # the tree under test, also where it is not installed
    return subprocess.run(command, capture_output=True, text=True, env=here, timeout=600, check=False)  # noqa: S603 - our own script


def test_nightly_finds_the_swap_and_tells_it_in_every_way_it_promises(night: Night, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = run_nightly(night.snapshot, run, "--config", night.settings)
    assert done.returncode == 1, done.stderr
    [line] = done.stdout.splitlines()
    summary = json.loads(line)
    assert summary["counts"] == {
        "identical": night.pictures[Behaviour.STABLE],
        "replaced": night.pictures[Behaviour.SWAP],
        "gone": night.pictures[Behaviour.NOT_FOUND],
    }
    assert summary["suspected_domains"] == ["bird-meadow.example", "sunset-prints.example"]
    assert done.stderr.startswith("2 domains now serve other pictures")
    assert "2 domains now serve other pictures" in (run / "report.html").read_text(encoding="utf-8")
    replaced = [
        text for text in (run / "metrics.prom").read_text().splitlines() if 'verdict="replaced"' in text
    ]
    assert [float(text.rpartition(" ")[2]) for text in replaced] == [night.pictures[Behaviour.SWAP]]

    again = run_nightly(night.snapshot, run, "--config", night.settings)
    assert (again.returncode, json.loads(again.stdout)["counts"]) == (1, summary["counts"])


def test_a_snapshot_that_somebody_else_signed_is_not_checked(night: Night, tmp_path: Path) -> None:
    pytest.importorskip("model_signing", reason="the extra sign is not installed")
    snapshot = tmp_path / "signed"
    shutil.copytree(night.snapshot, snapshot)
    mine, strangers = make_keys(tmp_path, "mine"), make_keys(tmp_path, "strangers")
    sign_snapshot(snapshot, Signer(key=mine.private))
    refused = run_nightly(snapshot, tmp_path / "run", "--config", night.settings, "--key", strangers.public)
    assert (refused.returncode, (tmp_path / "run").exists()) == (4, False), refused.stderr
    assert "bad_signature" in refused.stderr
    done = run_nightly(snapshot, tmp_path / "run", "--config", night.settings, "--key", mine.public)
    assert done.returncode == 1, done.stderr


def test_the_next_nights_are_compared_with_the_last(night: Night, tmp_path: Path) -> None:
    for name in ("1", "2"):
        done = run_nightly(night.snapshot, tmp_path / name, "--config", night.settings)
        assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert summary["history"] == {}
    assert summary["report"] == str(tmp_path / "2" / "report.html")
    page = (tmp_path / "2" / "report.html").read_text(encoding="utf-8")
    for words in ("Since the last run", "Every row has the verdict that it had.", "Went away and came back"):
        assert words in page
    assert "Since the last run" not in (tmp_path / "1" / "report.html").read_text(encoding="utf-8")
    cleaned = export(tmp_path / "2", tmp_path / "cleaned", history=tmp_path / "2" / "history")
    assert cleaned.details["history"] == {"dropped": 0, "taken_later": 0}


def test_nobody_else_is_asked_unless_it_is_wanted(night: Night, tmp_path: Path) -> None:
    bought = rdap_domain("bird-meadow.example", datetime.now(UTC).isoformat(timespec="seconds"))
    zones = {"bird-meadow.example": zone(), "sunset-prints.example": zone()}
    with name_server(zones) as (dns, _), rdap_server({"bird-meadow.example": [(200, {}, bought)]}) as server:
        settings = tmp_path / "asking.toml"
        asking = f'[domains]\nnameserver = "{dns}"\nrdap = "{server.url}"\nregistry_rate = 0.0\n'
        settings.write_text(night.settings.read_text() + asking, encoding="utf-8")
        quiet = run_nightly(night.snapshot, tmp_path / "1", "--config", settings)
        assert (quiet.returncode, server.asked) == (1, [])
        done = run_nightly(night.snapshot, tmp_path / "2", "--config", settings, "--ask")
    assert done.returncode == 1, done.stderr
    assert "bird-meadow.example" in server.asked
    assert "1 domain is in new hands" in done.stderr
    assert sum(json.loads(done.stdout)["domains"].values()) == sum(night.pictures.values())
    page = (tmp_path / "2" / "report.html").read_text(encoding="utf-8")
    assert "registered anew" in page
    assert "What an attacker could buy" in page


def test_a_full_audit_from_one_file(night: Night, tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="the extra hunt is not installed")
    pytest.importorskip("onnxruntime", reason="the extra hunt is not installed")
    audit = tmp_path / "audit.toml"
    lines = {
        "list": str(night.list),
        "snapshot": str(tmp_path / "then"),
        "out": str(tmp_path / "audit"),
        "encoder": f"onnx:{onnx_model(tmp_path / 'tiny.onnx')}",
    }
    table = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
    hunt = '[hunt]\ndetectors = "duplicates,clusters"\n[embed]\ndevice = "cpu"\n'
    audit.write_text(f"[audit]\n{table}{hunt}{night.settings.read_text()}", encoding="utf-8")
    done = run_recipe(AUDIT, audit)
    assert done.returncode in (0, 1), done.stderr  # what is hunted here was never poisoned
    told = json.loads(done.stdout)
    gone = night.pictures[Behaviour.NOT_FOUND]
    assert told["check"]["counts"] == {"identical": sum(night.pictures.values()) - gone, "gone": gone}
    assert told["hunt"]["rows"] == sum(night.pictures.values())
    assert told["exit_code"] == done.returncode
    page = Path(told["report"]).read_text(encoding="utf-8")
    assert page.count("<h1>") == 1
    assert "The hunt" in page


def test_a_full_audit_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    audit = tmp_path / "audit.toml"
    audit.write_text('[audit]\nlist = "a.csv"\nout = "b"\nencodr = "onnx:c"\n', encoding="utf-8")
    done = run_recipe(AUDIT, audit)
    assert done.returncode == 2
    assert "[audit] needs ['list', 'out', 'snapshot']" in done.stderr
    assert done.stderr.count("\n") == 1


def test_nightly_turns_a_missing_snapshot_into_one_line_and_exit_code_4(tmp_path: Path) -> None:
    done = run_nightly(tmp_path / "nowhere", tmp_path / "run")
    assert done.returncode == 4
    [line] = done.stderr.splitlines()
    assert "nowhere is no snapshot folder" in line
    assert not (tmp_path / "run").exists()


def test_nightly_refuses_an_unknown_setting(night: Night, tmp_path: Path) -> None:
    settings = tmp_path / "typo.toml"
    settings.write_text("[fetch]\ntimeout = 3\n", encoding="utf-8")
    done = run_nightly(night.snapshot, tmp_path / "run", "--config", settings)
    assert done.returncode == 2
    assert "did you mean timeout_s?" in done.stderr


def test_every_recipe_is_short_and_has_a_test() -> None:
    recipes = sorted((ROOT / "pipelines").glob("*.py"))
    assert recipes == [AUDIT, NIGHTLY]
    for recipe in recipes:
        assert len(recipe.read_text(encoding="utf-8").splitlines()) < 80, recipe.name
