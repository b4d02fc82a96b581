"""Flags that say who signs, and whose signature is believed."""

# ruff: noqa: PLC0415 - the vocabulary of signatures is loaded only where one is asked for

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from poisonscan.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from poisonscan.authenticity.signing import Signer, Trust
    from poisonscan.cli.flags import Parser

PASSWORD = "POISONSCAN_KEY_PASSWORD"  # noqa: S105 - the name of a variable, not a password
"""The variable with the password of an encrypted private key; a flag could be read by others."""


def add_signer(parser: Parser) -> None:
    """Add the flags of who signs."""
    group = parser.add_argument_group("signature (docs/models.md)")
    group.add_argument(
        "--sign",
        type=Path,
        metavar="KEY",
        help="sign with this private key: PEM, elliptic curve P-256, P-384 or P-521; the password of an "
        f"encrypted one is read from {PASSWORD}",
    )
    group.add_argument("--certificate", type=Path, metavar="FILE", help="the key's certificate, PEM")
    group.add_argument(
        "--certificate-chain",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a certificate between that and the root, or the root, PEM; repeatable",
    )
    group.add_argument(
        "--keyless",
        action="store_true",
        help="sign with Sigstore, not with a key; needs the network and puts your identity into a public log",
    )
    _add_trust_config(group)


def add_trust(parser: Parser, where: str) -> None:
    """Add the flags of whose signature is believed.

    Args:
        parser: the verb's.
        where: the place of the signature, for the help.
    """
    group = parser.add_argument_group("signature (docs/models.md)")
    group.add_argument(
        "--key",
        type=Path,
        metavar="PUB",
        help="it must be signed by the private key of this public key, PEM",
    )
    group.add_argument(
        "--certificate-chain",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="it must be signed with a certificate that this root vouches for, PEM; repeatable, for what "
        "stands between",
    )
    group.add_argument(
        "--identity",
        default="",
        metavar="WHO",
        help="it must be signed with Sigstore by this e-mail address or workflow; needs the network or "
        "--trust-config",
    )
    group.add_argument("--issuer", default="", metavar="URL", help="which provider must vouch for --identity")
    _add_trust_config(group)
    group.add_argument(
        "--signature", type=Path, metavar="FILE", help=f"where the signature is (default: {where})"
    )


def _add_trust_config(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--trust-config",
        type=Path,
        metavar="FILE",
        help="the roots of another Sigstore than the public one, as its ClientTrustConfig in JSON",
    )


def signer_of(parsed: argparse.Namespace) -> Signer | None:
    """Who signs, or None where nobody is to.

    Raises:
        UsageError: the flags contradict each other.
    """
    if parsed.sign is None and not parsed.keyless:
        if parsed.certificate or parsed.certificate_chain or parsed.trust_config:
            raise UsageError("certificates and trust configurations go with --sign or --keyless")
        return None
    from poisonscan.authenticity.signing import Signer

    return Signer(
        key=parsed.sign,
        password=os.environ.get(PASSWORD) if parsed.sign and not parsed.certificate else None,
        certificate=parsed.certificate,
        chain=tuple(parsed.certificate_chain),
        keyless=parsed.keyless,
        trust_config=parsed.trust_config,
    )


def trust_of(parsed: argparse.Namespace) -> Trust | None:
    """Whose signature is believed, or None where none is asked for.

    Raises:
        UsageError: the flags contradict each other.
    """
    asked = (parsed.key, parsed.certificate_chain, parsed.identity, parsed.issuer, parsed.trust_config)
    if not any(asked):
        if parsed.signature:
            raise UsageError("--signature needs to know whose: add --key, --certificate-chain or --identity")
        return None
    from poisonscan.authenticity.signing import Trust

    return Trust(
        key=parsed.key,
        certificates=tuple(parsed.certificate_chain),
        identity=parsed.identity,
        issuer=parsed.issuer,
        trust_config=parsed.trust_config,
    )
