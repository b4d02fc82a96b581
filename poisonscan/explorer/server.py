"""A run opened and served on the loopback address, for as long as somebody looks."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from poisonscan.errors import UsageError
from poisonscan.explorer.app import guarded
from poisonscan.explorer.catalogue import Catalogue
from poisonscan.explorer.guard import Pass
from poisonscan.explorer.pictures import Gallery
from poisonscan.explorer.session import Explorer
from poisonscan.sources.shelf import shelf_of
from poisonscan.store.sources import files_of
from poisonscan.store.views import open_views

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from poisonscan.config import DecodeSettings

HOST = "127.0.0.1"
_STOP_S = 2  # open connections of a browser are not waited for any longer


@dataclass(frozen=True)
class Serving:
    """An explorer that is listening but does not answer yet.

    Attributes:
        entry: who may come in; its `address` is the one to open.
        server: answers once it runs.
        listener: the socket it listens on.
    """

    entry: Pass
    server: uvicorn.Server
    listener: socket.socket

    def run(self) -> None:
        """Answer until interrupted."""
        self.server.run(sockets=[self.listener])

    @contextmanager
    def in_thread(self) -> Iterator[str]:
        """Answer beside the caller, for the length of a `with` block; gives the address to open."""
        thread = threading.Thread(target=self.run, name="explorer", daemon=True)
        thread.start()
        try:
            yield self.entry.address
        finally:
            self.server.should_exit = True
            thread.join()


@contextmanager
def opened(
    run: Path,
    snapshot: Path | None,
    port: int,
    settings: DecodeSettings,
    recipes: Sequence[tuple[str, str]] = (),
) -> Iterator[Serving]:
    """Open a run and listen.

    Args:
        run: a run or snapshot folder.
        snapshot: where the run's snapshot lies, if it was moved.
        port: to listen on; 0 takes a free one.
        settings: limits of decoding.
        recipes: titles and SQL of useful queries.

    Raises:
        UsageError: the port is taken, or the folder holds no rows.
        SnapshotInvalidError: it is no such folder, or damaged.
        StorageError: a file of it cannot be read.
    """
    with open_views(run, snapshot) as views, _listening(port) as listener:
        files = files_of(run, snapshot)
        entry = Pass(listener.getsockname()[1])
        gallery = Gallery(shelf_of(views, files), settings)
        explorer = Explorer(Catalogue(views), gallery, entry, str(run), tuple(recipes), snapshot)
        config = uvicorn.Config(
            guarded(explorer),
            log_level="warning",
            access_log=False,  # the first address holds the token
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=_STOP_S,
        )
        yield Serving(entry, uvicorn.Server(config), listener)


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        try:
            listener.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"--port {port} cannot be used ({error}); choose another, or 0 for any"
            ) from error
        listener.listen()  # a browser that is quicker than the server waits
        yield listener
    finally:
        listener.close()
