from __future__ import annotations

import errno
import os
import ssl
from typing import TYPE_CHECKING

import pytest

from poisonscan.errors import IncompleteError
from poisonscan.fetch import resolver
from poisonscan.fetch.failures import ConnectError, LostError, NotHttpError, WebError, translate
from poisonscan.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

# A new class fails the test below until somebody decides.
EXPECTED: dict[type[WebError], tuple[Outcome, bool]] = {
    ConnectError: (Outcome.CONNECT_FAILED, True),
    LostError: (Outcome.CONNECTION_LOST, True),
    NotHttpError: (Outcome.PROTOCOL_ERROR, False),
    resolver.ResolveError: (Outcome.DNS_FAILURE, False),
    resolver.NameNotFoundError: (Outcome.DNS_NOT_FOUND, False),
    resolver.NameServerError: (Outcome.DNS_FAILURE, False),
    resolver.NameServerTimeoutError: (Outcome.DNS_FAILURE, False),
    resolver.PrivateAddressError: (Outcome.PRIVATE_ADDRESS, False),
}


def family(kind: type[WebError]) -> Iterator[type[WebError]]:
    for child in kind.__subclasses__():
        yield child
        yield from family(child)


@pytest.mark.parametrize("kind", sorted(family(WebError), key=str))
def test_every_error_of_ours_has_its_outcome(kind: type[WebError]) -> None:
    failure = translate(kind("some\nwords \u00e9"))
    assert (failure.outcome, failure.transient) == EXPECTED[kind]
    assert failure.reason.endswith("some words \\xe9")
    assert failure.reason.isascii()
    assert failure.reason.isprintable()


@pytest.mark.parametrize(
    ("error", "outcome", "words", "transient"),
    [
        (ConnectionResetError(errno.ECONNRESET, "x"), Outcome.CONNECTION_LOST, "Connection reset", True),
        (ConnectError(errno.ECONNREFUSED, "x"), Outcome.CONNECT_FAILED, "Connection refused", True),
        (ssl.SSLError(1, "bad record mac"), Outcome.TLS_FAILED, "bad record mac", False),
        (ssl.SSLCertVerificationError("name does not match"), Outcome.TLS_FAILED, "does not match", False),
    ],
)
def test_errors_of_the_system(error: OSError, outcome: Outcome, words: str, *, transient: bool) -> None:
    failure = translate(error)
    assert (failure.outcome, failure.transient) == (outcome, transient)
    assert words in failure.reason


@pytest.mark.parametrize("kind", [OSError, ConnectError])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_an_exhausted_machine_says_nothing_about_the_url(kind: type[OSError], number: int) -> None:
    with pytest.raises(IncompleteError, match=os.strerror(number)):
        translate(kind(number, "x"))
