"""domains: count a source's rows by domain, ask who holds each, and say what buying in would cost."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from poisonscan.config import Config
from poisonscan.domains.evidence import DnsState, RegistryState, Status
from poisonscan.domains.exposure import points
from poisonscan.errors import UsageError
from poisonscan.files import storage, write_text
from poisonscan.registry.tables import prices
from poisonscan.stages.check.owners import require_evidence
from poisonscan.stages.common import Summary, pace
from poisonscan.stages.domains.counting import count_hosts
from poisonscan.stages.domains.lookups import look_up, require_usable
from poisonscan.stages.domains.measure import Measures, measure
from poisonscan.stages.domains.plot import draw_cost
from poisonscan.stages.domains.source import Origin, open_source
from poisonscan.stages.domains.table import Setting, write_table
from poisonscan.stages.watch import Silent, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WORK = ".work"
_DNS_FAILURES = (DnsState.SERVFAIL, DnsState.TIMEOUT)
_REGISTRY_FAILURES = (RegistryState.FAILED, RegistryState.RATE_LIMITED)


@dataclass(frozen=True, slots=True)
class DomainReport:
    """What `domains` found.

    Attributes:
        summary: how it ended; its counts are rows by status.
        measures: of the whole list.
        files: what was written, by name: table, curve, plot, lookups.
    """

    summary: Summary
    measures: Measures
    files: Mapping[str, Path]


def survey_domains(
    source: str,
    out: Path,
    *,
    before: Path | None = None,
    list_date: datetime | None = None,
    columns: Mapping[str, str] | None = None,
    config: Config = Config(),
    watch: Watch = Silent(),
) -> DomainReport:
    """Write a line a domain: rows, who holds it, since when, and what it would cost.

    Beside FILE.parquet come FILE.curve.parquet, FILE.curve.svg and FILE.lookups/, the answers that were
    had, which a later call uses again while they are fresh; an interrupted call goes on from them.

    Args:
        source: a list, a finished snapshot, or a finished check, whose verdicts are then judged anew.
        out: the Parquet file to write.
        before: what this function wrote at an earlier moment, to compare with.
        list_date: when a list was made; of snapshots and checks the date is known.
        columns: of a list, where its dialect is not recognised.
        config: settings; sections `domains` and `judge`.
        watch: told about progress.

    Raises:
        UsageError: the source, `before` or a setting cannot be used, or another process works at `out`.
        SnapshotInvalidError: the snapshot is unfinished or damaged.
        StorageError: something cannot be written.
    """
    started = time.monotonic()
    if out.suffix != ".parquet":
        raise UsageError(f"--out {out}: name a file that ends in .parquet")
    if before is not None:
        require_evidence("--before", before)
    opened = open_source(source, columns, list_date)
    tags = prices(config.domains.prices, config.domains.other_price)
    require_usable(config.domains)
    files = {
        "table": out,
        "curve": out.with_suffix(".curve.parquet"),
        "plot": out.with_suffix(".curve.svg"),
        "lookups": out.with_suffix(".lookups"),
    }
    cache = files["lookups"]
    with _working(cache) as work:
        count_hosts(opened.urls(), work)
        look_up(work, cache, config.domains, watch)
        run = Path(source) if opened.origin is Origin.RUN else None
        setting = Setting(datetime.now(UTC), opened.since, tags, config.judge)
        write_table(out, work, cache, before, run, setting)
        found = measure(out, files["curve"], work)
    write_text(draw_cost(found.curve, "Share of the rows that money buys"), files["plot"])
    summary = _summary(out, found, time.monotonic() - started, config)
    return DomainReport(summary, found, files)


@contextmanager
def _working(cache: Path) -> Iterator[Path]:
    """The folder of lookups, held by this process alone; yields a folder for what is thrown away."""
    work = cache / _WORK
    with storage(cache):
        cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(cache / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise UsageError(
                f"another process is working in {cache}; wait for it or choose another --out"
            ) from error
    try:
        shutil.rmtree(work, ignore_errors=True)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        lock.release()


def _summary(out: Path, found: Measures, seconds: float, config: Config) -> Summary:
    return Summary(
        verb="domains",
        out=str(out),
        rows=found.rows,
        counts={name: n for name, n in found.rows_by_status.items() if n},
        seconds=round(seconds, 2),
        rows_per_s=pace(found.rows, seconds),
        exit_code=_exit_code(found, config),
        details={
            "domains": found.domains,
            "hosts": found.hosts,
            "domains_by_status": {name: n for name, n in found.domains_by_status.items() if n},
            "unresolved_rows": found.unresolved,
            "biggest_domains_share": {str(n): share for n, share in found.biggest.items()},
            "domains_with_half_of_the_rows": found.half,
            "exposure": exposure(found),
            **points(found.curve),
            "suspected_domains": list(found.suspected),
            "new_hands": list(found.reregistered),
        },
    )


def exposure(found: Measures) -> dict[str, float]:
    """Share of the rows, 0..1, on domains of each kind that somebody else may come to hold."""
    kinds = (Status.UNREGISTERED, Status.NXDOMAIN, Status.EXPIRED, Status.PARKED, Status.UNRESOLVABLE)
    total = max(found.rows, 1)
    bought = float(found.curve.rows[-1]) / total if len(found.curve.rows) else 0.0
    return {kind.value: found.rows_by_status[kind.value] / total for kind in kinds} | {"buyable": bought}


def _exit_code(found: Measures, config: Config) -> int:
    """1 for domains in new hands or suspected, else 3 if too many questions got no answer, else 0."""
    if found.suspected or found.reregistered:
        return 1
    lost = (
        _lost(found.asked["dns"], _DNS_FAILURES),
        _lost(found.asked["registration"], _REGISTRY_FAILURES),
    )
    return 3 if max(lost) > config.judge.max_lost else 0


def _lost(asked: Mapping[str, int], failures: tuple[Any, ...]) -> float:
    """Share of the domains asked about that gave no answer."""
    silent = {"not_asked", "not_sold", "unsupported"}
    total = sum(n for state, n in asked.items() if state not in silent)
    return sum(asked.get(state.value, 0) for state in failures) / total if total else 0.0
