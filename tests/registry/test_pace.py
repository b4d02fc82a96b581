from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from poisonscan.registry.pace import Pace, backoff

MOMENTS = st.lists(st.floats(0, 1000), min_size=1, max_size=20).map(sorted)


@given(MOMENTS, st.floats(0.1, 100))
def test_turns_keep_their_distance_and_none_lies_in_the_past(moments: list[float], rate: float) -> None:
    pace = Pace(rate)
    turns = [pace.book(now) for now in moments]
    assert all(turn >= now for turn, now in zip(turns, moments, strict=True))
    assert all(later - earlier >= 1 / rate - 1e-6 for earlier, later in pairwise(turns))


def test_without_a_rate_nobody_waits() -> None:
    pace = Pace(0.0)
    assert [pace.book(5.0), pace.book(5.0)] == [5.0, 5.0]


def test_a_pause_is_kept_and_never_shortened() -> None:
    pace = Pace(1.0)
    pace.pause(30.0)
    pace.pause(10.0)
    assert pace.book(0.0) == 30.0


def test_backoff_doubles() -> None:
    assert [backoff(attempt, 0.5) for attempt in (1, 2, 3)] == [0.5, 1.0, 2.0]
