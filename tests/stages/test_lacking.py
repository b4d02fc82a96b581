from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poisonscan.fingerprint.essence import bytes_essence
from poisonscan.stages.check.lacking import lacks

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("essences", "said"),
    [
        (["jpeg2:0", bytes_essence("1"), None], False),
        ([None], False),
        (["jpeg2:0", "jpeg:0"], True),
        (["pixels:0"], True),
    ],
)
def test_a_snapshot_of_an_earlier_version_is_said_to_lack_believable_digests(
    tmp_path: Path, essences: list[str | None], *, said: bool
) -> None:
    part = tmp_path / "00000.parquet"
    pq.write_table(pa.table({"essence": pa.array(essences, pa.string())}), part)
    assert bool(lacks(part)) is said
    assert all("same_pixels" in sentence for sentence in lacks(part))
