"""Rows of one URL are kept in one part of a snapshot, so numbers in a part need not follow each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from poisonscan.config import Config, EmbedSettings, HuntSettings, RunSettings
from poisonscan.embed.views import View, pixels_of, view
from poisonscan.errors import StorageError
from poisonscan.hunt.model import SIDE
from poisonscan.redteam.sites import Behaviour
from poisonscan.redteam.web import LyingWeb
from poisonscan.sources import KeptBytes
from poisonscan.stages.diff.comparing import AtHand
from poisonscan.stages.embed.squares import open_squares, pixels_path
from poisonscan.stages.hunt.corpus import load
from poisonscan.stages.hunt.run import hunt_dataset
from poisonscan.stages.snapshot.take import snapshot

from .world import config_for, read, sites_of, urls_of, write_list

if TYPE_CHECKING:
    from pathlib import Path

ORDER = [0, 1, 2, 3, 4, 5, 1, 6, 0, 7, 0, 1, 2, 3, 4, 8, 8, 9, 5, 9]
"""Which picture each row shows. Parts are cut every 5 rows; the third loses all of its rows."""


@pytest.fixture(scope="module")
def pictures_of_rows(pictures: list[Path]) -> list[Path]:
    return [pictures[number] for number in ORDER]


@pytest.fixture(scope="module")
def then(pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("moved")
    sites = sites_of({Behaviour.STABLE: 10}, pictures)
    urls = urls_of(sites)
    table = write_list(work / "list.csv", [urls[number] for number in ORDER])
    with LyingWeb(sites) as web:
        snapshot(str(table), work / "then", keep_bytes=True, config=config_for(web, shard_rows=5))
    return work / "then"


def test_the_parts_are_as_these_tests_need_them(then: Path) -> None:
    source = KeptBytes(then)
    parts = [source.rows(part) for part in source.plan(5).slices]
    assert parts == [[0, 1, 2, 3, 4, 6, 8, 10, 11, 12, 13, 14], [5, 7, 9, 18], [], [15, 16, 17, 19]]


def test_working_pixels_are_those_of_their_row(
    then: Path, pictures_of_rows: list[Path], tmp_path: Path
) -> None:
    config = Config(
        run=RunSettings(workers=1, shard_rows=5),
        embed=EmbedSettings(batch_rows=3),
        hunt=HuntSettings(detectors="duplicates"),
    )
    hunt_dataset(then, tmp_path / "run", keep_work=True, config=config)
    loaded = load(tmp_path / "run", tmp_path / "run")
    assert loaded.rows.tolist() == [row["row"] for row in read(tmp_path / "run", "vectors")]
    assert sorted(loaded.rows.tolist()) == list(range(len(ORDER)))
    assert loaded.corpus.pixels is not None
    found = loaded.corpus.pixels.read(range(len(ORDER)))
    for pixels, row in zip(found, loaded.rows.tolist(), strict=True):
        seen = view(pictures_of_rows[row].read_bytes(), 1_000_000, None, square=True)
        assert isinstance(seen, View)
        np.testing.assert_array_equal(pixels, pixels_of(seen.square, SIDE))


def test_a_diff_finds_the_pictures_of_all_rows(then: Path, pictures_of_rows: list[Path]) -> None:
    source = KeptBytes(then)
    slices = source.plan(5).slices
    for first in range(0, len(ORDER), 3):
        rows = dict.fromkeys(range(first, min(first + 3, len(ORDER))))
        at_hand = AtHand(source, slices).among(min(rows), max(rows))
        bodies = {picture.ref.row: picture.body for picture in at_hand.read(rows)}
        assert bodies == {row: pictures_of_rows[row].read_bytes() for row in rows}


def test_pixels_that_must_be_there_are_never_replaced_by_black_ones(tmp_path: Path) -> None:
    begun = open_squares(tmp_path, 0, [3, 7, 4], begun=False)
    begun.put(7, np.full((SIDE, SIDE, 3), 9, np.uint8))
    begun.sync()
    again = open_squares(tmp_path, 0, [3, 7, 4], begun=True)
    assert again.pixels[:, 0, 0, 0].tolist() == [0, 0, 9]
    path = pixels_path(tmp_path, 0)
    whole = path.read_bytes()
    for content in (b"", whole[:50], b"\0" * 128 + whole[128:]):
        path.write_bytes(content)
        with pytest.raises(StorageError, match=r"00000\.npy is missing or damaged"):
            open_squares(tmp_path, 0, [3, 7, 4], begun=True)
    with pytest.raises(StorageError, match="is missing or damaged"):
        open_squares(tmp_path, 1, [3], begun=True)
