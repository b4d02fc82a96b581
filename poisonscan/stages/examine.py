"""Bytes and what is remembered of them: one question per URL, in the sandbox, for all rows that share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from poisonscan.compare.ladder import judge
from poisonscan.engine.sandbox import Crash
from poisonscan.fingerprint.decode import Decoded, decoded, fingerprints
from poisonscan.records import DecodeFailure, Published, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poisonscan.compare.ladder import Baseline
    from poisonscan.config import CompareSettings
    from poisonscan.engine.bundles import Bundles
    from poisonscan.records import Comparison, Fingerprint


class Question(NamedTuple):  # pickled for every picture: tuples are, ten times as fast as dataclasses
    """Bytes to be examined.

    Attributes:
        body: the bytes served.
        published: the publisher's hashes; see `decoded`.
        baselines: what the picture is compared with.
        max_pixels: see `decoded`.
        compare: how to compare.
    """

    body: bytes
    published: Published
    baselines: tuple[Baseline, ...]
    max_pixels: int
    compare: CompareSettings


class Examined(NamedTuple):
    """A decoded picture and how it compares with each baseline asked about."""

    fingerprint: Fingerprint
    comparisons: tuple[Comparison, ...]


_NOTHING = Published()
Examiner: TypeAlias = "Bundles[Question, Examined | DecodeFailure]"
"""Where `examine` is asked."""


def size_of(question: Question) -> int:
    """Bytes of a question, as far as they count."""
    return len(question.body)


def examine(questions: Sequence[Question]) -> list[Examined | DecodeFailure]:
    """Decode pictures and compare each with its baselines. Called in a sandbox worker."""
    pictures = [decoded(asked.body, asked.published, asked.max_pixels) for asked in questions]
    described = iter(fingerprints([picture for picture in pictures if isinstance(picture, Decoded)]))
    return [
        picture if isinstance(picture, DecodeFailure) else _compared(asked, picture, next(described))
        for asked, picture in zip(questions, pictures, strict=True)
    ]


def _compared(asked: Question, picture: Decoded, seen: Fingerprint) -> Examined:
    verdicts = (
        judge(baseline, seen, asked.compare, picture.looks, picture.fine) for baseline in asked.baselines
    )
    return Examined(seen, tuple(verdicts))


async def examine_safely(examiner: Examiner, question: Question) -> Examined | DecodeFailure:
    """`examine` where a crash, a hang or an exception costs this one picture: `undecodable`."""
    answer = await examiner.ask(question)
    return DecodeFailure(Verdict.UNDECODABLE, answer.reason) if isinstance(answer, Crash) else answer


def wanted(published: Sequence[Published]) -> Published:
    """The hashes that any of several rows asks for: what is set here is to be computed."""
    if not any(published):
        return _NOTHING
    return Published(
        sha256=next((one.sha256 for one in published if one.sha256), None),
        sha512=next((one.sha512 for one in published if one.sha512), None),
        md5=next((one.md5 for one in published if one.md5), None),
        phash=next((one.phash for one in published if one.phash), None),
    )
