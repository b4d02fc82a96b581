"""Turns that are lent while a name is looked up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from poisonscan.config import FetchSettings
from poisonscan.fetch import resolver, scheduler
from poisonscan.fetch.client import Fetcher
from poisonscan.records import Outcome

from .conftest import LOOPBACK, Dns, Web, http

if TYPE_CHECKING:
    from collections.abc import Callable

    from poisonscan.records import FetchResult

TRY_S = 0.6


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that never answers is given up on soon."""
    monkeypatch.setattr(resolver, "TRY_S", TRY_S)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that holds its answers back is waited for, however slow the machine is."""
    monkeypatch.setattr(resolver, "TRY_S", 600.0)


@pytest.fixture(autouse=True)
def _lent_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "PATIENCE_S", 0.01)


def urls(web: Web, word: str, count: int) -> list[str]:
    return [f"http://{word}{number}.example:{web.port}/p" for number in range(count)]


def named(dns: Dns, word: str, count: int, known: list[str] | str) -> None:
    dns.zone |= {f"{word}{number}.example": known for number in range(count)}


async def fetched(
    dns: Dns,
    wanted: list[str],
    concurrency: int,
    stopping: Callable[[list[FetchResult]], bool] | None = None,
    after: tuple[int, list[str] | str] | None = None,
) -> list[FetchResult]:
    """The results in the order they came; after so many of them, held names are answered so."""
    results: list[FetchResult] = []

    async def keep(result: FetchResult) -> None:
        results.append(result)
        if after is not None and len(results) == after[0]:
            dns.let_go(after[1])

    settings = FetchSettings(
        nameserver=f"{LOOPBACK}:{dns.port}", allow_private=True, concurrency=concurrency, retries=0
    )
    async with Fetcher(settings) as fetcher:
        await fetcher.fetch_all(wanted, keep, lambda: stopping is not None and stopping(results))
    return results


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("most", [scheduler.MOST_AWAITED, 3])
async def test_names_of_a_silent_server_hold_up_no_others(
    web: Web, dns: Dns, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """The server says nothing about four names until all others have been fetched, on two turns."""
    monkeypatch.setattr(scheduler, "MOST_AWAITED", most)
    web.on("/p", http(200, b"picture"))
    named(dns, "silent", 4, "held")
    named(dns, "live", 12, [LOOPBACK])
    silent, alive = urls(web, "silent", 4), urls(web, "live", 12)
    results = await fetched(dns, [*silent, *alive], concurrency=2, after=(12, "servfail"))
    assert {result.url for result in results[:12]} == set(alive)
    assert {result.url for result in results[12:]} == set(silent)
    assert {result.outcome for result in results[12:]} == {Outcome.DNS_FAILURE}


@pytest.mark.usefixtures("patient")
async def test_names_known_late_take_turns_as_all_do(web: Web, dns: Dns) -> None:
    """Twelve become known at once, when no other is left; three at most are asked for at a time."""
    now = most = 0

    async def slowly(writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        writer.write(http(200, b"picture"))

    web.on("/p", slowly)
    named(dns, "late", 12, "held")
    named(dns, "live", 1, [LOOPBACK])
    wanted = [*urls(web, "late", 12), *urls(web, "live", 1)]
    results = await fetched(dns, wanted, concurrency=3, after=(1, [LOOPBACK]))
    assert sorted(result.url for result in results) == sorted(wanted)
    assert {result.outcome for result in results} == {Outcome.FETCHED}
    assert most == 3


@pytest.mark.usefixtures("patient")
async def test_the_name_that_a_redirect_leads_to_holds_up_no_others(web: Web, dns: Dns) -> None:
    web.on("/p", http(200, b"picture"))
    web.on("/r", http(302, Location=f"http://silent0.example:{web.port}/p"))
    named(dns, "silent", 1, "held")
    named(dns, "live", 6, [LOOPBACK])
    alive = urls(web, "live", 5)
    results = await fetched(
        dns, [f"http://live5.example:{web.port}/r", *alive], concurrency=1, after=(5, [LOOPBACK])
    )
    assert {result.url for result in results[:5]} == set(alive)
    assert {result.outcome for result in results} == {Outcome.FETCHED}
    assert len(results) == 6


@pytest.mark.usefixtures("impatient")
async def test_many_urls_of_one_silent_host_each_have_a_result(web: Web, dns: Dns) -> None:
    dns.zone["mute.example"] = "mute"
    wanted = [f"http://mute.example:{web.port}/{number}" for number in range(30)]
    results = await fetched(dns, wanted, concurrency=4)
    assert sorted(result.url for result in results) == sorted(wanted)
    assert dns.asked["mute.example"] == 2  # once, and once again


@pytest.mark.usefixtures("patient")
async def test_a_stop_leaves_those_whose_names_were_awaited(web: Web, dns: Dns) -> None:
    web.on("/p", http(200, b"picture"))
    named(dns, "late", 5, "held")
    named(dns, "live", 1, [LOOPBACK])
    wanted = [*urls(web, "late", 5), *urls(web, "live", 1)]
    results = await fetched(dns, wanted, 8, bool, after=(1, [LOOPBACK]))
    assert [result.url for result in results] == urls(web, "live", 1)


@pytest.mark.usefixtures("patient")
async def test_an_error_of_the_handler_ends_the_waiting(web: Web, dns: Dns) -> None:
    web.on("/p", http(200, b"picture"))
    named(dns, "mute", 3, "mute")
    named(dns, "live", 1, [LOOPBACK])

    async def fail(result: FetchResult) -> None:
        raise LookupError(result.url)

    settings = FetchSettings(nameserver=f"{LOOPBACK}:{dns.port}", allow_private=True)
    async with Fetcher(settings) as fetcher:
        with pytest.raises(LookupError, match="live0"):
            await fetcher.fetch_all([*urls(web, "mute", 3), *urls(web, "live", 1)], fail)
