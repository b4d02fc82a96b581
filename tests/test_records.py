from __future__ import annotations

import dataclasses
import pickle
import re
from datetime import UTC, datetime

import pytest

from poisonscan import records
from poisonscan.records import (
    Algorithm,
    Box,
    Comparison,
    DecodeFailure,
    FetchResult,
    Finding,
    Fingerprint,
    Group,
    ImageRef,
    Kind,
    Outcome,
    Published,
    Verdict,
    group_of,
)

VALUES = [
    Published(md5="0" * 32),
    ImageRef(3, "3", "http://a.test/b.jpg", "a boat", Published(sha256="f" * 64)),
    FetchResult("http://a.test/", Outcome.FETCHED, "ok", datetime(2026, 1, 1, tzinfo=UTC), b"secret"),
    Fingerprint("aa", "jpeg:bb", "0" * 16, 4, 3, "JPEG", bytes(1024), bytes(512), bytes(256), "Pillow"),
    DecodeFailure(Verdict.NOT_IMAGE, "HTML"),
    Comparison(Verdict.EDITED, "a patch", 0.9, (Box(0, 0, 0.5, 0.5),), 4),
    Finding("placeholder-0001", Kind.PLACEHOLDER, 4.0, 4, "one picture"),
]


def test_the_verdicts_are_the_contract() -> None:
    groups = {group: [verdict.value for verdict in Verdict if verdict.group is group] for group in Group}
    assert groups == {
        Group.CLEAN: ["identical", "same_pixels", "reencoded", "cropped"],
        Group.SUSPICIOUS: ["edited", "blended", "replaced", "placeholder", "toned", "changed"],
        Group.LOST: ["gone", "not_image", "blocked", "unreachable", "undecodable", "refused"],
        Group.UNKNOWN: ["no_baseline"],
    }


def test_the_group_of_a_name() -> None:
    assert {name: group_of(name) for name in Verdict} == {verdict: verdict.group for verdict in Verdict}
    assert group_of("fingerprinted") is None


def test_every_outcome_but_fetched_is_lost_and_none_is_clean() -> None:
    lost = {outcome: outcome.lost for outcome in Outcome}
    assert lost.pop(Outcome.FETCHED) is None
    assert all(verdict is not None and verdict.group is Group.LOST for verdict in lost.values())


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_frozen_comparable_and_travel(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes
    assert dataclasses.is_dataclass(value)
    assert not hasattr(value, "__dict__")
    field = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, None)


def test_bodies_stay_out_of_logs() -> None:
    assert all("secret" not in repr(value) and "\\x00" not in repr(value) for value in VALUES)


def test_published_hashes_are_known_or_not() -> None:
    assert not Published()
    for algorithm in Algorithm:
        assert Published(**{algorithm.value: "0" * algorithm.hex_digits})
    assert {algorithm.value for algorithm in Algorithm} == {f.name for f in dataclasses.fields(Published)}


@pytest.mark.parametrize("kind", [type(value) for value in VALUES if type(value) is not Published])
def test_every_field_is_explained(kind: type) -> None:
    explained = kind.__doc__ or ""
    for field in dataclasses.fields(kind):
        assert re.search(rf"\b{field.name}\b", explained), f"{kind.__name__}.{field.name}"


def test_the_vocabulary_knows_no_files_sockets_or_clocks() -> None:
    modules = {value for value in vars(records).values() if type(value).__name__ == "module"}
    assert modules == set()
