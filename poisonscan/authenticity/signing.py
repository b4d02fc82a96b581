"""Signatures as OpenSSF's model-signing makes them: the one module that knows that library.

A signature is a Sigstore bundle around a statement that names every file with its digest. What it proves is
that whoever holds the key vouched for exactly these files.
"""

# ruff: noqa: PLC0415 - model_signing takes most of a second to import; only who signs or verifies pays

from __future__ import annotations

import sys
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from poisonscan.authenticity.listing import GIT, compare_digests, take_listing
from poisonscan.authenticity.model import Defect, Problem
from poisonscan.errors import SnapshotInvalidError, StorageError, UsageError
from poisonscan.extras import require
from poisonscan.files import beside, storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from poisonscan.authenticity.model import Listing

ALONE = "."
"""What model-signing calls the file where one file, and no folder, was signed."""
MAX_SIGNATURE = 2**28
"""Bytes; a statement has some 150 for each file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose signature is believed: the holder of a key, of a certificate, or of a Sigstore identity.

    Attributes:
        key: public key, PEM, of an elliptic curve (P-256, P-384 or P-521).
        certificates: PEM files of the roots, and of what stands between, that may vouch for a signer.
        identity: who must have signed with Sigstore, such as an e-mail address or a workflow.
        issuer: URL of the provider that must have vouched for `identity`.
        trust_config: the roots of another Sigstore than the public one, JSON; makes verifying work offline.

    Raises:
        UsageError: not exactly one of the three is given.
    """

    key: Path | None = None
    certificates: tuple[Path, ...] = ()
    identity: str = ""
    issuer: str = ""
    trust_config: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what is ambiguous: which of two signers would have to be believed?"""
        if sum(map(bool, (self.key, self.certificates, self.identity))) != 1:
            raise UsageError("give exactly one of a public key, a certificate chain and an identity")
        if bool(self.identity) != bool(self.issuer):
            raise UsageError("an identity needs its issuer: anybody can have any name from some provider")
        if self.trust_config and not self.identity:
            raise UsageError("a trust configuration goes with an identity, not with a key or certificates")

    @property
    def kind(self) -> str:
        """key, certificate or identity."""
        return "key" if self.key else "certificate" if self.certificates else "identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs: the holder of a private key, of a key with a certificate, or of a Sigstore identity.

    Attributes:
        key: private key, PEM, of an elliptic curve (P-256, P-384 or P-521).
        password: of the key, where it is encrypted.
        certificate: of the key, PEM; with it the signature is verified by a certificate chain.
        chain: certificates between that and the root, and the root, PEM.
        keyless: sign with Sigstore, which asks a provider who you are; needs the network.
        trust_config: another Sigstore than the public one, JSON.

    Raises:
        UsageError: the attributes contradict each other.
    """

    key: Path | None = None
    password: str | None = field(default=None, repr=False)
    certificate: Path | None = None
    chain: tuple[Path, ...] = ()
    keyless: bool = False
    trust_config: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what is ambiguous."""
        if bool(self.key) == self.keyless:
            raise UsageError("sign either with a private key or keyless")
        if self.certificate is not None and self.password is not None:
            raise UsageError("model-signing reads no encrypted key beside a certificate; decrypt it first")
        if (self.keyless or self.certificate is None) and self.chain:
            raise UsageError("a certificate chain goes with the certificate of a key")
        if self.trust_config and not self.keyless:
            raise UsageError("a trust configuration goes with keyless signing")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a signature that is believed says.

    Attributes:
        digests: by path, `ALONE` for a single file; hex.
        method: how they were made, in model-signing's words.
        left_out: paths, relative to the folder, for which the signature does not vouch.
    """

    digests: Mapping[str, str]
    method: Mapping[str, Any]
    left_out: tuple[str, ...]


def require_signer(signer: Signer) -> None:
    """See that a signer can sign before hours of work end in a key that cannot be read.

    Raises:
        UsageError: the key or certificate cannot be used, or Sigstore cannot be reached.
        MissingDependencyError: model-signing is not installed.
        StorageError: a file cannot be read.
    """
    _signing_config(signer)


