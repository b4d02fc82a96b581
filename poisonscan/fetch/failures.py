"""What goes wrong on the way to a picture, and the one place at which it becomes an outcome.

OSError                         of the system, or of TLS (ssl.SSLError)
+-- WebError                    of ours; says its outcome itself
    +-- ResolveError            a name that leads nowhere, or nowhere allowed; see `resolver`
    +-- ConnectError            no connection, or no tunnel through the proxy
    +-- LostError               a connection that ended before its answer
    +-- NotHttpError            an answer that is no HTTP
"""

from __future__ import annotations

import errno
import os
import ssl
from typing import ClassVar

from poisonscan.errors import IncompleteError
from poisonscan.fetch.policy import Failure, printable
from poisonscan.records import Outcome

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class WebError(OSError):
    """What the web did, with the outcome it means and whether another attempt may fare better."""

    outcome: ClassVar[Outcome]
    words: ClassVar[str] = ""
    transient: ClassVar[bool] = False


class ConnectError(WebError):
    """No connection could be made."""

    outcome: ClassVar[Outcome] = Outcome.CONNECT_FAILED
    words: ClassVar[str] = "cannot connect: "
    transient: ClassVar[bool] = True


class LostError(WebError):
    """The connection ended before the answer did."""

    outcome: ClassVar[Outcome] = Outcome.CONNECTION_LOST
    words: ClassVar[str] = "connection lost: "
    transient: ClassVar[bool] = True


class NotHttpError(WebError):
    """The answer cannot be read as HTTP/1.1."""

    outcome: ClassVar[Outcome] = Outcome.PROTOCOL_ERROR
    words: ClassVar[str] = "not valid HTTP: "


def translate(error: OSError) -> Failure:
    """What an error means for the URL being fetched.

    Raises:
        IncompleteError: this machine ran out of file descriptors or memory, which says nothing about
            the URL.
    """
    if error.errno in _EXHAUSTED:
        raise IncompleteError(
            f"the network cannot be used: {os.strerror(error.errno)}; raise `ulimit -n` or lower concurrency"
        ) from error
    if isinstance(error, WebError):
        return Failure(error.outcome, f"{error.words}{detail(error)}", error.transient)
    if isinstance(error, ssl.SSLError):
        return Failure(Outcome.TLS_FAILED, f"TLS failed: {detail(error)}")
    return Failure(LostError.outcome, f"{LostError.words}{detail(error)}", LostError.transient)


def detail(error: OSError) -> str:
    """An error in words, without its class and number."""
    if isinstance(error, ssl.SSLError):  # OpenSSL's own carry these two, those raised by Python code do not
        words = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
    elif isinstance(error.errno, int):
        words = os.strerror(error.errno)
    else:
        words = str(error)
    return printable(words)
