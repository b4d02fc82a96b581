"""The verb `embed`."""

# ruff: noqa: PLC0415 - stages are imported only by the verb that runs, so that --help is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from poisonscan.cli import render
from poisonscan.cli.flags import add_common, config_of

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from poisonscan.cli.flags import Parser

_DESCRIPTION = """\
Turn pictures into vectors with a frozen encoder, and captions too if it reads text. SOURCE is a folder of
pictures, what img2dataset downloaded, or a snapshot that kept its pictures. An interrupted run is
continued by the same command. Nothing is ever downloaded: bring the weights."""
KINDS = ("images", "shards", "snapshot")
ENCODER_HELP = "onnx:FILE, or openclip:MODEL:WEIGHTS with the weights in a file or folder"


def add(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "embed",
        usage="poisonscan embed SOURCE --out EMB --encoder ENCODER [flags]",
        help="pictures and captions to vectors",
        description=_DESCRIPTION,
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="EMB", help="the folder to write")
    parser.add_argument("--encoder", required=True, metavar="ENCODER", help=ENCODER_HELP)
    add_describing(parser)
    add_common(parser, "embed", "decode", "run")
    parser.set_defaults(run=_run)


def add_describing(parser: Parser) -> None:
    """Add the flags that say what the source is and what is said of its pictures."""
    parser.add_argument(
        "--kind", choices=KINDS, help="what SOURCE is, where it cannot be seen from its files"
    )
    parser.add_argument(
        "--captions",
        type=Path,
        metavar="FILE",
        help="CSV, TSV, JSONL or Parquet: key or path, and caption, label or both",
    )
    parser.add_argument(
        "--folders-as-labels", action="store_true", help="the folder that a picture lies in is its label"
    )


def _run(parsed: argparse.Namespace, console: Console) -> int:
    from poisonscan.cli.watching import watching
    from poisonscan.stages.embed.descriptions import Descriptions
    from poisonscan.stages.embed.run import embed_pictures

    summary = embed_pictures(
        parsed.source,
        parsed.out,
        parsed.encoder,
        kind=parsed.kind,
        describing=Descriptions(parsed.captions, parsed.folders_as_labels),
        config=config_of(parsed),
        watch=watching(console, parsed.metrics_file),
    )
    render.counts_table(console, summary)
    render.standing(console, summary)
    render.json_line(summary)
    return summary.exit_code
