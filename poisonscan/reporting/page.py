"""What a page is made of: a check, a hunt, a table of domains, a history, or several of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poisonscan.reporting import words
from poisonscan.reporting.audited import Audited, read_audited
from poisonscan.reporting.changes import Changes, read_changes
from poisonscan.reporting.checked import Beside, Checked, read_checked
from poisonscan.reporting.drawing import drawing
from poisonscan.reporting.exposed import Exposed, read_exposed
from poisonscan.reporting.findings import FindingCard, read_findings
from poisonscan.reporting.flapped import Flapped, looks_of, read_flapped
from poisonscan.reporting.hunted import Hunted, read_hunted
from poisonscan.reporting.parquet import Top
from poisonscan.reporting.probed import Probed, read_probed
from poisonscan.reporting.vantaged import Vantaged, read_vantaged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poisonscan.config import DecodeSettings

NO_FINDINGS: Top[FindingCard] = Top((), 0)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the parts of a page lie; one of the first five at least.

    Attributes:
        check, hunt: folders of finished runs.
        domains: FILE.parquet that `domains` wrote.
        history: folder that `history` wrote.
        probe: folder that `model probe` wrote.
        snapshot: of the check, for the pictures from before; None to do without.
        since: an earlier check of the same list.
    """

    check: Path | None = None
    hunt: Path | None = None
    domains: Path | None = None
    history: Path | None = None
    probe: Path | None = None
    snapshot: Path | None = None
    since: Path | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Everything a page shows, read and counted; texts are raw."""

    checked: Checked | None = None
    audited: Audited | None = None
    vantaged: Vantaged | None = None
    found: Top[FindingCard] = NO_FINDINGS
    hunted: Hunted | None = None
    hunt_found: Top[FindingCard] = NO_FINDINGS
    exposed: Exposed | None = None
    flapped: Flapped | None = None
    probed: Probed | None = None
    changes: Changes | None = None

    @property
    def headline(self) -> str:
        """The answer in one sentence: of the check, or of all there is where there is no check."""
        if self.checked is None:
            return words.sentence(list(self._clauses()))
        summary = self.checked.summary
        return words.headline(self.checked.counts, summary.suspected_domains, summary.cloaked)

    @property
    def further(self) -> str:
        """What the others add to a check; empty where there are none."""
        clauses = list(self._clauses()) if self.checked is not None else []
        return words.sentence(clauses) if clauses else ""

    @property
    def tone(self) -> str:
        """How to take it: `alarm`, `doubt` or `calm`."""
        alarms = (
            self.checked and self.checked.alarming,
            self.hunted and self.hunted.n_alarms,
            self.exposed and self.exposed.moved.total,
            self.flapped and self.flapped.alarming,
            self.probed and self.probed.controls,
        )
        doubts = (
            self.checked and (self.checked.unanswered or self.checked.doubts or not self.checked.rows),
            self.audited and not self.audited.complete,
            self.vantaged and self.vantaged.says_nothing,
            self.hunted
            and (self.hunted.rows > self.hunted.seen or self.hunted.skipped or not self.hunted.seen),
            self.probed and self.probed.untested,
            self.exposed and (self.exposed.buyable_domains or self.exposed.failed or not self.exposed.asked),
        )
        return "alarm" if any(alarms) else "doubt" if any(doubts) else "calm"

    def _clauses(self) -> Iterator[str]:
        if self.audited is not None:
            sample = self.audited
            yield words.audit_clause(sample.drawn, sample.rows, sample.guaranteed_domains, sample.domains)
        if self.hunted is not None:
            yield words.hunt_clause(self.hunted.n_alarms, self.hunted.alarming_rows, self.hunted.seen)
        if self.probed is not None:
            best = self.probed.links[0] if self.probed.links else None
            stamp = (best.finding_id, best.share) if best else None
            yield words.probe_clause(self.probed.controls, self.probed.tried, stamp, bare=self.probed.bare)
        if self.flapped is not None:
            yield words.history_clause(self.flapped.alarming)
        if self.exposed is not None:
            share = self.exposed.buyable_rows / max(self.exposed.rows, 1)
            bought = self.exposed.buyable_domains, share, self.exposed.buyable_usd
            yield words.exposure_clause(*bought, self.exposed.moved.total, self.exposed.asked)


async def read_page(sources: Sources, settings: DecodeSettings) -> Page:
    """Read the parts of a page.

    Args:
        sources: where they lie.
        settings: limits of decoding.

    Raises:
        UsageError: `since` is a run of another list.
        SnapshotInvalidError: a document is damaged, or the snapshot another one.
        StorageError: a file is missing or damaged.
    """
    async with drawing(settings) as pen:
        checked = found = vantaged = hunt_found = None
        if sources.check:
            checked = await read_checked(sources.check, sources.snapshot, pen, _beside(sources))
            found = await read_findings(sources.check, sources.snapshot, pen)
            vantaged = await read_vantaged(sources.check, pen)
        if sources.hunt:
            hunt_found = await read_findings(sources.hunt, None, pen)
    return Page(
        checked=checked,
        audited=read_audited(sources.check) if sources.check else None,
        vantaged=vantaged,
        found=found or NO_FINDINGS,
        hunted=read_hunted(sources.hunt) if sources.hunt else None,
        hunt_found=hunt_found or NO_FINDINGS,
        exposed=read_exposed(sources.domains) if sources.domains else None,
        flapped=read_flapped(sources.history) if sources.history else None,
        probed=read_probed(sources.probe, sources.hunt) if sources.probe else None,
        changes=read_changes(sources.check, sources.since) if sources.check and sources.since else None,
    )


def _beside(sources: Sources) -> Beside:
    """What else is known of the check's domains: further evidence, and earlier looks at the same list."""
    looks = [Path(path) for path, _ in looks_of(sources.history)] if sources.history else []
    here = sources.check.resolve() if sources.check else None
    earlier = [*looks, *([sources.since] if sources.since else [])]
    others = dict.fromkeys(look.resolve() for look in earlier if (look / "run.json").is_file())
    return Beside(
        evidence=[sources.domains] if sources.domains else [],
        looks=[look for look in others if look != here],
    )
