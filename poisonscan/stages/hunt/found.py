"""What a detector found, on disk: so that a killed hunt does not ask it again."""

from __future__ import annotations

import base64
import io
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from poisonscan.errors import StorageError
from poisonscan.files import beside, storage, write_text
from poisonscan.hunt.model import Carrier, Suspicion
from poisonscan.records import Box, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from poisonscan.hunt.model import Bytes

FOUND = "work/found"


def found_path(folder: Path, detector: str) -> Path:
    """Where the suspicions of a detector are kept."""
    return folder / FOUND / f"{detector}.json"


def forget_found(folder: Path) -> None:
    """Remove the suspicions of all detectors, so that each is asked again.

    Raises:
        StorageError: they cannot be removed.
    """
    with storage(folder):
        if (folder / FOUND).exists():
            shutil.rmtree(folder / FOUND)


def write_found(found: Sequence[Suspicion], path: Path) -> None:
    """Write suspicions, whole or not at all."""
    write_text(json.dumps([_as_dict(suspicion) for suspicion in found]), path)


def read_found(path: Path) -> list[Suspicion]:
    """Read them back.

    Raises:
        StorageError: the file is damaged.
    """
    try:
        return [_from_dict(one) for one in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(f"{path} cannot be read ({error}); delete it, then repeat the command") from error


def write_picture(picture: Bytes, path: Path) -> None:
    """Write pixels as PNG, encoded by us: no byte of the dataset gets there."""
    with beside(path) as temporary:
        Image.fromarray(picture).save(temporary, "PNG")


def _as_dict(suspicion: Suspicion) -> dict[str, Any]:
    return {
        "kind": suspicion.kind.value,
        "score": suspicion.score,
        "summary": suspicion.summary,
        "carriers": [[one.row, one.score, one.box] for one in suspicion.carriers],
        "expected_false": suspicion.expected_false,
        "reference": suspicion.reference,
        "exhibit": None if suspicion.exhibit is None else _packed(suspicion.exhibit),
    }


def _from_dict(said: dict[str, Any]) -> Suspicion:
    return Suspicion(
        kind=Kind(said["kind"]),
        score=said["score"],
        summary=said["summary"],
        carriers=tuple(
            Carrier(row, score, Box(*box) if box else None) for row, score, box in said["carriers"]
        ),
        expected_false=said["expected_false"],
        reference=said["reference"],
        exhibit=None if said["exhibit"] is None else _unpacked(said["exhibit"]),
    )


def _packed(picture: Bytes) -> str:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(picture), allow_pickle=False)
    return base64.b64encode(buffer.getvalue()).decode()


def _unpacked(text: str) -> Bytes:
    return np.asarray(np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False), np.uint8)
