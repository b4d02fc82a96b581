"""A checkpoint is believed when every file is vouched for and none would run code; faults are named."""

from __future__ import annotations

import json
import os
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from poisonscan.authenticity.manifest import FORMAT, VERSION
from poisonscan.authenticity.model import Level, Problem
from poisonscan.authenticity.signing import Signer, Trust
from poisonscan.cli import main
from poisonscan.errors import UsageError
from poisonscan.stages.model.manifest import model_manifest
from poisonscan.stages.model.verify import Verification, model_verify
from poisonscan.store.folder import document_digest
from tests.authenticity.checkpoints import Calls, make_chain, make_keys, pickled_call, write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.authenticity.checkpoints import Keys

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"), "maker")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"), "stranger")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "pipeline")


@pytest.fixture
def signed(checkpoint: Path, keys: Keys) -> Path:
    model_manifest(checkpoint, signer=Signer(key=keys.private))
    return checkpoint


def manifest_of(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.name}.manifest.json")


def verified(checkpoint: Path, keys: Keys) -> Verification:
    return model_verify(checkpoint, manifest=manifest_of(checkpoint), trust=Trust(key=keys.public))


def named(found: Verification) -> set[tuple[str, Problem]]:
    return {(item.path, item.problem) for item in found.defects}


def test_an_untouched_checkpoint_is_authentic(signed: Path, keys: Keys) -> None:
    found = verified(signed, keys)
    assert (found.defects, found.exit_code) == ((), 0)
    assert found.against == ("manifest", "key")
    assert (found.files, dict(found.kinds)) == (6, {"safetensors": 1, "text": 5})


def test_the_same_files_give_the_same_manifest(checkpoint: Path, tmp_path: Path) -> None:
    twin = write_checkpoint(tmp_path / "elsewhere" / "pipeline")
    written = [model_manifest(folder).out for folder in (checkpoint, twin)]
    assert written[0].read_bytes() == written[1].read_bytes()
    model_manifest(checkpoint)  # and again: it says the same, so it may


def flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)


def call(path: Path) -> None:
    path.write_bytes(pickled_call("os", "system"))


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


