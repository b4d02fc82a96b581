"""A diffusers checkpoint on disk, opened without running or unpickling anything that lies in it.

Only the JSON files and the weights are read: no pipeline class is looked up by the name that the folder
gives, no module of the folder is imported. Weights are safetensors, or a torch file loaded with
`weights_only=True`, which refuses every pickle that holds more than tensors.
"""

# ruff: noqa: PLC0415 - torch and diffusers are loaded only by whoever probes a model

from __future__ import annotations

import importlib.util
import json
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from poisonscan.errors import MissingDependencyError, UsageError
from poisonscan.files import file_digest, storage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Planes: TypeAlias = NDArray[np.float32]
"""Pictures with the channels first; -1..1 where a model behaves, beyond where it does not."""

_INDEX, _UNET, _SCHEDULER = "model_index.json", "unet", "scheduler"
_SAFE, _TORCH = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"
_LATENT = ("vae", "vqvae", "text_encoder", "tokenizer", "bert", "text_encoder_2")
_SCHEDULERS = (
    "DDPMScheduler",
    "DDIMScheduler",
    "PNDMScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
)
"""All of them noise as DDPM does (variance preserving); they differ in how they walk back."""
_NOISE_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
)


@dataclass(frozen=True)
class Checkpoint:
    """An unconditional model in pixels, ready to be sampled.

    Attributes:
        unet: a diffusers `UNet2DModel` in fp32, in evaluation mode.
        noise: what the scheduler's configuration says about noising, with its names there.
        clips: whether the checkpoint's own scheduler clips the predicted picture at every step.
        device: where the model lies: `cpu` or `cuda`.
        digests: sha256 of every file that was read, by path in the folder.
        n_parameters: of the model.
    """

    unet: Any
    noise: Mapping[str, Any]
    clips: bool
    device: str
    digests: Mapping[str, str]
    n_parameters: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a sample."""
        side = self.unet.config.sample_size
        height, width = (side, side) if isinstance(side, int) else side
        return int(self.unet.config.in_channels), int(height), int(width)


def require_diffusers() -> None:
    """See that the extra is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    for module in ("torch", "diffusers", "safetensors"):
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(f"probing a model needs {module}: pip install 'poisonscan[probe]'")


def device_named(wanted: str) -> str:
    """`cpu` or `cuda`, for what the setting `device` says.

    Raises:
        UsageError: a GPU is asked for and torch sees none.
    """
    import torch

    seen = torch.cuda.is_available()
    if wanted == "cuda" and not seen:
        raise UsageError("--device cuda: torch sees no GPU; use --device cpu")
    return "cuda" if seen and wanted != "cpu" else "cpu"


def open_checkpoint(folder: Path, device: str = "cpu") -> Checkpoint:
    """Open a folder that `DDPMPipeline.save_pretrained` or one like it wrote.

    Args:
        folder: holds model_index.json, unet/ and scheduler/.
        device: `cpu` or `cuda`.

    Raises:
        MissingDependencyError: torch or diffusers is not installed.
        UsageError: the folder holds no pipeline, or one that cannot be probed; says which and why.
        StorageError: a file cannot be read.
    """
    require_diffusers()
    _refuse_other_pipelines(folder)
    configuration = _read(folder / _UNET / "config.json")
    _refuse_other_models(folder, configuration)
    said = _read(folder / _SCHEDULER / "scheduler_config.json")
    _refuse_other_schedulers(folder, said)
    weights = _weights(folder)
    unet = _built(folder, configuration, _load(weights)).to(device)
    files = (folder / _INDEX, folder / _UNET / "config.json", folder / _SCHEDULER / "scheduler_config.json")
    return Checkpoint(
        unet=unet,
        noise={key: said[key] for key in _NOISE_KEYS if said.get(key) is not None},
        clips=bool(said.get("clip_sample", said.get("_class_name") in ("DDPMScheduler", "DDIMScheduler"))),
        device=device,
        digests={str(file.relative_to(folder)): file_digest(file) for file in (*files, weights)},
        n_parameters=sum(part.numel() for part in unet.parameters()),
    )


