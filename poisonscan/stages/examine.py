"""Bytes and what is remembered of them: one call per URL, in the sandbox, for all rows that share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.compare.ladder import judge
from poisonscan.fingerprint.decode import decoded
from poisonscan.records import DecodeFailure, Published, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poisonscan.compare.ladder import Baseline
    from poisonscan.config import CompareSettings, DecodeSettings
    from poisonscan.engine.bundles import Bundles
    from poisonscan.records import Comparison, Fingerprint


@dataclass(frozen=True, slots=True)
class Examined:
    """A decoded picture and how it compares with each baseline asked about."""

    fingerprint: Fingerprint
    comparisons: tuple[Comparison, ...]


def examine(
    body: bytes,
    published: Published,
    baselines: Sequence[Baseline],
    max_pixels: int,
    compare: CompareSettings,
) -> Examined | DecodeFailure:
    """Decode a picture and compare it with each baseline. Called in a sandbox worker."""
    picture = decoded(body, published, max_pixels)
    if isinstance(picture, DecodeFailure):
        return picture
    seen = picture.fingerprint
    return Examined(seen, tuple(judge(baseline, seen, compare, picture.detail) for baseline in baselines))


async def examine_safely(
    sandbox: Bundles,
    body: bytes,
    published: Published,
    baselines: Sequence[Baseline],
    decode: DecodeSettings,
    compare: CompareSettings,
) -> Examined | DecodeFailure:
    """`examine` where a crash, a hang or an exception costs this one picture: `undecodable`."""
    answer = await sandbox.call(examine, body, published, tuple(baselines), decode.max_pixels, compare)
    if isinstance(answer, (Examined, DecodeFailure)):
        return answer
    return DecodeFailure(Verdict.UNDECODABLE, answer.reason)


def wanted(published: Sequence[Published]) -> Published:
    """The hashes that any of several rows asks for: what is set here is to be computed."""
    return Published(
        sha256=next((one.sha256 for one in published if one.sha256), None),
        sha512=next((one.sha512 for one in published if one.sha512), None),
        md5=next((one.md5 for one in published if one.md5), None),
        phash=next((one.phash for one in published if one.phash), None),
    )
