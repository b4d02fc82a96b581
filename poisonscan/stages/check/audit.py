"""An audit by sample: what is asked for, and what each line of its table says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from poisonscan.domains.sampling import Aim, confidence_reached, least_share_noticed, notices
from poisonscan.errors import UsageError
from poisonscan.files import file_digest

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.config import Config
    from poisonscan.store.rows import Row

AUDIT = "audit.parquet"
_MOST_NAMED = 50


class Risk(IntEnum):
    """What is known of a domain beforehand; the higher, the sooner it is looked at."""

    NOTHING_KNOWN = 0
    UNANSWERED = 1
    CHANGED = 2
    FOR_SALE = 3
    IN_NEW_HANDS = 4
    SUSPECTED = 5

    @property
    def words(self) -> str | None:
        """For a person; None where nothing is known."""
        return _WORDS.get(self)


_WORDS = {
    Risk.UNANSWERED: "rows without an answer, or parked",
    Risk.CHANGED: "changed pictures before",
    Risk.FOR_SALE: "unregistered or expired: anybody may buy it",
    Risk.IN_NEW_HANDS: "registered anew since the list was made",
    Risk.SUSPECTED: "a swap was suspected before",
}


@dataclass(frozen=True, slots=True)
class Audit:
    """A check of as many rows of each domain as its aim takes.

    Attributes:
        aim: what is to be noticed, and how surely.
        budget: rows to look at, at the most; None for all that are needed.
        evidence: run folders of earlier checks and Parquet files of `domains`: what makes domains risky.

    Raises:
        UsageError: the budget is less than a row.
    """

    aim: Aim
    budget: int | None = None
    evidence: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be spent."""
        if self.budget is not None and self.budget < 1:
            raise UsageError(f"--budget {self.budget}: at least one row must be looked at")

    @classmethod
    def of(cls, config: Config, budget: int | None, evidence: tuple[Path, ...] = ()) -> Audit:
        """The audit that the settings describe: `swap_share`, `confidence` and `notice_rows`."""
        aim = Aim(config.judge.swap_share, config.audit.confidence, config.audit.notice_rows)
        return cls(aim, budget, evidence)

    def evidence_files(self) -> list[Path]:
        """The Parquet files behind the evidence.

        Raises:
            UsageError: one does not exist.
        """
        files = [path / "domains.parquet" if path.is_dir() else path for path in self.evidence]
        for path, file in zip(self.evidence, files, strict=True):
            if not file.is_file():
                raise UsageError(
                    f"--evidence {path}: there is no {file.name}; name a finished run folder, or the Parquet "
                    "file that domains wrote"
                )
        return files

    def identity(self) -> dict[str, Any]:
        """What a run must have been started with to be continued."""
        digests = [file_digest(file) for file in self.evidence_files()]
        return {"budget": self.budget} | asdict(self.aim) | {"evidence": digests}


def assured(line: Row, looked_at: int, aim: Aim) -> Row:
    """A line of AUDIT with what so many rows of its domain guarantee."""
    return line | {
        "confidence": confidence_reached(line["rows"], looked_at, aim),
        "share_noticed": least_share_noticed(line["rows"], looked_at, aim),
    }


@dataclass(slots=True)
class Tally:
    """The sums over the lines of AUDIT.

    Attributes:
        domains, rows: in all; rows that have no baseline are not among them.
        guaranteed_domains, guaranteed_rows: those of which a swap is noticed as surely as was asked for.
        too_small: domains of which the share is fewer rows than must be noticed.
        needed: rows that all domains together take.
        drawn, answered: rows chosen, and those of them that gave a picture.
        noticed: domains in which enough replaced rows were seen, riskiest first, the first 50 of them.
        noticed_domains: how many there are.
    """

    domains: int = 0
    rows: int = 0
    guaranteed_domains: int = 0
    guaranteed_rows: int = 0
    too_small: int = 0
    needed: int = 0
    drawn: int = 0
    answered: int | None = None
    noticed: list[str] | None = None
    noticed_domains: int | None = None

    def add(self, line: Row, aim: Aim) -> None:
        """Count one line."""
        self.domains += 1
        self.rows += line["rows"]
        looked_at = line["drawn"] if line["answered"] is None else line["answered"]
        if notices(line["rows"], looked_at, aim):
            self.guaranteed_domains += 1
            self.guaranteed_rows += line["rows"]
        self.too_small += line["needed"] is None
        self.needed += line["needed"] or 0
        self.drawn += line["drawn"]
        if line["answered"] is not None:
            self.answered = (self.answered or 0) + line["answered"]
            self.noticed, self.noticed_domains = self.noticed or [], self.noticed_domains or 0
            if line["noticed"]:
                self.noticed_domains += 1
                self.noticed += [str(line["domain"])] if len(self.noticed) < _MOST_NAMED else []

    def as_dict(self, audit: Audit) -> dict[str, Any]:
        """For the summary."""
        return asdict(audit.aim) | {"budget": audit.budget} | asdict(self)
