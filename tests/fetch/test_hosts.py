"""Turns at hosts, also at those that a redirect leads to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from poisonscan.fetch.client import Fetcher
from poisonscan.fetch.hosts import HostTurns
from poisonscan.records import Outcome

from .conftest import Web, http, settings_for

if TYPE_CHECKING:
    from poisonscan.records import FetchResult


SLACK_S = 0.005
"""A loop's clock stands still while it runs what is due."""


class Victim:
    """Counts how many ask, and how many at once; each stays for a few turns of the loop."""

    def __init__(self, answer: bytes) -> None:
        self.now = self.most = self.total = 0
        self.began: list[float] = []
        self._answer = answer

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        self.now += 1
        self.total += 1
        self.most = max(self.most, self.now)
        self.began.append(asyncio.get_running_loop().time())
        for _ in range(20):
            await asyncio.sleep(0)
        self.now -= 1
        writer.write(self._answer)
        await writer.drain()


async def fetched(web: Web, urls: list[str], **changes: object) -> list[FetchResult]:
    results: list[FetchResult] = []

    async def keep(result: FetchResult) -> None:
        results.append(result)

    async with Fetcher(settings_for(web, **changes)) as fetcher:
        await fetcher.fetch_all(urls, keep)
    return results


@pytest.mark.parametrize("status", [200, 500])
async def test_many_hosts_that_redirect_to_one_give_it_no_more_than_its_share(web: Web, status: int) -> None:
    victim = Victim(http(status, b"picture"))
    web.on("/r", http(302, Location="http://victim.example/v"))
    web.on("/v", victim)
    urls = [f"http://h{number}.example/r" for number in range(40)]
    results = await fetched(web, urls, per_host=2, retries=1)
    assert sorted(result.url for result in results) == sorted(urls)
    assert victim.most == 2
    assert victim.total == (40 if status == 200 else 80)
    assert {result.redirects for result in results} == {(result.url,) for result in results}


async def test_a_redirect_waits_for_its_hosts_pace_and_others_do_not(web: Web) -> None:
    """None begins before its turn; how much later it begins is the machine's business."""
    start = asyncio.get_running_loop().time()
    victim = Victim(http(200, b"picture"))
    web.on("/r", http(302, Location="http://victim.example/v"))
    web.on("/v", victim)
    web.on("/p", http(200, b"picture"))
    urls = [f"http://h{number}.example/r" for number in range(10)]
    results = await fetched(web, [*urls, "http://other.example/p"], per_host_rate=50.0, concurrency=12)
    assert {result.outcome for result in results} == {Outcome.FETCHED}
    assert len(results) == 11
    assert all(moment - start > number * 0.02 - SLACK_S for number, moment in enumerate(victim.began))


async def test_waiting_for_a_turn_is_no_timeout(web: Web) -> None:
    victim = Victim(http(200, b"picture"))
    web.on("/r", http(302, Location="http://victim.example/v"))
    web.on("/v", victim)
    urls = [f"http://h{number}.example/r" for number in range(6)]
    results = await fetched(web, urls, per_host_rate=4.0, timeout_s=0.9, concurrency=6)
    assert {result.outcome for result in results} == {Outcome.FETCHED}
    assert max(result.total_s for result in results) < 0.9


async def test_hosts_that_redirect_to_each_other_do_not_wait_for_ever(web: Web) -> None:
    web.on("/ab", http(302, Location="http://b.example/p"))
    web.on("/ba", http(302, Location="http://a.example/p"))
    web.on("/p", http(200, b"picture"))
    urls = ["http://a.example/ab", "http://b.example/ba"] * 10
    for concurrency in (1, 2, 20):
        results = await fetched(web, urls, per_host=1, concurrency=concurrency)
        assert [result.outcome for result in results] == [Outcome.FETCHED] * 20


async def test_single_requests_take_turns_too(web: Web) -> None:
    victim = Victim(http(200, b"picture"))
    web.on("/r", http(302, Location="http://victim.example/v"))
    web.on("/v", victim)
    async with (
        Fetcher(settings_for(web, per_host=2)) as fetcher,
        Fetcher(settings_for(web, per_host=2), fetcher.shared) as other,
    ):
        both = [
            each.fetch(f"http://h{number}.example/r") for number in range(10) for each in (fetcher, other)
        ]
        results = await asyncio.gather(*both)
    assert {result.outcome for result in results} == {Outcome.FETCHED}
    assert victim.most == 2


async def test_a_paced_host_is_paced_over_all_its_turns() -> None:
    turns = HostTurns(per_host=3, rate=100.0)
    start = asyncio.get_running_loop().time()
    began: list[float] = []

    async def one() -> None:
        async with turns.turn("a.example"):
            began.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(one() for _ in range(5)))
    assert all(moment - start > number * 0.01 - SLACK_S for number, moment in enumerate(began))
