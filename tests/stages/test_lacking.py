from __future__ import annotations

import pytest

from poisonscan.fingerprint.essence import bytes_essence
from poisonscan.stages.check.lacking import lacks


@pytest.mark.parametrize(
    ("essences", "said"),
    [
        (["jpeg2:0", bytes_essence("1"), None], 0),
        ([None], 0),
        ([], 0),
        (["jpeg2:0", "jpeg:0"], 1),
        (["pixels:0", "png:0"], 1),
    ],
)
def test_a_snapshot_of_an_earlier_version_is_said_to_lack_believable_digests(
    essences: list[str | None], said: int
) -> None:
    sentences = lacks(essences, ["essence", "renderings"])
    assert len(sentences) == said
    assert all("same_pixels" in sentence for sentence in sentences)


def test_a_snapshot_without_renderings_is_said_to_remember_one() -> None:
    (sentence,) = lacks([], ["essence"])
    assert "as one loader shows it" in sentence