TAMPERING: dict[str, tuple[str, Callable[[Path], object], set[Problem]]] = {
    "a flipped byte": (WEIGHTS, flip, {Problem.CHANGED}),
    "an added file": ("unet/new.json", lambda path: path.write_text("{}"), {Problem.EXTRA}),
    "an added hidden file": (".hidden", lambda path: path.write_text("x"), {Problem.EXTRA}),
    "a file in .git": (".gitignore", lambda path: path.write_text("x"), {Problem.EXTRA}),
    "a missing file": ("README.md", lambda path: path.unlink(), {Problem.MISSING}),
    "a pickle with a call": ("w.bin", call, {Problem.EXTRA, Problem.UNSAFE_PICKLE}),
    "code": ("pipeline.py", lambda path: path.write_text("1"), {Problem.EXTRA, Problem.EXECUTABLE_CODE}),
    "a link out": ("unet/config.json", link, {Problem.SYMLINK, Problem.MISSING}),
    "a pipe": ("unet/pipe", os.mkfifo, {Problem.SPECIAL}),
    "an overlapping header": (
        WEIGHTS,
        lambda path: path.write_bytes(path.read_bytes().replace(b"[0, 24]", b"[0, 28]")),
        {Problem.CHANGED, Problem.MALFORMED},
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_what_was_done_to_a_checkpoint_is_named_and_exits_4(name: str, signed: Path, keys: Keys) -> None:
    path, change, expected = TAMPERING[name]
    change(signed / path)
    found = verified(signed, keys)
    assert named(found) == {(path, problem) for problem in expected}
    assert found.exit_code == 4
    for trust, manifest in ((Trust(key=keys.public), None), (None, manifest_of(signed))):
        alone = model_verify(signed, manifest=manifest, trust=trust)
        expectation = 0 if (name, manifest) == ("a file in .git", None) else 4
        assert alone.exit_code == expectation


def test_a_file_the_signature_leaves_out_is_noted(signed: Path, keys: Keys) -> None:
    (signed / ".gitattributes").write_text("*.bin lfs")
    found = model_verify(signed, trust=Trust(key=keys.public))
    assert (named(found), found.exit_code) == ({(".gitattributes", Problem.LEFT_OUT)}, 0)


def test_somebody_elses_key_and_no_signature_exit_4(signed: Path, keys: Keys, stranger: Keys) -> None:
    assert verified(signed, stranger).exit_code == 4
    (signed / "model.sig").unlink()
    manifest_of(signed).unlink()
    model_manifest(signed, signer=Signer(key=stranger.private))  # signed anew
    assert named(verified(signed, keys)) == {("model.sig", Problem.BAD_SIGNATURE)}
    (signed / "model.sig").unlink()
    assert named(verified(signed, keys)) == {("model.sig", Problem.UNSIGNED)}


def test_a_chain_of_certificates_vouches(checkpoint: Path, tmp_path: Path) -> None:
    chain = make_chain(tmp_path, "maker")
    signer = Signer(key=chain.key, certificate=chain.certificate, chain=(chain.between, chain.root))
    model_manifest(checkpoint, signer=signer, signature=tmp_path / "x.sig")
    trust = Trust(certificates=(chain.root,))
    assert model_verify(checkpoint, trust=trust, signature=tmp_path / "x.sig").exit_code == 0
    flip(checkpoint / WEIGHTS)
    assert model_verify(checkpoint, trust=trust, signature=tmp_path / "x.sig").exit_code == 4


def test_one_file_is_a_checkpoint_too(checkpoint: Path, keys: Keys) -> None:
    file = checkpoint / WEIGHTS
    model_manifest(file, signer=Signer(key=keys.private))
    assert file.with_name(f"{file.name}.sig").exists()
    assert verified(file, keys).exit_code == 0
    flip(file)
    assert named(verified(file, keys)) == {(".", Problem.CHANGED), (file.name, Problem.CHANGED)}


def test_without_anything_to_compare_with_nothing_is_authenticated(checkpoint: Path) -> None:
    found = model_verify(checkpoint)
    assert named(found) == {("", Problem.UNAUTHENTICATED)}
    assert found.exit_code == 3
    call(checkpoint / "w.pkl")
    assert model_verify(checkpoint).exit_code == 4
    (checkpoint / "w.pkl").write_bytes(pickled_call("some.package", "Thing"))
    assert model_verify(checkpoint).exit_code == 1


def test_what_cannot_be_looked_into_exits_3_though_it_is_authentic(checkpoint: Path, keys: Keys) -> None:
    (checkpoint / "w.gguf").write_bytes(b"GGUF")
    model_manifest(checkpoint, signer=Signer(key=keys.private))
    found = verified(checkpoint, keys)
    assert (named(found), found.exit_code) == ({("w.gguf", Problem.UNSCANNABLE)}, 3)
    accepted = model_verify(checkpoint, trust=Trust(key=keys.public), accept=[Problem.UNSCANNABLE])
    assert (named(accepted), accepted.exit_code) == (named(found), 0)


@pytest.mark.parametrize("problem", [item for item in Problem if item.level is Level.WRONG])
def test_what_is_wrong_cannot_be_accepted(problem: Problem, checkpoint: Path) -> None:
    with pytest.raises(UsageError, match="cannot be accepted"):
        model_verify(checkpoint, accept=[problem])


def test_an_edited_manifest_is_found(signed: Path, keys: Keys) -> None:
    manifest = manifest_of(signed)
    document = json.loads(manifest.read_text())
    document["files"].pop("README.md")
    manifest.write_text(json.dumps(document))
    (signed / "README.md").unlink()
    found = model_verify(signed, manifest=manifest)
    assert (named(found), found.exit_code) == ({("", Problem.CHANGED)}, 4)
    assert verified(signed, keys).exit_code == 4


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', "[" * 10**5, "\u0661"])
def test_what_is_no_manifest_is_a_mistake(text: str, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="is no manifest"):
        model_verify(checkpoint, manifest=tmp_path / "m.json")


@pytest.mark.parametrize("files", [None, [], {"a": 1}, {"a": {}}])
def test_a_manifest_of_another_shape_is_a_mistake(files: object, checkpoint: Path, tmp_path: Path) -> None:
    document: dict[str, object] = {"format": FORMAT, "version": VERSION, "files": files}
    document["digest"] = document_digest(document)
    (tmp_path / "m.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UsageError, match="are not described"):
        model_verify(checkpoint, manifest=tmp_path / "m.json")
    (tmp_path / "m.json").write_text(json.dumps(document | {"version": 2}), encoding="utf-8")
    with pytest.raises(UsageError, match="has version 2"):
        model_verify(checkpoint, manifest=tmp_path / "m.json")


def test_a_trusted_moment_is_not_overwritten(signed: Path, keys: Keys) -> None:
    with pytest.raises(UsageError, match=r"model\.sig is there already"):
        model_manifest(signed, signer=Signer(key=keys.private))
    before = manifest_of(signed).read_bytes()
    flip(signed / WEIGHTS)
    with pytest.raises(UsageError, match="says something else"):
        model_manifest(signed)
    assert manifest_of(signed).read_bytes() == before


def test_a_manifest_does_not_lie_in_what_it_is_about(checkpoint: Path) -> None:
    inside = checkpoint / "manifest.json"
    with pytest.raises(UsageError, match="keep it elsewhere"):
        model_manifest(checkpoint, inside)
    with pytest.raises(UsageError, match="keep it elsewhere"):
        model_verify(checkpoint, manifest=inside)
    assert not inside.exists()


def test_nobody_vouches_for_what_cannot_be_accounted_for(
    checkpoint: Path, keys: Keys, tmp_path: Path
) -> None:
    (checkpoint / "link").symlink_to("README.md")
    with pytest.raises(UsageError, match="is a link"):
        model_manifest(checkpoint, tmp_path / "a.json", signer=Signer(key=keys.private))
    (checkpoint / "link").unlink()
    (checkpoint / "link").symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="outside of the folder"):
        model_manifest(checkpoint, tmp_path / "a.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no files"):
        model_manifest(tmp_path / "empty")
    with pytest.raises(UsageError, match="no such folder"):
        model_manifest(tmp_path / "nothing")
    assert not (tmp_path / "a.json").exists()


def test_a_signature_needs_somebody(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nobody signs"):
        model_manifest(checkpoint, signature=tmp_path / "x.sig")
    with pytest.raises(UsageError, match="add --key"):
        model_verify(checkpoint, signature=tmp_path / "x.sig")


def test_verifying_leaves_the_checkpoint_as_it_is(signed: Path, keys: Keys) -> None:
    mark = signed.with_name("ran")
    body = pickle.dumps(Calls(os.system, f"touch {mark}"))
    (signed / "w.pkl").write_bytes(body)
    before = {path: path.stat().st_mtime_ns for path in signed.rglob("*")}
    assert verified(signed, keys).exit_code == 4
    assert {path: path.stat().st_mtime_ns for path in signed.rglob("*")} == before
    assert not mark.exists()


def run(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    code = main(["model", *map(str, arguments)])
    out, err = capfd.readouterr()
    assert out.count("\n") == bool(out)
    return code, json.loads(out) if out else {}, err


def test_the_command_line_says_it_all(
    checkpoint: Path, keys: Keys, capfd: pytest.CaptureFixture[str]
) -> None:
    code, line, err = run(capfd, "manifest", checkpoint, "--sign", keys.private)
    assert (code, line["files"], line["signature"]) == (0, 5, str(checkpoint / "model.sig"))
    assert "signed: " in err
    verify = ("verify", checkpoint, "--manifest", manifest_of(checkpoint), "--key", keys.public)
    code, line, err = run(capfd, *verify)
    assert (code, line["checked_against"], line["counts"]) == (0, ["manifest", "key"], {})
    assert "compared with the manifest and key" in err
    code, line, err = run(capfd, "verify", checkpoint)
    assert (code, line["exit_code"], "NOTHING WAS AUTHENTICATED" in err) == (3, 3, True)
    call(checkpoint / "w.bin")
    (checkpoint / "pipe\x1bline.py").touch()
    code, line, err = run(capfd, *verify, "--accept", "executable_code")
    assert (code, line["counts"]) == (4, {"executable_code": 1, "extra": 2, "unsafe_pickle": 1})
    assert "unsafe_pickle" in err
    assert "(accepted)" in err
    assert "\x1b" not in err
    assert "problems" not in line
    code, line, err = run(capfd, *verify, "--json")
    words = "the manifest knows no such file; the signature knows no such file"
    assert {"path": "w.bin", "problem": "extra", "words": words} in line["problems"]
    assert (code, err) == (4, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "PATH", "--accept", "nothing_such"),
        ("verify", "PATH", "--accept", "unsafe_pickle"),
        ("verify", "PATH", "--signature", "x.sig"),
        ("verify", "PATH", "--identity", "me@example.org"),
        ("verify", "PATH", "--issuer", "https://example.org"),
        ("verify", "PATH", "--key", "none.pub"),
        ("verify", "PATH", "--manifest", "README.md"),
        ("verify", "PATH", "--manifest", "none.json"),
        ("manifest", "PATH", "--certificate", "x.crt"),
        ("manifest", "PATH", "--sign", "none.pem"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...], checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (checkpoint.parent / "README.md").write_text("no manifest")
    files = {"PATH", "none.pub", "none.pem", "none.json", "README.md", "x.sig", "x.crt"}
    places = {"PATH": checkpoint} | {name: checkpoint.parent / name for name in files - {"PATH"}}
    given = [places.get(item, item) for item in arguments]
    code, line, err = run(capfd, *given)
    assert (code, line, err.count("\n")) == (2, {}, 1)
    assert err.startswith("poisonscan: ")


def test_an_encrypted_key_is_opened_by_a_variable(
    checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = make_keys(tmp_path, "hidden", password=b"sesame")
    assert run(capfd, "manifest", checkpoint, "--sign", hidden.private)[0] == 2
    monkeypatch.setenv("POISONSCAN_KEY_PASSWORD", "sesame")
    assert run(capfd, "manifest", checkpoint, "--sign", hidden.private)[0] == 0
