"""Which poisoned sets a command line asks for."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def case_flags(description: str | None) -> argparse.ArgumentParser:
    """A parser with the flags that choose the sets."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--attack", action="append", help="only this one; may be given several times")
    parser.add_argument("--rate", action="append", type=float, help="share of poisoned rows")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="so many photos, drawn once")
    parser.add_argument("--again", action="store_true", help="measure anew what was measured before")
    return parser


def asked_attacks(asked: argparse.Namespace, known: Sequence[str]) -> Sequence[str]:
    """The attacks of the flags, all where none is named; ends the program at one that does not exist."""
    if unknown := sorted(set(asked.attack or ()) - set(known)):
        sys.exit(f"no attack {unknown[0]}; there are {', '.join(known)}")
    names: Sequence[str] = asked.attack or known
    return names
