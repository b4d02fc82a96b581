"""SIGINT and SIGTERM as a wish to end, which lets what is in flight finish."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Iterator
    from types import FrameType


@contextmanager
def stop_on_signals(stop: ctypes.c_bool) -> Iterator[None]:
    """Set `stop` on SIGINT and SIGTERM; a second signal has its usual effect."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only: its owner handles them
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.value = True
        signal.signal(number, before[signal.Signals(number)])

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])
