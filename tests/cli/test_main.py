"""What a person or a Makefile sees: flags, one-line errors, exit codes, one JSON line."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poisonscan._version import __version__
from poisonscan.cli.main import _parser, main
from poisonscan.errors import PoisonscanError
from poisonscan.redteam.pictures import draw
from poisonscan.stages.snapshot.take import snapshot_images
from poisonscan.store.folder import SNAPSHOT_DOCUMENT, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUIRED = {"snapshot", "check", "verify", "report", "demo"}


def verbs() -> dict[str, argparse.ArgumentParser]:
    (action,) = [a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(action.choices)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for seed in range(3):
        draw(seed, (64, 48)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="session")
def sealed(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sealed") / "then"
    snapshot_images(images, out)
    return out


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "poisonscan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)  # noqa: S603 - our own program


def failing(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[object, str]:
    """Exit code and the one line on stderr of a command that fails."""
    code: object
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("poisonscan")
    assert "Traceback" not in err
    return code, err


def test_the_promised_verbs_are_there() -> None:
    assert set(verbs()) >= REQUIRED


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_help_explains_every_flag(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for action in verbs()[verb]._actions:
        assert action.help, f"{verb} {action.dest} is not explained"
        words = action.help.replace("%%", "%") if action.dest != "help" else action.help
        assert " ".join(words.split()) in shown
        for flag in action.option_strings:
            assert flag in shown


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, words in (("--help", "exit codes:"), ("--version", f"poisonscan {__version__}")):
        with pytest.raises(SystemExit) as stop:
            main([flag])
        assert stop.value.code == 0
        assert words in capsys.readouterr().out


def lists(folder: Path) -> Iterator[tuple[Path, list[str], str]]:
    """Manifests that cannot be used, the flags beside them, and words of the error."""

    def written(name: str, content: bytes) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    table = pa.table({"url": ["http://a.test/1"] * 500, "text": ["x"] * 500})
    pq.write_table(table, folder / "sound.parquet")
    parquet = (folder / "sound.parquet").read_bytes()
    zipped = gzip.compress(b"url,caption\n" + b"http://a.test/1,abc\n" * 5000)
    csv = written("sound.csv", b"url,caption\nhttp://a.test/1.jpg,boat\n")
    yield written("empty.csv", b""), [], "empty"
    yield written("header.csv", b"url,caption\n"), [], "row"
    yield written("cut.parquet", parquet[:-30]), [], "cut.parquet"
    yield written("cut.csv.gz", zipped[: len(zipped) // 2]), [], "cut.csv.gz"
    yield written("noise.csv.gz", b"\x1f\x8b" + bytes(range(200))), [], "noise.csv.gz"
    yield folder / "absent.csv", [], "absent.csv"
    yield csv, ["--columns", "url=link"], "link"
    yield csv, ["--columns", "link=url"], "link"
    yield csv, ["--columns", "nonsense"], "nonsense"
    yield csv, ["--from-hashes", "caption=md5"], "caption"
    yield csv, ["--from-hashes", "caption=crc32"], "crc32"
    yield csv, ["--from-hashes", "caption"], "caption"
    yield csv, ["--from-hashes", "caption=md5", "--keep-bytes"], "--keep-bytes"


def test_a_manifest_that_cannot_be_used_is_one_line_and_leaves_the_way_free(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for manifest, flags, words in lists(tmp_path):
        code, err = failing(capfd, "snapshot", manifest, "--out", out, *flags)
        assert (code, words in err) == (2, True), err
    assert not out.exists() or {path.name for path in out.iterdir()} <= {".lock"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "VERB"),
        (["snapshoot"], "invalid choice"),
        (["snapshot"], "--out"),
        (["snapshot", "x.csv"], "--out"),
        (["snapshot", "x.csv", "--out", "o", "--timeuot-s", "3"], "--timeuot-s"),
        (["snapshot", "x.csv", "--out", "o", "--time", "3"], "--time"),
        (["snapshot", "x.csv", "--out", "o", "--retries", "many"], "--retries"),
        (["snapshot", "x.csv", "--out", "o", "--retries", "-1"], "retries"),
        (["snapshot", "x.csv", "--out", "o", "--timeout-s", "nan"], "timeout_s is nan"),
        (["snapshot", "x.csv", "--out", "o", "--workers", "0"], "workers is 0"),
        (["snapshot", "x.csv", "--from-images", "d", "--out", "o"], "not allowed with"),
        (["snapshot", "--from-images", "d", "--columns", "url=a", "--out", "o"], "--columns"),
        (["check", "s", "--out", "o", "--sample", "0"], "--sample 0"),
        (["check", "s", "--out", "o", "--seed", "-1"], "--seed -1"),
        (["check", "s", "--out", "o", "--fail-on", "sometimes"], "fail_on is sometimes"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, err = failing(capfd, *arguments)
    assert (code, words in err) == (2, True), err


def test_a_mistake_in_the_settings_file_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[fetch]\ntimeuot_s = 3\n")
    code, err = failing(capfd, "snapshot", "x.csv", "--out", tmp_path / "o", "--config", settings)
    assert code == 2
    assert "unknown setting timeuot_s; did you mean timeout_s?" in err


def test_flags_overrule_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    from poisonscan.cli.flags import config_of  # noqa: PLC0415 - beside its only use

    settings = tmp_path / "settings.toml"
    settings.write_text("[fetch]\ntimeout_s = 3\nretries = 7\n")
    arguments = ["check", "s", "--out", "o", "--config", str(settings), "--retries", "1", "--no-keep-alive"]
    config = config_of(_parser().parse_args(arguments))
    assert (config.fetch.timeout_s, config.fetch.retries, config.fetch.keep_alive) == (3, 1, False)
    assert config.judge.fail_on == "suspicious"


@pytest.mark.parametrize("place", ["file/below", "/proc/poisonscan"])
def test_where_nothing_can_be_written_is_3(
    place: str, images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    code, err = failing(capfd, "snapshot", "--from-images", images, "--out", tmp_path / place)
    assert code == 3
    assert "free space or fix it, then repeat" in err


def test_what_is_no_snapshot_is_4(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with open_folder(tmp_path / "half", SNAPSHOT_DOCUMENT, {}):
        pass
    for folder, words in (("absent", "is no snapshot folder"), ("half", "is unfinished")):
        for flags in ((), ("--out", tmp_path / "run")):
            code, err = failing(capfd, "check" if flags else "verify", tmp_path / folder, *flags)
            assert (code, words in err) == (4, True), err
    code, err = failing(capfd, "report", tmp_path / "half")
    assert (code, "is no run folder" in err) == (4, True)


def test_out_of_a_check_must_not_be_the_snapshot(sealed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(sealed.rglob("*"))
    code, err = failing(capfd, "check", sealed, "--out", sealed)
    assert (code, "choose another --out" in err) == (2, True)
    assert sorted(sealed.rglob("*")) == before


def test_verify_says_what_it_found(sealed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(sealed)]) == 0
    assert "2 files, all as they were sealed" in capfd.readouterr().err
    (sealed / "rows" / "stranger").touch()
    try:
        code, err = failing(capfd, "verify", sealed)
    finally:
        (sealed / "rows" / "stranger").unlink()
    assert (code, "does not belong" in err) == (4, True)


def test_an_error_of_many_lines_is_shown_as_one(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise PoisonscanError("a library said:\n  [bold]this[/bold]\nand that")

    monkeypatch.setattr("poisonscan.stages.verify.require_intact", fail)
    code, err = failing(capfd, "verify", "x")
    assert code == 2
    assert "[bold]this[/bold] and that" in err


def test_a_fault_of_ours_is_no_finding(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise ZeroDivisionError("by nobody")

    monkeypatch.setattr("poisonscan.stages.verify.require_intact", fail)
    assert main(["verify", "x"]) == 70
    said = capfd.readouterr().err
    assert "ZeroDivisionError: by nobody" in said
    assert said.splitlines()[-1].startswith("poisonscan: ZeroDivisionError, which is a fault of this program")


def test_stdout_is_one_json_line_and_stderr_lines_for_logs(images: Path, tmp_path: Path) -> None:
    done = run(
        "snapshot", "--from-images", images, "--out", tmp_path / "then", "--shard-rows", "2", "--workers", "1"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    summary = json.loads(done.stdout)
    assert (summary["verb"], summary["rows"], summary["exit_code"]) == ("snapshot", 3, 0)
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [line["rows_done"] for line in lines][-1] == 3
    assert len(lines) == 2
    assert all(line["stage"] == "snapshot" and line["rows"] == 3 for line in lines)


@pytest.mark.parametrize("closed", ["both", ">&-", "2>&-"])
def test_a_reader_that_leaves_changes_neither_the_work_nor_the_exit_code(tmp_path: Path, closed: str) -> None:
    """An unreadable picture makes a third of the rows unanswered: the exit code must still be 3."""
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (20, 20)).save(folder / "a.png")
    for name in "bc":
        (folder / f"{name}.png").write_bytes(b"<html>")
    arguments = ["snapshot", "--from-images", str(folder), "--out", str(tmp_path / "then"), "--workers", "1"]
    reader, writer = os.pipe()
    os.close(reader)
    stream = writer if closed == "both" else subprocess.PIPE
    command = [sys.executable, "-m", "poisonscan", *arguments]
    if "&" in closed:
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", *command]
    with subprocess.Popen(command, text=True, stdout=stream, stderr=stream) as process:  # noqa: S603 - our own program
        os.close(writer)
        _, err = process.communicate(timeout=600)
    assert process.returncode == 3, err
    assert "Traceback" not in (err or "")
    assert "Exception ignored" not in (err or "")
    assert json.loads((tmp_path / "then" / "snapshot.json").read_text())["state"] == "incomplete"


def test_the_demo_finds_everything(tmp_path: Path) -> None:
    done = run("demo", "--out", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["exit_code"] == 1
    assert summary["suspected_domains"]
    assert (tmp_path / "demo" / "check" / "report.html").exists()
