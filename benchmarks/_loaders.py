"""What the loaders of training pipelines make of a file: Pillow, OpenCV and torchvision."""

from __future__ import annotations

import contextlib
import hashlib
import io
import multiprocessing
import os
import warnings
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.io import ImageReadMode, decode_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

    from numpy.typing import NDArray

torch.set_num_threads(1)
cv2.setNumThreads(1)

_MODES = (
    cv2.IMREAD_COLOR,
    cv2.IMREAD_UNCHANGED,
    cv2.IMREAD_GRAYSCALE,
    cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH,
    cv2.IMREAD_REDUCED_COLOR_2,
)

_FORKS = multiprocessing.get_context("fork")  # a new process need not load torch anew
_WITH_ALPHA = (ImageReadMode.GRAY_ALPHA, ImageReadMode.RGB_ALPHA)


def outcomes(body: bytes) -> dict[str, str]:
    """What each loader makes of a file, by its name: a digest of shape and pixels, or the error's name."""
    return {name: _outcome(body, name) for name in LOADERS}


def _outcome(body: bytes, name: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a loader's doubts are no outcome
        try:
            return _digest(LOADERS[name](body))
        except Exception as error:  # noqa: BLE001 - whatever a loader raises is what comes of the file
            return type(error).__name__


class Isolated:
    """`outcomes` in a process that a loader may end: "crash" is an outcome too, and a new one goes on."""

    def __init__(self) -> None:
        self.crashes = 0
        self._process, self._pipe = self._started()

    def outcomes(self, body: bytes) -> dict[str, str]:
        """As the function of that name."""
        found: dict[str, str] = {}
        for name in LOADERS:
            try:
                self._pipe.send((body, name))
                found[name] = self._pipe.recv()
            except (EOFError, ConnectionError):
                self.crashes += 1
                found[name] = "crash"
                self.close()
                self._process, self._pipe = self._started()
        return found

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()

    @staticmethod
    def _started() -> tuple[ForkProcess, Connection]:
        ours, theirs = _FORKS.Pipe()
        process = _FORKS.Process(target=_answer, args=(theirs, ours))
        process.start()
        theirs.close()
        return process, ours


def _answer(pipe: Connection, parents: Connection) -> None:
    parents.close()  # or the end of the parent would never be noticed
    with muted(), contextlib.suppress(EOFError):
        while True:
            pipe.send(_outcome(*pipe.recv()))


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Without what the C libraries say on the standard error; nothing else may be said there meanwhile."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _digest(pixels: NDArray[np.generic]) -> str:
    head = f"{pixels.shape} {pixels.dtype} "
    return head + hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:16]


def _opened(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body), formats=("JPEG", "PNG", "WEBP"))


def _pillow_rgb(body: bytes) -> NDArray[np.generic]:
    with _opened(body) as image:
        return np.asarray(image.convert("RGB"))


def _pillow_over_white(body: bytes) -> NDArray[np.generic]:
    with _opened(body) as image:
        clear = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear))


def _pillow_turned(body: bytes) -> NDArray[np.generic]:
    with _opened(body) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def _pillow_as_is(body: bytes) -> NDArray[np.generic]:
    with _opened(body) as image:
        return np.asarray(image)


def _opencv(body: bytes, flags: int) -> NDArray[np.generic]:
    pixels = cv2.imdecode(np.frombuffer(body, np.uint8), flags)
    if pixels is None:
        raise ValueError("OpenCV gives no picture")
    return np.asarray(pixels)


def _torchvision(body: bytes, mode: ImageReadMode, *, turn: bool) -> NDArray[np.generic]:
    if mode in _WITH_ALPHA and b"PLTE" in body:
        raise ValueError(
            "torchvision 0.29 leaves a fourth of the memory unset, which differs from call to call"
        )
    coded = torch.frombuffer(bytearray(body), dtype=torch.uint8)
    return np.asarray(decode_image(coded, mode, apply_exif_orientation=turn).numpy())


def _opencv_in(flags: int) -> Callable[[bytes], NDArray[np.generic]]:
    return lambda body: _opencv(body, flags)


def _torchvision_in(mode: ImageReadMode, *, turn: bool) -> Callable[[bytes], NDArray[np.generic]]:
    return lambda body: _torchvision(body, mode, turn=turn)


LOADERS: Mapping[str, Callable[[bytes], NDArray[np.generic]]] = {
    "Pillow, RGB": _pillow_rgb,
    "Pillow, over white": _pillow_over_white,
    "Pillow, turned": _pillow_turned,
    "Pillow, as it is": _pillow_as_is,
    **{f"OpenCV, mode {mode}": _opencv_in(mode) for mode in _MODES},
    **{
        f"OpenCV, mode {mode}, not turned": _opencv_in(mode | cv2.IMREAD_IGNORE_ORIENTATION)
        for mode in _MODES
    },
    **{
        f"torchvision, {mode.name}{', turned' if turn else ''}": _torchvision_in(mode, turn=turn)
        for mode in ImageReadMode
        for turn in (False, True)
    },
}
"""Each way to load a file, by its name."""
