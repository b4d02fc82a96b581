"""Everything that can be asked of a list: snapshot, check, domains, hunt (which embeds) and one report.

python pipelines/full_audit.py AUDIT.toml

    [audit]
    list = "laion.parquet"            # what to audit
    snapshot = "then"                 # where its snapshot is, or is to be taken
    out = "audit/2026-01-31"          # check, hunt and report go below it
    encoder = "onnx:features.onnx"    # optional: without one, only what needs no vectors is hunted
    captions = "captions.csv"         # optional: key with caption, label or both
    ask = true                        # optional: ask DNS and registries who holds the domains

    [fetch]                           # and every other section of docs/settings.md
    user_agent = "my-lab/1.0 (+https://my-lab.example/crawl)"

The same command again continues where it was interrupted. stdout gets one JSON line, stderr the answer.
Exit codes are those of the verbs (docs/guide.md); take any but 0 and 1 for a failure.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import poisonscan
from poisonscan import Config, Descriptions, PoisonscanError

NEEDED, OPTIONAL = {"list", "snapshot", "out"}, {"encoder", "captions", "ask"}


def full_audit(asked: dict[str, Any], config: Config) -> int:
    """Run every stage and tell of all on one page; give the exit code.

    Raises:
        PoisonscanError: a stage cannot be finished; its exit code says why.
    """
    then, out = Path(asked["snapshot"]), Path(asked["out"])
    taken = poisonscan.snapshot(asked["list"], then, keep_bytes=True, config=config)
    if taken.exit_code:
        print(f"full_audit: {then} is incomplete; the same command asks again", file=sys.stderr)
        return taken.exit_code
    done = {"check": poisonscan.check(then, out / "check", config=config)}
    if asked.get("ask"):
        survey = poisonscan.survey_domains(str(out / "check"), out / "domains.parquet", config=config)
        done["domains"] = survey.summary
    describing = Descriptions(Path(asked["captions"]) if asked.get("captions") else None)
    done["hunt"] = poisonscan.hunt_dataset(
        then, out / "hunt", encoder=asked.get("encoder"), describing=describing, config=config
    )
    joined = [Path(done[name].out) for name in ("hunt", "domains") if name in done]
    told = poisonscan.report(out / "check", then, join=joined, out=out / "report.html")
    code = poisonscan.worst_exit_code(done.values())
    print(f"{told.answer} See {told.page}", file=sys.stderr)
    parts = {name: summary.as_dict() for name, summary in done.items()}
    print(json.dumps(parts | {"report": str(told.page), "exit_code": code}))
    return code


def asked_in(path: Path) -> dict[str, Any]:
    """The table [audit] of a settings file."""
    found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8")).get("audit", {})
    if not NEEDED <= set(found) <= NEEDED | OPTIONAL:
        raise PoisonscanError(f"{path}: [audit] needs {sorted(NEEDED)} and takes {sorted(OPTIONAL)}")
    return found


def main(arguments: list[str]) -> int:
    """Read the file and run the audit."""
    file = Path(arguments[0])
    return poisonscan.exit_code_of(
        "full_audit", lambda: full_audit(asked_in(file), poisonscan.from_toml(file, others=("audit",)))
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if len(sys.argv) == 2 else __doc__)  # noqa: PLR2004 - the script and its file
