from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pyarrow as pa

from poisonscan.records import (
    Box,
    Comparison,
    FetchResult,
    Fingerprint,
    ImageRef,
    Outcome,
    Published,
    Verdict,
)
from poisonscan.store import schema
from poisonscan.store.rows import (
    fetch_row,
    fingerprint_of,
    fingerprint_row,
    judgement_row,
    published_of,
    published_row,
    ref_row,
)

SEEN = Fingerprint(
    "aa", "jpeg:bb", "0" * 16, 4, 3, "JPEG", bytes(1024), bytes(512), bytes(256), "Pillow", md5="cc"
)
PUBLISHED = Published(md5="0" * 32, phash="f" * 16)
REF = ImageRef(7, "seven", "http://a.test/b.jpg", "a boat", PUBLISHED)
FETCHED = FetchResult(
    REF.url,
    Outcome.FETCHED,
    "ok",
    datetime(2026, 1, 1, 12, tzinfo=UTC),
    status=200,
    redirects=("http://b.test/",),
    total_s=0.5,
)


def test_a_snapshot_row_survives_the_way_to_disk() -> None:
    row = ref_row(REF, "a.test") | published_row(PUBLISHED) | fetch_row(FETCHED)
    row |= fingerprint_row(SEEN) | {"state": schema.FINGERPRINTED, "reason": None}
    (back,) = pa.Table.from_pylist([row], schema=schema.SNAPSHOT_ROWS).to_pylist()
    assert fingerprint_of(back) == SEEN
    assert published_of(back) == PUBLISHED
    assert back["fetched_at"] == FETCHED.fetched_at
    assert (back["row"], back["key"], back["domain"]) == (7, "seven", "a.test")


def test_a_row_without_a_picture_has_no_fingerprint() -> None:
    empty = dict.fromkeys(schema.SNAPSHOT_ROWS.names)
    for state in (schema.HASHED, Verdict.GONE.value):
        assert fingerprint_of(empty | {"state": state}) is None
    assert published_of({}) == Published()


def test_a_judgement_survives_the_way_to_disk() -> None:
    judged = Comparison(
        Verdict.CROPPED,
        "a window",
        0.1,
        (Box(0, 0, 0.5, 1),),
        9,
        Box(0, 0.25, 1, 1),
        mirrored=True,
        tone_strength=0.5,
        turn=2,
    )
    row = judgement_row(judged)
    (back,) = pa.Table.from_pylist([row], schema=pa.schema(schema.JUDGEMENT)).to_pylist()
    assert back["boxes"] == [[0, 0, 0.5, 1]]
    assert back["window"] == [0, 0.25, 1, 1]
    assert (back["tone_strength"], back["tone_hue"], back["turn"]) == (0.5, None, 2)
    assert (back["verdict"], back["phash_distance"], back["mirrored"]) == ("cropped", 9, True)


def test_every_field_of_the_vocabulary_has_its_column() -> None:
    fingerprint = {field.name for field in dataclasses.fields(Fingerprint)}
    assert {item.name for item in schema.FINGERPRINT} == fingerprint
    judgement = {field.name for field in dataclasses.fields(Comparison)}
    assert {item.name for item in schema.JUDGEMENT} == judgement
    fetch = {field.name for field in dataclasses.fields(FetchResult)}
    assert {item.name for item in schema.FETCH} == fetch - {"url", "reason", "body"}


def test_the_columns_promised_to_users_are_there() -> None:
    promised = (
        "key url domain verdict reason score boxes old_sha256 new_sha256 phash_distance status final_url "
        "address fetched_at"
    )
    assert set(promised.split()) <= set(schema.VERDICTS.names)
    assert {"finding_id", "kind", "score", "n_members", "summary"} <= set(schema.FINDINGS.names)
    assert {"finding_id", "key", "box", "score"} <= set(schema.MEMBERS.names)
    assert {verdict.value for verdict in Verdict} <= set(schema.DOMAINS.names)
    assert {"domain", "rows", "share", "swap_suspected", "reasons"} <= set(schema.DOMAINS.names)
