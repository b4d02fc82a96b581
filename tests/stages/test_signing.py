"""A signed snapshot is believed by the right key alone, and only as long as it is what was signed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from poisonscan.authenticity.signing import Signer, Trust
from poisonscan.cli import main
from poisonscan.errors import SnapshotInvalidError
from poisonscan.stages import sealed
from poisonscan.stages.signing import require_signed, sign_snapshot
from poisonscan.stages.snapshot.take import snapshot_images
from poisonscan.stages.verify import require_intact, verify
from poisonscan.store.folder import (
    SNAPSHOT_DOCUMENT,
    SNAPSHOT_SIGNATURE,
    document_bytes,
    document_digest,
    read_document,
)
from tests.authenticity.checkpoints import Keys, make_chain, make_keys

from .test_loop import copied
from .world import draw_pictures, offline

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Loop


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"), "taker")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"), "stranger")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draw_pictures(folder, 3)
    return folder


@pytest.fixture(scope="module")
def taken(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taken") / "then"
    snapshot_images(drawn, folder, config=offline())
    return folder


@pytest.fixture
def signed(taken: Path, keys: Keys, tmp_path: Path) -> Path:
    folder = copied(taken, tmp_path / "then")
    sign_snapshot(folder, Signer(key=keys.private))
    return folder


def alter(snapshot: Path) -> None:
    """Change a snapshot's document so that its own digest fits again, as whoever has this program can."""
    path = snapshot / SNAPSHOT_DOCUMENT
    document = json.loads(path.read_text(encoding="utf-8"))
    document["created_at"] = "2020-01-01T00:00:00+00:00"
    document["digest"] = document_digest(document)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def test_a_signed_snapshot_is_intact_and_signed(signed: Path, keys: Keys) -> None:
    assert verify(signed) == []
    require_signed(signed, Trust(key=keys.public))


def test_a_certificate_vouches_as_well(signed: Path, tmp_path: Path) -> None:
    chain = make_chain(tmp_path, "taker")
    signer = Signer(key=chain.key, certificate=chain.certificate, chain=(chain.between, chain.root))
    sign_snapshot(signed, signer)  # in the place of the older signature
    require_signed(signed, Trust(certificates=(chain.root,)))
    with pytest.raises(SnapshotInvalidError, match="bad_signature"):
        require_signed(signed, Trust(certificates=(make_chain(tmp_path, "other").root,)))


def test_an_altered_snapshot_whose_own_digest_fits_is_not_believed(signed: Path, keys: Keys) -> None:
    alter(signed)
    assert verify(signed) == []  # nobody can tell without the signature
    with pytest.raises(SnapshotInvalidError, match="changed") as caught:
        require_signed(signed, Trust(key=keys.public))
    assert caught.value.exit_code == 4


def test_unsigned_and_signed_by_another_are_not_believed(signed: Path, keys: Keys, stranger: Keys) -> None:
    sign_snapshot(signed, Signer(key=stranger.private))
    with pytest.raises(SnapshotInvalidError, match="bad_signature"):
        require_signed(signed, Trust(key=keys.public))
    (signed / SNAPSHOT_SIGNATURE).unlink()
    with pytest.raises(SnapshotInvalidError, match="unsigned"):
        require_signed(signed, Trust(key=keys.public))
    with pytest.raises(SnapshotInvalidError, match="is no snapshot folder"):
        require_signed(signed / "rows", Trust(key=keys.public))


def test_a_signature_of_another_snapshot_is_not_believed(signed: Path, keys: Keys, drawn: Path) -> None:
    other = signed.with_name("other")
    snapshot_images(drawn, other, config=offline())
    alter(other)
    (other / SNAPSHOT_SIGNATURE).write_bytes((signed / SNAPSHOT_SIGNATURE).read_bytes())
    with pytest.raises(SnapshotInvalidError, match="changed"):
        require_signed(other, Trust(key=keys.public))


def test_what_was_verified_is_what_is_used(
    signed: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits until the document was read, and then puts another one and its part in its place."""
    forged = tmp_path / "forged"
    draw_pictures(tmp_path / "others", 4)
    snapshot_images(tmp_path / "others", forged, config=offline())
    really = document_bytes
    before = read_document(signed, SNAPSHOT_DOCUMENT)

    def swapped_behind_our_back(path: Path, name: str) -> bytes:
        content = really(path, name)
        for file in (SNAPSHOT_DOCUMENT, "rows/00000.parquet"):
            (signed / file).write_bytes((forged / file).read_bytes())
        return content

    monkeypatch.setattr(sealed, "document_bytes", swapped_behind_our_back)
    document = sealed.finished_snapshot(signed, Trust(key=keys.public))
    assert document == before
    (part,) = sealed.rows_parts(signed, document)
    with pytest.raises(SnapshotInvalidError, match=r"00000\.parquet was altered"):
        part.read()


def test_what_is_damaged_is_not_signed(taken: Path, keys: Keys, tmp_path: Path) -> None:
    folder = copied(taken, tmp_path / "then")
    part = folder / "rows" / "00000.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(SnapshotInvalidError, match="was altered"):
        sign_snapshot(folder, Signer(key=keys.private))
    assert not (folder / SNAPSHOT_SIGNATURE).exists()


def test_the_command_line_signs_verifies_and_checks(
    drawn: Path, keys: Keys, stranger: Keys, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    then = tmp_path / "then"
    take = ["snapshot", "--from-images", str(drawn), "--out", str(then)]
    assert main(take) == 0
    assert main(["verify", str(then), "--key", str(keys.public)]) == 4
    assert "unsigned" in capfd.readouterr().err
    assert main([*take, "--sign", str(keys.private)]) == 0  # a finished snapshot is signed
    assert main([*take, "--sign", str(keys.private)]) == 0  # and again
    require_intact(then)
    assert main(["verify", str(then), "--key", str(keys.public)]) == 0
    assert "signed, as the key demands" in capfd.readouterr().err
    assert main(["verify", str(then)]) == 0
    assert "snapshot.sig was not looked at" in capfd.readouterr().err
    for verb in (["verify", str(then)], ["check", str(then), "--out", str(tmp_path / "now")]):
        assert main([*verb, "--key", str(stranger.public)]) == 4
        assert "bad_signature" in capfd.readouterr().err
    assert not (tmp_path / "now").exists()


def test_a_key_that_cannot_sign_stops_before_anything_is_fetched(
    drawn: Path, keys: Keys, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    then = tmp_path / "then"
    arguments = ["snapshot", "--from-images", str(drawn), "--out", str(then), "--sign", str(keys.public)]
    assert main(arguments) == 2
    assert "cannot be used to sign" in capfd.readouterr().err
    assert not then.exists()


def test_a_check_with_the_right_key_goes_on(
    loop: Loop, keys: Keys, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    then, now = copied(loop.snapshot, tmp_path / "then"), tmp_path / "now"
    sign_snapshot(then, Signer(key=keys.private))
    check = ["check", str(then), "--out", str(now), "--key", str(keys.public), "--fail-on", "never"]
    flags = ["--sample", "2", "--connect-to", loop.web.address, "--retries", "0", "--max-lost", "1"]
    assert main([*check, *flags]) == 0
    assert json.loads(capfd.readouterr().out)["rows"] == 2
    alter(then)
    assert main([*check, *flags]) == 4
    assert "changed" in capfd.readouterr().err
