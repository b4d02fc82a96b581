"""How a specification on the command line becomes an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from poisonscan.embed.encoder import RANDOM, Spec
from poisonscan.errors import UsageError
from poisonscan.extras import require

if TYPE_CHECKING:
    from poisonscan.config import EmbedSettings
    from poisonscan.embed.encoder import Encoder


def parse_spec(text: str) -> Spec:
    """Read `onnx:FILE` or `openclip:MODEL:WEIGHTS`.

    Raises:
        UsageError: it is neither, or the weights are no file or folder.
        MissingDependencyError: what it needs is not installed.
    """
    kind, _, rest = text.partition(":")
    if kind == "onnx" and rest:
        spec, extra, module = Spec(text, "onnx", "", rest), "hunt", "onnxruntime"
    elif kind == "openclip" and all(rest.partition(":")):
        model, _, weights = rest.partition(":")
        spec, extra, module = Spec(text, "openclip", model, weights), "clip", "open_clip"
    else:
        raise UsageError(f"--encoder {text}: write onnx:FILE or openclip:MODEL:WEIGHTS")
    require(extra, f"--encoder {kind}:...", module)
    if spec.weights != RANDOM and not Path(spec.weights).exists():
        raise UsageError(f"--encoder {text}: {spec.weights} does not exist; nothing is ever downloaded")
    return spec


def open_encoder(spec: Spec, settings: EmbedSettings) -> Encoder:
    """Load an encoder.

    Raises:
        UsageError: the weights do not fit the model, or the device is not there.
    """
    if spec.kind == "onnx":
        from poisonscan.embed.onnx import OnnxEncoder  # noqa: PLC0415 - loads onnxruntime

        return OnnxEncoder(spec, settings)
    from poisonscan.embed.openclip import OpenClipEncoder  # noqa: PLC0415 - loads torch

    return OpenClipEncoder(spec, settings)
