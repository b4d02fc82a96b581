"""URLs: what is asked for, which host that is, and the domain that host is counted under. Pure.

Fetching, evidence about domains and tables of rows all read URLs here, so that the host that is fetched is
the host that is counted. International names follow UTS 46, non-transitional, as browsers do: `faß.de` is
`xn--fa-hia.de`, not `fass.de`, which belongs to others.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import quote

import idna
import tldextract

from poisonscan.fetch import guard

DEFAULT_PORTS = {"http": 80, "https": 443}
"""Schemes that are fetched, with the ports they stand for."""

_PARTS = re.compile(r"([a-z][a-z0-9+.-]*):(?://([^/?#\\]*))?([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//([^/?#\\]*)", re.IGNORECASE)
_BEGINNING = re.compile(r"[^/?#]*//[^/?#]*[/?#]?")
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HIGHEST_PORT = 65_535
_LONGEST_LABEL = 63
_LONGEST_TEXT = 1_024  # of a host before it is mapped; four times what DNS could hold of it
# What a browser sends as it stands. "%" is among them: what the list's author escaped stays so, byte for
# byte, since signed URLs break when they are escaped anew.
_SAFE = "!$%&'()*+,/:;=@[]"


class SchemeError(ValueError):
    """A URL of another scheme than http and https."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that can be asked for.

    Attributes:
        origin: scheme and authority; both in lower case, the host in ASCII.
        path: path and query, quoted, without a fragment.
        host: ASCII, lower case, no trailing dot; brackets around IPv6.
        port: TCP port.
        literal: the canonical IP address when the host is one, None when it is a name.
    """

    origin: str
    path: str
    host: str
    port: int
    literal: str | None

    @property
    def url(self) -> str:
        """As it will be sent."""
        return self.origin + self.path

    @property
    def tls(self) -> bool:
        """Whether it is https."""
        return self.origin.startswith("https:")

    @property
    def authority(self) -> str:
        """The host, and the port unless it is the scheme's own: what a Host header says."""
        return self.origin.partition("://")[2]

    @property
    def server_name(self) -> str:
        """What a certificate is held against, and `host_of` gives: the host, without brackets."""
        return self.literal or self.host


def parse(text: str) -> Target:
    """Read a URL as it stands in a list or a Location header.

    Spaces and letters beyond ASCII in path and query are quoted and international host names encoded,
    as browsers do. User names and passwords are refused: they are nobody's business in a public list.

    Raises:
        SchemeError: it is neither http nor https.
        ValueError: it is malformed; the error says how.
    """
    text = text.strip()
    if _CONTROL.search(text):
        raise ValueError("a control character in it")
    parts = _PARTS.match(text)
    if parts is None:
        raise ValueError("it does not begin with http:// or https://" if text else "it is empty")
    scheme, authority, path, query = parts.groups()
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise SchemeError(f"scheme {scheme} is not http or https")
    if path.startswith("\\"):
        raise ValueError("a backslash after the host")
    host, literal, port = _authority(authority or "", DEFAULT_PORTS[scheme])
    suffix = "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    wanted = _quoted(path) or "/"
    if query is not None:
        wanted += f"?{_quoted(query, '?')}"
    return Target(f"{scheme}://{host}{suffix}", wanted, host, port, literal)


def host_of(url: str) -> str | None:
    """The host of a URL, as `Target.server_name` says it; None if it has none.

    URLs that are never fetched (another scheme, a user name, a malformed port) are counted under a host too:
    the same rule where it can be applied, else the text in lower case.
    """
    found = _AUTHORITY.match(url.strip())
    if found is None:
        return None
    text = found[1].rpartition("@")[2]
    parts = _HOST_AND_PORT.fullmatch(text)
    try:
        host, literal = _host(parts[1] if parts else text.partition(":")[0])
    except ValueError:
        return None if {"[", "]"} & set(text) else _rough(text)
    return literal or host


def authority_of(url: str) -> str:
    """The beginning of a URL that decides its host: `host_of` says the same of it as of the whole."""
    found = _BEGINNING.match(url)
    return found[0] if found else url


