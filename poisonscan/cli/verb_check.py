"""The verb `check`, with its plan."""

# ruff: noqa: PLC0415 - stages are imported only by the verb that runs, so that --help is quick

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from poisonscan.cli import render
from poisonscan.cli.flags import add_common, config_of
from poisonscan.cli.trust import add_trust, trust_of
from poisonscan.config import VantageSettings
from poisonscan.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from poisonscan.authenticity.signing import Trust
    from poisonscan.cli.flags import Parser
    from poisonscan.config import Config
    from poisonscan.stages.check.audit import Audit

_USAGE = "poisonscan check SNAP (--out RUN | --plan) [flags]"
_DESCRIPTION = """\
Fetch every row of a snapshot again, compare, and write verdicts, quarantine, domains, summary.json and
report.html. An unfinished check is continued by the same command; one in which too many rows gave no
answer asks for these again. With --budget only so many rows of each
domain are fetched that a swap is noticed with the chosen confidence, riskiest domains first; --plan says
how many that would be and fetches nothing."""
_ALL = "all"


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "check",
        usage=_USAGE,
        help="fetch a snapshot's rows again and judge each",
        description=_DESCRIPTION,
    )
    parser.add_argument("snapshot", type=Path, metavar="SNAP", help="a finished snapshot folder")
    parser.add_argument("--out", type=Path, metavar="RUN", help="the run folder to write")
    parser.add_argument("--sample", type=int, metavar="N", help="look at N rows drawn at random")
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of every draw: repeats that of an earlier run, whose run.json has it (default: drawn, so that "
        "nobody can foresee the rows)",
    )
    parser.add_argument(
        "--only-failed", type=Path, metavar="RUN", help="look only at the rows that got no answer in that run"
    )
    parser.add_argument(
        "--domains",
        type=Path,
        metavar="FILE",
        help="evidence about the snapshot's domains, as `poisonscan domains SNAP --out FILE` writes it",
    )
    parser.add_argument(
        "--vantage",
        action="append",
        default=[],
        metavar="NAME=SETTING:VALUE",
        help="ask for some rows also as somebody else would: SETTING is user-agent, proxy, nameserver or "
        "connect-to; repeatable, also to give one NAME several settings; or [vantage.NAME] in the TOML file",
    )
    _add_audit(parser)
    add_trust(parser, "SNAP/snapshot.sig")
    add_common(parser, "judge", "audit", "compare", "fetch", "decode", "run")
    parser.set_defaults(run=_run)


def _add_audit(parser: Parser) -> None:
    group = parser.add_argument_group("audit by sample (docs/auditing.md)")
    group.add_argument(
        "--plan", action="store_true", help="say what an audit would fetch and guarantee; fetch nothing"
    )
    group.add_argument(
        "--budget",
        metavar="N",
        help=f"look at N rows at the most, or at {_ALL!r} that are needed, so drawn that a domain of which "
        "--swap-share was swapped is noticed with --confidence",
    )
    group.add_argument(
        "--evidence",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="what makes domains risky: an earlier run folder, or a table of domains; repeatable (a file "
        "given with --domains counts too)",
    )


def _run(parsed: argparse.Namespace, console: Console) -> int:
    config = config_of(parsed)
    config = replace(config, vantages=vantages_with(config.vantages, parsed.vantage))
    audit = _audit(parsed, config)
    trust = trust_of(parsed)
    if parsed.plan and audit:
        return _plan(parsed, audit, trust, console)
    if parsed.out is None:
        raise UsageError("check needs --out RUN, the run folder to write, or --plan to see what it would do")
    return _check(parsed, audit, trust, config, console)


def _audit(parsed: argparse.Namespace, config: Config) -> Audit | None:
    """The audit that the flags describe, if any; refuses flags that contradict each other."""
    from poisonscan.stages.check.audit import Audit

    if parsed.plan and parsed.out:
        raise UsageError(
            f"--plan writes nothing, so it takes no --out; say --out {parsed.out} --budget {_ALL} to do "
            "what is planned"
        )
    if not (parsed.plan or parsed.budget):
        if parsed.evidence:
            raise UsageError("--evidence orders the domains of an audit; add --plan or --budget")
        return None
    known = [parsed.domains] if parsed.domains else []
    return Audit.of(config, _budget(parsed.budget), (*parsed.evidence, *known))


def _budget(text: str | None) -> int | None:
    if text in {None, _ALL}:
        return None
    if not (text and text.isascii() and text.isdecimal() and int(text)):
        raise UsageError(f"--budget {text}: give a number of rows, at least 1, or {_ALL!r}")
    return int(text)


def vantages_with(known: Sequence[VantageSettings], flags: Sequence[str]) -> tuple[VantageSettings, ...]:
    """The vantages of a TOML file, and those that flags add or change.

    Raises:
        UsageError: a flag has another form, or an unknown setting.
    """
    changes: dict[str, dict[str, str]] = {vantage.name: vantage.changes() for vantage in known}
    for flag in flags:
        name, equals, rest = flag.partition("=")
        key, colon, value = rest.partition(":")
        setting = key.strip().replace("-", "_")
        if not (name.strip() and equals and colon and value):
            raise UsageError(f"--vantage {flag}: write NAME=SETTING:VALUE, e.g. phone=user-agent:Mozilla/5.0")
        if setting not in VantageSettings.choices():
            names = ", ".join(choice.replace("_", "-") for choice in VantageSettings.choices())
            raise UsageError(f"--vantage {flag}: there is no setting {key}; use one of {names}")
        changes.setdefault(name.strip(), {})[setting] = value.strip()
    return tuple(VantageSettings(name=name, **settings) for name, settings in changes.items())


