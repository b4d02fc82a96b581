"""Templates to pages. Jinja escapes everything; what would be invisible is shown, and no URL is a link."""

from __future__ import annotations

import json
import math
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from poisonscan.records import Kind, Verdict, group_of
from poisonscan.reporting import bars, text, words
from poisonscan.reporting.cards import drawable
from poisonscan.reporting.templating import environment
from poisonscan.store.marks import Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Environment

MAX_CELL = 300
"""Characters of one value in a table."""


def render(template: str, title: str, writing: str, path: str, facts: Mapping[str, Any]) -> str:
    """A page as HTML.

    Args:
        template: file name.
        title: of the run.
        writing: the token that the page's script sends along.
        path: of the page, to mark its place in the menu.
        facts: what the template names.
    """
    page = _templates().get_template(template)
    return page.render(title=title, writing=writing, path=path, **facts)


def value_text(value: object) -> str:
    """A value of a table for people."""
    for kinds, told in _WORDS:
        if isinstance(value, kinds):
            return told(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _rounded(value: object) -> object:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


_WORDS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (type(None), lambda _: ""),
    (str, str),
    (bool, str),
    (int, lambda value: f"{value:,}"),
    (float, lambda value: f"{value:.4g}" if math.isfinite(value) else str(value)),
    (bytes, lambda value: f"{len(value):,} bytes"),
    (datetime, lambda value: value.isoformat(" ", "seconds")),
    (list, lambda value: json.dumps(_rounded(value), ensure_ascii=False, default=str)),
)


def _group(name: str | None) -> str:
    return group_of(name or "") or ""


def _segments(counts: Mapping[str, int]) -> tuple[bars.Segment, ...]:
    known = {Verdict(name): count for name, count in counts.items() if group_of(name)}
    return bars.segments(known)


def _headline(counts: Mapping[str, int], swapped: int) -> str:
    return words.headline({Verdict(name): count for name, count in counts.items() if group_of(name)}, swapped)


@cache
def _templates() -> Environment:
    templates = environment("poisonscan.explorer")
    templates.filters |= {
        "group": _group,
        "value": lambda value: text.excerpt(value_text(value), MAX_CELL).head,
        "boxes": lambda boxes: drawable(boxes or ()),
    }
    templates.globals |= {
        "Kind": Kind,
        "Mark": Mark,
        "segments": _segments,
        "headline": _headline,
    }
    return templates