def sign(root: Path, signature: Path, signer: Signer) -> None:
    """Sign every file under a folder, or one file; git's own files and the signature itself are left out.

    Args:
        root: what to sign; without symbolic links.
        signature: the file to write.
        signer: who signs.

    Raises:
        UsageError: the key or certificate cannot be used, or Sigstore cannot be reached.
        MissingDependencyError: model-signing is not installed.
        StorageError: a file cannot be read or written.
    """
    config = _signing_config(signer)
    from model_signing import hashing

    inside = [signature.resolve()] if signature.resolve().is_relative_to(root.resolve()) else []
    config.set_hashing_config(hashing.Config().set_ignored_paths(paths=inside))
    with _usage(f"{root} cannot be signed"), beside(signature) as temporary:
        config.sign(root.resolve(), temporary)


def read_statement(signature: Path, trust: Trust) -> Statement | Defect:
    """Verify a signature, and give what it says; a defect where there is none or it is not to be believed.

    Args:
        signature: the file.
        trust: whose signature is believed.

    Raises:
        UsageError: the key or certificates cannot be used, or Sigstore's roots cannot be had.
        MissingDependencyError: model-signing is not installed.
        StorageError: a file cannot be read.
    """
    config = _verifying_config(trust)
    name = signature.name
    if not signature.exists():
        return Defect(name, Problem.UNSIGNED, f"there is no signature {signature}")
    with storage(signature):
        if signature.stat().st_size > MAX_SIGNATURE:
            return Defect(name, Problem.BAD_SIGNATURE, f"{signature.stat().st_size:,} bytes are no signature")
    witness = _witness()
    try:
        with storage(signature), redirect_stdout(sys.stderr):  # the library prints; stdout is for our JSON
            config.set_hashing_config(witness).verify(signature.parent, signature)
    except _refusals() as error:
        return Defect(name, Problem.BAD_SIGNATURE, _why(error))
    statement: Statement = witness.statement()
    return statement


def actual_digests(root: Path, listing: Listing, statement: Statement) -> dict[str, str]:
    """The digests of what is there, made as those of a statement were made.

    Args:
        root: the folder, or the file.
        listing: of it; serves where the statement has the usual sha256 of whole files.
        statement: what was signed.

    Raises:
        UsageError: the statement has digests that the installed model-signing cannot make.
    """
    if statement.method.get("method") == "files" and statement.method.get("hash_type") == "sha256":
        digests = {name: entry.sha256 for name, entry in listing.entries.items()}
        return {ALONE: digests[root.name]} if root.is_file() else digests
    with _usage("the signature has digests of another kind"), storage(root):
        return _digests(_hashing_config(statement.method).hash(root.resolve()))


def require_content(content: bytes, name: Path, signature: Path, trust: Trust) -> None:
    """See that the bytes of one file, as they were read, are what somebody signed.

    Args:
        content: the bytes, which may then be used as they are.
        name: the file that they were read from, for the words.
        signature: the file of the signature.
        trust: whose signature is believed.

    Raises:
        SnapshotInvalidError: they are not signed, or by somebody else, or were altered since.
        UsageError: the key or certificates cannot be used.
        MissingDependencyError: model-signing is not installed.
    """
    statement = read_statement(signature, trust)
    if isinstance(statement, Defect):
        raise SnapshotInvalidError(f"{name.parent}: {statement.problem}: {statement.words}")
    # A copy of our own, since a statement may have digests that only the library makes, of files.
    with TemporaryDirectory() as folder, storage(name):
        copy = Path(folder) / name.name
        copy.write_bytes(content)
        actual = actual_digests(copy, take_listing(copy), statement)
    for defect in compare_digests(statement.digests, actual, "the signature"):
        raise SnapshotInvalidError(f"{name}: {defect.problem}: {defect.words}")


def _hashing_config(method: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the library's configuration
    """What hashes as a statement was hashed, and leaves nothing out.

    A statement names what the library (1.1) does not take back as it is: blake2 as blake2b, and the size of
    a shard as a float, for such are the numbers of protobuf's JSON.
    """
    from model_signing import hashing

    config = hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)
    algorithm = str(method["hash_type"]).replace("blake2b", "blake2")
    if method["method"] == "shards":
        config.use_shard_serialization(hashing_algorithm=algorithm, shard_size=int(method["shard_size"]))
    else:
        config.use_file_serialization(hashing_algorithm=algorithm)
    return config.set_allow_symlinks(allow_symlinks=True)


def _digests(manifest: Any) -> dict[str, str]:  # noqa: ANN401 - the library's Manifest
    return {item.identifier: item.digest.digest_hex for item in manifest.resource_descriptors()}


