"""What the same command does with what it finds: decided over states, without a disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.records import Group, Verdict
from poisonscan.stages.completion import Step, Traces, enough, may_be_asked_again, next_step, unanswered
from poisonscan.store import schema
from poisonscan.store.parts import Digested
from poisonscan.store.receipts import Receipt

NAME = "rows/00000.parquet"
RECEIPT = Receipt(4, {"fingerprinted": 3, "gone": 1}, {NAME: Digested("ab", 10)})
COMPLETE = Receipt(4, {"fingerprinted": 3, "no_baseline": 1}, {NAME: Digested("ab", 10)})


def traces(
    receipt: Receipt | None = None,
    *,
    damaged: bool = False,
    again: bool = False,
    journal: bool = False,
    size: int | None = 10,
) -> Traces:
    return Traces(receipt, damaged, again, journal, {} if size is None else {NAME: size})


@pytest.mark.parametrize(
    ("found", "ask_again", "step", "words"),
    [
        (traces(size=None), False, Step.GO_ON, ""),
        (traces(journal=True, size=None), False, Step.GO_ON, ""),
        (traces(journal=True), False, Step.GO_ON, ""),  # killed between part and receipt
        (traces(again=True), False, Step.GO_ON, ""),  # killed while its lost rows were asked again
        (traces(RECEIPT), False, Step.KEEP, ""),
        (traces(RECEIPT, journal=True), False, Step.KEEP, ""),
        (traces(RECEIPT), True, Step.ASK_AGAIN, ""),
        (traces(COMPLETE), True, Step.KEEP, ""),  # asking again gives nobody a baseline
        (traces(), False, Step.START_ANEW, "without a receipt"),
        (traces(damaged=True, journal=True), False, Step.START_ANEW, "receipt is damaged"),
        (traces(RECEIPT, size=None), False, Step.START_ANEW, "is missing"),
        (traces(RECEIPT, size=0), True, Step.START_ANEW, "has 0 bytes, 10 were written"),
    ],
)
def test_the_next_step_with_a_shard(found: Traces, ask_again: bool, step: Step, words: str) -> None:  # noqa: FBT001 - a parameter of the table
    decided, damage = next_step(found, ask_again=ask_again)
    assert decided is step
    assert words in damage
    assert bool(damage) == (step is Step.START_ANEW)


def test_every_verdict_is_an_answer_or_is_not() -> None:
    for verdict in Verdict:
        missing = verdict.group in (Group.LOST, Group.UNKNOWN)
        assert unanswered({verdict.value: 3}) == (3 if missing else 0)
        assert may_be_asked_again(verdict.value) == (verdict.group is Group.LOST)
    for label in (schema.FINGERPRINTED, schema.HASHED, schema.DECODED, "same"):
        assert unanswered({label: 3}) == 0
        assert not may_be_asked_again(label)


@given(
    st.dictionaries(st.sampled_from([v.value for v in Verdict]), st.integers(0, 50)),
    st.floats(0, 1),
)
def test_enough_is_a_share_of_all_rows(counts: dict[str, int], max_lost: float) -> None:
    rows, missing = sum(counts.values()), unanswered(counts)
    assert enough(missing, rows, max_lost) == (
        missing <= max_lost * rows or rows == 0 or missing / rows <= max_lost
    )
    assert enough(missing, rows, 1)
    assert enough(0, rows, max_lost)
    assert not enough(max(missing, 1), max(missing, 1), 0)
