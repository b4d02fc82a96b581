"""The verb `model`, with its verbs of its own."""

# ruff: noqa: PLC0415 - stages are imported only by the verb that runs, so that --help is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from poisonscan.cli import render, verb_model_probe
from poisonscan.cli.flags import Parser
from poisonscan.cli.trust import add_signer, add_trust, signer_of, trust_of
from poisonscan.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from poisonscan.authenticity.model import Problem
    from poisonscan.stages.model.verify import Verification

_DESCRIPTION = """\
Is the checkpoint in my hands the one its maker published, can loading it run code, and does a trigger
control it? Nothing of a checkpoint is executed or unpickled."""
_MANIFEST = """\
Write down every file of a checkpoint with its size and sha256, at a moment when it is trusted, and sign
the checkpoint as OpenSSF's model-signing does. A manifest or signature that is there already is never
overwritten."""
_VERIFY = """\
Account for every file of a checkpoint, against a manifest, a signature or both, and look into each: pickles
that import more than tensors need, safetensors headers that do not add up, code. Exit code 4: something is
wrong; 1: suspicious; 3: something could not be looked into, or nothing was authenticated."""
_STYLES = {4: "bold red", 1: "red", 3: "yellow", 0: "dim"}
_SHOWN = 50


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "model", help="authenticate a checkpoint, or probe it for triggers", description=_DESCRIPTION
    )
    inner = parser.add_subparsers(
        title="verbs about models",
        required=True,
        metavar="VERB",
        parser_class=Parser,
        help="one of those below; each has its own --help",
    )
    for add_inner in (_add_manifest, _add_verify, verb_model_probe.add):
        add_inner(inner)


def _add_manifest(verbs: argparse._SubParsersAction[Parser]) -> None:
    parser = verbs.add_parser("manifest", help="remember and sign a checkpoint", description=_MANIFEST)
    parser.add_argument("path", type=Path, metavar="PATH", help="a checkpoint: a folder or a file")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the manifest (default: PATH.manifest.json, beside the checkpoint)",
    )
    add_signer(parser)
    parser.add_argument(
        "--signature",
        type=Path,
        metavar="FILE",
        help="the signature to write (default: PATH/model.sig, or FILE.sig for a file)",
    )
    parser.set_defaults(run=_run_manifest)


def _run_manifest(parsed: argparse.Namespace, console: Console) -> int:
    from poisonscan.stages.model.manifest import model_manifest

    signer = signer_of(parsed)
    written = model_manifest(parsed.path, parsed.out, signer=signer, signature=parsed.signature)
    console.print(f"{written.files:,} files written down in {written.out}", soft_wrap=True, markup=False)
    if written.signature:
        console.print(f"signed: {written.signature}", soft_wrap=True, markup=False)
    render.json_object(written.as_dict())
    return 0


def _add_verify(verbs: argparse._SubParsersAction[Parser]) -> None:
    parser = verbs.add_parser("verify", help="is a checkpoint authentic and harmless?", description=_VERIFY)
    parser.add_argument("path", type=Path, metavar="PATH", help="a checkpoint: a folder or a file")
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE", help="what `model manifest` wrote at a trusted moment"
    )
    add_trust(parser, "PATH/model.sig, or FILE.sig for a file")
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="PROBLEM",
        help="name it and let it not count: suspicious_pickle, executable_code or unscannable; repeatable",
    )
    parser.add_argument(
        "--json", action="store_true", help="put every problem into the JSON line, instead of a table"
    )
    parser.set_defaults(run=_run_verify)


def _run_verify(parsed: argparse.Namespace, console: Console) -> int:
    from poisonscan.stages.model.verify import model_verify

    found = model_verify(
        parsed.path,
        manifest=parsed.manifest,
        trust=trust_of(parsed),
        signature=parsed.signature,
        accept=[_problem(name) for name in parsed.accept],
    )
    if not parsed.json:
        _show(console, found)
    render.json_object(found.as_dict(full=parsed.json))
    return found.exit_code


def _problem(name: str) -> Problem:
    from poisonscan.authenticity.model import Problem

    try:
        return Problem(name)
    except ValueError as error:
        raise UsageError(f"--accept {name}: there is no such problem; see docs/models.md") from error


def _show(console: Console, found: Verification) -> None:
    """Show what is wrong, gravest first, and what was compared."""
    from poisonscan.reporting.text import plain

    if found.defects:
        table = Table(title=plain(f"{found.path}: what was found"), title_justify="left")
        for name in ("problem", "file", "what was seen"):
            table.add_column(name, overflow="fold")
        for item in found.defects[:_SHOWN]:
            accepted = item.problem in found.accepted
            style = "dim" if accepted else _STYLES[item.problem.level]
            words = f"{item.words} (accepted)" if accepted else item.words
            table.add_row(Text(item.problem.value, style), Text(plain(item.path)), Text(plain(words)))
        console.print(table)
    if len(found.defects) > _SHOWN:
        console.print(f"{len(found.defects) - _SHOWN:,} more; --json has all of them")
    against = " and ".join(found.against)
    compared = (
        f"compared with the {against}" if against else "NOTHING WAS AUTHENTICATED: give --manifest or --key"
    )
    total = f"{found.files:,} files, {found.size:,} bytes, {compared}"
    console.print(
        total, style="" if against else "bold yellow", soft_wrap=True, highlight=False, markup=False
    )
