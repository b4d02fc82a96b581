"""How pictures become vectors, and what is looked for among them."""

from __future__ import annotations

from dataclasses import dataclass

from poisonscan.config.model import Settings, setting

DEVICES = ("auto", "cpu", "cuda")
"""Values of `EmbedSettings.device`."""
PRECISIONS = ("auto", "fp32", "fp16", "bf16")
"""Values of `EmbedSettings.precision`."""


@dataclass(frozen=True)
class EmbedSettings(Settings):
    """How pictures and captions become vectors."""

    device: str = setting(
        "auto", "where the encoder runs: auto (a GPU if there is one), cpu or cuda", among=DEVICES
    )
    precision: str = setting(
        "auto", "of the encoder: auto (fp16 on a GPU, else fp32), fp32, fp16 or bf16", among=PRECISIONS
    )
    batch_rows: int = setting(64, "pictures encoded at once", least=1)
    encoder_threads: int = setting(0, "threads of the encoder on a CPU; 0: one a core", least=0)


@dataclass(frozen=True)
class HuntSettings(Settings):
    """What the hunt looks for, and from when on it raises an alarm."""

    detectors: str = setting("all", "detectors to run, separated by commas, or all")
    budget: int = setting(
        500, "rows that somebody will look at: what is ranked behind them is marked", least=1
    )
    max_expected_false: float = setting(
        0.1,
        "findings as strong by chance, estimated on the data, up to which a finding raises the alarm",
        least=0,
    )
    seed: int = setting(0, "of everything that is drawn at random", least=0)
    faiss_threads: int = setting(0, "threads of faiss; 0: one a core", least=0)
    reference_rows: int = setting(
        256, "rows of each random reference that outlier scores compare with", least=2
    )
    reference_draws: int = setting(8, "random references that an outlier score is averaged over", least=1)
    neighbours: int = setting(16, "nearest rows of a reference that an outlier score looks at", least=2)
