"""Column names and types of every table in a snapshot or run folder. Adding is free, renaming is not."""

from __future__ import annotations

import pyarrow as pa

from poisonscan.records import Algorithm, Verdict

FINGERPRINTED = "fingerprinted"
"""State of a snapshot row whose picture was seen."""
HASHED = "hashed"
"""State of a snapshot row of which only published hashes are known."""

INSTANT = pa.timestamp("ms", tz="UTC")
BOXES = pa.list_(pa.list_(pa.float32()))

REF = [
    pa.field("row", pa.int64(), nullable=False),
    pa.field("key", pa.string(), nullable=False),
    pa.field("url", pa.string()),
    pa.field("domain", pa.string()),
    pa.field("caption", pa.string()),
]
PUBLISHED = [pa.field(f"published_{algorithm}", pa.string()) for algorithm in Algorithm]
FETCH = [
    pa.field("outcome", pa.string()),
    pa.field("status", pa.int16()),
    pa.field("final_url", pa.string()),
    pa.field("redirects", pa.list_(pa.string())),
    pa.field("address", pa.string()),
    pa.field("content_type", pa.string()),
    pa.field("etag", pa.string()),
    pa.field("last_modified", pa.string()),
    pa.field("server", pa.string()),
    pa.field("n_bytes", pa.int64()),
    pa.field("fetched_at", INSTANT),
    pa.field("first_byte_s", pa.float32()),
    pa.field("total_s", pa.float32()),
    pa.field("attempts", pa.int16()),
]
FINGERPRINT = [
    pa.field("sha256", pa.string()),
    pa.field("sha512", pa.string()),
    pa.field("md5", pa.string()),
    pa.field("essence", pa.string()),
    pa.field("phash", pa.string()),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("format", pa.string()),
    pa.field("luma", pa.binary()),
    pa.field("chroma", pa.binary()),
    pa.field("texture", pa.binary()),
    pa.field("decoder", pa.string()),
    pa.field("renderings", pa.binary()),
    pa.field("fine", pa.binary()),
    pa.field("colours", pa.int16()),
    pa.field("quantum", pa.int32()),
]
JUDGEMENT = [
    pa.field("verdict", pa.string(), nullable=False),
    pa.field("reason", pa.string(), nullable=False),
    pa.field("score", pa.float32()),
    pa.field("boxes", BOXES),
    pa.field("phash_distance", pa.int16()),
    pa.field("window", pa.list_(pa.float32())),
    pa.field("mirrored", pa.bool_()),
    pa.field("interpolated", pa.bool_()),
    pa.field("tone_strength", pa.float32()),
    pa.field("tone_hue", pa.float32()),
    pa.field("rendering", pa.string()),
    pa.field("weak_baseline", pa.bool_()),
    pa.field("turn", pa.int8()),
]
LATER = frozenset(
    {
        "toned",
        "tone_strength",
        "tone_hue",
        "renderings",
        "fine",
        "colours",
        "quantum",
        "rendering",
        "weak_baseline",
        "turn",
    }
)
"""Columns that snapshots and runs of an earlier version may lack."""

SNAPSHOT_ROWS = pa.schema(
    [
        *REF,
        # FINGERPRINTED, HASHED, or the lost verdict that says why there is no baseline
        pa.field("state", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        *PUBLISHED,
        *FETCH,
        *FINGERPRINT,
    ]
)
"""snapshot/rows/NNNNN.parquet: the trusted moment, one line a manifest row, sorted by `row`."""

OBSERVED = pa.schema([*REF, *JUDGEMENT, pa.field("old_sha256", pa.string()), *FETCH, *FINGERPRINT])
"""run/observed/NNNNN.parquet: what a check saw and how it judged each row on its own."""

VERDICTS = pa.schema(
    [
        *REF,
        *JUDGEMENT,
        pa.field("old_sha256", pa.string()),
        pa.field("new_sha256", pa.string()),
        *FETCH,
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("format", pa.string()),
    ]
)
"""run/verdicts/NNNNN.parquet: the last word on each row, after the whole run was looked at."""

BYTES = pa.schema(
    [pa.field("sha256", pa.string(), nullable=False), pa.field("bytes", pa.binary(), nullable=False)]
)
"""snapshot/bytes/NNNNN.parquet (with --keep-bytes): the pictures, each digest once a shard."""

QUARANTINE = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("verdict", pa.string(), nullable=False),
        *[pa.field(f"old_{item.name}", item.type) for item in FINGERPRINT],
        *[pa.field(f"new_{item.name}", item.type) for item in FINGERPRINT],
        pa.field("bytes", pa.binary(), nullable=False),
    ]
)
"""run/quarantine/NNNNN.parquet: changed pictures, both fingerprints and the new bytes."""

