from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.fetch.robots import FORBIDDING, forbidden_by

US = "poisonscan/1.0 (image dataset integrity check)"


@pytest.mark.parametrize(
    ("lines", "directive"),
    [
        (["noai"], "noai"),
        (["NoImageAI"], "noimageai"),
        (["nofollow, noindex"], "noindex"),
        (["none"], "none"),
        (["nofollow", "noimageindex"], "noimageindex"),
        (["poisonscan: noai"], "noai"),
        (["otherbot: nofollow, poisonscan: noindex"], "noindex"),
        (["otherbot: noai", "noai"], "noai"),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], "noai"),
        (["unavailable_after: Friday, 25-Jun-10 15:00:00 GMT, noai"], "noai"),
        (["unavailable_after: Fri, 25 Jun 2010, 15:00:00 PST, noai"], "noai"),
        (["unavailable_after: Friday, 25-Jun-10 15:00:00 GMT"], None),
        (["poisonscan: unavailable_after: Fri, 25 Jun 2010 15:00:00 PST, noai"], "noai"),
        (["otherbot: unavailable_after: Fri, 25 Jun 2010 15:00:00 PST, noai"], None),
        (["otherbot: nofollow, 360spider: noindex"], None),
        (["otherbot: nofollow, noai"], None),
        (["otherbot: none"], None),
        (["nofollow, noarchive"], None),
        (["max-image-preview: none"], None),
        ([""], None),
        ([], None),
    ],
)
def test_who_is_forbidden_what(lines: list[str], directive: str | None) -> None:
    assert forbidden_by(lines, US) == directive


@given(st.lists(st.text()), st.text())
def test_any_header_is_survived(lines: list[str], agent: str) -> None:
    assert forbidden_by(lines, agent) in {None, *FORBIDDING}
