"""Which addresses a URL from a stranger's list may lead to.

A manifest, a redirect or a DNS answer may name the router, the cloud provider's metadata service or a
neighbour on the local network. Everything that is not plainly public is refused, and the refusal
says why. The table is our own, since `ipaddress.is_global` differs between Python releases.
"""

from __future__ import annotations

import re
import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _table(rows: dict[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ip_network(network), words) for network, words in rows.items())


# The IANA special-purpose registries (RFC 6890 and its updates), less the few blocks in them that are
# globally reachable; the metadata addresses come first, so that the reason names them.
_REFUSED_V4 = _table(
    {
        "169.254.169.254/32": "a cloud metadata address",
        "100.100.100.200/32": "a cloud metadata address",
        "168.63.129.16/32": "a cloud platform address",  # Azure's WireServer, public only in form
        "0.0.0.0/8": "an unspecified address",
        "10.0.0.0/8": "a private address",
        "100.64.0.0/10": "an address behind carrier-grade NAT",
        "127.0.0.0/8": "a loopback address",
        "169.254.0.0/16": "a link-local address",
        "172.16.0.0/12": "a private address",
        "192.0.0.0/24": "a reserved address",
        "192.0.2.0/24": "a documentation address",
        "192.88.99.0/24": "a reserved address",
        "192.168.0.0/16": "a private address",
        "198.18.0.0/15": "a benchmarking address",
        "198.51.100.0/24": "a documentation address",
        "203.0.113.0/24": "a documentation address",
        "224.0.0.0/4": "a multicast address",
        "240.0.0.0/4": "a reserved address",
    }
)
_REFUSED_V6 = _table(
    {
        "fd00:ec2::254/128": "a cloud metadata address",
        "::/128": "an unspecified address",
        "::1/128": "a loopback address",
        "64:ff9b:1::/48": "an address of a local NAT64",
        "2001:2::/48": "a benchmarking address",
        "2001::/23": "a reserved address",
        "2001:db8::/32": "a documentation address",
        "3fff::/20": "a documentation address",
        "fc00::/7": "a private address",
        "fe80::/10": "a link-local address",
        "ff00::/8": "a multicast address",
    }
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_NUMERIC = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


@lru_cache(maxsize=65_536)
def why_refused(address: str) -> str | None:
    """Why an IP address, without brackets, is not to be connected to, in words; None for a public one.

    IPv6 forms that carry an IPv4 address (mapped, NAT64, 6to4, Teredo) are judged by what they carry.
    Text that is no address is refused as well.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"{address!a} is not an IP address"
    words = _words(parsed)
    return None if words is None else f"{address} is {words}"


def literal(host: str) -> str | None:
    """The address a host stands for when it is an IP literal, in canonical form; None when it is a name.

    Reads the short, octal and hexadecimal forms that C libraries accept ("2130706433", "0x7f.1",
    "0177.0.0.1"), by asking the C library itself, so that nothing it would connect to passes as a name.

    Args:
        host: ASCII, lower case, brackets around IPv6, no trailing dot.

    Raises:
        ValueError: the host has the form of an address but is none, such as "[::1", "1.2.3.4.5" or "0x".
    """
    if host.startswith("["):
        return _literal_v6(host)
    if not _NUMERIC.fullmatch(host.rpartition(".")[2]):
        return None
    try:
        return str(IPv4Address(socket.inet_aton(host)))
    except OSError:
        raise ValueError(f"host {host!a} looks like an IPv4 address but is none") from None


def _literal_v6(host: str) -> str:
    if "%" in host or not host.endswith("]"):
        raise ValueError(f"host {host!a} is not an IPv6 address")
    try:
        return str(IPv6Address(host[1:-1]))
    except ValueError:
        raise ValueError(f"host {host!a} is not an IPv6 address") from None


def _words(address: Address) -> str | None:
    if isinstance(address, IPv4Address):
        return _found(address, _REFUSED_V4)
    carried = _carried(address)
    if carried:
        refused = [(inner, words) for inner in carried if (words := _found(inner, _REFUSED_V4))]
        return f"another form of {refused[0][0]}, {refused[0][1]}" if refused else None
    words = _found(address, _REFUSED_V6)
    return words or (None if address in _GLOBAL_UNICAST else "a reserved address")


def _found(address: Address, table: tuple[tuple[Network, str], ...]) -> str | None:
    return next((words for network, words in table if address in network), None)


def _carried(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """IPv4 addresses inside an IPv6 address: RFC 4291, 6052, 3056 and 4380 (server and client)."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    return address.teredo or ()
