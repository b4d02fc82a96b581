"""Asking DNS, registries and servers about the domains of a source, and keeping what they say.

Names that were asked about lately are not asked again; an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import glob
import itertools
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import uvloop

from poisonscan.domains.evidence import DnsFacts, DnsState, Registration, RegistryState
from poisonscan.fetch.scheduler import together
from poisonscan.fetch.url import is_sold
from poisonscan.registry.cache import Cache
from poisonscan.registry.dns import Dns
from poisonscan.registry.rdap import Registries
from poisonscan.registry.tables import parking
from poisonscan.registry.tls import Certificates
from poisonscan.stages.domains.counting import HOSTS
from poisonscan.stages.domains.streaming import streamed
from poisonscan.store.query import tables
from poisonscan.store.schema import INSTANT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    import duckdb

    from poisonscan.config import DomainSettings
    from poisonscan.stages.watch import Watch
    from poisonscan.store.rows import Row

_TEXTS = pa.list_(pa.string())
DNS_ANSWERS = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("addresses", _TEXTS),
        pa.field("nameservers", _TEXTS),
        pa.field("mx", _TEXTS),
        pa.field("soa", pa.string()),
        pa.field("parked_by", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("asked_at", INSTANT, nullable=False),
    ]
)
REGISTRY_ANSWERS = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("source", pa.string()),
        pa.field("registered_at", INSTANT),
        pa.field("expires_at", INSTANT),
        pa.field("registrar", pa.string()),
        pa.field("statuses", _TEXTS),
        pa.field("nameservers", _TEXTS),
        pa.field("reason", pa.string()),
        pa.field("asked_at", INSTANT, nullable=False),
    ]
)
TLS_ANSWERS = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("issuer", pa.string()),
        pa.field("asked_at", INSTANT, nullable=False),
    ]
)
DOMAIN_ANSWERS, HOST_ANSWERS, REGISTRATIONS, CERTIFICATES = "dns", "dns_hosts", "registry", "tls"
KEPT = {
    DOMAIN_ANSWERS: DNS_ANSWERS,
    HOST_ANSWERS: DNS_ANSWERS,
    REGISTRATIONS: REGISTRY_ANSWERS,
    CERTIFICATES: TLS_ANSWERS,
}
"""Kinds of answers that are kept, each in a folder of its own."""

_FAILURE_LIFETIME = timedelta(hours=1)
"""How long a failure is believed; an answer is believed for `cache_days`."""
_FAILURES = ("servfail", "timeout", "failed", "rate_limited", "silent")
_FLUSH_S = 0.05
_TLS_LANES = 128

_SETTLED = tuple(state.value for state in (DnsState.NXDOMAIN, DnsState.TIMEOUT, DnsState.INVALID))
"""States of a domain that hold for its hosts too (RFC 8020), or that asking for them would only repeat."""


@dataclass(frozen=True, slots=True)
class Question:
    """One kind of lookup.

    Attributes:
        kind: of the answers, a key of `KEPT`.
        names: SQL for what to ask about: columns `name`, `turn` (its place in the order of asking), and
            what else the asking needs.
        lanes: how many are asked about at a time.
    """

    kind: str
    names: str
    lanes: int


@contextmanager
def answers(work: Path, cache: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the views `hosts` and one for each kind of answer, the newest a name.

    Raises:
        StorageError: a part cannot be read or the disk is full.
    """
    with tables(work, HOSTS) as connection:
        for kind, schema in KEPT.items():
            parts = sorted((cache / kind).glob("[0-9]*.parquet"))
            if parts:
                names = [glob.escape(str(part)) for part in parts]
                connection.read_parquet(names, hive_partitioning=False).create_view(f"{kind}_all")
            else:
                connection.register(f"{kind}_all", schema.empty_table())
            connection.execute(
                f"CREATE VIEW {kind} AS SELECT * FROM {kind}_all "  # noqa: S608 - all our own names
                "QUALIFY row_number() OVER (PARTITION BY name ORDER BY asked_at DESC) = 1"
            )
        yield connection


