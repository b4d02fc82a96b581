from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.fetch.guard import Permit, literal, permit, why_metadata, why_refused

REFUSED = {
    "0.0.0.0": "unspecified",  # noqa: S104 - an address to refuse, not one to bind
    "10.1.2.3": "private",
    "100.64.0.1": "carrier-grade NAT",
    "100.100.100.200": "metadata",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "cloud platform",
    "169.254.1.1": "link-local",
    "169.254.169.254": "metadata",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.2.1": "documentation",
    "192.168.1.1": "private",
    "198.19.255.255": "benchmarking",
    "224.0.0.1": "multicast",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::127.0.0.1": "reserved",
    "64:ff9b::10.0.0.1": "private",
    "64:ff9b:1::8.8.8.8": "NAT64",
    "100::1": "reserved",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "loopback",
    "2001:0:a00:1::": "private",  # Teredo, the server's address
    "2001:0:808:808:0:0:80ff:fffe": "loopback",  # Teredo, the client's address, inverted
    "fc00::1": "private",
    "fd00:ec2::254": "metadata",
    "fd20:ce::254": "metadata",
    "169.254.170.2": "metadata",
    "2001:4860::5efe:7f00:1": "loopback",  # ISATAP below a public prefix
    "2001:4860::200:5efe:10.0.0.1": "private",
    "fe80::5efe:8.8.8.8": "link-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "ff02::1": "multicast",
    "example.com": "not an IP address",
    "": "not an IP address",
}
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.32.0.1",
    "192.0.1.1",
    "93.184.216.34",
    "2606:4700::1111",
    "2a00:1450:4001:80e::200e",
    "64:ff9b::8.8.8.8",  # how an IPv6-only machine sees every IPv4 host
    "::ffff:8.8.8.8",
    "2001:4860::5efe:8.8.8.8",
]
METADATA = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"]


@pytest.mark.parametrize("address", REFUSED)
def test_refused_with_the_reason(address: str) -> None:
    assert REFUSED[address] in (why_refused(address) or "")


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert why_refused(address) is None


@given(st.ip_addresses(v=4))
def test_ipv6_forms_are_as_public_as_what_they_carry(address: IPv4Address) -> None:
    number = int(address)
    public = why_refused(str(address)) is None
    for carrier in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert (why_refused(str(IPv6Address(carrier))) is None) == public


@given(st.ip_addresses(v=6))
def test_public_ipv6_is_global_unicast_or_carries_ipv4(address: IPv6Address) -> None:
    if why_refused(str(address)) is None and address.ipv4_mapped is None:
        assert int(address) >> 125 == 1 or int(address) >> 32 == 0x64FF9B << 64


def forms(address: str) -> list[str]:
    """IPv6 addresses that lead to an IPv4 one."""
    if ":" in address:
        return []
    number = int(IPv4Address(address))
    carriers = [0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80]
    carriers += [0x20014860 << 96 | 0x5EFE << 32 | number, 0xFE80 << 112 | 0x02005EFE << 32 | number]
    carriers += [0x20010000 << 96 | 0x08080808 << 64 | number ^ 0xFFFFFFFF]
    return [str(IPv6Address(carrier)) for carrier in carriers]


@pytest.mark.parametrize("address", [form for address in METADATA for form in [address, *forms(address)]])
def test_metadata_services_stay_closed_unless_each_is_named(address: str) -> None:
    everything_private = permit(True, "")  # noqa: FBT003 - as settings are given
    assert everything_private.why_refused(address)
    assert permit(True, "8.8.8.8, ::1").why_refused(address)  # noqa: FBT003 - likewise
    assert permit(False, f" 8.8.8.8 ,{address.upper()}").why_refused(address) is None  # noqa: FBT003 - likewise


@given(st.ip_addresses())
def test_private_addresses_may_be_opened(address: IPv4Address | IPv6Address) -> None:
    text = str(address)
    assert Permit(private=True).why_refused(text) == why_metadata(text)
    assert Permit().why_refused(text) == why_refused(text)
    assert why_refused(text) or not why_metadata(text)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fe80::1", "169.254.1.1", "192.168.1.1"])
def test_private_addresses_are_no_metadata_services(address: str) -> None:
    assert Permit(private=True).why_refused(address) is None


@pytest.mark.parametrize("named", ["example.com", "1.2.3", "10.0.0.0/8", "127.0.0.1;10.0.0.1"])
def test_only_addresses_can_be_named(named: str) -> None:
    with pytest.raises(ValueError, match="neither an IP address"):
        permit(False, named)  # noqa: FBT003 - as settings are given


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0", "0.0.0.0"),  # noqa: S104 - an address to refuse, not one to bind
        ("[::1]", "::1"),
        ("[0:0:0:0:0:ffff:a00:1]", "::ffff:10.0.0.1"),
        ("example.com", None),
        ("1.2.3.4.example.com", None),
        ("0x7f.example", None),
    ],
)
def test_literal(host: str, address: str | None) -> None:
    found = literal(host)
    assert (found and IPv6Address(found) if ":" in host else found) == (
        address and IPv6Address(address) if ":" in host else address
    )


@pytest.mark.parametrize(
    "host", ["1.2.3.4.5", "256.256.256.256", "0x", "08.1", "[::1", "[::1%25lo]", "[]", "[1.2.3.4]"]
)
def test_what_only_looks_like_an_address(host: str) -> None:
    with pytest.raises(ValueError, match="address"):
        literal(host)
