# ruff: noqa: ANN401 - the classes of diffusers come without types

from __future__ import annotations

import importlib.util
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler, PNDMScheduler, ScoreSdeVeScheduler

from poisonscan.diffusion.checkpoint import device_named, open_checkpoint
from poisonscan.errors import MissingDependencyError, UsageError

from .conftest import fresh_unet, save


def change(file: Path, **values: Any) -> None:
    """Change what a JSON file says."""
    said = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(said | values), encoding="utf-8")


def test_a_folder_that_diffusers_wrote_is_opened(tmp_path: Path) -> None:
    opened = open_checkpoint(save(tmp_path / "model", scheduler=DDPMScheduler(30, clip_sample=False)))
    assert opened.shape == (3, 8, 8)
    assert opened.noise["num_train_timesteps"] == 30
    assert not opened.clips
    assert not opened.unet.training
    assert opened.n_parameters == sum(part.numel() for part in fresh_unet().parameters())
    assert sorted(opened.digests) == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ]


def test_the_weights_are_those_that_were_saved_also_in_half_precision(tmp_path: Path) -> None:
    unet = fresh_unet()
    state, moment = torch.randn(2, 3, 8, 8), torch.tensor(3)
    with torch.no_grad():
        wanted = unet(state, moment).sample
    full, half = (
        save(tmp_path / "full", unet),
        save(tmp_path / "half", fresh_unet().to(torch.float16)),
    )
    with torch.no_grad():
        assert torch.allclose(open_checkpoint(full).unet(state, moment).sample, wanted, atol=1e-6)
        assert torch.allclose(open_checkpoint(half).unet(state, moment).sample, wanted, atol=2e-2)


@pytest.mark.parametrize("scheduler", [DDIMScheduler, PNDMScheduler])
def test_schedulers_that_noise_as_ddpm_does_are_taken(tmp_path: Path, scheduler: Any) -> None:
    assert (
        open_checkpoint(save(tmp_path / "model", scheduler=scheduler(25))).noise["num_train_timesteps"] == 25
    )


@pytest.mark.parametrize("scheduler", [EulerDiscreteScheduler, ScoreSdeVeScheduler])
def test_other_schedulers_are_refused_by_name(tmp_path: Path, scheduler: Any) -> None:
    folder = save(tmp_path / "model", scheduler=scheduler())
    with pytest.raises(UsageError, match=scheduler.__name__):
        open_checkpoint(folder)


def test_a_torch_file_is_read_as_tensors(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", safe_serialization=False)
    assert (folder / "unet/diffusion_pytorch_model.bin").is_file()
    assert open_checkpoint(folder).shape == (3, 8, 8)


class Call:
    """A pickle that does something when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("torches", [True, False], ids=["torch-file", "bare-pickle"])
def test_a_pickle_with_a_call_in_it_is_refused_and_not_run(tmp_path: Path, *, torches: bool) -> None:
    folder, mark = save(tmp_path / "model"), tmp_path / "was-run"
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    weights = folder / "unet/diffusion_pytorch_model.bin"
    if torches:
        torch.save({"conv_in.weight": Call(mark)}, weights)
    else:
        weights.write_bytes(pickle.dumps({"conv_in.weight": Call(mark)}, 2))
    with pytest.raises(UsageError, match="cannot be loaded safely"):
        open_checkpoint(folder)
    assert not mark.exists()


def test_code_in_the_folder_is_not_imported(tmp_path: Path) -> None:
    """diffusers lets model_index.json name a class in a file of the folder."""
    folder, mark = save(tmp_path / "model"), tmp_path / "was-run"
    (folder / "pipeline.py").write_text(f"open({str(mark)!r}, 'w')", encoding="utf-8")
    change(folder / "model_index.json", _class_name=["pipeline", "Mine"])
    assert open_checkpoint(folder).shape == (3, 8, 8)
    assert not mark.exists()


@pytest.mark.parametrize("damage", [b"", b"\x00" * 64, b"not a checkpoint"])
@pytest.mark.parametrize("name", ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"])
def test_damaged_weights_are_named(tmp_path: Path, name: str, damage: bytes) -> None:
    folder = save(tmp_path / "model")
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet" / name).write_bytes(damage)
    with pytest.raises(UsageError, match=name):
        open_checkpoint(folder)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "model")
    change(folder / "unet/config.json", block_out_channels=[4, 6])
    with pytest.raises(UsageError, match="do not fit"):
        open_checkpoint(folder)


def test_a_configuration_of_a_giant_takes_no_memory(tmp_path: Path) -> None:
    folder = save(tmp_path / "model")
    change(folder / "unet/config.json", block_out_channels=[40_000, 40_000])
    with pytest.raises(UsageError, match="do not fit"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"_class_name": "UNet2DConditionModel"}, "UNet2DConditionModel"),
        ({"num_class_embeds": 10}, "class"),
        ({"in_channels": 4}, "4 channels"),
        ({"sample_size": None}, "sample_size"),
    ],
    ids=["text", "classes", "latents", "no-size"],
)
def test_models_that_cannot_be_probed_say_why(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    folder = save(tmp_path / "model")
    change(folder / "unet/config.json", **values)
    with pytest.raises(UsageError, match=words):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"vae": ["diffusers", "AutoencoderKL"], "text_encoder": ["transformers", "CLIPTextModel"]}, "vae"),
        ({"vqvae": ["diffusers", "VQModel"]}, "vqvae"),
    ],
    ids=["text-to-image", "latent"],
)
def test_pipelines_that_cannot_be_probed_say_why(tmp_path: Path, parts: dict[str, Any], words: str) -> None:
    folder = save(tmp_path / "model")
    change(folder / "model_index.json", **parts)
    with pytest.raises(UsageError, match=words):
        open_checkpoint(folder)


@pytest.mark.parametrize("file", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize("content", [None, "{", "[]"], ids=["missing", "no-json", "no-object"])
def test_a_folder_that_is_no_checkpoint_is_named(tmp_path: Path, file: str, content: str | None) -> None:
    folder = save(tmp_path / "model")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=Path(file).name):
        open_checkpoint(folder)


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(UsageError, match="is no folder"):
        open_checkpoint(tmp_path / "model.safetensors")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_no_cpu() -> None:
    assert device_named("auto") == device_named("cpu") == "cpu"
    with pytest.raises(UsageError, match="no GPU"):
        device_named("cuda")


@pytest.mark.parametrize("missing", ["torch", "diffusers", "safetensors"])
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    seen = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else seen(name))
    with pytest.raises(MissingDependencyError, match=rf"{missing}.*poisonscan\[probe\]"):
        open_checkpoint(tmp_path)
