"""One rule for the host that is asked and the host that is counted."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from poisonscan.fetch.url import (
    ascii_host,
    authority_of,
    domain_of,
    host_of,
    is_sold,
    parse,
    registrable_domain,
)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Example.COM/a.jpg", "example.com"),
        ("https://user:secret@a.example.com:8443/x", "a.example.com"),
        ("http://example.com./x", "example.com"),
        ("  http://example.com/x \n", "example.com"),
        ("http://[2001:DB8::1]:80/x", "2001:db8::1"),
        ("//example.com/x", "example.com"),
        ("example.com/x", None),
        ("", None),
        ("http://fa\u00df.de/x", "xn--fa-hia.de"),
        ("http://FASS.de/x", "fass.de"),
        ("http://i\u2764.ws/x", "xn--i-7iq.ws"),
        ("http://ex\u200bample\u3002com/x", "example.com"),
        ("http://\uff11\uff12\uff17.1/x", "127.0.0.1"),
        ("http://2130706433/x", "127.0.0.1"),
        ("http://example.com:8a/x", "example.com"),
        ("http://a..b/x", "a..b"),
        ("http:///x", None),
        ("http://[broken/x", None),
        ("http://./x", None),
    ],
)
def test_hosts(url: str, host: str | None) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("someone.github.io", "someone.github.io"),
        ("a.someone.github.io", "someone.github.io"),
        ("upload.wikimedia.org", "wikimedia.org"),
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("localhost", "localhost"),
        ("images.printer.internal-lan", "printer.internal-lan"),
        ("bücher.example.de", "example.de"),
        ("www.bücher.de", "xn--bcher-kva.de"),
        ("www.xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("www.fa\u00df.de", "xn--fa-hia.de"),
        ("\u00fc" * 70 + ".de", "\u00fc" * 70 + ".de"),
    ],
)
def test_registrable_domains(host: str, domain: str) -> None:
    assert registrable_domain(host) == domain


@given(st.text(max_size=80))
def test_any_text_has_a_host_or_none(text: str) -> None:
    for url in (text, f"http://{text}/a.jpg"):
        host = host_of(url)
        assert host is None or host
        domain = domain_of(url)
        assert (domain is None) == (host is None)


@given(st.lists(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), min_size=2, max_size=4))
def test_a_registrable_domain_is_an_end_of_the_host_and_its_own(labels: list[str]) -> None:
    host = ".".join(labels)
    domain = registrable_domain(host)
    assert host == domain or host.endswith(f".{domain}")
    assert registrable_domain(domain) == domain


@pytest.mark.parametrize(
    ("domain", "sold"),
    [
        ("example.com", True),
        ("example.co.uk", True),
        ("github.io", True),
        ("printer.internal-lan", True),
        ("someone.github.io", False),
        ("a.blogspot.com", False),
        ("co.uk", False),
        ("localhost", False),
        ("127.0.0.1", False),
        ("2001:db8::1", False),
        ("\u00fc" * 70 + ".de", False),
        ("xn--fa-hia.de", True),
    ],
)
def test_what_a_registry_sells(domain: str, sold: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert is_sold(domain) is sold


@given(st.text(max_size=60), st.sampled_from(["", "http://", "//", "http:", "HTTPS://u:p@", " http://["]))
def test_the_beginning_of_a_url_decides_its_host(text: str, scheme: str) -> None:
    url = scheme + text
    assert host_of(authority_of(url)) == host_of(url)


_LETTERS = st.sampled_from(
    "abAB19-_.:@[]%\\/ \u00df\u00fc\u00c4\u3002\uff0e\u200b\u200d\u00ad\u2764\u0661\u0130\ud800"
)
hosts = st.text(_LETTERS, min_size=1, max_size=12) | st.text(max_size=8)
urls = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["http://", "https://", "HTTP://", " http://", "http:", "//", "ftp://"]),
    hosts
    | hosts.map("www.{}.de".format)
    | st.ip_addresses().map(str)
    | st.ip_addresses(v=6).map("[{}]".format),
    st.sampled_from(["", ":80", ":", ":443", ":x", ".", "/", "?q", "#f"]),
    st.sampled_from(["", "/a.jpg", "/@b", "/\u00df", " "]),
)


@given(urls)
@example("http://fa\u00df.de/a.jpg")
@example("http://[::ffff:127.0.0.1]/")
@example("http://0x7f.1./a")
def test_the_host_that_is_fetched_is_the_host_that_is_counted(url: str) -> None:
    counted = host_of(url), domain_of(url)
    try:
        target = parse(url)
    except ValueError:
        return
    assert counted == (target.server_name, registrable_domain(target.server_name))
    assert host_of(target.url) == host_of(authority_of(url)) == target.server_name
    assert target.host.isascii()


@given(st.text(min_size=1, max_size=200))
def test_any_host_in_ascii_stays_as_it_is(text: str) -> None:
    try:
        host = ascii_host(text)
    except ValueError:
        return
    assert host.isascii()
    assert ascii_host(host) == host


def test_a_host_of_a_megabyte_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="longer"):
        ascii_host("\u00fc" * 1_000_000)
