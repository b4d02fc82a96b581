from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from poisonscan.config import DomainSettings
from poisonscan.domains.evidence import Registration, RegistryState
from poisonscan.errors import SettingsError
from poisonscan.registry.rdap import Registries

from .servers import rdap_domain, rdap_server, whois_server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .servers import RdapServer

OK: tuple[int, dict[str, str]] = (200, {})
WHOIS_TEXT = """\
% terms of use
Domain: old.test
Registrar: Good Names, Inc.
Creation Date: 2001-02-03T04:05:06Z
Registry Expiry Date: 2099-01-01T00:00:00Z
Name Server: NS1.HOST.TEST
Name Server: ns2.host.test
Domain Status: clientHold https://icann.org/epp#clientHold
"""


def settings_for(**changes: Any) -> DomainSettings:  # noqa: ANN401 - settings by name
    return DomainSettings(
        **{"registry_rate": 0.0, "registry_backoff_s": 0.0, "registry_timeout_s": 2.0, **changes}
    )


async def ask(settings: DomainSettings, *names: str) -> list[Registration]:
    async with Registries(settings) as registries:
        return list(await asyncio.gather(*[registries.registration(name) for name in names]))


async def ask_script(
    script: Mapping[str, list[tuple[int, dict[str, str], Any]]],
    *names: str,
    **changes: Any,  # noqa: ANN401 - as above
) -> tuple[list[Registration], RdapServer]:
    with rdap_server(script) as server:
        return await ask(settings_for(rdap=server.url, **changes), *names), server


async def test_a_domain_object() -> None:
    body = rdap_domain("good.test", statuses=("client transfer prohibited", "Active"))
    [found], server = await ask_script({"good.test": [(*OK, body)]}, "good.test")
    assert found == Registration(
        RegistryState.FOUND,
        "rdap",
        datetime(2003, 4, 5, 6, 7, 8, tzinfo=UTC),
        datetime(2099, 4, 5, 6, 7, 8, tzinfo=UTC),
        "Good Names, Inc.",
        ("active", "client transfer prohibited"),
        ("ns1.host.test", "ns2.host.test"),
    )
    assert "application/rdap+json" in server.headers[0]["Accept"]
    assert server.headers[0]["User-Agent"].startswith("poisonscan/")


@pytest.mark.parametrize(
    ("reply", "state", "times"),
    [
        ((404, {}, {"errorCode": 404}), RegistryState.NOT_FOUND, 1),
        ((404, {}, {"title": "Not Found", "description": ["Registry Reserved"]}), RegistryState.NOT_SOLD, 1),
        ((404, {}, {"title": "This name is not available for registration"}), RegistryState.NOT_SOLD, 1),
        (
            (404, {}, {"title": "None", "description": ["All rights reserved."]}),
            RegistryState.NOT_FOUND,
            1,
        ),
        ((404, {}, {"title": 4, "description": {"x": None}}), RegistryState.NOT_FOUND, 1),
        ((404, {}, b""), RegistryState.NOT_FOUND, 1),
        ((404, {}, b"[" * 100_000), RegistryState.NOT_FOUND, 1),
        ((404, {"Content-Type": "text/html"}, b"<html>"), RegistryState.FAILED, 1),
        ((400, {}, b""), RegistryState.FAILED, 1),
        ((403, {}, b""), RegistryState.FAILED, 1),
        ((500, {}, b""), RegistryState.FAILED, 3),
        ((429, {}, b""), RegistryState.RATE_LIMITED, 3),
        ((200, {}, b"<html>hello</html>"), RegistryState.FAILED, 1),
        ((200, {}, b"[1, 2]"), RegistryState.FAILED, 1),
        ((200, {}, {"objectClassName": "entity"}), RegistryState.FAILED, 1),
        ((200, {}, rdap_domain("another.test")), RegistryState.FAILED, 1),
        ((200, {}, b" " * (2 << 20)), RegistryState.FAILED, 1),
        ((200, {}, {"objectClassName": "domain"}), RegistryState.FOUND, 1),
        ((302, {"Location": "/rdap/domain/elsewhere.test"}, b""), RegistryState.NOT_FOUND, 2),
        ((302, {"Location": "/rdap/domain/x.test"}, b""), RegistryState.FAILED, 15),
    ],
)
async def test_replies(reply: tuple[int, dict[str, str], Any], state: RegistryState, times: int) -> None:
    [found], server = await ask_script({"x.test": [reply]}, "x.test")
    assert found.state is state
    assert found.reason or state in {RegistryState.FOUND, RegistryState.NOT_FOUND}
    assert len(server.asked) == times


