from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from poisonscan.config import EmbedSettings
from poisonscan.embed.opening import open_encoder, parse_spec
from poisonscan.errors import UsageError

from .models import clip_config

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.embed.encoder import Bytes, Encoder


def opened(model: Path | str, weights: Path | str = "random", **settings: str) -> Encoder:
    return open_encoder(parse_spec(f"openclip:{model}:{weights}"), EmbedSettings(device="cpu", **settings))  # type: ignore[arg-type]  # texts only


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_config(tmp_path_factory.mktemp("clip") / "tiny-clip.json")


@pytest.fixture(scope="module")
def encoder(config: Path) -> Encoder:
    return opened(config)


@pytest.fixture
def batch() -> Bytes:
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)


def test_pictures_and_captions_share_a_space(encoder: Encoder, batch: Bytes) -> None:
    pictures, texts = encoder.images(batch), encoder.texts(["a cat", "a dog " * 100])
    assert (pictures.shape, texts.shape) == ((3, 24), (2, 24))
    for vectors in (pictures, texts):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_random_weights_are_the_same_every_time(config: Path, encoder: Encoder, batch: Bytes) -> None:
    np.testing.assert_allclose(opened(config).images(batch), encoder.images(batch), atol=1e-6)


def test_patches_are_tokens(encoder: Encoder, batch: Bytes) -> None:
    patches = encoder.patches(batch)
    assert patches.shape == (3, 4, 4, 32)
    np.testing.assert_allclose(np.linalg.norm(patches, axis=-1), 1, rtol=1e-4)
    changed = batch.copy()
    changed[0, :8, :8] = 255
    moved = np.linalg.norm(encoder.patches(changed)[0] - patches[0], axis=-1)
    assert moved.argmax() == 0  # the patch that was changed


def test_the_preparation_is_the_models_own(encoder: Encoder) -> None:
    how = encoder.preparation
    assert (how.side, how.resize, how.fit, how.bicubic) == (32, 32, "shortest", True)
    assert how.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights_from_a_file(
    config: Path, encoder: Encoder, batch: Bytes, tmp_path: Path, suffix: str
) -> None:
    import open_clip  # noqa: PLC0415 - heavy, and here only to write a file
    import torch  # noqa: PLC0415 - likewise
    from safetensors.torch import save_file  # noqa: PLC0415 - likewise

    torch.manual_seed(11)
    model = open_clip.create_model("tiny-clip")  # made known by the fixture `encoder`
    file = tmp_path / f"weights.{suffix}"
    if suffix == "pt":
        torch.save(model.state_dict(), file)
    else:
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, file)
    loaded = opened(config, file)
    assert not np.allclose(loaded.images(batch), encoder.images(batch), atol=1e-3)
    with torch.inference_mode():
        pixels = torch.from_numpy(loaded.preparation.normalised(batch))
        expected = model.eval().encode_image(pixels, normalize=True).numpy()
    np.testing.assert_allclose(loaded.images(batch), expected, atol=1e-5)
    assert loaded.identity["digest"] != encoder.identity["digest"]


def test_a_pickle_that_runs_code_is_refused(config: Path, tmp_path: Path) -> None:
    import pickle  # noqa: PLC0415 - to write the attack

    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return open, (str(tmp_path / "owned"), "w")  # type: ignore[return-value]  # a callable and its arguments

    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"state_dict": Attack()}))
    with pytest.raises(UsageError, match="the weights cannot be loaded"):
        opened(config, tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


def test_weights_of_another_model(config: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file  # noqa: PLC0415 - heavy
    from torch import zeros  # noqa: PLC0415 - heavy

    save_file({"something": zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match="the weights cannot be loaded"):
        opened(config, tmp_path / "other.safetensors")


def test_a_model_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="open_clip has no model ViT-X"):
        opened("ViT-X")
    (tmp_path / "wrong.json").write_text("{}")
    with pytest.raises(UsageError, match="is no configuration of an open_clip model"):
        opened(tmp_path / "wrong.json")


def test_precision(config: Path, encoder: Encoder, batch: Bytes) -> None:
    half = opened(config, precision="bf16")
    assert half.identity["precision"] == "bf16"
    assert (half.images(batch) * encoder.images(batch)).sum(axis=1).min() > 0.99
