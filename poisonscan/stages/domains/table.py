"""The table that `domains` writes: a line a domain, from counts, answers, earlier evidence and verdicts."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from poisonscan.domains.evidence import (
    DnsFacts,
    DnsState,
    Evidence,
    Registration,
    RegistryState,
    status_of,
)
from poisonscan.domains.exposure import BUYABLE
from poisonscan.domains.registration import Owner, owner_of, reregistration
from poisonscan.fetch.url import is_sold
from poisonscan.files import beside
from poisonscan.records import Verdict
from poisonscan.stages.check.owners import BY_DOMAIN, ONE_FAILURE, VERDICTS, failure_in, judged
from poisonscan.stages.domains.lookups import answers
from poisonscan.stages.domains.streaming import streamed
from poisonscan.store import schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    import duckdb

    from poisonscan.config import JudgeSettings
    from poisonscan.domains.exposure import Prices
    from poisonscan.store.rows import Row

_BATCH = 4096
_ADDRESSES = 64
"""Addresses kept of one domain; a network of thousands says no more than that it is one."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a line is judged by.

    Attributes:
        now: to tell what has expired.
        since: the moment at which the source's pictures were trusted.
        prices: of domains.
        judge: thresholds.
    """

    now: datetime
    since: datetime | None
    prices: Prices
    judge: JudgeSettings


def write_table(
    out: Path, work: Path, cache: Path, before: Path | None, run: Path | None, setting: Setting
) -> None:
    """Write the table of domains, those of most rows first.

    Args:
        out: the file.
        work: holds `hosts/`.
        cache: holds the answers.
        before: evidence of an earlier moment, as this function wrote it; None if there is none.
        run: a check whose verdicts are to be judged too.
        setting: what lines are judged by.
    """
    with answers(work, cache) as connection:
        _define(connection, "earlier", [before] if before else [])
        parts = sorted((run / VERDICTS).glob("[0-9]*.parquet")) if run else []
        if parts:
            _view(connection, VERDICTS, parts)
            connection.execute(f"CREATE VIEW tallied AS {BY_DOMAIN}")
            connection.execute(f"CREATE VIEW failing AS {ONE_FAILURE}")
            connection.execute(_JUDGED)
        else:
            connection.execute("CREATE VIEW judged AS SELECT NULL::VARCHAR AS domain WHERE false")
        [(total,)] = connection.execute("SELECT coalesce(sum(rows), 0) FROM hosts").fetchall()
        rows = streamed(connection, _JOINED, work / "joined.parquet")
        _write(out, (_line(row, int(total), setting, run is not None) for row in rows))


def _write(out: Path, lines: Iterator[Row]) -> None:
    with beside(out) as temporary, pq.ParquetWriter(temporary, schema.DOMAINS, compression="zstd") as writer:
        pending: list[Row] = []
        for line in lines:
            pending.append(line)
            if len(pending) == _BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(pending, schema=schema.DOMAINS))
                pending = []
        writer.write_batch(pa.RecordBatch.from_pylist(pending, schema=schema.DOMAINS))


def _line(row: Row, total: int, setting: Setting, has_verdicts: bool) -> Row:  # noqa: FBT001 - of one caller
    line: Row = {"domain": row["domain"], "rows": row["rows"], "share": row["rows"] / total}
    line |= {"reasons": [], "warnings": [], "hosts": row["hosts"], "unresolved": row["unresolved"]}
    if row["domain"] is None:
        owner = Owner()
    else:
        now, then = _evidence(row, ""), _evidence(row, "old_") if row["has_old"] else None
        owner = owner_of(now, then, setting.since)
        line |= _known(row, now, then, owner, setting)
    if has_verdicts:
        counts = {verdict: int(row[verdict.value] or 0) for verdict in Verdict}
        since = setting.since.date().isoformat() if setting.since else "then"
        line |= judged(counts, since, setting.judge, owner, failure_in(row))
        return line | {"swap_suspected": line["swap_suspected"] and row["domain"] is not None}
    return line | {"reasons": [change.words for change in owner.changes]}


def _known(row: Row, now: Evidence, then: Evidence | None, owner: Owner, setting: Setting) -> Row:
    """The columns of evidence."""
    registration = now.registration
    status = status_of(_with_hosts(now.dns, row), registration, setting.now)
    cents = setting.prices.of(now.domain, registration)
    return {
        "status": status.value,
        "dns": now.dns.state.value,
        "registration": registration.state.value,
        "registered_at": registration.registered_at,
        "expires_at": registration.expires_at,
        "formerly_registered_at": then.registration.registered_at if then else None,
        "reregistered": reregistration(registration.registered_at, setting.since),
        "hands": owner.hands.value,
        "changes": [change.words for change in owner.changes],
        "registrar": registration.registrar,
        "registry_status": list(registration.statuses),
        "nameservers": list(now.nameservers),
        "mx": list(now.dns.mx),
        "soa": now.dns.soa,
        "addresses": list(now.dns.addresses),
        "parked_by": now.dns.parked_by,
        "tls_issuer": now.tls_issuer,
        "price_usd": cents / 100 if cents is not None else None,
        "buyable": status in BUYABLE and cents is not None,
        "failure": "; ".join(filter(None, (now.dns.reason, registration.reason))) or None,
        "dns_asked_at": row["dns_asked_at"],
        "registry_asked_at": row["registry_asked_at"],
    }


def _with_hosts(dns: DnsFacts, row: Row) -> DnsFacts:
    """A domain without an address of its own is alive if any of its hosts has one."""
    if dns.state is DnsState.NO_ADDRESS and row["unresolved"] is not None and row["unresolved"] < row["rows"]:
        return DnsFacts(dns.name, DnsState.RESOLVES)
    return dns


def _evidence(row: Row, prefix: str) -> Evidence:
    domain = row["domain"]
    dns = DnsFacts(
        domain,
        DnsState(row[f"{prefix}dns"] or DnsState.NOT_ASKED),
        tuple(row[f"{prefix}addresses"] or ()),
        tuple(row[f"{prefix}nameservers"] or ()),
        tuple(row[f"{prefix}mx"] or ()),
        row[f"{prefix}soa"],
        row[f"{prefix}parked_by"],
        row.get(f"{prefix}dns_reason"),
    )
    unasked = RegistryState.NOT_ASKED if is_sold(domain) else RegistryState.NOT_SOLD
    registration = Registration(
        RegistryState(row[f"{prefix}registration"] or unasked),
        row.get(f"{prefix}source"),
        row[f"{prefix}registered_at"],
        row[f"{prefix}expires_at"],
        row[f"{prefix}registrar"],
        tuple(row[f"{prefix}registry_status"] or ()),
        tuple(row.get(f"{prefix}registry_nameservers") or ()),
        row.get(f"{prefix}registry_reason"),
    )
    return Evidence(domain, dns, registration, row[f"{prefix}tls_issuer"])


def _define(connection: duckdb.DuckDBPyConnection, name: str, parts: list[Path]) -> None:
    if parts:
        _view(connection, name, parts)
    else:
        connection.register(name, schema.DOMAINS.empty_table())


def _view(connection: duckdb.DuckDBPyConnection, name: str, parts: list[Path]) -> None:
    paths = [glob.escape(str(part)) for part in parts]
    connection.read_parquet(paths, hive_partitioning=False).create_view(name)


_DEAD = ", ".join(
    f"'{state.value}'"
    for state in (
        DnsState.NXDOMAIN,
        DnsState.SERVFAIL,
        DnsState.LAME,
        DnsState.TIMEOUT,
        DnsState.NO_ADDRESS,
        DnsState.INVALID,
    )
)
_OLD = ("dns", "addresses", "nameservers", "mx", "soa", "parked_by", "registration", "registrar",
        "registry_status", "tls_issuer")  # fmt: skip
_JUDGED = """
    CREATE VIEW judged AS SELECT t.*, f.failure, f.failed FROM tallied AS t
    LEFT JOIN failing AS f ON f.domain IS NOT DISTINCT FROM t.domain
