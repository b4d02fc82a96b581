from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.domains.evidence import RegistryState
from poisonscan.registry.answers import read_date, read_rdap, read_whois

from .servers import rdap_domain

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("ldhName", "status", "events", "entities", "nameservers")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), JSON)
def test_any_json_is_read_without_an_error(fields: dict[str, Any], other: object) -> None:
    assert read_rdap({"objectClassName": "domain", **fields}, "x.test").state in RegistryState
    assert read_rdap(other, "x.test").state in {RegistryState.FAILED, RegistryState.FOUND}


def test_a_reregistration_counts_when_it_is_later() -> None:
    """RFC 9083 section 10.2.3."""
    document = rdap_domain("x.test", "2001-01-01T00:00:00Z")
    document["events"].append({"eventAction": "reregistration", "eventDate": "2025-06-07T08:09:10Z"})
    assert read_rdap(document, "x.test").registered_at == datetime(2025, 6, 7, 8, 9, 10, tzinfo=UTC)


def test_a_registrar_without_a_card_has_its_handle() -> None:
    document = rdap_domain("x.test")
    document["entities"] = [{"entities": [{"roles": ["registrar"], "handle": "292"}]}]
    assert read_rdap(document, "x.test").registrar == "292"


@pytest.mark.parametrize(
    "text",
    [
        "2020-01-02T00:00:00Z",
        "2020-01-02T00:00:00.0Z",
        "2020-01-02",
        "2020-01-02 00:00:00",
        "2020-01-02T01:00:00+01:00",
        "02-Jan-2020",
        "02.01.2020",
        "2020.01.02",
        "2020/01/02",
        "2020-01-02 00:00:00 UTC",
    ],
)
def test_dates(text: str) -> None:
    assert read_date(text) == datetime(2020, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, 7, "", "yesterday", "99.99.2020", "0000-00-00"])
def test_no_dates(value: object) -> None:
    assert read_date(value) is None


@pytest.mark.parametrize(
    "text",
    [
        'No match for "FREE.TEST".\r\n',
        "NOT FOUND\n",
        "%% No entries found for the selected source(s).\n",
        "Domain: free.test\nStatus: free\n",
        "Domain:   free.test\nStatus:   AVAILABLE\n",
        "% nothing found\n",
        "The queried object does not exist: DOMAIN NOT FOUND\n",
        "free.test is free\n",
    ],
)
def test_whois_denials(text: str) -> None:
    assert read_whois(text).state is RegistryState.NOT_FOUND


@pytest.mark.parametrize(
    "text",
    [
        "Status: reserved\n",
        "This name is reserved by the Registry in accordance with ICANN policy\n",
        "The domain name x.test is reserved.\n",
        "No match for x.test.\nReserved name\n",
        "x.test cannot be registered\n",
    ],
)
def test_what_the_registry_keeps_is_not_free(text: str) -> None:
    found = read_whois(text)
    assert found.state is RegistryState.NOT_SOLD
    assert "reserved by the registry" in (found.reason or "")


@pytest.mark.parametrize("terms", ["All rights reserved.\n", "Data may not be available for some.\n"])
def test_terms_of_use_reserve_nothing(terms: str) -> None:
    assert read_whois(f"No match for FREE.TEST\n{terms}").state is RegistryState.NOT_FOUND


def test_a_whois_answer_with_dots_and_brackets() -> None:
    found = read_whois(
        "[Registered Date]   x\n[Created on]      2011/05/30\n[Name Server]     ns1.host.test\n"
    )
    assert found.registered_at == datetime(2011, 5, 30, tzinfo=UTC)
    assert found.nameservers == ("ns1.host.test",)
    dotted = read_whois(
        "domain.............: x.fi\ncreated............: 1.1.1991 00:00:00\nstatus: Registered\n"
    )
    assert dotted.registered_at == datetime(1991, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["Query limit exceeded.", "You have exceeded your quota", "Too many requests, try again later"]
)
def test_a_limit_is_no_denial(text: str) -> None:
    assert read_whois(text).state is RegistryState.RATE_LIMITED


@given(st.text(max_size=400))
def test_any_text_is_read_without_an_error(text: str) -> None:
    found = read_whois(text)
    assert found.source == "whois"
    assert found.state in RegistryState


@pytest.mark.parametrize("text", ["", "Hello", "Status: active", "Domain Name: x.test\n"])
def test_what_tells_nothing_is_a_failure(text: str) -> None:
    assert read_whois(text).state is RegistryState.FAILED


@pytest.mark.parametrize(
    "terms",
    [
        "% whois.nic.test is available around the clock\n",
        "Not found what you look for? Ask us.\n",
        "Whoever has exceeded the limit may try again later.\n",
    ],
)
def test_terms_of_use_deny_nothing(terms: str) -> None:
    answer = f"{terms}Domain: x.test\nRegistrar: Good Names\nCreation Date: 2001-02-03\n{terms}"
    assert read_whois(answer).state is RegistryState.FOUND
