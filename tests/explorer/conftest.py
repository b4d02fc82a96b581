"""A check and a hunt, each served once for the tests of a module."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from poisonscan.config import DecodeSettings
from tests.explorer import house

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Served:
    """A run that is being explored."""

    run: Path
    address: str
    writing: str
    cookie: str

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    def ask(
        self, path: str, method: str = "GET", body: str | None = None, **headers: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one request, made as our own page would but for the headers given."""
        told: dict[str, str | None] = {"Host": self.host, "Cookie": self.cookie}
        if method != "GET":
            told |= {"Origin": f"http://{self.host}", "X-Poisonscan-Token": self.writing}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = HTTPConnection("127.0.0.1", urlsplit(self.address).port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {**told, "Content-Length": str(len((body or "").encode()))}.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders((body or "").encode())
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def page(self, path: str) -> str:
        """A page that must be there."""
        status, _, body = self.ask(path)
        assert status == 200, body.decode()
        return body.decode()


@contextmanager
def serve(run: Path) -> Iterator[Served]:
    from poisonscan.explorer.server import opened  # noqa: PLC0415 - needs the extra

    recipes = [("a recipe", "SELECT 1 AS one")]
    with opened(run, None, 0, DecodeSettings(), recipes) as serving, serving.in_thread() as address:
        entry = serving.entry
        yield Served(run, address, entry.writing, f"{entry.cookie}={entry.token}")


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(house.check(tmp_path_factory.mktemp("explored"))[0]) as served:
        yield served


@pytest.fixture(scope="module")
def hunted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(house.hunt(tmp_path_factory.mktemp("explored"))) as served:
        yield served


def marks_of(run: Path) -> dict[int, Any]:
    from poisonscan.store.marks import read_marks  # noqa: PLC0415 - beside its only use

    return {line["row"]: line["mark"] for line in read_marks(run).to_pylist()}
