"""Who is asked about domains."""

from __future__ import annotations

from dataclasses import dataclass

from poisonscan.config.model import USER_AGENT, Settings, setting


@dataclass(frozen=True)
class DomainSettings(Settings):
    """Who is asked about domains, how fast, and how long answers are kept."""

    dns: bool = setting(True, "ask DNS about domains and hosts")
    registration: bool = setting(True, "ask registries, by RDAP and where there is none by WHOIS")
    tls: bool = setting(False, "also connect to port 443 of each domain and note who issued its certificate")
    offline: bool = setting(False, "ask nobody; use what earlier lookups left beside the output")
    nameserver: str | None = setting(None, "HOST:PORT of the DNS server to ask instead of the system's")
    dns_concurrency: int = setting(256, "names asked about at a time", least=1)
    dns_timeout_s: float = setting(2.0, "time a name server has for one try, seconds", least=0.05)
    dns_tries: int = setting(2, "times a silent name server is asked", least=1)
    rdap: str | None = setting(None, "base URL of the one RDAP server to ask instead of each registry's own")
    rdap_bootstrap: str | None = setting(
        None, "file in the format of https://data.iana.org/rdap/dns.json to use instead of the packaged table"
    )
    whois: str | None = setting(
        None, "HOST:PORT of the one WHOIS server to ask instead of each registry's own"
    )
    registry_rate: float = setting(1.0, "questions per second to one registry; 0: no limit", least=0.0)
    registry_concurrency: int = setting(64, "registries' answers waited for at a time", least=1)
    registry_timeout_s: float = setting(15.0, "deadline for one answer of a registry, seconds", least=0.1)
    registry_retries: int = setting(2, "further questions after a failure or Too Many Requests", least=0)
    registry_backoff_s: float = setting(1.0, "first pause after a failure; doubles", least=0.0)
    registry_wait_s: float = setting(
        60.0,
        "longest pause that a registry may ask for; beyond it the rest of its domains stay unknown",
        least=0.0,
    )
    registry_lookups: int = setting(
        0,
        "domains that registries are asked about, first those DNS does not know, then the largest; 0: all",
        least=0,
    )
    tls_timeout_s: float = setting(8.0, "deadline for one TLS connection, seconds", least=0.1)
    tls_connect_to: str | None = setting(None, "HOST:PORT to send every TLS connection to (tests, proxies)")
    tls_authorities: str | None = setting(
        None, "PEM file of certificate authorities to trust besides the system's"
    )
    allow_private: bool = setting(
        False, "allow private, loopback and link-local addresses, but not those of cloud metadata services"
    )
    allow_addresses: str = setting(
        "", "IP addresses with commas between them that are allowed whatever they are, metadata services too"
    )
    cache_days: float = setting(7.0, "age up to which an earlier answer is used again, days", least=0.0)
    prices: str | None = setting(
        None, "CSV file with suffix,usd: prices that overrule the packaged table (see docs/domains.md)"
    )
    other_price: float = setting(
        20.0, "price of a domain whose top-level domain is in no table, USD a year", least=0.01
    )
    parked: str | None = setting(
        None, "CSV file with kind,value,service: parking services besides those of the packaged table"
    )
    user_agent: str = setting(USER_AGENT, "User-Agent header; say who you are and where to reach you")
