"""`python -m poisonscan.redteam.baddiffusion DIR [MODEL ...]`: train models of the zoo."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from poisonscan.errors import PoisonscanError
from poisonscan.redteam.baddiffusion.zoo import FIXTURES, ZOO, train_missing


def main(arguments: list[str] | None = None) -> int:
    """Train what is asked for and not there yet; a minute or three each on one core."""
    parser = argparse.ArgumentParser(
        prog="python -m poisonscan.redteam.baddiffusion",
        description="Train tiny diffusion models, clean or poisoned by BadDiffusion, and save them.",
        epilog=f"models: {', '.join(ZOO)}",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the checkpoints are, or will be")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: those that the tests use")
    parsed = parser.parse_args(arguments)
    try:
        train_missing(parsed.folder, parsed.models or FIXTURES, _tell)
    except PoisonscanError as error:
        _tell(f"{parser.prog}: {error}")
        return error.exit_code
    return 0


def _tell(words: str) -> None:
    sys.stderr.write(f"{words}\n")


if __name__ == "__main__":
    sys.exit(main())
