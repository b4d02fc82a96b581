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


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "TRY_S", TRY_S)
    monkeypatch.setattr(scheduler, "PATIENCE_S", 0.1)


def urls(web: Web, word: str, count: int) -> list[str]:
    return [f"http://{word}{number}.example:{web.port}/p" for number in range(count)]


def named(dns: Dns, word: str, count: int, known: list[str] | str) -> None:
    dns.zone |= {f"{word}{number}.example": known for number in range(count)}


async def fetched(
    dns: Dns, wanted: list[str], concurrency: int, stopping: Callable[[list[FetchResult]], bool] | None = None
) -> list[FetchResult]:
    """The results in the order they came."""
    results: list[FetchResult] = []

    async def keep(result: FetchResult) -> None:
        results.append(result)

    settings = FetchSettings(
        nameserver=f"{LOOPBACK}:{dns.port}", allow_private=True, concurrency=concurrency, retries=0
    )
    async with Fetcher(settings) as fetcher:
        await fetcher.fetch_all(wanted, keep, lambda: stopping is not None and stopping(results))
    return results


@pytest.mark.parametrize("most", [scheduler.MOST_AWAITED, 3])
async def test_names_of_a_silent_server_hold_up_nobody(
    web: Web, dns: Dns, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(scheduler, "MOST_AWAITED", most)
    monkeypatch.setattr(resolver, "TRY_S", 2 * TRY_S)  # a busy machine may take a second over the live ones
    web.on("/p", http(200, b"picture"))
    named(dns, "mute", 4, "mute")
    named(dns, "live", 12, [LOOPBACK])
    silent, alive = urls(web, "mute", 4), urls(web, "live", 12)
    results = await fetched(dns, [*silent, *alive], concurrency=2)
    assert {result.url for result in results[:12]} == set(alive)
    assert {result.url for result in results[12:]} == set(silent)
    assert {result.outcome for result in results[12:]} == {Outcome.DNS_FAILURE}


async def test_names_known_late_take_turns_as_all_do(web: Web, dns: Dns) -> None:
    """Twelve become known at once, after everybody has gone home; three at most are asked for at a time."""
    now = most = 0

    async def slowly(writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        writer.write(http(200, b"picture"))

    web.on("/p", slowly)
    named(dns, "late", 12, "mute")
    asyncio.get_running_loop().call_later(TRY_S / 2, named, dns, "late", 12, [LOOPBACK])
    results = await fetched(dns, urls(web, "late", 12), concurrency=3)
    assert sorted(result.url for result in results) == sorted(urls(web, "late", 12))
    assert {result.outcome for result in results} == {Outcome.FETCHED}
    assert most == 3


async def test_many_urls_of_one_silent_host_each_have_a_result(web: Web, dns: Dns) -> None:
    dns.zone["mute.example"] = "mute"
    wanted = [f"http://mute.example:{web.port}/{number}" for number in range(30)]
    results = await fetched(dns, wanted, concurrency=4)
    assert sorted(result.url for result in results) == sorted(wanted)
    assert dns.asked["mute.example"] == 2  # once, and once again


async def test_who_stops_does_not_ask_for_those_whose_names_were_awaited(web: Web, dns: Dns) -> None:
    web.on("/p", http(200, b"picture"))
    named(dns, "late", 5, "mute")
    named(dns, "live", 1, [LOOPBACK])
    asyncio.get_running_loop().call_later(TRY_S / 2, named, dns, "late", 5, [LOOPBACK])
    results = await fetched(dns, [*urls(web, "late", 5), *urls(web, "live", 1)], 8, bool)
    assert [result.url for result in results] == urls(web, "live", 1)


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
