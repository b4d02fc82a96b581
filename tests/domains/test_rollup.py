from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.config import JudgeSettings
from poisonscan.domains.registration import Change, Hands, Kind, Owner
from poisonscan.domains.rollup import OneFailure, suspicion, warnings, wilson_lower
from poisonscan.records import Group, Verdict

COUNTS = st.dictionaries(st.sampled_from(list(Verdict)), st.integers(0, 500), max_size=8)
SETTINGS = JudgeSettings(swap_rows=3, swap_share=0.3)
LAPSED = (Change(Kind.REGISTRATION, "registered 2026-02-11, after 2025-01-03"),)
NEW = Owner(Hands.NEW, LAPSED, datetime(2026, 2, 11, tzinfo=UTC))
SAME = Owner(Hands.SAME, (), datetime(2003, 2, 11, tzinfo=UTC))


@pytest.mark.parametrize(
    ("counts", "suspected"),
    [
        ({Verdict.REPLACED: 3}, True),
        ({Verdict.REPLACED: 2}, False),
        ({Verdict.REPLACED: 3, Verdict.IDENTICAL: 7}, True),
        ({Verdict.REPLACED: 3, Verdict.IDENTICAL: 8}, False),
        ({Verdict.REPLACED: 3, Verdict.GONE: 1000}, True),
        ({Verdict.PLACEHOLDER: 1000}, False),
        ({Verdict.REENCODED: 1000}, False),
        ({Verdict.EDITED: 1000}, False),
        ({}, False),
    ],
)
def test_who_is_suspected(counts: dict[Verdict, int], suspected: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert suspicion(counts, "2026-01-01", SETTINGS).suspected is suspected


def test_the_reasons_are_words_with_numbers() -> None:
    judged = suspicion({Verdict.REPLACED: 4, Verdict.IDENTICAL: 1, Verdict.GONE: 9}, "2026-01-01", SETTINGS)
    assert judged.reasons == ("4 of 5 pictures replaced by another picture since 2026-01-01",)


@pytest.mark.parametrize(
    ("counts", "owner", "suspected", "warned"),
    [
        ({Verdict.REPLACED: 1, Verdict.IDENTICAL: 9}, NEW, True, False),
        ({Verdict.EDITED: 1, Verdict.IDENTICAL: 9}, NEW, True, False),
        ({Verdict.TONED: 1, Verdict.IDENTICAL: 9}, NEW, True, False),
        ({Verdict.REPLACED: 1, Verdict.IDENTICAL: 10}, NEW, False, False),
        ({Verdict.IDENTICAL: 10}, NEW, False, True),
        ({Verdict.REENCODED: 10}, NEW, False, True),
        ({Verdict.PLACEHOLDER: 10}, NEW, False, True),
        ({Verdict.GONE: 10}, NEW, False, True),
        ({Verdict.REPLACED: 10}, SAME, False, False),
        ({Verdict.REPLACED: 10}, Owner(), True, False),
        ({Verdict.EDITED: 10}, Owner(), False, False),
    ],
)
def test_the_owner_counts(counts: dict[Verdict, int], owner: Owner, suspected: bool, warned: bool) -> None:  # noqa: FBT001 - parameters of the table
    assert suspicion(counts, "2025-01-03", SETTINGS, owner).suspected is suspected
    assert bool(warnings(counts, owner)) is warned


def test_reasons_tell_of_pictures_and_of_the_owner() -> None:
    judged = suspicion({Verdict.REPLACED: 87, Verdict.IDENTICAL: 3}, "2025-01-03", SETTINGS, NEW)
    assert judged.reasons == (
        "87 of 90 pictures replaced by another picture since 2025-01-03",
        "registered 2026-02-11, after 2025-01-03",
    )
    redesigned = suspicion({Verdict.REPLACED: 9}, "2025-01-03", SETTINGS, SAME)
    assert redesigned.reasons[-1] == "registered 2003-02-11, registrar and name servers as before"


@given(COUNTS)
def test_evidence_against_the_owner_never_makes_it_look_better(counts: dict[Verdict, int]) -> None:
    plain, worse = (suspicion(counts, "then", SETTINGS, owner) for owner in (Owner(), NEW))
    assert worse.suspected or not plain.suspected
    assert worse.score >= plain.score


@given(
    st.dictionaries(
        st.sampled_from([v for v in Verdict if v.group is not Group.SUSPICIOUS]), st.integers(1, 99)
    )
)
def test_who_was_only_reencoded_is_never_suspected(counts: dict[Verdict, int]) -> None:
    judged = suspicion(counts, "then", SETTINGS, NEW)
    assert not judged.suspected
    assert judged.score == 0


@given(COUNTS)
def test_every_suspicious_verdict_is_named_and_no_other(counts: dict[Verdict, int]) -> None:
    judged = suspicion(counts, "then", SETTINGS)
    bad = [verdict for verdict, n in counts.items() if n and verdict.group is Group.SUSPICIOUS]
    assert len(judged.reasons) == len(bad)
    assert 0 <= judged.score <= 1


@given(COUNTS, st.integers(1, 100))
def test_more_replaced_pictures_never_look_better(counts: dict[Verdict, int], more: int) -> None:
    worse = counts | {Verdict.REPLACED: counts.get(Verdict.REPLACED, 0) + more}
    one, other = suspicion(counts, "then", SETTINGS), suspicion(worse, "then", SETTINGS)
    assert other.score >= one.score
    assert other.suspected or not one.suspected


def test_wilsons_bound() -> None:
    """Values of the closed form in Wilson (1927), with z = 1.96."""
    assert wilson_lower(0, 0) == 0
    assert wilson_lower(0, 10) == 0
    assert wilson_lower(10, 10) == pytest.approx(0.7225, abs=1e-4)
    assert wilson_lower(5, 10) == pytest.approx(0.2366, abs=1e-4)


@given(st.integers(1, 1000), st.data())
def test_the_bound_lies_below_the_share(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    assert 0 <= wilson_lower(successes, trials) <= successes / trials + 1e-12


@pytest.mark.parametrize("kind", ["protocol_error", "too_large", "too_many_redirects", "undecodable"])
def test_all_pictures_that_turn_unreadable_at_once_count_as_replaced(kind: str) -> None:
    counts = {Verdict.UNREACHABLE: 5, Verdict.NO_BASELINE: 2}
    judged = suspicion(counts, "2026-01-01", SETTINGS, failure=OneFailure(kind, 5))
    assert judged.suspected
    assert judged.score == suspicion({Verdict.REPLACED: 5}, "2026-01-01", SETTINGS).score
    assert any("all 5 pictures" in reason and kind.replace("_", " ") in reason for reason in judged.reasons)
    assert not suspicion(counts, "2026-01-01", SETTINGS, failure=OneFailure(kind, 2)).suspected
    assert not suspicion(counts, "2026-01-01", SETTINGS, SAME, OneFailure(kind, 5)).suspected
    assert warnings(counts, Owner(), "2026-01-01", SETTINGS, OneFailure(kind, 5)) == ()


@pytest.mark.parametrize("kind", ["dns_not_found", "http_gone", "http_blocked", "not_image", "timeout"])
def test_what_dead_sites_do_every_day_is_told_and_no_more(kind: str) -> None:
    counts = {Verdict.UNREACHABLE: 5}
    judged = suspicion(counts, "2026-01-01", SETTINGS, failure=OneFailure(kind, 5))
    assert (judged.suspected, judged.score, judged.reasons) == (False, 0.0, ())
    [told] = warnings(counts, Owner(), "2026-01-01", SETTINGS, OneFailure(kind, 5))
    assert "all 5 pictures" in told
    assert warnings(counts, Owner(), "2026-01-01", SETTINGS, OneFailure(kind, 2)) == ()
