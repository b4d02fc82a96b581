"""The verbs: parse, call one function, render. Stages are imported only by the verb that runs."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from rich.markup import escape

from poisonscan._version import __version__
from poisonscan.cli import (
    render,
    verb_calibrate,
    verb_check,
    verb_demo,
    verb_diff,
    verb_domains,
    verb_embed,
    verb_explore,
    verb_export,
    verb_history,
    verb_hunt,
    verb_model,
    verb_query,
    verb_report,
    verb_snapshot,
    verb_verify,
)
from poisonscan.cli.flags import Parser
from poisonscan.errors import CRASHED, IncompleteError, PoisonscanError

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = """\
exit codes:
  0  clean: enough rows were seen and compared
  1  findings at or above --fail-on
  2  usage: a wrong flag, file, column or setting; nothing was started
  3  incomplete: too many rows without an answer or a baseline, or stopped early; the same command
     goes on, and asks again for the rows without an answer
  4  the snapshot is unfinished, damaged or tampered with; a checkpoint is not what was vouched for
 70  a fault of this program
New codes may come: take one that is not listed for a failure.

a first session:
  poisonscan snapshot list.parquet --out then       remember the pictures at a trusted moment
  poisonscan check then --out now                   later: fetch again, compare, judge
  open now/report.html                              see what changed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and give its exit code.

    Never lets one of our own errors become a traceback, nor any other error Python's exit code 1, which here
    means findings.
    """
    parsed = _parser().parse_args(arguments)
    console = render.Terminal(stderr=True)
    try:
        code: int = parsed.run(parsed, console)
    except PoisonscanError as error:
        words = escape(" ".join(str(error).splitlines()))
        console.print(f"[bold red]poisonscan:[/] {words}", soft_wrap=True, highlight=False, emoji=False)
        return error.exit_code
    except KeyboardInterrupt:
        console.print("poisonscan: interrupted; repeat the same command to continue")
        return IncompleteError.exit_code
    except Exception as error:  # noqa: BLE001 - whatever it is, its exit code must not be that of findings
        traceback.print_exc()
        words = f"{type(error).__name__}, which is a fault of this program; please report what stands above"
        console.print(f"poisonscan: {words}", soft_wrap=True, markup=False, highlight=False, emoji=False)
        return CRASHED
    return code


def _parser() -> Parser:
    parser = Parser(
        prog="poisonscan",
        description="Finds poison in web-scale image datasets before anyone trains on them.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"poisonscan {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB", parser_class=Parser)
    for add in (
        verb_snapshot.add,
        verb_check.add,
        verb_verify.add,
        verb_report.add,
        verb_domains.add,
        verb_diff.add,
        verb_export.add,
        verb_history.add,
        verb_embed.add,
        verb_hunt.add,
        verb_model.add,
        verb_query.add,
        verb_explore.add,
        verb_calibrate.add,
        verb_demo.add,
    ):
        add(verbs)
    return parser
