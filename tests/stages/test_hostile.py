"""A list of hostile hosts among good ones: each row gets its own verdict, and no neighbour suffers."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from poisonscan.config import Config, FetchSettings, RunSettings
from poisonscan.stages.snapshot.take import snapshot
from poisonscan.store.folder import SNAPSHOT_DOCUMENT, read_document
from tests.fetch.conftest import LOOPBACK, Dns

from . import hostile
from .hostile import CASES, JPEG, TLS_CASES, Case, HostileWeb, neighbour
from .world import by_url, read, write_list

if TYPE_CHECKING:
    from collections.abc import Iterator

HARDENING = Path(__file__).resolve().parents[2] / "docs" / "hardening.md"


def config(**fetch: Any) -> Config:  # noqa: ANN401 - any setting
    usual: dict[str, Any] = {
        "timeout_s": hostile.TIMEOUT_S,
        "max_bytes": hostile.MAX_BYTES,
        "retries": hostile.RETRIES,
        "backoff_s": 0.01,
    }
    return Config(fetch=FetchSettings(**(usual | fetch)), run=RunSettings(workers=1))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One snapshot over all of them, a good host after each bad one; rows by URL."""
    folder = tmp_path_factory.mktemp("hostile")
    urls = [url for number, case in enumerate(CASES) for url in (case.url, neighbour(number))]
    with HostileWeb() as web:
        snapshot(
            str(write_list(folder / "list.csv", urls)), folder / "then", config=config(connect_to=web.address)
        )
    return {row["url"]: row for row in read(folder / "then", "rows")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_gets_its_own_verdict_and_reason(case: Case, rows: dict[str, Any]) -> None:
    row = rows[case.url]
    assert row["state"] == case.state, row["reason"]
    assert case.words in (row["reason"] or "")
    assert row["total_s"] < hostile.TIMEOUT_S + 1


def test_the_neighbours_are_untouched(rows: dict[str, Any]) -> None:
    good = [rows[neighbour(number)] for number in range(len(CASES))]
    assert {row["state"] for row in good} == {"fingerprinted"}
    assert {row["sha256"] for row in good} == {hashlib.sha256(JPEG).hexdigest()}
    assert {row["attempts"] for row in good} == {1}


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expired, for another name, signed by nobody; --insecure takes them all and is on record."""
    context, trusted = hostile.bad_certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    urls = {f"https://{name}.tls.test/good.jpg": expected for name, expected in TLS_CASES.items()}
    manifest = str(write_list(tmp_path / "list.csv", urls))
    with HostileWeb(context) as web:
        snapshot(manifest, tmp_path / "strict", config=config(connect_to=web.address))
        insecure = config(connect_to=web.address, insecure=True)
        snapshot(manifest, tmp_path / "insecure", config=insecure)
    for row in read(tmp_path / "strict", "rows"):
        state, words = urls[row["url"]]
        assert row["state"] == state, row["reason"]
        assert words in (row["reason"] or "").lower()
    assert set(by_url(read(tmp_path / "insecure", "rows"), "state").values()) == {"fingerprinted"}
    document = read_document(tmp_path / "insecure", SNAPSHOT_DOCUMENT)
    assert document["settings"]["fetch"]["insecure"] is True


@pytest.fixture
def name_server() -> Iterator[Dns]:
    """A name server in a thread, with one name for each way to fail."""
    zone: dict[str, list[str] | str] = {
        "servfail.dns.test": "servfail",
        "nxdomain.dns.test": "nxdomain",
        "mute.dns.test": "mute",
        "private.dns.test": ["10.0.0.1", "127.0.0.1"],
    }
    server, loop = Dns(zone), asyncio.new_event_loop()
    loop.run_until_complete(loop.create_datagram_endpoint(lambda: server, local_addr=(LOOPBACK, 0)))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    loop.run_until_complete(asyncio.sleep(0))  # a transport closes in the next turn of its loop
    loop.close()


def test_names(tmp_path: Path, name_server: Dns) -> None:
    urls = [f"http://{name}/p.jpg" for name in name_server.zone]
    manifest = str(write_list(tmp_path / "list.csv", urls))
    snapshot(manifest, tmp_path / "then", config=config(nameserver=f"{LOOPBACK}:{name_server.port}"))
    found = {row["url"].split("/")[2].split(".")[0]: row for row in read(tmp_path / "then", "rows")}
    assert {name: row["state"] for name, row in found.items()} == {
        "servfail": "unreachable",
        "nxdomain": "unreachable",
        "mute": "unreachable",
        "private": "refused",
    }
    assert all(row["reason"] for row in found.values())


def test_the_document_says_what_every_case_comes_to(rows: dict[str, Any]) -> None:
    lines = [line for line in HARDENING.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    cells = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines]
    listed = {name: (state, words) for name, _, state, words in cells}
    assert len(listed) == len(lines), "a case is listed twice"
    for case in CASES:
        state, words = listed[case.name]
        assert state == case.state
        reason = rows[case.url]["reason"] or ""
        # Of a picture that came after all the document says why; there is no reason that it could give.
        assert state == "fingerprinted" or words in reason, f"{case.name}: {reason}"
    assert {f"tls-{name}" for name in TLS_CASES if name != "good"} <= set(listed)
