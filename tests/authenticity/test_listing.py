"""Every file is accounted for, and every difference between two accounts has a name."""

from __future__ import annotations

import hashlib
import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonscan.authenticity.listing import GIT, compare_digests, compare_listings, take_listing
from poisonscan.authenticity.model import Entry, Problem
from poisonscan.errors import StorageError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = st.builds(Entry, st.integers(0, 3), st.sampled_from("ab"), st.sampled_from(["", "to"]))
LISTINGS = st.dictionaries(st.text("abc/.", min_size=1, max_size=4), ENTRIES, max_size=5)


@given(said=LISTINGS, found=LISTINGS)
def test_a_difference_is_named_once_and_equality_never(
    said: dict[str, Entry], found: dict[str, Entry]
) -> None:
    named = {item.path: item.problem for item in compare_listings(said, found, "it")}
    assert len(named) == len(list(compare_listings(said, found, "it")))
    assert {
        path for path, problem in named.items() if problem is Problem.MISSING
    } == said.keys() - found.keys()
    assert {path for path, problem in named.items() if problem is Problem.EXTRA} == found.keys() - said.keys()
    both = said.keys() & found.keys()
    changed = {path for path in both if said[path] != found[path]}
    assert {path for path, problem in named.items() if problem is Problem.CHANGED} == changed


@given(listing=LISTINGS)
def test_a_listing_equals_itself(listing: dict[str, Entry]) -> None:
    assert list(compare_listings(listing, dict(reversed(listing.items())), "it")) == []


def test_every_file_is_listed_with_its_content(checkpoint: Path) -> None:
    listing = take_listing(checkpoint)
    files = {path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file()}
    assert listing.entries.keys() == files
    assert listing.defects == ()
    for name, entry in listing.entries.items():
        body = (checkpoint / name).read_bytes()
        assert entry == Entry(len(body), hashlib.sha256(body).hexdigest())


def test_one_file_is_listed_by_its_name(checkpoint: Path) -> None:
    assert list(take_listing(checkpoint / "README.md").entries) == ["README.md"]


def test_hidden_files_and_files_in_hidden_folders_count(checkpoint: Path) -> None:
    (checkpoint / ".git").mkdir()
    (checkpoint / ".git" / "config").touch()
    (checkpoint / "unet" / ".hidden").touch()
    assert {".git/config", "unet/.hidden"} <= take_listing(checkpoint).entries.keys()


def test_links_out_of_the_folder_and_links_to_nowhere_are_named(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x")
    (checkpoint / "absolute").symlink_to(tmp_path / "outside")
    (checkpoint / "up").symlink_to("../outside")
    (checkpoint / "folder").symlink_to(tmp_path)
    (checkpoint / "nowhere").symlink_to("nothing")
    (checkpoint / "loop").symlink_to("loop")
    listing = take_listing(checkpoint)
    assert {item.path for item in listing.defects} == {"absolute", "up", "folder", "nowhere", "loop"}
    assert {item.problem for item in listing.defects} == {Problem.SYMLINK}
    assert not {"absolute", "up", "folder"} & listing.entries.keys()


def test_links_inside_are_listed_with_where_they_lead(checkpoint: Path) -> None:
    (checkpoint / "link.md").symlink_to("README.md")
    (checkpoint / "again").symlink_to("unet")
    listing = take_listing(checkpoint)
    assert listing.entries["link.md"].sha256 == listing.entries["README.md"].sha256
    assert (listing.entries["link.md"].link, listing.entries["again"].link) == ("README.md", "unet")
    assert "again/config.json" not in listing.entries


def test_a_link_in_the_place_of_a_file_is_a_change(checkpoint: Path) -> None:
    before = take_listing(checkpoint).entries
    (checkpoint / "copy.md").write_bytes((checkpoint / "README.md").read_bytes())
    with_file = take_listing(checkpoint).entries
    (checkpoint / "copy.md").unlink()
    (checkpoint / "copy.md").symlink_to("README.md")
    [found] = compare_listings(with_file, take_listing(checkpoint).entries, "the manifest")
    assert (found.path, found.problem) == ("copy.md", Problem.CHANGED)
    assert "says a file, it is a link to README.md" in found.words
    assert before.keys() < with_file.keys()


def test_pipes_and_sockets_are_named_and_not_opened(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(checkpoint / "pipe")
    (checkpoint / "to-pipe").symlink_to("pipe")
    monkeypatch.chdir(checkpoint)  # the path of a socket has a limit of 108 bytes
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("socket")
        defects = take_listing(checkpoint).defects
    assert {item.path: item.problem for item in defects} == dict.fromkeys(
        ("pipe", "to-pipe", "socket"), Problem.SPECIAL
    )


def test_what_is_not_there_or_cannot_be_read_is_an_error(checkpoint: Path) -> None:
    with pytest.raises(UsageError, match="no such folder or file"):
        take_listing(checkpoint / "nothing")
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (checkpoint / "unet").chmod(0)
    try:
        with pytest.raises(StorageError, match="unet"):
            take_listing(checkpoint)
    finally:
        (checkpoint / "unet").chmod(0o755)


def test_what_a_signature_leaves_out_is_extra_unless_it_is_gits_own() -> None:
    found = {"a": "1", ".gitattributes": "2", ".git/config": "3", "cache/x.py": "4", ".gitattributes2": "5"}
    defects = compare_digests({"a": "1"}, found, "the signature", (*GIT, "cache/"))
    assert {item.path: item.problem for item in defects} == {
        ".gitattributes": Problem.LEFT_OUT,
        ".git/config": Problem.LEFT_OUT,
        "cache/x.py": Problem.EXTRA,
        ".gitattributes2": Problem.EXTRA,
    }
    assert {item.problem for item in compare_digests({}, found, "the signature")} == {Problem.EXTRA}
