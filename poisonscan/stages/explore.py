"""explore: walk through a run in the browser."""

from __future__ import annotations

import threading
import webbrowser
from typing import TYPE_CHECKING

from poisonscan.config import Config
from poisonscan.explorer.server import opened
from poisonscan.stages.recipes import RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def explore(
    run: Path,
    *,
    snapshot: Path | None = None,
    port: int = 0,
    browser: bool = True,
    config: Config = Config(),
    tell: Callable[[str], None] | None = None,
) -> None:
    """Serve a run on 127.0.0.1 until interrupted; marks that are set are kept in the run.

    Nothing leaves the machine: pictures come from the run, its snapshot or the hunted source, decoded in a
    sandbox and encoded anew, never from their live URLs.

    Args:
        run: a finished run of check or hunt, a snapshot, or what `embed` wrote.
        snapshot: where the run's snapshot lies, if it was moved.
        port: to listen on; 0 takes a free one.
        browser: whether to open a browser.
        config: limits of decoding.
        tell: called with the address to open, which holds the token that lets in.

    Raises:
        UsageError: the port is taken, or the folder holds no rows.
        SnapshotInvalidError: it is no such folder, or damaged.
        StorageError: a file of it cannot be read.
    """
    recipes = [(recipe.title, recipe.sql) for recipe in RECIPES]
    with opened(run, snapshot, port, config.decode, recipes) as serving:
        if tell:
            tell(serving.entry.address)
        if browser:
            threading.Thread(target=webbrowser.open, args=[serving.entry.address], daemon=True).start()
        serving.run()