"""
_JOINED = f"""
WITH seen AS (
    SELECT h.domain, h.host, h.rows, coalesce(a.state, d.state) AS state, a.addresses
    FROM (SELECT domain, host, sum(rows) AS rows FROM hosts GROUP BY domain, host) AS h
    LEFT JOIN dns AS d ON d.name = h.domain
    LEFT JOIN dns_hosts AS a ON a.name = h.host AND h.host <> h.domain
),
counted AS (
    SELECT domain, sum(rows)::BIGINT AS rows, count(host) AS hosts,
        CASE WHEN count(state) > 0 THEN coalesce(sum(rows) FILTER (state IN ({_DEAD})), 0)::BIGINT END
            AS unresolved,
        list_distinct(flatten(list(addresses) FILTER (addresses IS NOT NULL))) AS addresses
    FROM seen GROUP BY domain
)
SELECT c.domain, c.rows, c.hosts, c.unresolved,
    d.state AS dns, d.soa, d.mx, d.nameservers, d.parked_by, d.reason AS dns_reason,
    list_sort(list_distinct(list_concat(d.addresses, c.addresses)))[:{_ADDRESSES}] AS addresses,
    d.asked_at AS dns_asked_at,
    r.state AS registration, r.source, r.registered_at AS registered_at,
    r.expires_at AS expires_at, r.registrar,
    r.statuses AS registry_status, r.nameservers AS registry_nameservers, r.reason AS registry_reason,
    r.asked_at AS registry_asked_at,
    t.issuer AS tls_issuer,
    e.domain IS NOT NULL AS has_old,
    e.registered_at AS old_registered_at, e.expires_at AS old_expires_at,
    {", ".join(f"e.{name} AS old_{name}" for name in _OLD)},
    j.* EXCLUDE (domain)
FROM counted AS c
LEFT JOIN dns AS d ON d.name = c.domain
LEFT JOIN registry AS r ON r.name = c.domain
LEFT JOIN tls AS t ON t.name = c.domain
LEFT JOIN earlier AS e ON e.domain = c.domain
LEFT JOIN judged AS j ON j.domain IS NOT DISTINCT FROM c.domain
ORDER BY c.rows DESC, c.domain NULLS LAST
"""  # noqa: S608 - all our own names
