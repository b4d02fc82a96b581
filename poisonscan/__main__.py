"""`python -m poisonscan`, and what the command `poisonscan` calls."""

from __future__ import annotations

import sys
import traceback


def run() -> int:
    """Run the command line; its exit code.

    A dependency that cannot even be imported ends with the code of a crash: Python's own 1 means findings.
    """
    try:
        from poisonscan.cli import main  # noqa: PLC0415 - see above
    except Exception:  # noqa: BLE001 - whatever it is, see above
        traceback.print_exc()
        return 70  # errors.CRASHED, where not even that may be had
    return main()


if __name__ == "__main__":
    sys.exit(run())
