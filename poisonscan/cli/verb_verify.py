"""The verb `verify`."""

# ruff: noqa: PLC0415 - stages are imported only by the verb that runs, so that --help is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from poisonscan.cli.trust import add_trust, trust_of

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from poisonscan.cli.flags import Parser


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "verify",
        help="is a snapshot what it was when it was sealed?",
        description="Recompute every digest of a snapshot. Exit code 4 names what was altered, is missing or "
        "does not belong; with a key, also that it is not signed, or by somebody else.",
    )
    parser.add_argument("snapshot", type=Path, metavar="SNAP", help="a finished snapshot folder")
    add_trust(parser, "SNAP/snapshot.sig")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, console: Console) -> int:
    from poisonscan.stages.verify import require_intact
    from poisonscan.store.folder import SNAPSHOT_SIGNATURE

    trust = trust_of(parsed)
    n_files = require_intact(parsed.snapshot, trust, parsed.signature)
    console.print(f"{escape(str(parsed.snapshot))}: {n_files} files, all as they were sealed", soft_wrap=True)
    if trust is not None:
        console.print(f"signed, as the {trust.kind} demands")
    elif (parsed.snapshot / SNAPSHOT_SIGNATURE).exists():
        console.print(f"{SNAPSHOT_SIGNATURE} was not looked at: say whose it must be, e.g. --key PUB")
    return 0
