"""Checkpoints written by hand, honest and hostile, and keys to sign them with."""

from __future__ import annotations

import json
import pickle
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TENSORS = {"conv_in.weight": ("F32", (2, 3)), "conv_in.bias": ("F16", (2,)), "step": ("I64", ())}
_SIZES = {"F32": 4, "F16": 2, "I64": 8, "U8": 1}


def header_of(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, Any]:
    """The header of a valid safetensors file with such tensors, one after the other."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, shape) in tensors.items():
        size = _SIZES[dtype]
        for side in shape:
            size *= side
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    return header


def safetensors_bytes(header: object, data: int | None = None) -> bytes:
    """A safetensors file with a header as given, and `data` bytes (default: as many as it speaks of)."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    if data is None:
        assert isinstance(header, dict)
        tensors = [value for name, value in header.items() if name != "__metadata__"]
        data = max((value["data_offsets"][1] for value in tensors), default=0)
    return len(text).to_bytes(8, "little") + text + bytes(data)


def write_checkpoint(folder: Path) -> Path:
    """A pipeline as diffusers' `save_pretrained` lays it out."""
    texts = {
        "model_index.json": {"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"]},
        "scheduler/scheduler_config.json": {"_class_name": "DDPMScheduler", "clip_sample": True},
        "unet/config.json": {"_class_name": "UNet2DModel", "sample_size": 16},
    }
    for name, value in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=2), encoding="utf-8")
    (folder / "README.md").write_text("# A pipeline\n", encoding="utf-8")
    weights = safetensors_bytes(header_of(TENSORS))
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(weights)
    return folder


class Calls:
    """What pickles as a call of anything."""

    def __init__(self, what: object, *arguments: object) -> None:
        self.what = what
        self.arguments = arguments

    def __reduce__(self) -> Any:  # noqa: ANN401 - what pickle wants
        return self.what, self.arguments


def pickled_call(module: str, name: str, argument: str = "id") -> bytes:
    """A pickle that imports a name and calls it, whether or not there is any such name here."""
    return b"\x80\x04" + text(module) + text(name) + b"\x93" + text(argument) + b"\x85R."


def text(value: str) -> bytes:
    """The opcode that puts a text on the stack."""
    body = value.encode()
    return b"\x8c" + bytes((len(body),)) + body


def torch_zip(path: Path, body: bytes, more: Mapping[str, bytes] | None = None) -> None:
    """An archive as torch.save writes it since 1.6, with `body` for its data.pkl."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {
            "archive/data.pkl": body,
            "archive/byteorder": b"little",
            "archive/data/0": b"\x80\x02 raw numbers",
            "archive/version": b"3\n",
            **(more or {}),
        }.items():
            archive.writestr(name, content)


@dataclass(frozen=True)
class Keys:
    """A private and a public key on disk."""

    private: Path
    public: Path


def make_keys(folder: Path, name: str, curve: ec.EllipticCurve | None = None, password: bytes = b"") -> Keys:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    keys = Keys(folder / f"{name}.pem", folder / f"{name}.pub")
    keys.private.write_bytes(_private(key, password))
    keys.public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return keys


def _private(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    hidden: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)


@dataclass(frozen=True)
class Chain:
    """A key with its certificate, and what vouches for that."""

    key: Path
    certificate: Path
    between: Path
    root: Path


def make_chain(folder: Path, name: str, *, may_sign: bool = True) -> Chain:
    """A root, an intermediate authority and a certificate that may sign, all our own."""
    root_key, between_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = _certificate("root", root_key, "root", root_key)
    between = _certificate("between", between_key, "root", root_key)
    leaf = _certificate("maker", key, "between", between_key, authority=False, may_sign=may_sign)
    chain = Chain(*(folder / f"{name}-{part}" for part in ("key.pem", "leaf.crt", "between.crt", "root.crt")))
    chain.key.write_bytes(_private(key))
    for path, certificate in ((chain.certificate, leaf), (chain.between, between), (chain.root, root)):
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return chain


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool = True,
    may_sign: bool = True,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(_usage(authority=authority, may_sign=may_sign), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, authority: bool, may_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=may_sign,
        content_commitment=False,
        key_encipherment=not may_sign,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def honest_pickle() -> bytes:
    """A pickle that imports what a state dict of torch does, and nothing else."""
    return (
        b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00w"
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQK\x00K\x02K\x03\x86K\x03K\x01\x86\x89"
        b"ccollections\nOrderedDict\n)RtRu."
    )


def dumps(value: object, protocol: int = 4) -> bytes:
    return pickle.dumps(value, protocol=protocol)
