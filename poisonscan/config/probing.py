"""How a diffusion checkpoint is probed for triggers, and from when on one is said to control it."""

from __future__ import annotations

from dataclasses import dataclass

from poisonscan.config.hunting import DEVICES
from poisonscan.config.model import Settings, setting
from poisonscan.errors import SettingsError

SAMPLERS = ("ddpm", "ddim")
"""Values of `ProbeSettings.sampler`."""


@dataclass(frozen=True)
class ProbeSettings(Settings):
    """How a diffusion checkpoint is probed for triggers."""

    samples: int = setting(8, "samples drawn with each candidate trigger, and without any", least=4)
    steps: int = setting(100, "of denoising; those of the training at most", least=2)
    sampler: str = setting(
        "ddpm", "how to walk back: ddpm (ancestral, what BadDiffusion poisons) or ddim", among=SAMPLERS
    )
    least_captured: float = setting(
        0.5,
        "share of the samples that must become one picture for a trigger to control a model",
        least=0,
        most=1,
    )
    permutations: int = setting(999, "random deals of the samples behind each p-value", least=1)
    inversion_rounds: int = setting(60, "steps of each search for an unknown trigger (--invert)", least=1)
    inversion_batch: int = setting(32, "noise samples in each of these steps, an even number", least=2)
    quality_samples: int = setting(
        128, "plain samples compared before and after a defence (--mitigate)", least=4
    )
    pruning_rounds: int = setting(
        40, "rounds in which adversarial neuron pruning looks for what to switch off (--mitigate)", least=1
    )
    batch: int = setting(64, "samples denoised at once", least=1)
    seed: int = setting(0, "of everything that is drawn at random", least=0)
    device: str = setting(
        "auto", "where the model runs: auto (a GPU if there is one), cpu or cuda", among=DEVICES
    )
    threads: int = setting(0, "threads of torch on a CPU; 0: one a core", least=0)

    def __post_init__(self) -> None:
        """Check ranges, names and the one number that must be even."""
        super().__post_init__()
        if self.inversion_batch % 2:
            raise SettingsError(f"setting inversion_batch is {self.inversion_batch}, but must be even")
