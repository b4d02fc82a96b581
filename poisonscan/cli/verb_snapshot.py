"""The verb `snapshot`."""

# ruff: noqa: PLC0415 - stages are imported only by the verb that runs, so that --help is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from poisonscan.cli import render
from poisonscan.cli.flags import add_common, add_setting, config_of
from poisonscan.cli.trust import add_signer, signer_of
from poisonscan.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from poisonscan.cli.flags import Parser
    from poisonscan.config import Config
    from poisonscan.stages.common import Summary
    from poisonscan.stages.watch import Watch


class _Usual(TypedDict):
    """What is passed on whatever the source."""

    seal_incomplete: bool
    config: Config
    watch: Watch


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "snapshot",
        usage="poisonscan snapshot [MANIFEST | --from-images DIR | --from-shards DIR] --out SNAP [flags]",
        help="remember a dataset at a trusted moment",
        description="Fetch and fingerprint every row of a URL list, or fingerprint pictures that are "
        "already on disk. An unfinished snapshot is continued by the same command; one of which too many "
        "rows gave no picture is not sealed, and the same command asks for these again.",
    )
    _add_source(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="SNAP", help="the snapshot folder to write"
    )
    parser.add_argument(
        "--columns",
        metavar="NAME=COLUMN,...",
        help="where the dialect is not recognised: "
        "url=..,caption=..,key=..,sha256=..,sha512=..,md5=..,phash=..",
    )
    parser.add_argument(
        "--from-hashes",
        action="append",
        metavar="COLUMN=ALGORITHM",
        help="fetch nothing: remember the hashes that the list publishes (sha256, sha512, md5 or phash); "
        "repeatable",
    )
    parser.add_argument("--keep-bytes", action="store_true", help="store the pictures too")
    parser.add_argument(
        "--seal-incomplete",
        action="store_true",
        help="seal the snapshot also where more than --max-lost of its rows gave no picture",
    )
    add_signer(parser)
    add_common(parser, "fetch", "decode", "run")
    add_setting(parser, "judge", "max_lost")
    parser.set_defaults(run=_run)


def _add_source(parser: Parser) -> None:
    """Add the flags that say where the pictures are."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "manifest",
        nargs="?",
        metavar="MANIFEST",
        help="URL list: CSV, TSV, JSONL, TXT or Parquet, also gzipped; a file, folder, glob or fsspec URL",
    )
    source.add_argument(
        "--from-images", type=Path, metavar="DIR", help="a folder of pictures instead of a list"
    )
    source.add_argument(
        "--from-shards", type=Path, metavar="DIR", help="what img2dataset downloaded, instead"
    )


def _run(parsed: argparse.Namespace, console: Console) -> int:
    signer = signer_of(parsed)
    if signer is not None:
        from poisonscan.authenticity.signing import require_signer

        require_signer(signer)
    _refuse_contradictions(parsed)
    summary = _taken(parsed, console)
    render.counts_table(console, summary)
    render.standing(console, summary)
    if signer is not None and summary.exit_code == 0:
        from poisonscan.stages.signing import sign_snapshot

        signature = sign_snapshot(parsed.out, signer)
        console.print(f"signed: {signature}", soft_wrap=True, highlight=False, markup=False)
    render.json_line(summary)
    return summary.exit_code


def _refuse_contradictions(parsed: argparse.Namespace) -> None:
    if parsed.manifest is None and (parsed.columns or parsed.from_hashes):
        raise UsageError("--columns and --from-hashes describe a MANIFEST; pictures on disk have no columns")
    if parsed.from_hashes and parsed.keep_bytes:
        raise UsageError("--keep-bytes with --from-hashes: nothing is fetched, so there is nothing to keep")


def _taken(parsed: argparse.Namespace, console: Console) -> Summary:
    """The snapshot, taken from wherever the flags say."""
    from poisonscan.cli.watching import watching
    from poisonscan.manifest.dialects import parse_columns, parse_hashes
    from poisonscan.stages.snapshot import take

    columns = parse_columns(parsed.columns) if parsed.columns else None
    hashes = parse_hashes(parsed.from_hashes) if parsed.from_hashes else None
    usual: _Usual = {
        "seal_incomplete": parsed.seal_incomplete,
        "config": config_of(parsed),
        "watch": watching(console, parsed.metrics_file),
    }
    keep = parsed.keep_bytes
    if parsed.from_images:
        return take.snapshot_images(parsed.from_images, parsed.out, keep_bytes=keep, **usual)
    if parsed.from_shards:
        return take.snapshot_shards(parsed.from_shards, parsed.out, keep_bytes=keep, **usual)
    if hashes:
        return take.snapshot_hashes(parsed.manifest, parsed.out, hashes, columns=columns, **usual)
    return take.snapshot(parsed.manifest, parsed.out, columns=columns, keep_bytes=keep, **usual)
