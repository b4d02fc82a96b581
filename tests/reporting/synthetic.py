"""Synthetic run and snapshot folders: real Parquet by the schemas, real JPEGs, no network."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from poisonscan.records import SCHEMA_VERSION, Group, Verdict
from poisonscan.store import schema
from poisonscan.store.folder import document_digest
from tests.grids import stored

if TYPE_CHECKING:
    from pathlib import Path

REMEMBERED = "2025-11-01T00:00:00+00:00"
FETCHED_AT = datetime(2026, 3, 4, 2, 30, tzinfo=UTC)
ROWS_A_PART = 40
"""Part N of the quarantine belongs to part N of the verdicts."""
Row = dict[str, Any]


def photo(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    """Something like a photo: a sky, hills and a few discs, drawn from a seed."""
    rng = np.random.default_rng(seed)
    top, bottom = rng.integers(40, 230, (2, 3))
    ramp = np.linspace(0, 1, height)[:, None, None]
    sky = np.broadcast_to(top * (1 - ramp) + bottom * ramp, (height, width, 3)).astype(np.uint8)
    image = Image.fromarray(sky.copy())
    draw = ImageDraw.Draw(image)
    for _ in range(7):
        x, y, radius = (int(rng.integers(low, high)) for low, high in ((0, width), (0, height), (10, 70)))
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=tuple(rng.integers(0, 255, 3).tolist())
        )
    hills = height * 0.75 + np.cumsum(rng.normal(0, 2, width))
    draw.polygon([(0, height), *enumerate(hills.tolist()), (width, height)], fill=(40, 70, 45))
    return image


def stamped(image: Image.Image) -> tuple[Image.Image, list[float]]:
    """The picture with a grey box at its right bottom, and the box in fractions."""
    result, (width, height) = image.copy(), image.size
    box = (int(width * 0.72), int(height * 0.66), int(width * 0.92), int(height * 0.9))
    ImageDraw.Draw(result).rectangle(box, fill=(128, 128, 128))
    return result, [box[0] / width, box[1] / height, box[2] / width, box[3] / height]


def jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=88)
    return stream.getvalue()


def fingerprint(side: str, image: Image.Image, body: bytes) -> Row:
    """The `old_*` or `new_*` columns of the quarantine."""
    luma, chroma, texture = stored(np.asarray(image))
    values = {
        "sha256": hashlib.sha256(body).hexdigest(),
        "width": image.width,
        "height": image.height,
        "format": "JPEG",
        "luma": luma,
        "chroma": chroma,
        "texture": texture,
    }
    return {f"{side}_{name}": value for name, value in values.items()}


@dataclass
class Run:
    """A run in the making: add lines, then `write` it."""

    verdicts: list[Row] = field(default_factory=list)
    quarantine: list[Row] = field(default_factory=list)
    domains: list[Row] = field(default_factory=list)
    findings: list[Row] = field(default_factory=list)
    originals: list[Row] = field(default_factory=list)

    def add(self, verdict: Verdict, **columns: Any) -> Row:  # noqa: ANN401 - a value of any column
        """Add a row of verdicts."""
        row = len(self.verdicts)
        line = {
            "row": row,
            "key": f"{row:06d}",
            "url": f"https://img{row % 7}.example.com/{row}.jpg",
            "domain": "example.com",
            "caption": f"a picture, number {row}",
            "verdict": verdict.value,
            "reason": f"because it is {verdict}",
            "score": 0.9 if verdict.group is Group.SUSPICIOUS else 0.0,
            "fetched_at": FETCHED_AT,
            **columns,
        }
        self.verdicts.append(line)
        return line

    def add_changed(
        self,
        verdict: Verdict,
        old: Image.Image | None,
        new: Image.Image,
        *,
        keep: bool = False,
        **columns: Any,  # noqa: ANN401 - a value of any column
    ) -> Row:
        """Add a suspicious row with its pictures; `keep` puts the old one into the snapshot."""
        new_body = jpeg(new)
        line = self.add(verdict, **columns)
        evidence = {"row": line["row"], "key": line["key"], "url": line["url"], "verdict": verdict.value}
        evidence |= {"bytes": new_body, **fingerprint("new", new, new_body)}
        if old is not None:
            old_body = jpeg(old)
            evidence |= fingerprint("old", old, old_body)
            if keep:
                self.originals.append({"sha256": evidence["old_sha256"], "bytes": old_body})
        line |= {"old_sha256": evidence.get("old_sha256"), "new_sha256": evidence["new_sha256"]}
        self.quarantine.append(evidence)
        return line

    def add_domain(self, domain: str | None, *, swapped: bool, reasons: list[str] | None = None) -> None:
        """Add the roll-up of a domain over the rows added so far."""
        lines = [line for line in self.verdicts if line["domain"] == domain]
        counts = Counter(line["verdict"] for line in lines)
        self.domains.append(
            {
                "domain": domain,
                "rows": len(lines),
                "share": len(lines) / max(1, len(self.verdicts)),
                "swap_suspected": swapped,
                "score": 0.97 if swapped else 0.2,
                "reasons": reasons or [],
                **{verdict.value: counts[verdict.value] for verdict in Verdict},
            }
        )

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write the run and its snapshot; returns both folders."""
        run, snapshot = folder / "run", folder / "snapshot"
        write_parts(run / "verdicts", self.verdicts, schema.VERDICTS)
        write_parts(run / "quarantine", [], schema.QUARANTINE)
        for index in range(0, len(self.verdicts), ROWS_A_PART):
            lines = [line for line in self.quarantine if 0 <= line["row"] - index < ROWS_A_PART]
            if lines:
                name = f"{index // ROWS_A_PART:05d}.parquet"
                write_one(run / "quarantine" / name, lines, schema.QUARANTINE)
        write_parts(snapshot / "bytes", self.originals, schema.BYTES)
        write_one(run / "domains.parquet", self.domains, schema.DOMAINS)
        if self.findings:
            write_one(run / "findings.parquet", self.findings, schema.FINDINGS)
        counts = Counter(Verdict(line["verdict"]) for line in self.verdicts)
        suspected = [line["domain"] for line in self.domains if line["swap_suspected"]]
        past = seal(
            snapshot / "snapshot.json", {"created_at": REMEMBERED, "identity": {"source": "list.csv"}}
        )
        write_documents(run, counts, suspected, snapshot=str(snapshot), snapshot_digest=past["digest"])
        return run, snapshot


