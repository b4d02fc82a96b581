"""X-Robots-Tag: whether the owner of a picture forbids its use in a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORBIDDING = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
"""Directives honoured: DeviantArt's noai and noimageai, as img2dataset does, and the search engines' own."""

_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
# directives with a colon of their own, which is not the end of a crawler's name


def forbidden_by(header_lines: Iterable[str], user_agent: str) -> str | None:
    """The directive that forbids us to use a picture, or None.

    Args:
        header_lines: values of the X-Robots-Tag headers; each may list directives after commas, and
            address them to one crawler ("otherbot: noindex, noai").
        user_agent: our User-Agent header; its first product name is what we answer to.
    """
    ours = user_agent.partition("/")[0].strip().lower()
    for line in header_lines:
        for crawler, directive in _directives(line.lower()):
            if crawler in {"", ours} and directive in FORBIDDING:
                return directive
    return None


def _directives(line: str) -> Iterator[tuple[str, str]]:
    """Pairs of addressee ("" for everybody) and directive; an addressee holds until the next one."""
    crawler, in_date = "", False
    for part in line.split(","):
        if in_date and part.strip()[:1].isdigit():
            continue  # "Friday, 25-Jun-10 15:00:00 GMT" has a comma and colons of its own
        name, colon, rest = part.partition(":")
        in_date = "unavailable_after" in {name.strip(), rest.partition(":")[0].strip()}
        if colon and name.strip() not in _VALUED:
            crawler, part = name.strip(), rest  # noqa: PLW2901 - the rest of this part is the directive
        yield crawler, part.strip()