def _witness() -> Any:  # noqa: ANN401 - a subclass of a class that is imported late
    """A hashing configuration that hashes nothing and notes what the files would have been compared with.

    `verifying.Config.verify` believes a signature first, and then compares the manifest in it with one that
    the hashing configuration makes. To tell missing, extra and changed files apart, and to see those that
    the signature leaves out, the comparison is ours; so what `verify` has found authentic is taken here.
    """
    from model_signing import hashing

    class Witness(hashing.Config):  # type: ignore[misc]  # the library has no stubs
        def __init__(self) -> None:
            super().__init__()
            self.manifest: Any = None
            self.left_out: tuple[str, ...] = ()

        def hash(self, *_: object, **__: object) -> object:
            return self

        def add_ignored_paths(self, *, paths: Any, **_: object) -> None:  # noqa: ANN401 - the library's
            self.left_out = tuple(str(path) for path in paths)

        def __eq__(self, other: object) -> bool:
            self.manifest = other
            return True

        __hash__ = None  # type: ignore[assignment]  # nobody puts it into a set

        def statement(self) -> Statement:
            """What was verified."""
            return Statement(_digests(self.manifest), self.manifest.serialization_type, self.left_out)

    return Witness()


def _signing_config(signer: Signer) -> Any:  # noqa: ANN401 - the library's configuration
    _require_library()
    from model_signing import signing

    _require_files(signer.key, signer.certificate, *signer.chain, signer.trust_config)
    config = signing.Config()
    with _usage(f"{signer.key or 'keyless'} cannot be used to sign"):
        if signer.keyless:
            return config.use_sigstore_signer(use_ambient_credentials=True, trust_config=signer.trust_config)
        if signer.certificate:
            return config.use_certificate_signer(
                private_key=signer.key, signing_certificate=signer.certificate, certificate_chain=signer.chain
            )
        # The library says str and hands it to cryptography, which takes bytes.
        password = None if signer.password is None else signer.password.encode()
        return config.use_elliptic_key_signer(private_key=signer.key, password=password)


def _verifying_config(trust: Trust) -> Any:  # noqa: ANN401 - the library's configuration
    _require_library()
    from model_signing import verifying

    _require_files(trust.key, *trust.certificates, trust.trust_config)
    config = verifying.Config()
    with _usage(f"{trust.key or trust.identity or 'the certificates'} cannot be used to verify"):
        if trust.key:
            return config.use_elliptic_key_verifier(public_key=trust.key)
        if trust.certificates:
            return config.use_certificate_verifier(certificate_chain=trust.certificates)
        return config.use_sigstore_verifier(
            identity=trust.identity, oidc_issuer=trust.issuer, trust_config=trust.trust_config
        )


def _require_library() -> None:
    require("sign", "signing, or verifying a signature,", "model_signing", "OpenSSL")


def _require_files(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and not path.is_file():
            raise UsageError(f"{path}: there is no such file; give a key or certificate in PEM")


@contextmanager
def _usage(doing: str) -> Iterator[None]:
    """Translates the library's complaints about keys, certificates and the network."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except StorageError:
        raise
    except _refusals() as error:
        raise UsageError(f"{doing}: {_why(error)}") from error


def _refusals() -> tuple[type[Exception], ...]:
    """What model-signing lets through: it has no exceptions of its own, and raises what its parts raise.

    ValueError (and its kin: JSON, pydantic, binascii) for most things; cryptography's and OpenSSL's for keys,
    signatures and chains; Sigstore's; the rest for bundles that lack something, or for a key of another kind.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from OpenSSL.crypto import Error, X509StoreContextError
    from sigstore.errors import Error as SigstoreError

    ours = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
    return (*ours, InvalidSignature, UnsupportedAlgorithm, Error, X509StoreContextError, SigstoreError)


def _why(error: Exception) -> str:
    """Words for what the library raised; some of it says nothing."""
    from cryptography.exceptions import InvalidSignature
    from sigstore.errors import Error as SigstoreError

    if isinstance(error, InvalidSignature):
        return "the signature was not made with this key, or what it signs was altered"
    words = " ".join(str(error).split())[:300]
    if isinstance(error, SigstoreError):
        return (
            f"Sigstore: {words or type(error).__name__}; keyless needs the network, or a trust configuration"
        )
    if isinstance(error, (AttributeError, KeyError, IndexError, TypeError)):
        return f"damaged, or made in another way than is asked for ({type(error).__name__}: {words})"
    return words or type(error).__name__


__all__ = [
    "ALONE",
    "GIT",
    "Signer",
    "Statement",
    "Trust",
    "actual_digests",
    "read_statement",
    "require_content",
    "require_signer",
    "sign",
]