async def test_a_failure_is_asked_about_again() -> None:
    replies: list[tuple[int, dict[str, str], Any]] = [
        (503, {}, b""),
        (500, {}, b""),
        (*OK, rdap_domain("x.test")),
    ]
    [found], server = await ask_script({"x.test": replies}, "x.test")
    assert found.state is RegistryState.FOUND
    assert len(server.asked) == 3


async def test_retry_after_is_kept_and_beyond_patience_nobody_is_asked_again() -> None:
    replies: list[tuple[int, dict[str, str], Any]] = [(429, {"Retry-After": "3600"}, b"")]
    script = {"x.test": replies, "y.test": replies}
    with rdap_server(script) as server:
        async with Registries(settings_for(rdap=server.url, registry_wait_s=5.0)) as registries:
            first = await registries.registration("x.test")
            second = await registries.registration("y.test")
    assert [first.state, second.state] == [RegistryState.RATE_LIMITED] * 2
    assert "3600" in (first.reason or "")
    assert server.asked == ["x.test"]


async def test_every_registry_has_a_pace() -> None:
    names = [f"{n}.test" for n in range(4)]
    loop = asyncio.get_running_loop()
    started = loop.time()
    await ask_script({name: [(*OK, rdap_domain(name))] for name in names}, *names, registry_rate=20.0)
    assert loop.time() - started >= 3 / 20


async def test_no_connection_is_a_failure_and_not_an_absence() -> None:
    with rdap_server({}) as server:
        url = server.url
    [found] = await ask(settings_for(rdap=url), "x.test")
    assert found.state is RegistryState.FAILED


async def test_a_redirect_to_a_private_address_is_not_followed(tmp_path: Path) -> None:
    bootstrap = tmp_path / "dns.json"
    bootstrap.write_text(
        '{"publication": "2026-01-01", "services": [[["test"], ["http://127.0.0.1:9/"]]]}', encoding="utf-8"
    )
    settings = settings_for(rdap_bootstrap=str(bootstrap), registry_retries=0)
    [found] = await ask(settings, "x.test")
    assert found.state is RegistryState.FAILED
    assert "loopback" in (found.reason or "")


async def test_without_any_server_a_domain_is_unsupported() -> None:
    [found] = await ask(settings_for(), "x.test")
    assert found.state is RegistryState.UNSUPPORTED


async def test_whois_where_there_is_no_rdap() -> None:
    with whois_server({"old.test": WHOIS_TEXT, "odd.test": "hello"}) as address:
        old, odd, free = await ask(settings_for(whois=address), "old.test", "odd.test", "free.test")
    assert old.state is RegistryState.FOUND
    assert old.source == "whois"
    assert old.registered_at == datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert old.registrar == "Good Names, Inc."
    assert old.statuses == ("client hold",)
    assert old.nameservers == ("ns1.host.test", "ns2.host.test")
    assert odd.state is RegistryState.FAILED
    assert free.state is RegistryState.NOT_FOUND


async def test_a_name_too_long_for_any_registry_is_not_asked_about() -> None:
    with whois_server({}) as address:
        [found] = await ask(settings_for(whois=address), f"{'ü' * 70}.test")
    assert found.state is RegistryState.FAILED
    assert "no name" in (found.reason or "")


async def test_a_whois_server_that_is_not_there() -> None:
    with whois_server({}) as address:
        pass
    [found] = await ask(settings_for(whois=address, registry_retries=0), "x.test")
    assert found.state is RegistryState.FAILED


@pytest.mark.parametrize("url", ["rdap.test", "ftp://rdap.test/", "http://", "http://rdap.test/?q"])
def test_a_bad_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="setting rdap is"):
        Registries(DomainSettings(rdap=url))
