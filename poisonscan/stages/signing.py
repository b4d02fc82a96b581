"""Signatures of snapshots: who took it, and is it still what he sealed?

The signature is over snapshot.json alone. That holds the sha256 of every part, `verify` and `check` compare
each part with it before they believe it, and so the signature reaches every byte. It is verified in no time
however large the snapshot is, before anything else of it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poisonscan.authenticity.signing import sign
from poisonscan.stages.sealed import finished_snapshot
from poisonscan.stages.verify import require_intact
from poisonscan.store.folder import SNAPSHOT_DOCUMENT, SNAPSHOT_SIGNATURE

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.authenticity.signing import Signer, Trust


def sign_snapshot(snapshot: Path, signer: Signer) -> Path:
    """Sign a finished snapshot, after every digest in it was recomputed; an older signature is replaced.

    Returns:
        The signature.

    Raises:
        SnapshotInvalidError: the snapshot is unfinished, damaged or altered.
        UsageError: the key cannot be used.
        MissingDependencyError: signing needs an extra that is not installed.
    """
    require_intact(snapshot)
    signature = snapshot / SNAPSHOT_SIGNATURE
    sign(snapshot / SNAPSHOT_DOCUMENT, signature, signer)
    return signature


def require_signed(snapshot: Path, trust: Trust, signature: Path | None = None) -> dict[str, Any]:
    """See that a snapshot's document was signed by whom one trusts; its parts are another matter.

    Args:
        snapshot: the folder.
        trust: whose signature is believed.
        signature: the file; by default the one in the folder.

    Returns:
        The document that was verified. Use this one: the file may be another a moment later.

    Raises:
        SnapshotInvalidError: it is not signed, or by somebody else, was altered since, or is not sealed.
        UsageError: the key cannot be used.
        MissingDependencyError: signatures need an extra that is not installed.
    """
    return finished_snapshot(snapshot, trust, signature)