DOMAIN_EVIDENCE = [
    pa.field("hosts", pa.int64()),
    pa.field("unresolved", pa.int64()),
    pa.field("status", pa.string()),
    pa.field("dns", pa.string()),
    pa.field("registration", pa.string()),
    pa.field("registered_at", INSTANT),
    pa.field("expires_at", INSTANT),
    pa.field("formerly_registered_at", INSTANT),
    pa.field("reregistered", pa.bool_()),
    pa.field("hands", pa.string()),
    pa.field("changes", pa.list_(pa.string())),
    pa.field("registrar", pa.string()),
    pa.field("registry_status", pa.list_(pa.string())),
    pa.field("nameservers", pa.list_(pa.string())),
    pa.field("mx", pa.list_(pa.string())),
    pa.field("soa", pa.string()),
    pa.field("addresses", pa.list_(pa.string())),
    pa.field("parked_by", pa.string()),
    pa.field("tls_issuer", pa.string()),
    pa.field("price_usd", pa.float64()),
    pa.field("buyable", pa.bool_()),
    pa.field("failure", pa.string()),
    pa.field("dns_asked_at", INSTANT),
    pa.field("registry_asked_at", INSTANT),
]

DOMAINS = pa.schema(
    [
        pa.field("domain", pa.string()),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),
        # null where no pictures were looked at: the output of `domains` for a list or a snapshot
        pa.field("swap_suspected", pa.bool_()),
        pa.field("score", pa.float64()),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),
        pa.field("warnings", pa.list_(pa.string()), nullable=False),
        *DOMAIN_EVIDENCE,
        *[pa.field(verdict.value, pa.int64()) for verdict in Verdict],
    ]
)
"""run/domains.parquet and what `domains` writes: a line per registrable domain; `domain` is null for URLs
that have none. The columns of DOMAIN_EVIDENCE are null where nobody was asked."""

COST_CURVE = pa.schema(
    [
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("price_usd", pa.float64(), nullable=False),
        pa.field("usd_per_row", pa.float64(), nullable=False),
        pa.field("total_usd", pa.float64(), nullable=False),
        pa.field("total_share", pa.float64(), nullable=False),
    ]
)
"""What `domains` writes beside its table: domains that anybody can buy, cheapest rows first."""

FINDINGS = pa.schema(
    [
        pa.field("finding_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("n_members", pa.int64(), nullable=False),
        pa.field("summary", pa.string(), nullable=False),
    ]
)
MEMBERS = pa.schema(
    [
        pa.field("finding_id", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("box", pa.list_(pa.float32())),
        pa.field("score", pa.float64()),
    ]
)

MARKS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("mark", pa.string(), nullable=False),
        pa.field("note", pa.string()),
        pa.field("marked_at", INSTANT, nullable=False),
    ]
)
"""run/marks.parquet: what a person decided on rows."""

DECODED = "decoded"
"""State of an embedded row whose picture was seen; otherwise the lost verdict that says why not."""

