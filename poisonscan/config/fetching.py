"""How pictures are asked for and decoded, from here and from elsewhere."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from poisonscan.config.model import MEBIBYTE, USER_AGENT, Settings, setting
from poisonscan.errors import SettingsError


@dataclass(frozen=True)
class FetchSettings(Settings):
    """How one process asks the web for pictures."""

    timeout_s: float = setting(20.0, "strict deadline per URL in seconds, all retries included", least=0.1)
    connect_timeout_s: float = setting(8.0, "deadline for one connection, TLS included, seconds", least=0.1)
    max_bytes: int = setting(32 * MEBIBYTE, "largest body accepted, bytes, counted while streaming", least=1)
    body_memory_mib: int = setting(
        256,
        "memory per process for bodies received and not yet dealt with, MiB; others wait",
        least=1,
    )
    max_redirects: int = setting(5, "redirects followed, each checked again", least=0)
    retries: int = setting(2, "further attempts after connection errors, 429 and 5xx (never 404)", least=0)
    backoff_s: float = setting(0.5, "first pause before a retry; doubles, with jitter", least=0.0)
    concurrency: int = setting(128, "URLs in flight per process", least=1)
    per_host: int = setting(8, "URLs in flight per host and process", least=1)
    per_host_rate: float = setting(0.0, "requests begun per second, host and process; 0: no limit", least=0.0)
    keep_alive: bool = setting(True, "reuse connections")
    user_agent: str = setting(USER_AGENT, "User-Agent header; say who you are and where to reach you")
    ignore_robots_tag: bool = setting(False, "fetch also where X-Robots-Tag forbids AI or image use")
    connect_to: str | None = setting(
        None, "HOST:PORT to send every connection to (tests, proxies); that one address is then allowed"
    )
    nameserver: str | None = setting(None, "HOST:PORT of the DNS server to ask instead of the system's")
    proxy: str | None = setting(
        None, "http://HOST:PORT of a proxy to ask through; it, not we, decides where names lead"
    )
    allow_private: bool = setting(
        False, "allow private, loopback and link-local addresses, but not those of cloud metadata services"
    )
    allow_addresses: str = setting(
        "", "IP addresses with commas between them that are allowed whatever they are, metadata services too"
    )
    insecure: bool = setting(False, "accept invalid TLS certificates (recorded in the run)")


@dataclass(frozen=True)
class DecodeSettings(Settings):
    """How bytes become fingerprints, in worker processes of their own."""

    max_pixels: int = setting(178_956_970, "largest picture decoded, pixels (Pillow's bomb limit)", least=1)
    decode_timeout_s: float = setting(20.0, "longest time one picture may take to decode, seconds", least=0.1)
    memory_mib: int = setting(
        2048, "memory that one picture may take on top of what a decode worker starts with, MiB", least=256
    )


@dataclass(frozen=True)
class VantageSettings(Settings):
    """Another way to ask for pictures: [vantage.NAME] in the TOML file. What is not set is as in [fetch]."""

    name: str = setting("", "what it is called")
    user_agent: str | None = setting(None, "User-Agent header to send from there")
    proxy: str | None = setting(None, "http://HOST:PORT of a proxy to ask through")
    nameserver: str | None = setting(None, "HOST:PORT of the DNS server to ask")
    connect_to: str | None = setting(None, "HOST:PORT to send every connection to")

    def __post_init__(self) -> None:
        """Refuse a vantage without a name, or one that differs in nothing."""
        super().__post_init__()
        if not self.name:
            raise SettingsError("a vantage must have a name")
        if not self.changes():
            raise SettingsError(
                f"vantage {self.name} differs in nothing; give it one of {', '.join(self.choices())}"
            )

    @classmethod
    def choices(cls) -> tuple[str, ...]:
        """The names of the settings that a vantage may change."""
        return tuple(item.name for item in dataclasses.fields(cls) if item.name != "name")

    def changes(self) -> dict[str, str]:
        """What it changes in the settings of `fetch`."""
        return {name: value for name in self.choices() if (value := getattr(self, name)) is not None}

    def applied(self, fetch: FetchSettings) -> FetchSettings:
        """The settings with which it asks; its own way out takes the place of another one."""
        ways: dict[str, Any] = {"proxy": None, "connect_to": None}
        others = ways if self.proxy or self.connect_to else {}
        return dataclasses.replace(fetch, **others | self.changes())
