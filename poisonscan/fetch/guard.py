"""Which addresses a URL from a stranger's list may lead to.

A manifest, a redirect or a DNS answer may name the router, the cloud provider's metadata service or a
neighbour on the local network. Everything that is not plainly public is refused, and the refusal
says why. The table is our own, since `ipaddress.is_global` differs between Python releases.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Table = tuple[tuple[Network, str], ...]


def _table(rows: dict[str, str]) -> Table:
    return tuple((ip_network(network), words) for network, words in rows.items())


# Services that give credentials to whoever can connect to them: AWS, GCP, Azure, Oracle, OpenStack and others
# (169.254.169.254), containers' and pods' roles at AWS, Tencent, Scaleway, Alibaba, Oracle Classic, and
# Azure's WireServer, public only in form.
_METADATA_V4 = _table(
    {
        "169.254.169.254/32": "a cloud metadata address",
        "169.254.170.2/32": "a cloud metadata address",
        "169.254.170.23/32": "a cloud metadata address",
        "169.254.0.23/32": "a cloud metadata address",
        "169.254.42.42/32": "a cloud metadata address",
        "100.100.100.200/32": "a cloud metadata address",
        "192.0.0.192/32": "a cloud metadata address",
        "168.63.129.16/32": "a cloud platform address",
    }
)
_METADATA_V6 = _table(
    {
        "fd00:ec2::254/128": "a cloud metadata address",
        "fd00:ec2::23/128": "a cloud metadata address",
        "fd20:ce::254/128": "a cloud metadata address",
        "fd00:42::42/128": "a cloud metadata address",
    }
)
METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "metadata.tencentyun.com"})
"""Names of such services, which a proxy would look up for us."""
# The IANA special-purpose registries (RFC 6890 and its updates), less the few blocks in them that are
# globally reachable.
_PRIVATE_V4 = _table(
    {
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
_PRIVATE_V6 = _table(
    {
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
_EVERYTHING = IPv6Network("::/0")
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
_NAT64 = IPv6Network("64:ff9b::/96")
_NUMERIC = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


@dataclass(frozen=True, slots=True)
class Permit:
    """Which addresses may be connected to.

    Attributes:
        private: whether private, loopback and link-local addresses may; those of cloud metadata services
            never may for that alone.
        named: addresses that may whatever they are, in canonical form, and names that may be asked for.
    """

    private: bool = False
    named: frozenset[str] = frozenset()

    def why_refused(self, address: str) -> str | None:
        """Why an IP address, without brackets, is not to be connected to, in words; None when it may be."""
        words = why_metadata(address) if self.private else why_refused(address)
        return None if address in self.named else words

    def why_name_refused(self, name: str) -> str | None:
        """Why a name is not even to be asked for, in words; None for nearly every name."""
        if name not in METADATA_NAMES or name in self.named:
            return None
        return f"{name} is a cloud metadata service"


@lru_cache(maxsize=256)
def permit(private: bool, named: str) -> Permit:  # noqa: FBT001 - a setting's value
    """The permit that two settings give: `allow_private` and `allow_addresses`.

    Raises:
        ValueError: something between the commas is neither an IP address nor the name of a metadata service.
    """
    texts = [text.strip().lower() for text in named.split(",") if text.strip()]
    return Permit(private, frozenset(text if text in METADATA_NAMES else _canonical(text) for text in texts))


@lru_cache(maxsize=65_536)
def why_refused(address: str) -> str | None:
    """Why an IP address, without brackets, is not plainly public, in words; None for one that is.

    IPv6 forms that carry an IPv4 address (mapped, NAT64, 6to4, Teredo, ISATAP) are judged by what they carry.
    Text that is no address is refused as well.
    """
    return _why(address, (*_METADATA_V4, *_PRIVATE_V4), (*_METADATA_V6, *_PRIVATE_V6), _GLOBAL_UNICAST)


@lru_cache(maxsize=65_536)
def why_metadata(address: str) -> str | None:
    """Why an IP address is not to be connected to even where private ones may be; None for any other."""
    return _why(address, _METADATA_V4, _METADATA_V6, _EVERYTHING)


def _canonical(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"{text!a} is neither an IP address nor a metadata service's name") from None


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


def _why(address: str, v4: Table, v6: Table, unicast: IPv6Network) -> str | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"{address!a} is not an IP address"
    words = _found(parsed, v4) if isinstance(parsed, IPv4Address) else _why_v6(parsed, v4, v6, unicast)
    return None if words is None else f"{address} is {words}"


def _why_v6(address: IPv6Address, v4: Table, v6: Table, unicast: IPv6Network) -> str | None:
    carried = _carried(address)
    refused = ((inner, words) for inner in (*carried, *_isatap(address)) if (words := _found(inner, v4)))
    for inner, words in refused:
        return f"another form of {inner}, {words}"
    if carried:
        return None
    return _found(address, v6) or (None if address in unicast else "a reserved address")


def _found(address: Address, table: Table) -> str | None:
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


def _isatap(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """The IPv4 address in an interface identifier of RFC 5214, below any prefix: a tunnel ends there."""
    number = int(address)
    return (IPv4Address(number & 0xFFFF_FFFF),) if number >> 32 & 0xFFFF_FFFF in _ISATAP else ()
