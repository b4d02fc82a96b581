"""What a script around the verbs needs so that its exit codes mean what those of the verbs mean."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

from poisonscan.errors import CRASHED, IncompleteError, PoisonscanError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from poisonscan.stages.common import Summary

_WORST_FIRST = 1, IncompleteError.exit_code


def exit_code_of(name: str, work: Callable[[], int]) -> int:
    """Do a script's work; its exit code, whatever happens.

    Args:
        name: of the script, which begins the line that tells of an error.
        work: gives the exit code. A PoisonscanError becomes one line on stderr and its own code, anything
            else a traceback and 70: Python's own code for those is 1, which here means findings.
    """
    try:
        return work()
    except PoisonscanError as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - it speaks for the script
        return error.exit_code
    except Exception:  # noqa: BLE001 - see above
        traceback.print_exc()
        return CRASHED


def worst_exit_code(summaries: Iterable[Summary]) -> int:
    """The exit code of several stages together: findings win over incompleteness, which wins over clean."""
    codes = {summary.exit_code for summary in summaries}
    return next((code for code in _WORST_FIRST if code in codes), 0)
