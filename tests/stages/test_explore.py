from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from poisonscan import explore
from poisonscan.cli import main
from poisonscan.errors import SnapshotInvalidError, UsageError
from tests.explorer import house

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return house.check(tmp_path_factory.mktemp("explore"))[0]


def test_the_verb_prints_an_address_answers_there_and_ends_with_ctrl_c(run: Path) -> None:
    command = [sys.executable, "-m", "poisonscan", "explore", str(run), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        assert process.stdout
        assert process.stderr
        told = json.loads(process.stdout.readline())
        address = urlsplit(told["address"])
        try:
            assert (address.hostname or "").endswith(".localhost")
            connection = HTTPConnection("127.0.0.1", address.port, timeout=60)
            connection.request("GET", f"/?{address.query}", headers={"Host": address.netloc})
            assert connection.getresponse().status == 303
            connection.close()
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
        finally:
            process.kill()  # what has ended already is left alone; a failed assertion must not wait for it
    assert process.returncode == 0
    assert "Traceback" not in said
    assert "GET /" not in said  # the token must not end in a log


def test_a_port_that_is_taken_is_an_error_in_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["explore", str(run), "--no-browser", "--port", str(port)]) == 2
    assert f"--port {port} cannot be used" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--port 70000 cannot be used"):
        explore(run, port=70_000, browser=False)


def test_what_is_no_run_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(SnapshotInvalidError, match="no run folder"):
        explore(tmp_path, browser=False)