def _refuse_other_pipelines(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(
            f"CHECKPOINT {folder} is no folder; give one that DDPMPipeline.save_pretrained wrote"
        )
    if not (folder / _INDEX).is_file():
        raise UsageError(f"CHECKPOINT {folder} has no {_INDEX}: it is no pipeline of diffusers")
    index = _read(folder / _INDEX)
    parts = sorted(name for name, part in index.items() if isinstance(part, list) and any(part))
    if latent := [name for name in _LATENT if name in parts]:
        raise UsageError(
            f"CHECKPOINT {folder} is a {index.get('_class_name')} with {', '.join(latent)}: only "
            "unconditional models in pixels (UNet2DModel) can be probed, no text-to-image or latent ones"
        )
    if not {_UNET, _SCHEDULER} <= set(parts):
        raise UsageError(
            f"CHECKPOINT {folder} is a {index.get('_class_name')} of {', '.join(parts) or 'nothing'}; "
            "probing needs a unet and a scheduler"
        )


def _refuse_other_models(folder: Path, configuration: Mapping[str, Any]) -> None:
    name = configuration.get("_class_name")
    if name != "UNet2DModel":
        raise UsageError(
            f"CHECKPOINT {folder}: unet is a {name}; only an unconditional UNet2DModel is probed"
        )
    if configuration.get("class_embed_type") or configuration.get("num_class_embeds"):
        raise UsageError(f"CHECKPOINT {folder}: unet wants a class with every sample, which is not supported")
    if configuration.get("in_channels") not in (1, 3):
        channels = configuration.get("in_channels")
        raise UsageError(f"CHECKPOINT {folder}: unet takes {channels} channels, not a picture's 1 or 3")
    if not configuration.get("sample_size"):
        raise UsageError(
            f"CHECKPOINT {folder}: unet/config.json does not say its sample_size; write it there"
        )


def _refuse_other_schedulers(folder: Path, said: Mapping[str, Any]) -> None:
    if (name := said.get("_class_name")) not in _SCHEDULERS:
        raise UsageError(
            f"CHECKPOINT {folder}: scheduler is a {name}; only those that noise as DDPM does are "
            f"supported: {', '.join(_SCHEDULERS)}"
        )


def _weights(folder: Path) -> Path:
    """The file of the weights; safetensors go before a torch file."""
    for name in (_SAFE, _TORCH):
        if (folder / _UNET / name).is_file():
            return folder / _UNET / name
    raise UsageError(
        f"CHECKPOINT {folder}: unet holds neither {_SAFE} nor {_TORCH} (shards are not supported)"
    )


def _load(file: Path) -> dict[str, Any]:
    """Tensors by name, in fp32.

    Raises:
        UsageError: the file is damaged, or a pickle that holds more than tensors.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            loaded: object = load_file(file)
        else:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        words = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UsageError(
            f"{file}: the weights cannot be loaded safely ({words}); have them as safetensors"
        ) from error
    if not isinstance(loaded, dict) or not all(torch.is_tensor(part) for part in loaded.values()):
        raise UsageError(f"{file} is no table of tensors; have the weights as safetensors")
    return {name: part.float() for name, part in loaded.items()}


def _built(folder: Path, configuration: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a torch module
    """The model, given its weights without ever being filled with its own: no larger than its file."""
    import torch
    from diffusers import UNet2DModel

    try:
        with torch.device("meta"):
            unet = UNet2DModel.from_config(dict(configuration))
        unet.load_state_dict(weights, strict=True, assign=True)
    except (RuntimeError, ValueError, TypeError) as error:
        words = " ".join(str(error).split())[:200]
        raise UsageError(f"CHECKPOINT {folder}: the weights do not fit unet/config.json ({words})") from error
    left = [name for name, part in (*unet.named_parameters(), *unet.named_buffers()) if part.is_meta]
    if left:
        raise UsageError(f"CHECKPOINT {folder}: unet computes {left[0]} for itself, which is not supported")
    return unet.eval().requires_grad_(requires_grad=False)


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise UsageError(f"{file} is missing: the folder is no complete checkpoint of diffusers")
    with storage(file):
        text = file.read_bytes()
    try:
        values = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{file} is no valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{file} holds no JSON object")
    return values
