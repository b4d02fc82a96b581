"""A signature is believed when it is whole, by the right maker and about these files, or it says why not."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from poisonscan.authenticity.listing import compare_digests, take_listing
from poisonscan.authenticity.model import Defect, Problem
from poisonscan.authenticity.signing import (
    Signer,
    Statement,
    Trust,
    actual_digests,
    read_statement,
    require_signer,
    sign,
)
from poisonscan.errors import MissingDependencyError, UsageError

from .checkpoints import make_chain, make_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checkpoints import Chain, Keys


@pytest.fixture
def signature(checkpoint: Path, keys: Keys) -> Path:
    path = checkpoint / "model.sig"
    sign(checkpoint, path, Signer(key=keys.private))
    return path


def believed(signature: Path, trust: Trust) -> Statement:
    statement = read_statement(signature, trust)
    assert isinstance(statement, Statement), statement
    return statement


def refused(signature: Path, trust: Trust) -> Defect:
    defect = read_statement(signature, trust)
    assert isinstance(defect, Defect)
    return defect


def differences(checkpoint: Path, statement: Statement) -> dict[str, Problem]:
    actual = actual_digests(checkpoint, take_listing(checkpoint), statement)
    found = compare_digests(statement.digests, actual, "the signature", statement.left_out)
    return {item.path: item.problem for item in found}


def test_what_was_signed_is_believed_and_says_which_files(
    checkpoint: Path, signature: Path, keys: Keys
) -> None:
    statement = believed(signature, Trust(key=keys.public))
    files = {path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file()}
    assert statement.digests.keys() == files - {"model.sig"}
    assert "model.sig" in statement.left_out
    assert differences(checkpoint, statement) == {"model.sig": Problem.EXTRA}


def test_files_that_changed_since_are_told_apart(checkpoint: Path, signature: Path, keys: Keys) -> None:
    (checkpoint / "README.md").write_text("other", encoding="utf-8")
    (checkpoint / "unet" / "config.json").unlink()
    (checkpoint / "unet" / "new.json").write_text("{}", encoding="utf-8")
    assert differences(checkpoint, believed(signature, Trust(key=keys.public))) == {
        "README.md": Problem.CHANGED,
        "unet/config.json": Problem.MISSING,
        "unet/new.json": Problem.EXTRA,
        "model.sig": Problem.EXTRA,
    }


@pytest.mark.parametrize(
    "curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name
)
def test_every_curve_of_the_format_signs_one_file(curve: ec.EllipticCurve, tmp_path: Path) -> None:
    keys = make_keys(tmp_path, "k", curve)
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"x")
    sign(file, tmp_path / "x.sig", Signer(key=keys.private))
    statement = believed(tmp_path / "x.sig", Trust(key=keys.public))
    assert differences(file, statement) == {}
    file.write_bytes(b"y")
    assert differences(file, statement) == {".": Problem.CHANGED}


def test_another_key_is_refused(signature: Path, other_keys: Keys) -> None:
    assert refused(signature, Trust(key=other_keys.public)).problem is Problem.BAD_SIGNATURE


def test_signed_anew_by_somebody_else_is_refused(
    checkpoint: Path, signature: Path, keys: Keys, other_keys: Keys
) -> None:
    signature.unlink()
    sign(checkpoint, signature, Signer(key=other_keys.private))
    assert refused(signature, Trust(key=keys.public)).problem is Problem.BAD_SIGNATURE


def test_no_signature_is_a_problem_of_its_own(checkpoint: Path, keys: Keys) -> None:
    assert refused(checkpoint / "model.sig", Trust(key=keys.public)).problem is Problem.UNSIGNED


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def edit(body: bytes) -> bytes:
        bundle = json.loads(body)
        change(bundle)
        return json.dumps(bundle).encode()

    return edit


def _other_digest(bundle: dict[str, Any]) -> None:
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    statement = json.loads(payload)
    statement["predicate"]["resources"][0]["digest"] = "0" * 64
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()


def _other_hint(bundle: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["publicKey"]["hint"] = None


FORGERIES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut in half": lambda body: body[: len(body) // 2],
    "not text": lambda body: b"\xff\xfe" + body,
    "another JSON": lambda _: b"{}",
    "a list": lambda _: b"[]",
    "too deep": lambda _: b"[" * 100_000,
    "another digest": edited(_other_digest),
    "no signatures": edited(lambda bundle: bundle["dsseEnvelope"].update(signatures=[])),
    "a signature of nothing": edited(
        lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig=base64.b64encode(b"x").decode())
    ),
    "no envelope": edited(lambda bundle: bundle.pop("dsseEnvelope")),
    "no key": edited(lambda bundle: bundle.update(verificationMaterial={})),
    "another type": edited(lambda bundle: bundle.update(mediaType="text/plain")),
    "another payload type": edited(lambda bundle: bundle["dsseEnvelope"].update(payloadType="text/plain")),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_or_damaged_signature_is_refused_with_a_reason(
    name: str, signature: Path, keys: Keys, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signature.read_bytes()
    signature.write_bytes(FORGERIES[name](before))
    assert signature.read_bytes() != before
    found = refused(signature, Trust(key=keys.public))
    assert (found.problem, bool(found.words)) == (Problem.BAD_SIGNATURE, True)
    assert capfd.readouterr().out == ""


def test_a_signature_without_the_key_s_name_counts_and_stdout_stays_ours(
    signature: Path, keys: Keys, capfd: pytest.CaptureFixture[str]
) -> None:
    signature.write_bytes(edited(_other_hint)(signature.read_bytes()))
    believed(signature, Trust(key=keys.public))
    assert capfd.readouterr().out == ""  # the library prints a warning about such


def test_a_signature_larger_than_any_is_not_read(
    signature: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poisonscan.authenticity.signing.MAX_SIGNATURE", 10)
    assert refused(signature, Trust(key=keys.public)).problem is Problem.BAD_SIGNATURE


def test_a_certificate_is_believed_by_its_root(checkpoint: Path, chain: Chain, other_chain: Chain) -> None:
    path = checkpoint / "model.sig"
    signer = Signer(key=chain.key, certificate=chain.certificate, chain=(chain.between, chain.root))
    sign(checkpoint, path, signer)
    assert differences(checkpoint, believed(path, Trust(certificates=(chain.root,)))) == {
        "model.sig": Problem.EXTRA
    }
    believed(path, Trust(certificates=(chain.between, chain.root)))
    assert refused(path, Trust(certificates=(other_chain.root,))).problem is Problem.BAD_SIGNATURE
    assert "issuer" in refused(path, Trust(certificates=(chain.between,))).words


@pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")  # the library's logging
def test_a_certificate_that_may_not_sign_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    chain = make_chain(tmp_path, "mute", may_sign=False)
    signer = Signer(key=chain.key, certificate=chain.certificate, chain=(chain.between, chain.root))
    sign(checkpoint, checkpoint / "model.sig", signer)
    found = refused(checkpoint / "model.sig", Trust(certificates=(chain.root,)))
    assert found.problem is Problem.BAD_SIGNATURE


def test_one_kind_of_signature_is_not_another(checkpoint: Path, keys: Keys, chain: Chain) -> None:
    sign(checkpoint, checkpoint / "key.sig", Signer(key=keys.private))
    signer = Signer(key=chain.key, certificate=chain.certificate, chain=(chain.between, chain.root))
    sign(checkpoint, checkpoint / "chain.sig", signer)
    for name, trust in (
        ("key.sig", Trust(certificates=(chain.root,))),
        ("chain.sig", Trust(key=keys.public)),
    ):
        found = refused(checkpoint / name, trust)
        assert (found.problem, "another way" in found.words) == (Problem.BAD_SIGNATURE, True)


def test_an_encrypted_key_takes_its_password(checkpoint: Path, tmp_path: Path) -> None:
    keys = make_keys(tmp_path, "hidden", password=b"open sesame")
    sign(checkpoint, tmp_path / "x.sig", Signer(key=keys.private, password="open sesame"))  # noqa: S106 - of this test
    believed(tmp_path / "x.sig", Trust(key=keys.public))
    for password in (None, "wrong"):
        with pytest.raises(UsageError, match=r"hidden\.pem cannot be used to sign"):
            require_signer(Signer(key=keys.private, password=password))
    assert "sesame" not in repr(Signer(key=keys.private, password="open sesame"))  # noqa: S106 - as above


def test_keys_that_cannot_be_used_are_the_callers_mistake(tmp_path: Path, keys: Keys, chain: Chain) -> None:
    (tmp_path / "text.pem").write_text("no key")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "rsa.pem").write_bytes(
        other.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    small = make_keys(tmp_path, "small", ec.SECP256K1())
    for key in (
        tmp_path / "text.pem",
        tmp_path / "rsa.pem",
        small.private,
        keys.public,
        tmp_path / "none.pem",
    ):
        with pytest.raises(UsageError, match=key.name):
            require_signer(Signer(key=key))
    for key in (tmp_path / "text.pem", small.public, keys.private, tmp_path / "none.pem"):
        with pytest.raises(UsageError, match=key.name):
            read_statement(tmp_path / "x.sig", Trust(key=key))
    with pytest.raises(UsageError, match="does not match"):
        require_signer(Signer(key=keys.private, certificate=chain.certificate, chain=(chain.root,)))


def test_a_sigstore_that_is_none_is_the_callers_mistake(checkpoint: Path, tmp_path: Path) -> None:
    config = tmp_path / "trust.json"
    config.write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="keyless cannot be used to sign"):
        require_signer(Signer(keyless=True, trust_config=config))
    trust = Trust(identity="me@example.org", issuer="https://example.org", trust_config=config)
    with pytest.raises(UsageError, match=r"me@example\.org cannot be used to verify"):
        read_statement(checkpoint / "model.sig", trust)


def test_contradictions_are_refused() -> None:
    file = Path("x")
    for trust in (
        {},
        {"key": file, "certificates": (file,)},
        {"identity": "me"},
        {"key": file, "issuer": "https://x"},
        {"key": file, "trust_config": file},
    ):
        with pytest.raises(UsageError):
            Trust(**trust)
    for signer in (
        {},
        {"key": file, "keyless": True},
        {"key": file, "chain": (file,)},
        {"key": file, "trust_config": file},
        {"key": file, "certificate": file, "password": "x"},
    ):
        with pytest.raises(UsageError):
            Signer(**signer)


def test_it_is_what_model_signing_verifies_and_signs(checkpoint: Path, signature: Path, keys: Keys) -> None:
    """Our signatures are OpenSSF's: its command line verifies them, and we believe what it signs."""

    def cli(*arguments: str | Path) -> None:
        subprocess.run([sys.executable, "-m", "model_signing", *arguments], check=True, timeout=120)  # noqa: S603 - the installed library

    cli("verify", "key", checkpoint, "--signature", signature, "--public_key", keys.public)
    theirs = checkpoint / "theirs.sig"
    cli("sign", "key", checkpoint, "--signature", theirs, "--private_key", keys.private)
    found = differences(checkpoint, believed(theirs, Trust(key=keys.public)))
    assert found == {"theirs.sig": Problem.EXTRA}


@pytest.mark.parametrize("method", ["blake2", "blake3", "shards"])
def test_other_digests_are_made_as_the_maker_made_them(method: str, checkpoint: Path, keys: Keys) -> None:
    from model_signing import hashing, signing  # noqa: PLC0415 - as the code under test imports it

    config = hashing.Config()
    if method == "shards":
        config.use_shard_serialization(shard_size=50)
    else:
        config.use_file_serialization(hashing_algorithm=method)
    path = checkpoint.with_name("other.sig")
    signing.Config().set_hashing_config(config).use_elliptic_key_signer(private_key=keys.private).sign(
        checkpoint, path
    )
    statement = believed(path, Trust(key=keys.public))
    assert differences(checkpoint, statement) == {}
    (checkpoint / "README.md").write_text("other", encoding="utf-8")
    assert [name.split(":")[0] for name in differences(checkpoint, statement)][:1] == ["README.md"]


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
    monkeypatch.setattr("poisonscan.extras.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"poisonscan\[sign\]"):
        require_signer(Signer(key=keys.private))
    with pytest.raises(MissingDependencyError, match=r"poisonscan\[sign\]"):
        read_statement(keys.public, Trust(key=keys.public))