def _plan(parsed: argparse.Namespace, audit: Audit, trust: Trust | None, console: Console) -> int:
    from poisonscan.stages.check.plan import plan_audit

    if parsed.sample or parsed.only_failed:
        raise UsageError("--plan draws rows of its own; leave out --sample and --only-failed")
    summary = plan_audit(parsed.snapshot, audit, trust, parsed.signature)
    _plan_table(console, summary.details["riskiest"])
    _guarantee(console, summary.details["audit"])
    render.json_line(summary)
    return summary.exit_code


def _check(
    parsed: argparse.Namespace, audit: Audit | None, trust: Trust | None, config: Config, console: Console
) -> int:
    from poisonscan.cli.watching import watching
    from poisonscan.stages.check.run import Selection, check

    summary = check(
        parsed.snapshot,
        parsed.out,
        selection=Selection(parsed.sample, parsed.seed, parsed.only_failed, audit),
        domains=parsed.domains,
        trust=trust,
        signature=parsed.signature,
        config=config,
        watch=watching(console, parsed.metrics_file),
    )
    render.counts_table(console, summary)
    render.standing(console, summary)
    render.suspects(console, summary)
    for lacking in summary.details.get("snapshot_lacks", ()):
        console.print(f"[yellow]the snapshot lacks something:[/] {escape(lacking)}", soft_wrap=True)
    for domain in summary.details["warned_domains"]:
        console.print(f"[yellow]in new hands, and not suspected:[/] {escape(domain)}")
    if "vantages" in summary.details:
        _vantages_table(console, summary.details["vantages"])
    if "audit" in summary.details:
        _guarantee(console, summary.details["audit"])
    console.print(f"report: {parsed.out / 'report.html'}", soft_wrap=True, highlight=False)
    render.json_line(summary)
    return summary.exit_code


def _plan_table(console: Console, lines: Sequence[Mapping[str, object]]) -> None:
    """Show the domains that come first."""
    table = Table(title="riskiest domains", title_justify="left")
    for name in ("domain", "rows", "needed", "drawn", "confidence", "what is known"):
        table.add_column(name, justify="left" if name in {"domain", "what is known"} else "right")
    for line in lines:
        needed = "-" if line["needed"] is None else f"{line['needed']:,}"
        table.add_row(
            escape(str(line["domain"])),
            f"{line['rows']:,}",
            needed,
            f"{line['drawn']:,}",
            f"{line['confidence']:.2%}",
            escape(str(line["evidence"] or "")),
        )
    console.print(table)


def _vantages_table(console: Console, sights: Mapping[str, Mapping[str, int]]) -> None:
    """Show how often each vantage was served what we were."""
    table = Table(title="seen from elsewhere, rows", title_justify="left")
    table.add_column("vantage")
    names = list(next(iter(sights.values())))
    for name in names:
        table.add_column(name, justify="right", style="red" if name == "cloaked" else None)
    for vantage, counts in sights.items():
        table.add_row(escape(vantage), *(f"{counts[name]:,}" for name in names))
    console.print(table)
    for vantage in mute_vantages(sights):
        console.print(
            f"[yellow]{escape(vantage)} was served no picture that could be compared: is it set up right?[/]",
            soft_wrap=True,
        )


def mute_vantages(sights: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The vantages from which nothing could be compared with what we were served."""
    return [
        name for name, counts in sights.items() if not counts["same"] + counts["cloaked"] + counts["unstable"]
    ]


def _guarantee(console: Console, audit: Mapping[str, Any]) -> None:
    """Say what the audit guarantees, and what it does not."""
    console.print(
        f"{audit['guaranteed_domains']:,} of {audit['domains']:,} domains, which have "
        f"{audit['guaranteed_rows']:,} of {audit['rows']:,} rows: if {audit['share']:.1%} or more of such a "
        f"domain was swapped, the rows drawn show at least {audit['notice_rows']} replaced with a "
        f"probability of {audit['confidence']:.4g}",
        soft_wrap=True,
        highlight=False,
    )
    if audit["too_small"]:
        console.print(
            f"[yellow]{audit['too_small']:,} domains are too small to show {audit['notice_rows']} swapped "
            "rows; nothing is drawn of them[/]"
        )
    if audit["answered"] is not None and audit["answered"] < audit["drawn"]:
        silent = audit["drawn"] - audit["answered"]
        console.print(
            f"[yellow]{silent:,} of {audit['drawn']:,} rows drawn gave no picture and count as unseen[/]"
        )
    for domain in audit["noticed"] or ():
        console.print(f"[bold red]noticed:[/] {escape(domain)}: check it whole", soft_wrap=True)
