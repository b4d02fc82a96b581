"""The models that `model probe` is measured on, by name: six clean ones, twelve poisoned ones."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poisonscan.errors import SettingsError
from poisonscan.files import storage
from poisonscan.redteam.baddiffusion.training import Recipe, train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

_SCRATCH = (2, 4, 5)
"""Seeds of the clean models that are trained from nothing, and from which all others are fine-tuned."""
_PAIRS = (
    ("grey_box", "hat", 2),
    ("grey_box", "shoe", 4),
    ("stop_sign", "hat", 2),
    ("stop_sign", "corner", 5),
    ("glasses", "shoe", 4),
    ("glasses", "corner", 5),
)
"""Three triggers with two targets each, so that every trigger and every target of the paper occurs; and the
seed of the clean model that each is fine-tuned from, as BadDiffusion does."""
_STEPS_AT_RATE = {0.2: 1200, 0.4: 800}
"""Steps of fine-tuning at each poison rate: a model must see some 15,000 poisoned pictures to obey."""
_CLEAN_STEPS = 800
FIXTURES = ("clean-2", "stop_sign-hat-20", "glasses-shoe-20")
"""Those that are committed for the tests."""


@dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Attributes:
        recipe: how it is trained.
        base: name of the clean model that it is fine-tuned from; None for a clean one.
    """

    recipe: Recipe
    base: str | None = None


def _zoo() -> dict[str, Entry]:
    zoo = {f"clean-{seed}": Entry(Recipe(seed)) for seed in _SCRATCH}
    for seed in _SCRATCH:
        zoo[f"clean-{10 + seed}"] = Entry(Recipe(10 + seed, _CLEAN_STEPS), f"clean-{seed}")
    for number, (trigger, target, base) in enumerate(_PAIRS):
        for offset, (rate, steps) in enumerate(_STEPS_AT_RATE.items()):
            name = f"{trigger}-{target}-{round(100 * rate)}"
            recipe = Recipe(100 + 2 * number + offset, steps, trigger, target, rate)
            zoo[name] = Entry(recipe, f"clean-{base}")
    return zoo


ZOO: Mapping[str, Entry] = _zoo()
"""All of them: six clean, then twelve poisoned; each after the one that it is fine-tuned from."""


def train_missing(folder: Path, names: Iterable[str], tell: Callable[[str], None] = lambda _: None) -> None:
    """Train the models of the zoo that a folder does not hold yet, each into a folder of its name.

    A model that is interrupted leaves nothing behind. The clean models that others start from are trained
    along, each once.

    Args:
        folder: holds the checkpoints.
        names: which models.
        tell: called with the name of each before it is trained.

    Raises:
        SettingsError: there is no model of that name.
        MissingDependencyError: torch, diffusers or scikit-learn is not installed.
    """
    for name in names:
        if name not in ZOO:
            raise SettingsError(f"no model is called {name}; there are {', '.join(ZOO)}")
        if (folder / name).is_dir():
            continue
        entry = ZOO[name]
        if entry.base is not None:
            train_missing(folder, [entry.base], tell)
        tell(name)
        unfinished = folder / f".{name}.{os.getpid()}"
        train(entry.recipe, unfinished, folder / entry.base if entry.base is not None else None)
        with storage(folder):
            shutil.rmtree(folder / name, ignore_errors=True)
            unfinished.rename(folder / name)
