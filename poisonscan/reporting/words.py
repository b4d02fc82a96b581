"""What verdicts, groups and exit codes mean, in words for a person. Written once, used by page and docs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poisonscan.domains.evidence import Status
from poisonscan.domains.flapping import FlapKind
from poisonscan.records import Group, Kind, Sight, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERDICT_SENTENCES: Mapping[Verdict, str] = {
    Verdict.IDENTICAL: "The URL serves the very bytes of the snapshot.",
    Verdict.SAME_PIXELS: "Only the container or its metadata changed; the coded picture is the same.",
    Verdict.REENCODED: "The same picture, compressed again, resized, mildly toned, turned or mirrored.",
    Verdict.CROPPED: "A window of the same picture, or the picture in a plain frame.",
    Verdict.EDITED: "The same picture with a local change; the boxes say where.",
    Verdict.BLENDED: "The same picture with a pattern laid over all of it.",
    Verdict.REPLACED: "Another picture.",
    Verdict.PLACEHOLDER: "A stand-in that is served for many URLs, such as a parking page's banner.",
    Verdict.TONED: "The same picture in other colours or contrast than re-encoding explains.",
    Verdict.CHANGED: "The published hash no longer fits, and nothing else is known of the old picture.",
    Verdict.GONE: "The server says that the picture is no longer there.",
    Verdict.NOT_IMAGE: "The server answered with something that is no picture.",
    Verdict.BLOCKED: "The owner does not let us look.",
    Verdict.UNREACHABLE: "No usable answer: a name, connection or server failure.",
    Verdict.UNDECODABLE: "A picture by its first bytes, but broken, too large or deadly to the decoder.",
    Verdict.REFUSED: "We declined: a malformed URL, a private address, too many redirects or bytes.",
    Verdict.NO_BASELINE: "There is a picture now, but none is remembered to compare it with.",
}
"""One sentence for each verdict."""

GROUP_SENTENCES: Mapping[Group, str] = {
    Group.CLEAN: "Seen and found unharmed.",
    Group.SUSPICIOUS: "Not the picture that was trusted: keep out of training until someone has looked.",
    Group.LOST: "No picture came back, so nothing is known of it today. Not clean.",
    Group.UNKNOWN: "Nothing to compare with. Not clean.",
}
"""One sentence for each group of verdicts."""

STATUS_SENTENCES: Mapping[Status, str] = {
    Status.REGISTERED: "A registry vouches for it, and it leads somewhere.",
    Status.UNREGISTERED: "Nobody has it: anybody can buy it today.",
    Status.NXDOMAIN: "DNS does not know it and no registry was heard: most likely free.",
    Status.EXPIRED: "Past its date: about to be free.",
    Status.PARKED: "A parking service holds it, mostly to sell it.",
    Status.UNRESOLVABLE: "It exists, and DNS fails for it.",
    Status.UNKNOWN: "Nothing bad is known, and no registry has vouched for it. Not to be read as fine.",
}
"""One sentence for each status of a domain."""

FINDING_SENTENCES: Mapping[Kind, str] = {
    Kind.RECURRING_PATCH: "The same small patch on pictures that have nothing else in common.",
    Kind.LATTICE_TRIGGER: "Flat cells on a fixed grid: the code of a universal backdoor.",
    Kind.OVERLAY: "The same faint pattern over many pictures.",
    Kind.DUPLICATE_TARGET: "One picture again and again, under captions or labels that disagree.",
    Kind.PLACEHOLDER: "One new picture under many URLs.",
    Kind.CAPTION_MISMATCH: "Captions that do not describe their pictures, close together.",
    Kind.LABEL_MISMATCH: "Labels that do not fit their pictures, more than chance gives.",
    Kind.OUTLIER: "Far from everything else in the dataset.",
    Kind.INCOHERENT_CLUSTER: "A dense group of pictures whose captions or labels contradict each other.",
    Kind.FOOTPRINT: "The same mark on many changed pictures.",
    Kind.CLOAKING: "Other pictures for us than for somebody else, at the same moment.",
}
"""One sentence for each kind of finding."""

FLAP_SENTENCES: Mapping[FlapKind, str] = {
    FlapKind.FRONTRUN: "The snapshot remembers a picture that was shown only for a while.",
    FlapKind.FLAP: "Another picture was shown for a while.",
    FlapKind.STAND_IN: "A stand-in was shown for a while, as when a host is out of order.",
}
"""One sentence for each kind of excursion."""

SIGHT_SENTENCES: Mapping[Sight, str] = {
    Sight.SAME: "Both sides are served the same picture.",
    Sight.CLOAKED: "Each side is served a picture of its own, again and again; or we are turned away.",
    Sight.UNSTABLE: "A side was served different things in a row, so the difference says nothing.",
    Sight.ONE_SIDED: "Only one side was served a picture.",
    Sight.LOST: "Neither side was served a picture.",
}
"""One sentence for each thing that two answers for one URL can say."""

EXIT_CODE_WORDS: Mapping[int, str] = {
    0: "clean",
    1: "findings",
    2: "usage error",
    3: "incomplete: too many rows without an answer or a baseline",
    4: "snapshot invalid or tampered with",
    70: "a fault of this program",
}
"""What the exit codes of the command line mean."""


def verdicts_in(group: Group) -> list[Verdict]:
    """The verdicts of one group, in the order in which they are always listed."""
    return [verdict for verdict in Verdict if verdict.group is group]


def group_total(counts: Mapping[Verdict, int], group: Group) -> int:
    """Rows in one group."""
    return sum(counts.get(verdict, 0) for verdict in verdicts_in(group))


def headline(counts: Mapping[Verdict, int], swapped_domains: int, cloaked: int = 0) -> str:
    """The answer of a run in one sentence.

    Args:
        counts: rows by verdict.
        swapped_domains: domains suspected to serve other pictures than they used to.
        cloaked: rows that are served differently to somebody else.
    """
    rows = sum(counts.values())
    if not rows:
        return "The run has no rows: nothing was checked."
    clauses = [
        _swapped_clause(swapped_domains),
        _suspicious_clause(group_total(counts, Group.SUSPICIOUS), rows),
        _cloaked_clause(cloaked),
        _lost_clause(group_total(counts, Group.LOST)),
        _unknown_clause(group_total(counts, Group.UNKNOWN)),
    ]
    return sentence([clause for clause in clauses if clause])


def sentence(clauses: Sequence[str]) -> str:
    """Clauses as one sentence."""
    joined = "; ".join(clauses) + "."
    return joined[0].upper() + joined[1:]


def audit_clause(drawn: int, rows: int, guaranteed: int, domains: int) -> str:
    """What an audit by sample has to say.

    Args:
        drawn: rows chosen.
        rows: that could show a swap.
        guaranteed: domains of which a swap is noticed as surely as asked for.
        domains: all of them.
    """
    reach = "every domain" if guaranteed == domains else f"{guaranteed:,} of {counted(domains, 'domain')}"
    return f"a sample of {drawn:,} of {counted(rows, 'row')}, which is enough to speak for {reach}"


def hunt_clause(alarms: int, rows: int, seen: int) -> str:
    """What a hunt has to say.

    Args:
        alarms: findings too strong to be chance.
        rows: pictures that these name.
        seen: pictures that were looked at.
    """
    if not seen:
        return "the hunt saw no picture"
    if not alarms:
        return f"the hunt found nothing beyond chance in {counted(seen, 'picture')}"
    return f"the hunt raises {counted(alarms, 'alarm')} over {rows:,} of {counted(seen, 'picture')}"


def exposure_clause(domains: int, share: float, usd: float, moved: int, asked: int) -> str:
    """What a table of domains has to say.

    Args:
        domains: that anybody can register today.
        share: of the rows on them, 0..1.
        usd: their price for a year.
        moved: domains in new hands.
        asked: domains that anybody was asked about.
    """
    if not asked:
        return "nobody was asked who holds the domains"
    hands = f"{counted(moved, 'domain')} {'is' if moved == 1 else 'are'} in new hands" if moved else ""
    if not domains:
        return hands or "no domain is known to be for sale to everybody"
    bought = f"{counted(domains, 'domain')} with {percent(share)} of the rows for ${usd:,.0f} a year"
    return f"{hands}{' and ' if hands else ''}anybody can buy {bought}"


def probe_clause(controls: int, tried: int, stamp: tuple[str, float] | None, *, bare: bool) -> str:
    """What a probe of a model has to say.

    Args:
        controls: candidates that control it.
        tried: candidates.
        stamp: finding of the joined hunt that controls it most, and the share of the pictures that carry it,
            0..1; None for no such.
        bare: whether an even ground without a stamp controls it too.
    """
    if stamp is not None:
        too = ", as a bare ground does" if bare else ""
        return (
            f"the stamp of {stamp[0]}, on {percent(stamp[1])} of the pictures, controls the checkpoint{too}"
        )
    if controls:
        return f"{controls:,} of {counted(tried, 'candidate trigger')} control the checkpoint"
    return f"none of {counted(tried, 'candidate trigger')} was seen to control the checkpoint"


def history_clause(rows: int) -> str:
    """What a history has to say of rows that were frontrun or flapped."""
    if not rows:
        return "no picture went away and came back"
    return f"{counted(rows, 'row')} showed another picture for a while and then the old one again"


def counted(number: int, thing: str) -> str:
    """A number with the word for what it counts."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def percent(share: float) -> str:
    """A share (0..1) in percent that never rounds something to nothing, nor nearly all to all."""
    found = 100 * share
    if found and found < 0.01:  # noqa: PLR2004 - what the format below can show
        return "< 0.01%"
    if found < 1:
        return f"{found:.2f}%" if found else "0%"
    return "> 99.9%" if 99.95 <= found < 100 else f"{found:.1f}%"  # noqa: PLR2004 - likewise


