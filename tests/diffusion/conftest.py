"""Checkpoints for the tests: those that are committed, and a fresh one of a few thousand parameters."""

# ruff: noqa: ANN401 - the classes of diffusers come without types

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from poisonscan.diffusion.checkpoint import Checkpoint, open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """So that the numbers do not depend on the machine, nor the tests on each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fresh_unet(**changed: Any) -> Any:
    """An untrained model; quick, and of no use but to be opened and sampled."""
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": 1,
        "block_out_channels": (4, 8),
        "norm_num_groups": 2,
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "add_attention": False,
    }
    return UNet2DModel(**(options | changed))


def save(folder: Path, unet: Any = None, scheduler: Any = None, **options: Any) -> Path:
    """A checkpoint as diffusers writes it."""
    pipeline = DDPMPipeline(unet=unet or fresh_unet(), scheduler=scheduler or DDPMScheduler(20))
    pipeline.save_pretrained(folder, **options)
    return folder


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(save(tmp_path_factory.mktemp("fresh") / "model"))


@pytest.fixture(scope="session")
def clean() -> Checkpoint:
    """A model that was trained on digits alone."""
    return open_checkpoint(FIXTURES / "clean-2")


@pytest.fixture(scope="session", params=["stop_sign-hat-20", "glasses-shoe-20"])
def poisoned(request: pytest.FixtureRequest) -> tuple[str, Checkpoint]:
    """Models that really obey a trigger, with the name of trigger and target."""
    return request.param, open_checkpoint(FIXTURES / request.param)
