"""The exception tree.

    PoisonscanError                     exit code
    +-- UsageError                      2   the caller asked for something impossible; nothing was started
    |   +-- ManifestError               2   a manifest, column or published hash that cannot be used
    |   +-- SettingsError               2   an unknown or impossible setting
    |   +-- MissingDependencyError      2   an optional extra that is not installed
    |   +-- RunMismatchError            2   resuming a folder that was started with other input
    +-- IncompleteError                 3   the run stopped early; the same command again continues it
    |   +-- StorageError                3   disk full, folder not writable, file vanished
    |   +-- InterruptedRunError         3   SIGINT or SIGTERM; rows in flight were finished
    |   +-- WorkerError                 3   a worker process died again and again on one shard
    +-- SnapshotInvalidError            4   a snapshot that is unfinished, damaged or tampered with

Any other exception that reaches the command line is a fault of this program: `CRASHED`, 70. New codes may
come; who reads them takes an unknown one for a failure.

What the web does to us is never an exception: a dead URL is a `FetchResult`, a broken picture a
`DecodeFailure`. Exceptions are for callers' mistakes and broken infrastructure. Each message is one
sentence that names the row, file or setting and says what to do.
"""

from __future__ import annotations

from typing import ClassVar

CRASHED = 70
"""Exit code of a fault of our own, EX_SOFTWARE of sysexits.h. Python's own 1 would read as findings."""


class PoisonscanError(Exception):
    """Base of everything this package raises on purpose; the command line turns it into one line."""

    exit_code: ClassVar[int] = 2


class UsageError(PoisonscanError):
    """The caller asked for something impossible; nothing was started."""


class ManifestError(UsageError):
    """A manifest, one of its columns or a published hash cannot be used as asked."""


class SettingsError(UsageError):
    """A setting is unknown, of the wrong type or out of range."""


class MissingDependencyError(UsageError):
    """An optional dependency is needed; the message names the extra to install."""


class RunMismatchError(UsageError):
    """The output folder was started with another manifest or other settings."""


class IncompleteError(PoisonscanError):
    """The run stopped early. Nothing already done is lost: the same command continues it."""

    exit_code: ClassVar[int] = 3


class StorageError(IncompleteError):
    """The file system said no: disk full, not writable, vanished."""


class InterruptedRunError(IncompleteError):
    """SIGINT or SIGTERM arrived; rows in flight were finished and written."""


class WorkerError(IncompleteError):
    """A worker process died repeatedly on the same shard."""


class SnapshotInvalidError(PoisonscanError):
    """A snapshot is unfinished, damaged or tampered with."""

    exit_code: ClassVar[int] = 4
