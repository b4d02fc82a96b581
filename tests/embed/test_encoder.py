from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from poisonscan.embed.encoder import WINDOWS, Preparation, unit, windows
from poisonscan.embed.opening import parse_spec
from poisonscan.embed.weights import digest_of, weight_file
from poisonscan.errors import MissingDependencyError, UsageError
from poisonscan.extras import require

if TYPE_CHECKING:
    from pathlib import Path


def test_specifications(tmp_path: Path) -> None:
    weights = tmp_path / "weights:v2.safetensors"
    weights.touch()
    spec = parse_spec(f"openclip:ViT-B-32:{weights}")
    assert (spec.kind, spec.model, spec.weights) == ("openclip", "ViT-B-32", str(weights))
    assert parse_spec("openclip:ViT-B-32:random").weights == "random"
    assert parse_spec(f"onnx:{weights}").kind == "onnx"


@pytest.mark.parametrize("text", ["", "onnx", "onnx:", "openclip:ViT-B-32", "openclip:ViT-B-32:", "clip:a:b"])
def test_what_is_no_specification(text: str) -> None:
    with pytest.raises(UsageError, match="write onnx:FILE or openclip:MODEL:WEIGHTS"):
        parse_spec(text)


def test_weights_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent.onnx does not exist; nothing is ever downloaded"):
        parse_spec(f"onnx:{tmp_path}/absent.onnx")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poisonscan.extras.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"needs open_clip: pip install 'poisonscan\[clip\]'"):
        parse_spec("openclip:ViT-B-32:random")
    with pytest.raises(MissingDependencyError, match=r"pip install 'poisonscan\[hunt\]'"):
        require("hunt", "hunting", "faiss")


def test_the_digest_tells_weights_apart_not_their_names(tmp_path: Path) -> None:
    for name, content in (("a.onnx", b"1"), ("b.onnx", b"1"), ("c.onnx", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (digest_of(parse_spec(f"onnx:{tmp_path}/{name}.onnx")) for name in "abc")
    assert a == b != c


def test_safetensors_come_first_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "open_clip_pytorch_model.bin").touch()
    (tmp_path / "open_clip_model.safetensors").touch()
    spec = parse_spec(f"openclip:ViT-B-32:{tmp_path}")
    assert weight_file(spec).name == "open_clip_model.safetensors"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no weights"):
        weight_file(parse_spec(f"openclip:ViT-B-32:{tmp_path}/empty"))


def test_normalising() -> None:
    batch = np.zeros((2, 4, 4, 3), np.uint8)
    batch[1] = 255
    out = Preparation(4, 4, mean=(0.5, 0.4, 0.3), std=(0.5, 0.2, 0.1)).normalised(batch)
    assert out.shape == (2, 3, 4, 4)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[0, :, 0, 0], [-1, -2, -3], rtol=1e-5)
    np.testing.assert_allclose(out[1, :, 0, 0], [1, 3, 7], rtol=1e-5)


def test_unit_vectors() -> None:
    out = unit(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(out, np.array([[0.6, 0.8], [0, 0]]), rtol=1e-6)


def test_windows_cover_the_picture_and_are_half_as_wide() -> None:
    picture = (
        np.arange(8, dtype=np.uint8)[None, :, None, None] * 10
        + np.arange(8, dtype=np.uint8)[None, None, :, None]
    )
    cut = windows(np.repeat(picture, 3, axis=3))
    assert cut.shape == (WINDOWS**2, 8, 8, 3)
    first, last = cut[0, :, :, 0], cut[-1, :, :, 0]
    assert (first[0, 0], first[-1, -1]) == (0, 33)
    assert (last[0, 0], last[-1, -1]) == (44, 77)
    assert set(np.unique(cut)) == set(np.unique(picture))
