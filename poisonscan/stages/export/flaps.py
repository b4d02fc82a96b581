"""What a history says of the rows of an exported run: out, or in with the picture of the later look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poisonscan.domains.flapping import Action
from poisonscan.errors import UsageError
from poisonscan.stages.diff.pairing import parquet_of
from poisonscan.stages.history.run import ACTIONS, HISTORY, HISTORY_DOCUMENT
from poisonscan.store.folder import FINISHED, read_document

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

# A row is out if it is to be dropped, or if this run looked at it while it was away; it is in if this run saw
# the very picture that the history vouches for. Of any other row the verdict decides.
_FLAPS = """
    CREATE TABLE flaps AS
    SELECT action.row, away OR action.action = '{drop}' AS out,
           NOT away AND action.action = '{later}' AND action.sha256 = seen.new_sha256 AS later,
           'history: ' || action.reason AS told
    FROM {actions} AS action LEFT JOIN verdicts AS seen USING (row),
    LATERAL (SELECT EXISTS (
        FROM {history} AS past
        WHERE past.row = action.row
          AND epoch_ms(seen.fetched_at) BETWEEN epoch_ms(away_from) AND epoch_ms(away_to)) AS away)
"""
_NONE = "CREATE TABLE flaps (row BIGINT, out BOOLEAN, later BOOLEAN, told VARCHAR)"


def require_history_of(run: Path, history: Path) -> None:
    """Make sure that a history is finished, and that the run is one of its looks.

    Otherwise it could not be told whether the run saw a row while it was away.

    Raises:
        UsageError: it is not.
        SnapshotInvalidError: it is no history, or damaged.
    """
    document = read_document(history, HISTORY_DOCUMENT)
    if document["state"] != FINISHED:
        raise UsageError(f"history {history} is unfinished; repeat the command that started it")
    if str(run.resolve()) not in {path for path, _ in document["identity"]["looks"]}:
        raise UsageError(
            f"--history {history}: {run} is none of its looks, so it does not know what that run saw; write "
            "one that includes it: poisonscan history RUN... --out DIR"
        )


def define_flaps(connection: duckdb.DuckDBPyConnection, history: Path | None) -> None:
    """Create the table `flaps`: `row`, whether it is `out` or in as `later`, and `told`, the reason.

    Args:
        connection: with the run's `verdicts`.
        history: its folder; None for an empty table.
    """
    if history is None:
        connection.execute(_NONE)
        return
    sources = {"actions": parquet_of([history / ACTIONS]), "history": parquet_of([history / HISTORY])}
    connection.execute(_FLAPS.format(drop=Action.DROP, later=Action.TAKE_LATER, **sources))