def domain_of(url: str) -> str | None:
    """Registrable domain of a URL, None if it has no host."""
    host = host_of(url)
    return registrable_domain(host) if host else None


@lru_cache(maxsize=100_000)
def registrable_domain(host: str) -> str:
    """The name under a public suffix that one owner registers, e.g. "example.co.uk".

    IP addresses, single labels and bare public suffixes stand for themselves. Internationalised names
    are given in their ASCII form, so that both spellings of one name fall together.
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        name = ascii_host(host)
    except ValueError:
        name = host  # it never resolves, but it still needs a name to be counted under
    parts = _extractor()(name)
    if parts.suffix or not parts.domain:
        return parts.top_domain_under_public_suffix or name
    # The list's default rule: an unknown top-level domain is a public suffix of one label.
    return ".".join(name.split(".")[-2:])


@lru_cache(maxsize=100_000)
def is_sold(domain: str) -> bool:
    """Whether a registry sells a registrable domain.

    None does for IP addresses, bare suffixes and single labels, for text that is no host name, nor for names
    below a private suffix such as someone.github.io, which the owner of the suffix gives away.
    """
    try:
        ipaddress.ip_address(domain)
    except ValueError:
        if not _NAME.fullmatch(domain):
            return False
        parts = _extractor().extract_str(domain, include_psl_private_domains=False)
        return parts.top_domain_under_public_suffix == domain if parts.suffix else "." in domain
    return False


def ascii_host(text: str) -> str:
    """A host in ASCII and lower case, by UTS 46 without transitional mappings.

    Names with symbols (`i❤.ws`), which IDNA 2008 itself excludes, are registered, and browsers reach them; so
    labels are mapped by `idna` and encoded as they then are, not held against its narrower table.

    Raises:
        ValueError: it holds a character that no host name may hold, or a label that DNS has no room for.
    """
    if text.isascii():
        return text.lower()
    if len(text) > _LONGEST_TEXT:
        raise ValueError("its host is longer than a host name")
    try:
        mapped = idna.uts46_remap(text, std3_rules=False, transitional=False)
    except idna.IDNAError as error:
        raise ValueError(f"host {text[:100]!a} is not a host name: {error}") from error
    return ".".join(_ascii_label(label) for label in mapped.split("."))


def _ascii_label(label: str) -> str:
    encoded = label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"
    if len(encoded) > _LONGEST_LABEL:
        raise ValueError(f"host label {label[:100]!a} is longer than {_LONGEST_LABEL} letters")
    return encoded


def _quoted(text: str, also_safe: str = "") -> str:
    # Bytes that were no UTF-8 come as surrogates (PEP 383) and leave as the bytes they were.
    return quote(text, safe=_SAFE + also_safe, errors="surrogateescape")


@lru_cache(maxsize=65_536)
def _authority(text: str, default_port: int) -> tuple[str, str | None, int]:
    """Host, its canonical address if it is a literal, and port."""
    if "@" in text:
        raise ValueError("a user name or password before the host, which is never sent")
    parts = _HOST_AND_PORT.fullmatch(text)
    if parts is None:
        raise ValueError(f"host {text!a} cannot be read")
    host, literal = _host(parts[1])
    port = int(parts[2][:6]) if parts[2] else default_port
    if not 0 < port <= _HIGHEST_PORT:
        raise ValueError(f"port {parts[2][:20]} is not between 1 and {_HIGHEST_PORT}")
    return (f"[{host}]" if ":" in host else host), literal, port


@lru_cache(maxsize=65_536)
def _host(text: str) -> tuple[str, str | None]:
    """A host without brackets, and once more if it is an IP address."""
    host = ascii_host(text).removesuffix(".")
    if not host:
        raise ValueError("no host")
    literal = guard.literal(host)
    if literal is not None:
        return literal, literal
    if not _NAME.fullmatch(host):
        raise ValueError(f"host {text!a} is not a host name")
    return host, None


def _rough(text: str) -> str | None:
    return text.partition(":")[0].strip().rstrip(".").lower() or None


@cache
def _extractor() -> tldextract.TLDExtract:
    # suffix_list_urls=(): only the list bundled with the library, never a download.
    # Private suffixes: whoever owns name.github.io controls that name, not GitHub.
    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)
