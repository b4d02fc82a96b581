"""Pictures of NEW that are still at hand are read once more where the grids of both do not settle a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from poisonscan.config import Config, RunSettings
from poisonscan.errors import RunMismatchError
from poisonscan.sources.images import ImageFolder
from poisonscan.stages.diff.comparing import AtHand
from poisonscan.stages.diff.pairing import pair
from poisonscan.stages.diff.run import diff
from poisonscan.stages.snapshot.take import snapshot_images
from tests.compare.pairs import HIDDEN, edited, original_body
from tests.stages_diff.pictures import jpeg, original, url, verdicts, write_folder, write_shard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from poisonscan.sources.model import Picture, PicturePlan, PictureSlice
    from poisonscan.stages.diff.pairing import Matching

CONFIG = Config(run=RunSettings(workers=1, shard_rows=2))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "old", {f"{seed}.jpg": original_body(seed) for seed in (*HIDDEN, 4, 5)})


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Hidden stamps, a cropped picture and one that is as it was."""
    served = {f"{seed}.jpg": edited(seed, edit).data for seed, edit in HIDDEN.items()}
    return write_folder(
        tmp_path / "new", served | {"4.jpg": edited(4, "crop-10").data, "5.jpg": original_body(5)}
    )


FOUND = {"2.jpg": "edited", "3.jpg": "edited", "7.jpg": "edited", "4.jpg": "cropped", "5.jpg": "identical"}


def test_a_folder_shows_what_its_grids_hide(tmp_path: Path, old: Path, new: Path) -> None:
    diff(old, new, tmp_path / "d.parquet", config=CONFIG)
    assert verdicts(tmp_path / "d.parquet") == FOUND


@pytest.mark.parametrize("keep_bytes", [False, True])
def test_so_does_a_snapshot_that_kept_its_pictures(
    tmp_path: Path, old: Path, new: Path, *, keep_bytes: bool
) -> None:
    snapshot_images(new, tmp_path / "snap", keep_bytes=keep_bytes, config=CONFIG)
    diff(old, tmp_path / "snap", tmp_path / "d.parquet", config=CONFIG)
    hidden = {f"{seed}.jpg": "cropped" for seed in HIDDEN}
    assert verdicts(tmp_path / "d.parquet") == (FOUND if keep_bytes else FOUND | hidden)


def test_so_do_shards(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    write_shard(tmp_path / "old/00000.tar", {seed: original_body(seed) for seed in HIDDEN})
    write_shard(tmp_path / "new/00000.tar", {2: edited(2, HIDDEN[2]).data})
    write_shard(tmp_path / "new/00001.tar", {seed: edited(seed, HIDDEN[seed]).data for seed in (3, 7)})
    diff(tmp_path / "old", tmp_path / "new", tmp_path / "d.parquet", config=CONFIG)
    assert verdicts(tmp_path / "d.parquet", "url") == {url(seed): "edited" for seed in HIDDEN}


def test_a_picture_that_changes_while_it_is_compared_ends_the_run(
    tmp_path: Path, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(old_parts: Sequence[Path], new_parts: Sequence[Path], out: Path, rows: int) -> Matching:
        (new / "3.jpg").write_bytes(jpeg(original(3)))
        return pair(old_parts, new_parts, out, rows)

    monkeypatch.setattr("poisonscan.stages.diff.run.pair", meanwhile)
    with pytest.raises(RunMismatchError, match=r"3\.jpg of NEW changed"):
        diff(old, new, tmp_path / "d.parquet", config=CONFIG)


class _Watched:
    """A folder that notes the rows it gave away."""

    def __init__(self, root: Path) -> None:
        self._folder = ImageFolder(root)
        self.given: list[int] = []

    def plan(self, shard_rows: int) -> PicturePlan:
        return self._folder.plan(shard_rows)

    def rows(self, part: PictureSlice) -> range:
        return self._folder.rows(part)

    def read(self, part: PictureSlice) -> Iterator[Picture]:
        for picture in self._folder.read(part):
            self.given.append(picture.ref.row)
            yield picture


def test_no_more_is_read_than_is_wanted(new: Path) -> None:
    source = _Watched(new)
    at_hand = AtHand(source, source.plan(2).slices)
    assert [part.count for part in at_hand.slices] == [2, 2, 1]
    found = list(at_hand.read({0: None, 4: None}))
    assert [picture.ref.row for picture in found] == source.given == [0, 4]
    assert list(at_hand.read({})) == []
    assert source.given == [0, 4]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0, 0, [0]), (1, 2, [0, 1]), (2, 3, [1]), (3, 9, [1, 2]), (4, 9, [2]), (7, 9, [])],
)
def test_a_stretch_takes_its_own_slices_along(new: Path, first: int, last: int, expected: list[int]) -> None:
    source = ImageFolder(new)
    found = AtHand(source, source.plan(2).slices).among(first, last)
    assert [part.index for part in found.slices] == expected
