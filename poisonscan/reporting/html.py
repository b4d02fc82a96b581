"""The report: one HTML file without scripts that loads nothing, to read, mail and print.

Whatever came from the web is hostile here too. Jinja escapes it, `reporting.text` makes its invisible
characters visible and its URLs dead, `reporting.pictures` encodes its pictures anew, and the page's
Content-Security-Policy forbids the browser all but the one style sheet and pictures inside the file.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import json
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from poisonscan.config import DecodeSettings
from poisonscan.domains.flapping import FlapKind
from poisonscan.errors import UsageError
from poisonscan.files import write_text
from poisonscan.records import Sight, Verdict
from poisonscan.reporting import bars, changes, pictures, words
from poisonscan.reporting.checked import json_object
from poisonscan.reporting.curve import HEIGHT, WIDTH, plot
from poisonscan.reporting.page import Sources, read_page
from poisonscan.reporting.templating import environment
from poisonscan.store.folder import RUN_DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from jinja2 import Environment

    from poisonscan.reporting.page import Page

MAX_PAGE_BYTES = 15_000_000
"""Size that a page stays below however large the run, so that it can be mailed."""
MAX_SETTINGS = 100
"""Lines of one provenance table."""

_SLACK = 10_000  # the page's own words grow by some bytes when cards are left out


def write_report(run: Path, snapshot: Path | None = None) -> Path:
    """Write the page of a finished check or hunt, `run`/report.html, whole or not at all.

    Decodes pictures in a sandbox on an event loop of its own: on a running loop, call it in a thread.

    Args:
        run: its folder (see `store.schema`).
        snapshot: the snapshot that was checked; its kept pictures, if any, become the pictures "before".

    Returns:
        The path of the page.

    Raises:
        UsageError: `run` is no run folder, or there is no folder `snapshot`.
        StorageError: the run is unfinished or damaged, or the page cannot be written.
    """
    if not (run / "run.json").is_file():
        raise UsageError(
            f"{run} is no run folder: it has no run.json; name the folder that check or hunt wrote"
        )
    identity = json_object(run / "run.json").get("identity")
    is_hunt = isinstance(identity, dict) and identity.get("command") == "hunt"
    sources = Sources(hunt=run) if is_hunt else Sources(check=run, snapshot=snapshot)
    out = run / "report.html"
    write_page(sources, out)
    return out


def write_page(sources: Sources, out: Path) -> str:
    """Write a page about one or several things, whole or not at all.

    Returns:
        The answer that it begins with, in one sentence; in two where others are joined to a check.

    Raises:
        UsageError: there is no folder `sources.snapshot`, or `sources.since` is a run of another list.
        SnapshotInvalidError: a document is damaged, or the snapshot another one.
        StorageError: something is missing or damaged, or the page cannot be written.
    """
    if sources.snapshot is not None and not sources.snapshot.is_dir():
        raise UsageError(
            f"there is no snapshot folder {sources.snapshot}; name the snapshot that was checked"
        )
    page = asyncio.run(read_page(sources, _decode_settings(sources)))
    write_text(render(page), out)
    return f"{page.headline} {page.further}".rstrip()


def _decode_settings(sources: Sources) -> DecodeSettings:
    """The limits of decoding under which the first of the runs was made; the defaults where none says."""
    for run in filter(None, (sources.check, sources.hunt)):
        recorded = json_object(run / RUN_DOCUMENT).get("settings")
        decode = recorded.get("decode") if isinstance(recorded, dict) else None
        if isinstance(decode, dict):
            known = {item.name for item in dataclasses.fields(DecodeSettings)}
            return DecodeSettings(**{name: value for name, value in decode.items() if name in known})
    return DecodeSettings()


def render(page: Page, max_bytes: int = MAX_PAGE_BYTES) -> str:
    """The page as HTML, with as many of the cards as fit, best first.

    Args:
        page: what to show.
        max_bytes: size of the encoded page that is not exceeded.
    """
    templates = _templates()
    template, finding = templates.get_template("report.html"), templates.get_template("finding.html")
    lists = [
        [Markup(finding.render(finding=one, named="HUNT" if part else "RUN")) for one in top.lines]  # noqa: S704 - rendered with autoescape
        for part, top in enumerate((page.found, page.hunt_found))
    ]
    card = templates.get_template("card.html")
    cards = page.checked.cards if page.checked else ()
    lists.append([Markup(card.render(card=one)) for one in cards])  # noqa: S704 - likewise
    without_cards = len(template.render(**_context(page, [[], [], []])).encode())
    fitting = _fitting(lists, max_bytes - without_cards - _SLACK)
    return template.render(**_context(page, fitting))


def _fitting(lists: Sequence[Sequence[Markup]], room: int) -> list[list[Markup]]:
    """The first cards of each list, taken in turns for as long as they fit into `room` bytes."""
    taken: list[list[Markup]] = [[] for _ in lists]
    for turn in zip_longest(*lists):
        for mine, card in zip(taken, turn, strict=True):
            if card is None:
                continue
            room -= len(card.encode()) + 1
            if room < 0:
                return taken
            mine.append(card)
    return taken


def _context(page: Page, cards: Sequence[Sequence[Markup]]) -> dict[str, Any]:
    """What the templates name."""
    style = _style()
    return {
        "style": style,
        "style_digest": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
        "page": page,
        "check": page.checked,
        "audited": page.audited,
        "vantaged": page.vantaged,
        "hunt": page.hunted,
        "exposed": page.exposed,
        "flapped": page.flapped,
        "probed": page.probed,
        "changes": page.changes,
        "check_findings": cards[0],
        "hunt_findings": cards[1],
        "cards": cards[2],
        "curve": plot(page.exposed.curve) if page.exposed else None,
        "provenance": list(_provenance(page)),
    }


def _provenance(page: Page) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Titled tables of everything in run.json: what was run, with which settings, by which versions."""
    for name, part in (("Check", page.checked), ("Hunt", page.hunted), ("Probe", page.probed)):
        if part is not None:
            yield from _tables_of(name, part.document)
    if page.flapped is not None:
        yield "History: the looks", list(page.flapped.looks)[:MAX_SETTINGS]


