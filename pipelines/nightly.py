"""The nightly check: fetch a snapshot's pictures again, judge, compare with earlier nights, report.

python pipelines/nightly.py SNAPSHOT RUN [--config FILE] [--metrics FILE] [--key PUB] [--ask [--before FILE]]

Give every night a RUN folder of its own beside the others (runs/2026-01-31): the finished runs beside it are
what it is compared with. The same command again continues a night that was interrupted. Without --ask nobody
but the pictures' own hosts is asked anything; with it, DNS and registries say who holds the domains.
stdout gets one JSON line. Exit codes: 0 clean, 1 findings, 2 usage, 3 incomplete, 4 snapshot invalid, 70 a
crash; take any other for a failure.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import poisonscan
from poisonscan import Config, Trust

LOOKS = 14  # earlier nights that are searched for pictures that went away and came back


def nightly(given: argparse.Namespace, config: Config) -> int:
    """Verify, check, ask, look back, report, say how it went; give the exit code.

    Raises:
        PoisonscanError: the night cannot be finished; its exit code says why.
    """
    snapshot, run = given.snapshot, given.run
    trust = Trust(key=given.key) if given.key else None
    poisonscan.require_intact(snapshot, trust)
    metrics = poisonscan.Metrics(given.metrics or run / "metrics.prom")
    done = [poisonscan.check(snapshot, run, trust=trust, config=config, watch=metrics)]
    joined, earlier = [], poisonscan.earlier_checks(run, snapshot)[-LOOKS:]
    if given.ask:
        # One file for all nights: what was answered lately is not asked again.
        joined.append(run.parent / "domains.parquet")
        survey = poisonscan.survey_domains(str(run), joined[-1], before=given.before, config=config)
        done.append(survey.summary)
    if earlier:
        joined.append(run / "history")
        done.append(poisonscan.history([*earlier, run], joined[-1], config=config))
    since = earlier[-1] if earlier else None
    told = poisonscan.report(run, snapshot, join=joined, since=since)
    print(f"{told.answer} See {told.page}", file=sys.stderr)
    code = poisonscan.worst_exit_code(done)
    further = {summary.verb: summary.counts for summary in done[1:]}
    print(json.dumps(done[0].as_dict() | further | {"report": str(told.page), "exit_code": code}))
    return code


def main() -> int:
    """Parse and run the night."""
    parser = argparse.ArgumentParser(
        description="check a snapshot, report, exit as documented", allow_abbrev=False
    )
    parser.add_argument("snapshot", type=Path, help="a finished snapshot folder")
    parser.add_argument("run", type=Path, help="the run folder to write")
    parser.add_argument("--config", type=Path, help="TOML file with settings (docs/settings.md)")
    parser.add_argument("--key", type=Path, help="public key, PEM, that must have signed the snapshot")
    parser.add_argument("--metrics", type=Path, help="Prometheus text file (default: RUN/metrics.prom)")
    parser.add_argument("--ask", action="store_true", help="ask DNS and registries who holds the domains")
    parser.add_argument("--before", type=Path, help="what `domains` wrote on the day of the snapshot")
    given = parser.parse_args()

    def work() -> int:
        return nightly(given, poisonscan.from_toml(given.config) if given.config else Config())

    return poisonscan.exit_code_of("nightly", work)


if __name__ == "__main__":
    sys.exit(main())