def require_usable(settings: DomainSettings) -> None:
    """Refuse settings that no lookup could be begun with, before anything is counted.

    Raises:
        SettingsError: a server or a file that the settings name cannot be used.
    """
    if settings.offline:
        return
    if settings.dns:
        Dns(settings, parking(settings.parked))
    if settings.registration:
        Registries(settings)
    if settings.tls:
        Certificates(settings)


def look_up(work: Path, cache: Path, settings: DomainSettings, watch: Watch) -> None:
    """Ask whatever the settings allow about the domains and hosts in `work/hosts/`.

    Args:
        work: holds `hosts/`.
        cache: where answers are kept.
        settings: have passed `require_usable`.
        watch: told about progress.

    Raises:
        StorageError: the answers cannot be written.
    """
    if settings.offline:
        return
    if settings.dns:
        uvloop.run(_ask_dns(work, cache, settings, watch))
    if settings.registration:
        uvloop.run(_ask_registries(work, cache, settings, watch))
    if settings.tls:
        uvloop.run(_ask_servers(work, cache, settings, watch))


async def _ask_dns(work: Path, cache: Path, settings: DomainSettings, watch: Watch) -> None:
    domains = Question(DOMAIN_ANSWERS, _DOMAINS, settings.dns_concurrency)
    hosts = Question(HOST_ANSWERS, _OTHER_HOSTS, settings.dns_concurrency)
    async with Dns(settings, parking(settings.parked)) as dns:

        async def domain(name: str, _: Row) -> Row:
            return _plain(await dns.domain(name))

        async def host(name: str, _: Row) -> Row:
            return _plain(await dns.host(name))

        await _ask(work, cache, domains, domain, settings, watch)
        await _ask(work, cache, hosts, host, settings, watch)


async def _ask_registries(work: Path, cache: Path, settings: DomainSettings, watch: Watch) -> None:
    limit = f"LIMIT {settings.registry_lookups}" if settings.registry_lookups else ""
    question = Question(REGISTRATIONS, _SOLD.format(limit=limit), settings.registry_concurrency)
    async with Registries(settings) as registries:

        async def registration(name: str, _: Row) -> Row:
            if not is_sold(name):
                return _plain(Registration(RegistryState.NOT_SOLD)) | {"name": name}
            return _plain(await registries.registration(name)) | {"name": name}

        await _ask(work, cache, question, registration, settings, watch)


async def _ask_servers(work: Path, cache: Path, settings: DomainSettings, watch: Watch) -> None:
    certificates = Certificates(settings)

    async def issuer(name: str, line: Row) -> Row:
        found = await certificates.issuer(name, line["addresses"] or [])
        return {"name": name, "state": "answered" if found else "silent", "issuer": found}

    await _ask(work, cache, Question(CERTIFICATES, _WITH_ADDRESS, _TLS_LANES), issuer, settings, watch)


async def _ask(
    work: Path,
    cache: Path,
    question: Question,
    ask: Callable[[str, Row], Awaitable[Row]],
    settings: DomainSettings,
    watch: Watch,
) -> None:
    """Ask about every name that has no fresh answer, and keep the answers as they come."""
    now = datetime.now(UTC)
    bounds = {
        "answer": _literal(now - timedelta(days=settings.cache_days)),
        "failure": _literal(now - _FAILURE_LIFETIME),
    }
    with Cache(cache / question.kind, KEPT[question.kind]) as kept, answers(work, cache) as connection:
        missing = _MISSING.format(names=question.names, kind=question.kind, **bounds)
        connection.execute(f"CREATE TABLE missing AS {missing}")
        [(total,)] = connection.execute("SELECT count(*) FROM missing").fetchall()
        watch.start(f"domains: {question.kind}", total, {})
        try:
            lines = streamed(
                connection, "SELECT * EXCLUDE (turn) FROM missing ORDER BY turn", work / "asked.parquet"
            )
            await _drain(lines, question.lanes, ask, kept, watch)
        finally:
            watch.stop()