def write_parts(folder: Path, rows: list[Row], columns: pa.Schema, rows_a_part: int = ROWS_A_PART) -> None:
    """Write rows as numbered parts."""
    folder.mkdir(parents=True)
    for index, start in enumerate(range(0, len(rows), rows_a_part)):
        write_one(folder / f"{index:05d}.parquet", rows[start : start + rows_a_part], columns)


def write_one(path: Path, rows: list[Row], columns: pa.Schema) -> None:
    """Write one Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=columns), path)


def write_documents(
    run: Path, counts: Counter[Verdict], suspected: list[str | None], **identity: str
) -> None:
    """Write run.json and summary.json."""
    run.mkdir(parents=True, exist_ok=True)
    rows = sum(counts.values())
    groups = Counter[str]()
    for verdict, count in counts.items():
        groups[verdict.group.value] += count
    summary = {
        "rows": rows,
        "counts": {verdict.value: count for verdict, count in counts.items()},
        "groups": dict(groups),
        "seconds": 4.8,
        "rows_per_s": rows / 4.8,
        "suspected_domains": suspected,
        "exit_code": 1 if groups["suspicious"] else 0,
        "unanswered": groups["lost"] + groups["unknown"],
    }
    document = {
        "command": "check",
        "identity": {"command": "check", "snapshot": "/data/snapshot", **identity},
        "started_at": "2026-03-04T02:00:00+00:00",
        "finished_at": "2026-03-04T03:12:01+00:00",
        "settings": {"fetch": {"timeout_s": 20.0, "connect_to": None}, "run": {"workers": 2}},
        "versions": {"poisonscan": "0.1.0", "Pillow": "13.0.0"},
        "manifest": {"source": "laion/part-00000.parquet", "sha256": "ab" * 32},
        "snapshot": {"path": "/data/snapshot", "created_at": REMEMBERED},
    }
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    seal(run / "run.json", document)


def seal(path: Path, document: Row) -> Row:
    """Write a document as a finished folder has it, with the digest of itself; returns the whole."""
    whole = {"schema_version": SCHEMA_VERSION, "state": "finished", **document}
    whole["digest"] = document_digest(whole)
    path.write_text(json.dumps(whole), encoding="utf-8")
    return whole


def full_run() -> Run:
    """A run with every verdict, two swapped domains, findings and hostile words."""
    run = Run()
    for index, verdict in enumerate(
        [Verdict.IDENTICAL] * 60 + [Verdict.REENCODED] * 22 + [Verdict.CROPPED] * 3
    ):
        run.add(verdict, domain=f"site{index % 5}.example")
    run.add(Verdict.SAME_PIXELS, domain="site1.example")
    for seed in range(9):
        run.add_changed(
            Verdict.REPLACED,
            photo(seed, 400, 300),
            photo(seed + 100, 300, 300),
            keep=seed % 2 == 0,
            url=f"http://pics.bought-yesterday.com/album/{seed}.jpg?ref=http://evil.example/x",
            domain="bought-yesterday.com",
            reason="another picture: the grids correlate by 0.04",
            score=0.99 - seed / 100,
            phash_distance=30 + seed,
            final_url=f"http://203.0.113.9/{seed}.jpg",
            address="203.0.113.9",
            status=200,
            server="nginx/1.18.0\u202e(evil)",
            content_type="image/jpeg",
        )
    for seed in range(4):
        old = photo(seed + 20, 500, 280)
        new, box = stamped(old)
        caption = (
            "<script>alert(1)</script> a \u202etac\u202c on a mat" if seed else "a very long caption " * 300
        )
        run.add_changed(
            Verdict.EDITED,
            old,
            new,
            keep=True,
            boxes=[box],
            phash_distance=4,
            caption=caption,
            domain="flowers.example",
            reason="a flat patch of 4.8% of the picture",
            score=0.8,
        )
    tall = photo(41, 200, 600)
    noisy = Image.blend(tall, photo(43, 200, 600), 0.18)
    run.add_changed(Verdict.BLENDED, tall, noisy, keep=True, domain=None, url="not a url", phash_distance=9)
    grey = Image.new("RGB", (468, 60), (190, 60, 60))
    for seed in range(3):
        run.add_changed(Verdict.PLACEHOLDER, photo(seed + 60), grey, domain="parked.example", score=0.7)
    run.add_changed(Verdict.CHANGED, None, photo(77), domain="hashes.example", score=0.5)
    lost = [(Verdict.GONE, "HTTP 404"), (Verdict.UNREACHABLE, "no such host"), (Verdict.BLOCKED, "HTTP 403")]
    for index in range(12):
        verdict, reason = lost[index % 3]
        run.add(verdict, reason=reason, domain="dead.example")
    run.add(Verdict.NOT_IMAGE, reason="HTML, not a picture", domain="parked.example")
    run.add(Verdict.UNDECODABLE, reason="OSError: broken data stream", domain="dead.example")
    run.add(Verdict.REFUSED, reason="private address 127.0.0.1", domain="dead.example")
    run.add(Verdict.NO_BASELINE, reason="the snapshot could not be taken", domain="dead.example")
    reasons = ["9 of 9 rows replaced within one night", "re-registered on 2026-02-27, after the snapshot"]
    run.add_domain("bought-yesterday.com", swapped=True, reasons=reasons)
    run.add_domain("parked.example", swapped=True, reasons=["one picture served for 3 rows"])
    for domain in (
        "flowers.example",
        "hashes.example",
        "dead.example",
        None,
        *(f"site{n}.example" for n in range(5)),
    ):
        run.add_domain(domain, swapped=False)
    run.findings = [
        {
            "finding_id": "f1",
            "kind": "placeholder",
            "score": 0.95,
            "n_members": 3,
            "summary": "one picture, 3 rows",
        },
        {
            "finding_id": "f2",
            "kind": "footprint",
            "score": 0.7,
            "n_members": 4,
            "summary": "the same patch, 4 rows",
        },
    ]
    return run
