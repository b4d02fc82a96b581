"""A reader that fails on anything alive in a page, and pages that hold a text wherever one can stand."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from poisonscan.domains.evidence import Status
from poisonscan.domains.flapping import Action, FlapKind
from poisonscan.records import Box, Group, Sight, Verdict
from poisonscan.reporting import audited, checked, exposed, findings, flapped, probed, vantaged
from poisonscan.reporting.audited import Audited, ShortLine
from poisonscan.reporting.cards import Card
from poisonscan.reporting.changes import Changes, Move
from poisonscan.reporting.checked import Checked, Summary
from poisonscan.reporting.drawing import Panel
from poisonscan.reporting.exposed import Exposed, StatusLine
from poisonscan.reporting.findings import FindingCard, Member
from poisonscan.reporting.flapped import Flapped
from poisonscan.reporting.html import write_report
from poisonscan.reporting.hunted import Hunted
from poisonscan.reporting.page import Page
from poisonscan.reporting.parquet import Top
from poisonscan.reporting.pictures import Picture
from poisonscan.reporting.probed import Link, Probed
from poisonscan.reporting.tables import DomainLine, ReasonLine
from poisonscan.reporting.timelines import Mark
from poisonscan.reporting.vantaged import Pair, Vantaged, VantageLine

from .synthetic import FETCHED_AT

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"meta", "img", "br", "hr", "link", "input"}
CELLS = {"td", "th", "dd"}
CLOSED = {"rect", "circle", "stop", "line", "polyline", "polygon"}
FORBIDDEN = {
    "script",
    "a",
    "link",
    "iframe",
    "object",
    "embed",
    "base",
    "form",
    "input",
    "image",
    "use",
    "foreignobject",
}
LOADING = {"src", "href", "xlink:href", "srcset", "action", "data", "poster", "background"}
NASTY = st.one_of(
    st.text(st.characters(), max_size=60),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "</style><script>",
            "{{ 7 * 7 }}{% raw %}",
            "-->]]>\u202e<!--",
            "javascript:alert(1)//http://evil.com",
            "&lt;b&gt; &#x3c;",
        ]
    ),
)


class Checker(HTMLParser):
    """Fails on anything a hostile text could have slipped in; collects elements and text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: Counter[str] = Counter()
        self.words: list[str] = []
        self.style = ""
        self.policy = ""
        self.feed(page)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check(tag, attrs)
        if tag in CELLS:
            self.words.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in CLOSED
        self._check(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"our templates leave no comments: {data}")

    def _check(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in FORBIDDEN
        self.elements[tag] += 1
        for name, value in attrs:
            assert not name.startswith("on")
            assert name != "style"
            assert name not in LOADING or re.fullmatch(
                r"data:image/(jpeg|png);base64,[A-Za-z0-9+/=]+", value or ""
            )
        if ("http-equiv", "Content-Security-Policy") in attrs:
            self.policy = dict(attrs)["content"] or ""

    @property
    def text(self) -> str:
        return "".join(self.words)


def squeezed(text: str) -> str:
    """A text without its layout."""
    return " ".join(text.split())


def read_page(path: Path) -> Checker:
    """A page on disk, found inert."""
    return Checker(path.read_text(encoding="utf-8"))


def reported(run: Path, snapshot: Path | None = None) -> Checker:
    """The page of a run, found inert."""
    return read_page(write_report(run, snapshot))


def page_of(text: str, cards: int = 1, uri_bytes: int = 30, entries: int = 1) -> Page:
    """A page that holds `text` wherever a text from outside can stand, in every list as long as it gets."""
    card = finding(text, uri_bytes)
    return Page(
        checked=check_of(text, cards, uri_bytes, entries),
        audited=audit_of(text),
        vantaged=vantages_of(text),
        found=Top((card,) * findings.MAX_FINDINGS, 99),
        hunted=hunt_of(text),
        hunt_found=Top((card,) * findings.MAX_FINDINGS, 99),
        exposed=exposure_of(text),
        flapped=history_of(text),
        probed=probe_of(text),
        changes=changes_of(text),
    )


def check_of(text: str, cards: int = 1, uri_bytes: int = 30, entries: int = 1) -> Checked:
    """A check that holds `text` everywhere."""
    counts = {Verdict.EDITED: 3, Verdict.GONE: 2}
    line = DomainLine(text, 9, 0.9, swap_suspected=True, reasons=(text,) * 9, counts=counts)
    warned = {"domain": text, "rows": 3, "warnings": [text] * 2}
    return Checked(
        document={
            "state": text,
            "started_at": text,
            "manifest": {"source": text, text: [text]},
            "snapshot": {"created_at": text},
            "settings": {f"{index}{text}": text for index in range(entries)},
            "versions": {f"{index}{text}": text for index in range(entries)},
        },
        summary=Summary(5, counts, 1.0, 5.0, suspected_domains=1, exit_code=1),
        counts=counts,
        suspects=Top((line,) * checked.MAX_SUSPECTS, 1),
        domains=Top((line,) * checked.MAX_DOMAINS, 99),
        reasons=reasons(text),
        changed=Top((), 3),
        cards=[card(text, uri_bytes)] * cards,
        warned=Top((warned,) * checked.MAX_WARNED, 99),
        timelines={text: (Mark("2026-01-01", "registered", Group.CLEAN, 4.0),) * 2},
    )


def audit_of(text: str) -> Audited:
    """An audit that holds `text` everywhere."""
    noticed = {"domain": text, "rows": 9, "answered": 4, "replaced": 2, "evidence": text}
    short = ShortLine(text, 9, 4, 0.5, None, text)
    return Audited(
        share=0.3,
        confidence=0.99,
        notice_rows=1,
        budget=5,
        domains=9,
        rows=99,
        guaranteed_domains=1,
        guaranteed_rows=9,
        drawn=5,
        answered=4,
        noticed=Top((noticed,) * audited.MAX_NOTICED, 99),
        short=Top((short,) * audited.MAX_SHORT, 99),
    )


def vantages_of(text: str) -> Vantaged:
    """Vantages that hold `text` everywhere."""
    place = {"domain": text, "vantage": text, "cloaked": 2, "asked": 3}
    pair = Pair(text, text, text, Panel(picture(30), text), Panel(None, text))
    return Vantaged(
        vantages=[VantageLine(text, ((text, text),) * 4, {Sight.LOST: 3})] * 2,
        places=Top((place,) * vantaged.MAX_PLACES, 99),
        cloaked=Top((pair,) * vantaged.MAX_CLOAKED, 99),
    )


def reasons(text: str) -> Top[ReasonLine]:
    """As many reasons as a page tells."""
    return Top((ReasonLine(Verdict.GONE, text, 2),) * checked.MAX_REASONS, 99)


def card(text: str, uri_bytes: int = 30) -> Card:
    """A changed row that holds `text` everywhere."""
    panel = Panel(picture(uri_bytes), text)
    return Card(
        verdict=Verdict.EDITED,
        reason=text,
        score=0.5,
        key=text,
        url=text,
        domain=text,
        caption=text,
        phash_distance=3,
        boxes=(Box(0.1, 0.2, 0.3, 0.4),),
        before=panel,
        after=panel,
        residual=Panel(None, text),
        facts=(("Server", text),),
    )


def picture(uri_bytes: int) -> Picture:
    """Something that a page takes for a picture."""
    return Picture("data:image/png;base64," + "A" * uri_bytes, 192, 144)


def finding(text: str, uri_bytes: int = 30) -> FindingCard:
    """A finding that holds `text` everywhere."""
    panels = (Panel(picture(uri_bytes), text), Panel(None, text))
    members = tuple(
        Member(text, text, domain, text, text, Verdict.EDITED, (Box(0, 0, 1, 1),), panel)
        for panel in panels
        for domain in (text, None)
    )
    return FindingCard(
        finding_id=text,
        kind=text,
        score=1.0,
        n_members=99,
        summary=text,
        alarm=False,
        expected_false=0.01,
        reference=text,
        detectors=(text,) * 3,
        exhibit=panels[0],
        members=members,
    )


def hunt_of(text: str) -> Hunted:
    """A hunt that holds `text` everywhere."""
    return Hunted(
        document={"started_at": text, "identity": {text: text}, "versions": {text: text}},
        rows=9,
        seen=7,
        alarms={text: 2},
        alarming_rows=5,
        findings=4,
        skipped={text: (text, text)},
        unseen=reasons(text),
        seconds=3.0,
        exit_code=1,
    )


def exposure_of(text: str) -> Exposed:
    """A table of domains that holds `text` everywhere."""
    costs = {"price_usd": 11.0, "usd_per_row": 3.7, "total_usd": 11.0, "total_share": 0.01}
    bargain: dict[str, Any] = {"domain": text, "rows": 3, **costs}
    moved = {
        "domain": text,
        "rows": 2,
        "registered_at": FETCHED_AT,
        "changes": [text] * 9,
        "swap_suspected": None,
    }
    return Exposed(
        name=text,
        rows=300,
        domains=9,
        statuses=[StatusLine(Status.PARKED, 3, 100), StatusLine(None, 1, 200)],
        buyable_domains=1,
        buyable_rows=3,
        buyable_usd=11.0,
        curve=[(11.0, 0.01), (22.0, 0.02)],
        shares=[(100, 0.01)],
        costs=[(0.001, 11.0), (0.01, None)],
        bargains=Top((bargain,) * exposed.MAX_BARGAINS, 99),
        moved=Top((moved,) * exposed.MAX_MOVED, 99),
        failed=2,
        asked=7,
        last_asked_at=FETCHED_AT,
    )


def history_of(text: str) -> Flapped:
    """A history that holds `text` everywhere."""
    group = {
        "domain": text,
        "kind": text,
        "rows": 3,
        "pictures": 1,
        "away_from": FETCHED_AT,
        "back_at": FETCHED_AT,
    }
    return Flapped(
        looks=[(text, text)] * 3,
        rows={FlapKind.FLAP: 3},
        actions={Action.DROP: 3},
        groups=Top((group,) * flapped.MAX_GROUPS, 99),
    )


def probe_of(text: str) -> Probed:
    """A probe that holds `text` everywhere."""
    line = {"candidate": text, "outcome": text, "captured": 0.9, "plain_captured": 0.1}
    return Probed(
        document={text: text, "settings": {text: text}},
        checkpoint=text,
        tried=20,
        controls=3,
        untested=2,
        lines=Top((line,) * probed.MAX_CANDIDATES, 20),
        bare=True,
        links=(Link(text, 0.9, 4, 1000),) * 3,
        defences=({"name": text, "hit_rate": 0.5, "discrepancy": 0.01},) * 3,
        seconds=1.5,
        exit_code=1,
    )


def changes_of(text: str) -> Changes:
    """Changes that hold `text` everywhere."""
    place = {"domain": text, "rows": 2}
    return Changes(
        since=text,
        since_at=text,
        both=5,
        only_now=1,
        only_then=1,
        moves=(Move(Verdict.IDENTICAL, Verdict.EDITED, 3), Move(Verdict.EDITED, Verdict.BLENDED, 1)),
        others=1,
        places=Top((place,) * 10, 99),
        new_suspects=(text,) * 30,
        former_suspects=(text,) * 30,
    )