def duration(seconds: float) -> str:
    """A length of time in its two largest units: "1 h 12 min", "3 min 20 s", "4.2 s"."""
    if seconds < 60:  # noqa: PLR2004 - seconds a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours:,} h {minutes_left} min" if hours else f"{minutes} min {rest} s"


def _swapped_clause(domains: int) -> str:
    if not domains:
        return ""
    return (
        "1 domain now serves other pictures"
        if domains == 1
        else f"{domains:,} domains now serve other pictures"
    )


def _suspicious_clause(suspicious: int, rows: int) -> str:
    amount = f"{suspicious:,}" if suspicious else "none"
    verb = "is" if suspicious <= 1 else "are"
    return f"{amount} of {rows:,} row{'' if rows == 1 else 's'} {verb} suspicious"


def _cloaked_clause(cloaked: int) -> str:
    if not cloaked:
        return ""
    return f"{cloaked:,} row{' is' if cloaked == 1 else 's are'} served differently to others"


def _lost_clause(lost: int) -> str:
    return f"{lost:,} row{'' if lost == 1 else 's'} gave no answer" if lost else "every row gave an answer"


def _unknown_clause(unknown: int) -> str:
    if not unknown:
        return ""
    return f"{unknown:,} row{' has' if unknown == 1 else 's have'} no baseline to compare with"
