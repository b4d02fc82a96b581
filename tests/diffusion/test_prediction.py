from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonscan.diffusion.clipping import clipped_prediction
from poisonscan.diffusion.prediction import KINDS, noise_of, output_of, picture_of
from poisonscan.errors import UsageError

levels = st.floats(-3, 3)
alpha_bars = st.floats(0.01, 0.99)


@settings(deadline=None)
@given(levels, levels, alpha_bars, st.sampled_from(KINDS))
def test_each_prediction_stands_for_the_same_picture_and_noise(
    picture: float, noise: float, alpha_bar: float, kind: str
) -> None:
    state = alpha_bar**0.5 * picture + (1 - alpha_bar) ** 0.5 * noise
    said = {
        "epsilon": noise,
        "sample": picture,
        "v_prediction": alpha_bar**0.5 * noise - (1 - alpha_bar) ** 0.5 * picture,
    }[kind]
    assert picture_of(said, state, alpha_bar, kind) == pytest.approx(picture, abs=1e-6)
    assert noise_of(said, state, alpha_bar, kind) == pytest.approx(noise, abs=1e-6)
    assert output_of(picture, state, alpha_bar, kind) == pytest.approx(said, abs=1e-6)


@settings(deadline=None)
@given(levels, levels, alpha_bars, st.sampled_from(KINDS))
def test_clipping_cuts_the_picture_and_nothing_else(
    said: float, state: float, alpha_bar: float, kind: str
) -> None:
    before = picture_of(said, state, alpha_bar, kind)
    clipped = clipped_prediction(np.float64(said), state, alpha_bar, kind, 1.0)
    assert picture_of(clipped, state, alpha_bar, kind) == pytest.approx(np.clip(before, -1, 1), abs=1e-6)
    if abs(before) < 1:
        assert clipped == pytest.approx(said, abs=1e-6)


@pytest.mark.parametrize("ask", [picture_of, output_of])
def test_an_unknown_prediction_is_refused(ask: object) -> None:
    with pytest.raises(UsageError, match="flow"):
        ask(0.0, 0.0, 0.5, "flow")  # type: ignore[operator]  # both take the same
