from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from poisonscan.config import FetchSettings
from poisonscan.errors import SettingsError
from poisonscan.fetch import resolver as module
from poisonscan.fetch.client import Fetcher
from poisonscan.fetch.guard import Permit
from poisonscan.fetch.resolver import (
    Egress,
    Endpoint,
    NameNotFoundError,
    NameServerError,
    NameServerTimeoutError,
    PrivateAddressError,
    Resolver,
    endpoint,
)
from poisonscan.records import Outcome

from .conftest import LOOPBACK, Dns, Web, http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PUBLIC = "93.184.216.34"

# In two of some ten runs of all tests, and never in thousands of runs of this file alone under the same load,
# c-ares could not reach the name server of one test, for over a second; the next test passed at once. The
# cause is not known. Only one test of tests/stages/test_kills.py is run again as well.
pytestmark = pytest.mark.flaky(reruns=2, reruns_delay=1, only_rerun="Could not contact DNS servers")


@pytest.fixture
async def resolver(dns: Dns) -> AsyncIterator[Resolver]:
    made = Resolver(Egress(), Endpoint(LOOPBACK, dns.port))
    yield made
    await made.close()


async def addresses(resolver: Resolver, host: str) -> list[str]:
    return [way.address for way in await resolver.endpoints(host, 80)]


async def test_a_name_is_asked_once(dns: Dns, resolver: Resolver) -> None:
    dns.zone["a.example"] = [PUBLIC, "8.8.8.8"]
    together = await asyncio.gather(*[addresses(resolver, "a.example") for _ in range(20)])
    later = await addresses(resolver, "a.example")
    assert [set(found) for found in (*together, later)] == [{PUBLIC, "8.8.8.8"}] * 21
    assert dns.asked == {"a.example": 1}


@pytest.mark.parametrize(
    ("known", "error"),
    [
        ("nxdomain", NameNotFoundError),
        ([], NameNotFoundError),
        ("servfail", NameServerError),
        ("mute", NameServerTimeoutError),
        (["10.0.0.1", "127.0.0.1"], PrivateAddressError),
    ],
)
async def test_failures_are_told_apart_and_remembered(
    dns: Dns, monkeypatch: pytest.MonkeyPatch, known: list[str] | str, error: type[OSError]
) -> None:
    monkeypatch.setattr(module, "TRY_S", 0.05)
    resolver = Resolver(Egress(), Endpoint(LOOPBACK, dns.port))
    dns.zone["a.example"] = known
    for _ in range(2):
        with pytest.raises(error, match=r"a\.example"):
            await resolver.endpoints("a.example", 80)
        asked = dns.asked["a.example"]
        dns.zone["a.example"] = [PUBLIC]  # too late for the second time
    assert dns.asked["a.example"] == asked
    await resolver.close()


async def test_private_addresses_among_public_ones_are_dropped(dns: Dns, resolver: Resolver) -> None:
    dns.zone["a.example"] = ["10.0.0.1", PUBLIC, "169.254.169.254"]
    assert await addresses(resolver, "a.example") == [PUBLIC]


async def test_a_name_that_is_rebound(dns: Dns, resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the first answer is believed nothing changes; the next one meets the guard again."""
    dns.zone["a.example"] = [PUBLIC]
    monkeypatch.setattr(module, "LIFETIME_S", 3600.0)
    assert await addresses(resolver, "a.example") == [PUBLIC]
    dns.zone["a.example"] = [LOOPBACK]
    assert await addresses(resolver, "a.example") == [PUBLIC]

    monkeypatch.setattr(module, "LIFETIME_S", -1.0)
    dns.zone["b.example"] = [PUBLIC]
    assert await addresses(resolver, "b.example") == [PUBLIC]
    dns.zone["b.example"] = [LOOPBACK]
    with pytest.raises(PrivateAddressError, match="loopback"):
        await resolver.endpoints("b.example", 80)


async def test_the_memory_is_bounded(dns: Dns, resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE_NAMES", 2)
    for name in ("a.example", "b.example", "c.example", "a.example", "c.example"):
        dns.zone[name] = [PUBLIC]
        await resolver.endpoints(name, 80)
    assert len(resolver._answers) == 2


async def test_no_search_list(dns: Dns, resolver: Resolver) -> None:
    with pytest.raises(NameNotFoundError):
        await resolver.endpoints("single", 80)
    assert dns.asked == {"single": 1}


async def test_the_systems_hosts_file_is_read() -> None:
    resolver = Resolver(Egress(Permit(private=True)))
    assert LOOPBACK in await addresses(resolver, "localhost")
    guarded = Resolver(Egress())
    with pytest.raises(PrivateAddressError):
        await guarded.endpoints("localhost", 80)
    await resolver.close()
    await guarded.close()


async def test_a_name_server_that_restarts(dns: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused at first, answered once the server is there; refused for good where none comes."""
    monkeypatch.setattr(module, "RECONTACT_S", (0.05,) * 40)
    port = dns.port
    dns.close()
    resolver = Resolver(Egress(), Endpoint(LOOPBACK, port))
    asked = asyncio.create_task(addresses(resolver, "a.example"))
    await asyncio.sleep(0.1)
    assert not asked.done()
    again = Dns({"a.example": [PUBLIC]})
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: again, local_addr=(LOOPBACK, port))
    assert await asked == [PUBLIC]

    again.close()
    monkeypatch.setattr(module, "RECONTACT_S", (0.001,))
    with pytest.raises(NameServerError, match=r"b\.example.*contact"):
        await resolver.endpoints("b.example", 80)
    await resolver.close()


@pytest.mark.parametrize(
    ("known", "outcome"),
    [
        ("nxdomain", Outcome.DNS_NOT_FOUND),
        ("servfail", Outcome.DNS_FAILURE),
        ("mute", Outcome.DNS_FAILURE),
        ([LOOPBACK], Outcome.PRIVATE_ADDRESS),
    ],
)
async def test_dns_through_the_fetcher(
    dns: Dns, monkeypatch: pytest.MonkeyPatch, known: list[str] | str, outcome: Outcome
) -> None:
    monkeypatch.setattr(module, "TRY_S", 0.05)
    dns.zone["a.example"] = known
    async with Fetcher(FetchSettings(nameserver=f"{LOOPBACK}:{dns.port}")) as fetcher:
        result = await fetcher.fetch("http://a.example/")
    assert (result.outcome, result.attempts, result.status) == (outcome, 1, None)
    assert "a.example" in result.reason


async def test_a_name_on_loopback_with_permission(dns: Dns, web: Web) -> None:
    web.on("/p", http(200, b"picture"))
    dns.zone["a.example"] = [LOOPBACK]
    settings = FetchSettings(nameserver=f"{LOOPBACK}:{dns.port}", allow_private=True)
    async with Fetcher(settings) as fetcher:
        result = await fetcher.fetch(f"http://a.example:{web.port}/p")
    assert (result.body, result.address) == (b"picture", LOOPBACK)


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1", ":80", "127.0.0.1:", "127.0.0.1:0", "h:99999", "a:b", "\ud800:1"]
)
@pytest.mark.parametrize("setting", ["connect_to", "nameserver"])
def test_a_bad_endpoint_is_a_settings_error(setting: str, text: str) -> None:
    with pytest.raises(SettingsError, match=setting):
        endpoint(setting, text)


def test_endpoints() -> None:
    assert endpoint("connect_to", "127.0.0.1:80") == Endpoint("127.0.0.1", 80)
    assert endpoint("connect_to", "[0:0::1]:80") == Endpoint("::1", 80)
    assert endpoint("connect_to", "localhost:80").address in {"127.0.0.1", "::1"}