async def _drain(
    lines: Iterator[Row], lanes: int, ask: Callable[[str, Row], Awaitable[Row]], kept: Cache, watch: Watch
) -> None:
    """Ask in so many lanes; what is answered is written every moment, also when this is cancelled."""
    fresh: list[Row] = []
    flushed_at = time.monotonic()

    def flush() -> None:
        nonlocal fresh, flushed_at
        rows, fresh, flushed_at = fresh, [], time.monotonic()
        if rows:
            kept.add(rows)
            watch.advance(_counts(rows))

    async def lane() -> None:
        for line in lines:
            row = await ask(line["name"], line)
            fresh.append(row | {"asked_at": datetime.now(UTC)})
            if time.monotonic() - flushed_at > _FLUSH_S:
                flush()

    try:
        await together(lane() for _ in range(lanes))
    finally:
        flush()


def _literal(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.isoformat()}'"


def _counts(rows: list[Row]) -> dict[str, int]:
    states = sorted(row["state"] for row in rows)
    return {state: len(list(group)) for state, group in itertools.groupby(states)}


def _plain(facts: DnsFacts | Registration) -> Row:
    plain: dict[str, Any] = dataclasses.asdict(facts)
    return plain | {"state": facts.state.value}


_BY_ROWS = "SELECT domain AS name, sum(rows) AS n FROM hosts WHERE domain IS NOT NULL GROUP BY domain"
# An address has no name to look up: letters decide, and IPv6 is the only address that has a colon.
_NAMED = "regexp_matches({0}, '[a-z]') AND NOT contains({0}, ':')"
_LARGEST_FIRST = "row_number() OVER (ORDER BY n DESC, name) AS turn"
_DOMAINS = f"SELECT name, {_LARGEST_FIRST} FROM ({_BY_ROWS}) WHERE {_NAMED.format('name')}"  # noqa: S608 - all our own names
_OTHER_HOSTS = f"""
    SELECT host AS name, 0 AS turn FROM (SELECT DISTINCT domain, host FROM hosts WHERE host <> domain)
    LEFT JOIN dns ON dns.name = domain
    WHERE {_NAMED.format("host")} AND NOT list_contains({list(_SETTLED)}, coalesce(dns.state, ''))
"""  # noqa: S608 - all our own names
# Suffixes take turns, so that the lanes do not all wait for one registry.
_SOLD = f"""
    SELECT name, row_number() OVER (PARTITION BY suffix ORDER BY dead DESC, n DESC, name) AS turn FROM (
        SELECT b.name, n, coalesce(dns.state = 'nxdomain', false) AS dead,
            regexp_extract(b.name, '[^.]+$') AS suffix
        FROM ({_BY_ROWS}) AS b LEFT JOIN dns ON dns.name = b.name
        WHERE {_NAMED.format("b.name")} ORDER BY dead DESC, n DESC, b.name {{limit}}
    )
"""  # noqa: S608 - all our own names
_WITH_ADDRESS = f"""
    SELECT b.name, dns.addresses, row_number() OVER (ORDER BY n DESC, b.name) AS turn
    FROM ({_BY_ROWS}) AS b JOIN dns ON dns.name = b.name WHERE len(dns.addresses) > 0
"""  # noqa: S608 - all our own names
_MISSING = f"""
    SELECT * FROM ({{names}}) AS wanted WHERE NOT EXISTS (
        SELECT 1 FROM {{kind}} AS known WHERE known.name = wanted.name AND known.asked_at >= {{answer}}
        AND (known.asked_at >= {{failure}} OR NOT list_contains({list(_FAILURES)}, known.state))
    )
"""  # noqa: S608 - all our own names