EMBEDDED = pa.schema(
    [
        *REF,
        pa.field("label", pa.string()),
        pa.field("state", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("vector", pa.list_(pa.float16())),
        pa.field("text_vector", pa.list_(pa.float16())),
    ]
)
"""embedding/vectors/NNNNN.parquet, and hunt/vectors/NNNNN.parquet: what an encoder makes of each row."""

HUNTED = pa.schema(
    [
        *FINDINGS,
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("alarm", pa.bool_(), nullable=False),
        pa.field("in_budget", pa.bool_(), nullable=False),
        pa.field("expected_false", pa.float64(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),
        pa.field("detectors", pa.list_(pa.string()), nullable=False),
        pa.field("exhibit", pa.string()),
    ]
)
"""hunt/findings.parquet: the findings of a hunt, ranked."""

PROBED = pa.schema(
    [
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("candidate", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("spread", pa.float64(), nullable=False),
        pa.field("plain_spread", pa.float64(), nullable=False),
        pa.field("captured", pa.float64(), nullable=False),
        pa.field("plain_captured", pa.float64(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),
        pa.field("miss", pa.float64()),
        pa.field("finding_id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("box", pa.list_(pa.float32())),
        pa.field("ground", pa.string(), nullable=False),
    ]
)
"""probe/probe.parquet: the triggers that were tried on a diffusion checkpoint, the most suspicious first."""

UNSEEN = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("state", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
    ]
)
"""hunt/unseen.parquet: the rows that no detector could look at, and why."""

AUDIT = pa.schema(
    [
        pa.field("domain", pa.string()),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("risk", pa.int8(), nullable=False),
        pa.field("evidence", pa.string()),
        pa.field("needed", pa.int64()),
        pa.field("drawn", pa.int64(), nullable=False),
        pa.field("answered", pa.int64()),
        pa.field("replaced", pa.int64()),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("share_noticed", pa.float64()),
        pa.field("noticed", pa.bool_()),
    ]
)
"""run/audit.parquet (with --budget): what was drawn of each domain, riskiest first, and the guarantee."""

VANTAGES = pa.schema(
    [
        *REF[:-1],
        pa.field("vantage", pa.string(), nullable=False),
        pa.field("sight", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("score", pa.float32()),
        *[
            item
            for side in ("here", "there")
            for item in (
                pa.field(f"{side}_verdict", pa.string()),
                pa.field(f"{side}_status", pa.int16()),
                pa.field(f"{side}_final_url", pa.string()),
                pa.field(f"{side}_address", pa.string()),
                pa.field(f"{side}_fetched_at", INSTANT),
                *[pa.field(f"{side}_{field.name}", field.type) for field in FINGERPRINT],
            )
        ],
    ]
)
"""run/vantages/NNNNN.parquet (with vantages): what a URL served to us and at the same time to others."""

HISTORY = pa.schema(
    [
        *REF[:-1],
        pa.field("kind", pa.string(), nullable=False),
        pa.field("before", pa.string(), nullable=False),
        pa.field("away", pa.list_(pa.string()), nullable=False),
        pa.field("back", pa.string(), nullable=False),
        pa.field("before_at", INSTANT, nullable=False),
        pa.field("away_from", INSTANT, nullable=False),
        pa.field("away_to", INSTANT, nullable=False),
        pa.field("back_at", INSTANT, nullable=False),
        pa.field("before_sha256", pa.string()),
        pa.field("away_sha256", pa.string()),
        pa.field("back_sha256", pa.string()),
        pa.field("verdict", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
    ]
)
"""history/history.parquet: pictures that went away and came back, a line each time."""

HISTORY_GROUPS = pa.schema(
    [
        pa.field("domain", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("pictures", pa.int64(), nullable=False),
        pa.field("before", pa.string(), nullable=False),
        pa.field("away", pa.list_(pa.string()), nullable=False),
        pa.field("back", pa.string(), nullable=False),
        pa.field("before_at", INSTANT, nullable=False),
        pa.field("away_from", INSTANT, nullable=False),
        pa.field("away_to", INSTANT, nullable=False),
        pa.field("back_at", INSTANT, nullable=False),
    ]
)
"""history/groups.parquet: the same by domain and by the looks between which it happened."""

ACTIONS = pa.schema(
    [
        *REF[:-1],
        pa.field("action", pa.string(), nullable=False),
        pa.field("sha256", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
"""history/actions.parquet: one line a row that flapped: what to do with it."""
