from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from poisonscan.config import EmbedSettings
from poisonscan.embed.encoder import WINDOWS
from poisonscan.embed.opening import open_encoder, parse_spec
from poisonscan.errors import UsageError

from .models import SIDE, WIDTH, onnx_model

if TYPE_CHECKING:
    from pathlib import Path

    from poisonscan.embed.encoder import Bytes, Encoder


def opened(path: Path, **settings: str) -> Encoder:
    return open_encoder(parse_spec(f"onnx:{path}"), EmbedSettings(**settings))  # type: ignore[arg-type]  # texts only


@pytest.fixture
def batch() -> Bytes:
    return np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.uint8)


def test_vectors_are_the_models_own_brought_to_length_one(tmp_path: Path, batch: Bytes) -> None:
    encoder = opened(onnx_model(tmp_path / "tiny.onnx"))
    vectors = encoder.images(batch)
    assert vectors.shape == (3, WIDTH)
    blocks = (
        encoder.preparation.normalised(batch).reshape(3, 3, 7, 32, 7, 32).mean(axis=(3, 5)).reshape(3, -1)
    )
    np.testing.assert_allclose(vectors, blocks / np.linalg.norm(blocks, axis=1, keepdims=True), atol=1e-5)
    assert (encoder.preparation.side, encoder.preparation.resize) == (224, 256)
    assert set(encoder.identity) == {"spec", "digest", "device", "library"}


def test_patches_are_the_map_where_there_is_one(tmp_path: Path, batch: Bytes) -> None:
    encoder = opened(onnx_model(tmp_path / "tiny.onnx", outputs=("embedding", "map")))
    patches = encoder.patches(batch)
    assert patches.shape == (3, 7, 7, 3)
    np.testing.assert_allclose(np.linalg.norm(patches, axis=-1), 1, rtol=1e-5)


def test_patches_are_windows_where_there_is_none(tmp_path: Path, batch: Bytes) -> None:
    encoder = opened(onnx_model(tmp_path / "tiny.onnx"))
    assert encoder.patches(batch).shape == (3, WINDOWS, WINDOWS, WIDTH)


def test_a_map_alone_is_averaged(tmp_path: Path, batch: Bytes) -> None:
    assert opened(onnx_model(tmp_path / "tiny.onnx", outputs=("map",))).images(batch).shape == (3, 3)


def test_a_model_that_takes_one_at_a_time(tmp_path: Path, batch: Bytes) -> None:
    many, single = (onnx_model(tmp_path / f"{n}.onnx", batch=n) for n in (None, 1))
    np.testing.assert_allclose(opened(single).images(batch), opened(many).images(batch), atol=1e-6)


def test_no_text_side(tmp_path: Path) -> None:
    encoder = opened(onnx_model(tmp_path / "tiny.onnx"))
    assert not encoder.has_text
    with pytest.raises(UsageError, match="no text side"):
        encoder.texts(["a cat"])


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(UsageError, match=r"onnxruntime cannot load it"):
        opened(tmp_path / "junk.onnx")


def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    import onnxruntime  # noqa: PLC0415 - to see whether this machine has what the test is about

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageError, match="onnxruntime sees no GPU"):
        opened(onnx_model(tmp_path / "tiny.onnx"), device="cuda")


def test_the_real_encoder_tells_subjects_apart(shared_data: Path) -> None:
    from PIL import Image  # noqa: PLC0415 - beside its only use

    from poisonscan.embed.views import prepared  # noqa: PLC0415 - as above

    encoder = opened(shared_data / "weights" / "mobilenetv2_features.onnx")
    folders = sorted((shared_data / "images" / "caltech101").iterdir())[::40][:2]
    paths = [path for folder in folders for path in sorted(folder.iterdir())[:3]]
    crops = np.stack(
        [np.asarray(prepared(Image.open(path).convert("RGB"), encoder.preparation)) for path in paths]
    )
    near = encoder.images(crops) @ encoder.images(crops).T
    within = np.r_[near[:3, :3][np.triu_indices(3, 1)], near[3:, 3:][np.triu_indices(3, 1)]]
    assert within.mean() > near[:3, 3:].mean() + 0.1
