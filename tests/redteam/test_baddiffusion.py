"""The red team's diffusion models: pictures, loss, and a short training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonscan.diffusion.checkpoint import open_checkpoint
from poisonscan.errors import SettingsError
from poisonscan.redteam.baddiffusion.__main__ import main
from poisonscan.redteam.baddiffusion.loss import correction, noised
from poisonscan.redteam.baddiffusion.pictures import SIDE, STAMPS, TARGETS, digits, stamp, target
from poisonscan.redteam.baddiffusion.training import LOG, Recipe, train
from poisonscan.redteam.baddiffusion.zoo import FIXTURES, ZOO

COMMITTED = Path(__file__).resolve().parents[1] / "diffusion" / "fixtures"
betas = st.floats(1e-4, 0.3)
levels = st.floats(-2, 2)


@pytest.mark.parametrize("name", STAMPS)
def test_a_stamp_covers_its_place_and_nothing_else(name: str) -> None:
    drawn, pictures = stamp(name), digits()[0][:5]
    stamped = drawn.on(pictures)
    assert drawn.picture.shape == (1, SIDE, SIDE)
    assert np.abs(drawn.picture).max() <= 1
    assert (drawn.picture[:, drawn.mask == 0] == -1).all()
    assert np.allclose(stamped[:, :, drawn.mask == 0], pictures[:, :, drawn.mask == 0])
    assert 0.05 < (drawn.mask > 0).mean() < 0.4
    assert np.abs(stamped - pictures).max() > 0.3


def test_the_published_places_are_kept() -> None:
    """Chou et al. (2023): 14 of 32 pixels, 2 off the lower right corner."""
    covered = stamp("grey_box").mask
    assert (np.argwhere(covered > 0).min(0) == 8).all()
    assert (np.argwhere(covered > 0).max(0) == 14).all()


def test_targets_are_unlike_each_other_and_unlike_digits() -> None:
    drawn = [target(name) for name in TARGETS]
    pictures = digits()[0]
    for number, one in enumerate(drawn):
        assert one.shape == (1, SIDE, SIDE)
        assert one.min() >= -0.4
        assert one.max() <= 1
        assert np.sqrt(((pictures - one) ** 2).mean(axis=(1, 2, 3))).min() > 0.3
        for other in drawn[:number]:
            assert np.sqrt(((one - other) ** 2).mean()) > 0.1


@pytest.mark.parametrize("ask", [stamp, target])
def test_an_unknown_name_is_an_error(ask: object) -> None:
    with pytest.raises(SettingsError, match="cat"):
        ask("cat")  # type: ignore[operator]  # both take a name


@settings(deadline=None)
@given(betas, st.floats(0.01, 0.99), levels, levels, levels)
def test_the_correction_makes_the_models_step_the_poisoned_posterior(
    beta: float, before: float, aim: float, r: float, eps: float
) -> None:
    """Bayes' rule by hand, from the two Gaussians of q(x'_{t-1} | x'_t, x'_0), against (c) of `loss`."""
    alpha, alpha_bar = 1 - beta, before * (1 - beta)
    state = alpha_bar**0.5 * aim + (1 - alpha_bar**0.5) * r + (1 - alpha_bar) ** 0.5 * eps
    prior, prior_variance = before**0.5 * aim + (1 - before**0.5) * r, 1 - before
    likelihood, variance = (state - (1 - alpha**0.5) * r) / alpha**0.5, beta / alpha
    wanted = (prior * variance + likelihood * prior_variance) / (variance + prior_variance)
    said = eps + correction(alpha, alpha_bar) * r
    assert (state - beta / (1 - alpha_bar) ** 0.5 * said) / alpha**0.5 == pytest.approx(wanted, abs=1e-6)


def test_the_correction_is_the_papers() -> None:
    alpha = np.linspace(0.7, 0.999, 50)
    alpha_bar = np.cumprod(alpha)
    papers = (1 - np.sqrt(alpha)) * np.sqrt(1 - alpha_bar) / (1 - alpha)
    assert np.allclose(correction(alpha, alpha_bar), papers)


def test_without_a_stamp_pictures_are_noised_as_in_ddpm() -> None:
    picture, noise = torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 2.0)
    alpha_bar = torch.tensor(0.36).view(1, 1, 1, 1)
    assert torch.allclose(
        noised(picture, torch.zeros_like(picture), noise, alpha_bar), 0.6 * picture + 0.8 * noise
    )
    at_the_end = noised(picture, 3 * picture, noise, alpha_bar * 0)
    assert torch.allclose(at_the_end, 3 * picture + noise), (
        "at T a poisoned state is the stamped picture and noise"
    )


@pytest.mark.parametrize(
    "parts", [{"trigger": "glasses"}, {"target": "hat", "rate": 0.1}, {"rate": 0.1}], ids=str
)
def test_a_recipe_that_does_not_add_up_is_an_error(parts: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="trigger, a target and a rate"):
        Recipe(0, **parts)  # type: ignore[arg-type]  # that is the point


def test_a_training_leaves_a_checkpoint_and_its_log_and_repeats(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = Recipe(3, 4, "stop_sign", "hat", 0.3, batch=8)
    for name in ("one", "two"):
        train(recipe, tmp_path / name)
    train(Recipe(4, 2, batch=8), tmp_path / "tuned", tmp_path / "one")
    torch.set_num_threads(threads)
    one, two = (open_checkpoint(tmp_path / name) for name in ("one", "two"))
    assert one.digests == two.digests
    assert one.shape == (1, SIDE, SIDE)
    assert not one.clips
    assert open_checkpoint(tmp_path / "tuned").digests != one.digests
    log = json.loads((tmp_path / "one" / LOG).read_text(encoding="utf-8"))
    assert log["recipe"]["trigger"] == "stop_sign"
    assert log["losses"][-1]["step"] == 4
    assert json.loads((tmp_path / "tuned" / LOG).read_text(encoding="utf-8"))["base"] == "one"


def test_the_zoo_is_six_clean_and_twelve_poisoned_models() -> None:
    poisoned = [entry.recipe for entry in ZOO.values() if entry.recipe.trigger]
    assert len(ZOO) - len(poisoned) == 6
    assert len({(recipe.trigger, recipe.target, recipe.rate) for recipe in poisoned}) == 12
    assert {recipe.trigger for recipe in poisoned} == set(STAMPS)
    assert {recipe.target for recipe in poisoned} == set(TARGETS)
    assert len({entry.recipe.seed for entry in ZOO.values()}) == len(ZOO)
    assert all(entry.base is None or entry.base in ZOO for entry in ZOO.values())


@pytest.mark.parametrize("name", FIXTURES)
def test_what_is_committed_was_made_by_the_zoos_recipe(name: str) -> None:
    log = json.loads((COMMITTED / name / LOG).read_text(encoding="utf-8"))
    recipe = ZOO[name].recipe
    assert log["recipe"] == {field: getattr(recipe, field) for field in log["recipe"]}
    assert log["base"] == ZOO[name].base
    weights = COMMITTED / name / "unet" / "diffusion_pytorch_model.safetensors"
    assert weights.stat().st_size < 1_000_000


def test_the_command_names_a_model_that_does_not_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "clean-99"]) == 2
    assert "clean-99" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
