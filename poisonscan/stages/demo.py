"""demo: the whole loop on sample pictures, against a loopback web that changes behind our back."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from poisonscan.config import Config
from poisonscan.errors import StorageError
from poisonscan.fetch.url import host_of, registrable_domain
from poisonscan.records import Verdict
from poisonscan.redteam.sites import EXPECTED, Behaviour, Site, demo_sites
from poisonscan.redteam.web import LyingWeb
from poisonscan.stages.check.judging import VERDICTS
from poisonscan.stages.check.run import check
from poisonscan.stages.snapshot.take import snapshot
from poisonscan.stages.watch import Silent, Watch
from poisonscan.store.query import rows_of, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poisonscan.stages.common import Summary

NO_HOST = "malformed URL"

_PACKAGE = Path(__file__).resolve().parent.parent
_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one kind of host did and what the check said of it.

    Attributes:
        behaviour: what the hosts did after the snapshot; NO_HOST for rows whose URL names none of them.
        verdicts: rows by verdict.
        right: rows whose verdict is one of those that the ground truth allows.
    """

    behaviour: str
    verdicts: Mapping[str, int]
    right: int

    @property
    def rows(self) -> int:
        """Rows on hosts of this kind."""
        return sum(self.verdicts.values())


@dataclass(frozen=True, slots=True)
class Demonstration:
    """How the demo ended.

    Attributes:
        summary: of the check.
        outcomes: by behaviour.
        swapped: domains that were swapped, in truth.
        snapshot, run: the folders.
    """

    summary: Summary
    outcomes: Sequence[Outcome]
    swapped: frozenset[str]
    snapshot: Path
    run: Path

    @property
    def correct(self) -> bool:
        """Whether every row and every swapped domain was reported as what it is."""
        rows = all(outcome.right == outcome.rows for outcome in self.outcomes)
        return rows and set(self.summary.details["suspected_domains"]) == self.swapped


def demo(out: Path, *, config: Config = Config(), watch: Watch = Silent()) -> Demonstration:
    """Snapshot the samples, let the web change, check, and compare with what really happened.

    Args:
        out: folder for the snapshot and the run.
        config: settings; the network goes to the embedded web alone.
        watch: told about progress.
    """
    samples = sample_folder()
    sites = demo_sites(samples)
    with LyingWeb(sites) as web:
        # The web draws its lies while it is asked, on the cores that also decode: that takes what it takes.
        patient = replace(
            config.fetch, connect_to=web.address, timeout_s=max(_TIMEOUT_S, config.fetch.timeout_s)
        )
        config = replace(config, fetch=patient)
        taken, run = out / "snapshot", out / "check"
        snapshot(str(samples / "manifest.csv"), taken, keep_bytes=True, config=config, watch=watch)
        web.change()
        summary = check(taken, run, config=config, watch=watch)
    return Demonstration(summary, _outcomes(run, sites), _swapped(sites), taken, run)


def sample_folder() -> Path:
    """Where the sample pictures are: inside an installed package, or in the source tree."""
    for folder in (_PACKAGE / "_data_samples", _PACKAGE.parent / "data_samples"):
        if (folder / "manifest.csv").exists():
            return folder
    raise StorageError("the sample pictures are missing from this installation; install poisonscan again")


def _outcomes(run: Path, sites: Sequence[Site]) -> list[Outcome]:
    behaviour_of = {site.host: site.behaviour for site in sites}
    expected = {str(kind): verdicts for kind, verdicts in EXPECTED.items()}
    expected[NO_HOST] = frozenset({Verdict.REFUSED})
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with tables(run, VERDICTS) as connection:
        for row in rows_of(connection, "SELECT url, verdict FROM verdicts"):
            kind = behaviour_of.get(host_of(row["url"]) or "", NO_HOST)
            counts[kind][row["verdict"]] += 1
    return [
        Outcome(kind, verdicts, sum(n for name, n in verdicts.items() if name in expected[kind]))
        for kind, verdicts in sorted(counts.items())
    ]


def _swapped(sites: Sequence[Site]) -> frozenset[str]:
    return frozenset(registrable_domain(site.host) for site in sites if site.behaviour is Behaviour.SWAP)