def _tables_of(name: str, document: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    sections = {"settings": f"{name}: settings", "versions": f"{name}: versions"}
    run = {key: value for key, value in document.items() if key not in sections}
    tables = [(name, run), *((title, document.get(key, {})) for key, title in sections.items())]
    for title, values in tables:
        if values:
            yield title, list(_flat(values))[:MAX_SETTINGS]


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and printed values of nested JSON."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif value is None:
        yield name, "not set"
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(value: object) -> str:
    """A time for a reader, in UTC to the minute; a text that is none as it is."""
    if value is None:
        return "not recorded"
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    if moment.tzinfo is None:
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _share(part: int, whole: int) -> str:
    return words.percent(part / whole if whole else 0.0)


@cache
def _style() -> str:
    return (resources.files("poisonscan.reporting") / "templates" / "report.css").read_text(encoding="utf-8")


@cache
def _templates() -> Environment:
    templates = environment("poisonscan.reporting")
    templates.filters |= {
        "counted": words.counted,
        "moment": _moment,
        "duration": words.duration,
        "percent": words.percent,
        "segments": bars.segments,
        "tint": bars.tint,
    }
    templates.globals |= {
        "Verdict": Verdict,
        "FlapKind": FlapKind,
        "Sight": Sight,
        "GROUP_SENTENCES": words.GROUP_SENTENCES,
        "STATUS_SENTENCES": words.STATUS_SENTENCES,
        "FLAP_SENTENCES": words.FLAP_SENTENCES,
        "SIGHT_SENTENCES": words.SIGHT_SENTENCES,
        "FINDING_SENTENCES": {kind.value: said for kind, said in words.FINDING_SENTENCES.items()},
        "EXIT_CODE_WORDS": words.EXIT_CODE_WORDS,
        "MAX_MOVES": changes.MAX_MOVES,
        "verdicts_in": words.verdicts_in,
        "group_total": words.group_total,
        "share": _share,
        "plot_size": (WIDTH, HEIGHT),
        "ramp": pictures.RAMP,
        "ramp_top": pictures.RESIDUAL_TOP,
        "residual_ticks": pictures.residual_ticks,
    }
    return templates
