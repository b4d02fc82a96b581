"""The documents say what the code does: every verb, verdict, exit code, setting and column is described.

`python tests/test_docs.py` writes docs/settings.md anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import re
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow as pa
import pytest

from poisonscan import errors
from poisonscan.authenticity.model import Problem
from poisonscan.cli.main import _parser
from poisonscan.config import SECTIONS
from poisonscan.records import Verdict
from poisonscan.reporting.words import EXIT_CODE_WORDS, VERDICT_SENTENCES
from poisonscan.store import schema

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SETTINGS = DOCS / "settings.md"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(DOCS.glob("*.md"))
TABLES = {
    "snapshot/rows/NNNNN.parquet": schema.SNAPSHOT_ROWS,
    "snapshot/bytes/NNNNN.parquet": schema.BYTES,
    "run/observed/NNNNN.parquet": schema.OBSERVED,
    "run/verdicts/NNNNN.parquet": schema.VERDICTS,
    "run/quarantine/NNNNN.parquet": schema.QUARANTINE,
    "run/domains.parquet": schema.DOMAINS,
    "FILE.curve.parquet": schema.COST_CURVE,
    "run/findings.parquet": schema.FINDINGS,
    "run/members.parquet": schema.MEMBERS,
    "hunt/vectors/NNNNN.parquet": schema.EMBEDDED,
    "hunt/findings.parquet": schema.HUNTED,
    "hunt/unseen.parquet": schema.UNSEEN,
    "probe/probe.parquet": schema.PROBED,
    "run/marks.parquet": schema.MARKS,
    "run/audit.parquet": schema.AUDIT,
    "run/vantages/NNNNN.parquet": schema.VANTAGES,
    "history/history.parquet": schema.HISTORY,
    "history/groups.parquet": schema.HISTORY_GROUPS,
    "history/actions.parquet": schema.ACTIONS,
}

_HEAD = """\
# Settings

Made from `poisonscan/config/` by `python tests/test_docs.py`; do not edit by hand.

Each setting is a flag of the verbs that use it (`timeout_s` is `--timeout-s`; a switch that is on is turned
off with `--no-...`) and a key of a TOML file given with `--config`. Flags overrule the file. An unknown
section or key, a wrong type or a value out of range is an error and starts nothing.

```toml
[fetch]
timeout_s = 10
user_agent = "my-lab/1.0 (+https://my-lab.example/crawl)"

[judge]
fail_on = "swap"
```

A vantage, another way to ask (see [auditing.md](auditing.md)), is a table of its own: `[vantage.NAME]`.
"""


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def verbs() -> dict[str, argparse.ArgumentParser]:
    """The verbs that `poisonscan --help` lists, with their parsers."""
    groups = [action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(groups[0].choices)


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The verbs, and the verbs that some of them have."""
    found = dict(verbs())
    for verb, parser in verbs().items():
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found |= {f"{verb} {name}": inner for name, inner in action.choices.items()}
    return found


def settings_page() -> str:
    """What docs/settings.md must hold."""
    sections = [f"## [{name}]\n\n{_settings_table(kind)}" for name, kind in SECTIONS.items()]
    return "\n".join([_HEAD, *sections])


def _settings_table(kind: type) -> str:
    hints = get_type_hints(kind)
    lines = [
        f"{(kind.__doc__ or '').splitlines()[0]}\n",
        "| key | type | default | range | meaning |",
        "|---|---|---|---|---|",
    ]
    for item in dataclasses.fields(kind):
        kind_words = {int: "whole number", float: "number", bool: "true or false"}.get(
            hints[item.name], "text"
        )
        default, bounds = _default(item), _bounds(item.metadata["least"], item.metadata["most"])
        lines.append(f"| `{item.name}` | {kind_words} | {default} | {bounds} | {item.metadata['help']} |")
    return "\n".join(lines) + "\n"


def _default(item: dataclasses.Field[Any]) -> str:
    if item.name == "workers":
        return "number of cores"  # of whichever machine runs, so it has no place in a document
    if item.default is None:
        return "not set"
    return f"`{str(item.default).lower() if isinstance(item.default, bool) else item.default}`"


def _bounds(least: float | None, most: float | None) -> str:
    if most is not None:
        return f"{least:g} to {most:g}"
    return "" if least is None else f"at least {least:g}"


def test_settings_are_documented_as_they_are() -> None:
    assert read(SETTINGS) == settings_page(), "run `python tests/test_docs.py` to write docs/settings.md anew"


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "guide.md"], ids=lambda page: page.name)
def test_every_verb_is_documented(page: Path) -> None:
    missing = [verb for verb in verbs() if not re.search(rf"(?:`|poisonscan ){verb}\b", read(page))]
    assert not missing


def test_the_readme_lists_no_verb_that_does_not_exist() -> None:
    table = _table(read(ROOT / "README.md"), "verb")
    assert sorted(row[0].strip("`") for row in table) == sorted(verbs())


def test_every_flag_has_help() -> None:
    silent = [
        f"{verb} {action.option_strings or action.dest}"
        for verb, parser in parsers().items()
        for action in parser._actions
        if not action.help
    ]
    assert not silent


def test_every_long_flag_that_a_document_names_exists() -> None:
    known = {
        flag for parser in parsers().values() for action in parser._actions for flag in action.option_strings
    }
    named = {
        flag
        for page in (ROOT / "README.md", DOCS / "guide.md")
        for flag in re.findall(r"`(--[a-z-]+)", read(page))
    }
    own = {"--no-", "--metrics"}  # a prefix; a flag of pipelines/nightly.py
    assert named - own - known == set()


def test_every_verdict_is_explained_once_and_told_in_the_guide() -> None:
    assert list(VERDICT_SENTENCES) == list(Verdict)
    told = _table(read(DOCS / "guide.md"), "verdict")
    assert told == [[f"`{verdict}`", verdict.group.value, VERDICT_SENTENCES[verdict]] for verdict in Verdict]


def test_the_page_on_verdicts_explains_each() -> None:
    page = read(DOCS / "verdicts.md")
    assert [verdict for verdict in Verdict if f"`{verdict}`" not in page] == []


def test_every_problem_of_a_checkpoint_is_explained_with_its_exit_code() -> None:
    told = _table(read(DOCS / "models.md"), "problem")
    assert [row[:2] for row in told] == [[f"`{item}`", str(item.level.value)] for item in Problem]


def test_every_verb_about_models_is_explained() -> None:
    inner = [name for name in parsers() if name.startswith("model ")]
    assert inner
    assert [name for name in inner if f"`{name}" not in read(DOCS / "models.md")] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "guide.md"], ids=lambda page: page.name)
def test_every_exit_code_is_documented(page: Path) -> None:
    header = "exit code" if page.name == "README.md" else "code"
    assert [int(row[0]) for row in _table(read(page), header)] == sorted(EXIT_CODE_WORDS)


def test_every_exit_code_of_an_error_has_words() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert {kind.exit_code for kind in kinds if issubclass(kind, errors.PoisonscanError)} <= set(
        EXIT_CODE_WORDS
    )


@pytest.mark.parametrize("title", TABLES)
def test_every_column_is_documented_in_its_place(title: str) -> None:
    section = read(DOCS / "folders.md").partition(f"### {title}\n")[2].partition("\n### ")[0]
    described = [(row[0].strip("`"), row[1]) for row in _table(section, "column")]
    expected: pa.Schema = TABLES[title]
    assert described == [(item.name, str(item.type)) for item in expected]


def test_no_other_table_escapes_the_documents() -> None:
    tables = [value for value in vars(schema).values() if isinstance(value, pa.Schema)]
    assert len(tables) == len(TABLES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", read(file), re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", read(ROOT / "Makefile"), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:`|\$ )make ([a-z]+)", read(page))}
    assert named <= targets
    assert {"setup", "demo", "test", "lint", "bench", "nightly", "clean"} <= targets


def test_ci_runs_what_make_test_runs() -> None:
    assert "make test" in read(ROOT / ".ci" / "run").splitlines()
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_every_extra_is_installed_by_make_or_named_as_the_exception() -> None:
    extras = set(tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["optional-dependencies"])
    [listed] = re.findall(r"^EXTRAS := (.+)$", read(ROOT / "Makefile"), re.MULTILINE)
    assert extras - set(listed.split(",")) == {"gpu"}
    assert all(f"`{extra}`" in read(ROOT / "README.md") for extra in extras)


def test_the_layers_are_those_of_the_contract() -> None:
    contract = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"][0]["layers"]
    layers = [sorted(layer.split(" | ")) for layer in contract]
    told = [
        re.findall(r"`(poisonscan\.[a-z]+)`", row[1])
        for row in _table(read(DOCS / "architecture.md"), "layer")
    ]
    assert [sorted(names) for names in told] == layers


def test_every_module_that_the_architecture_names_exists() -> None:
    for name in re.findall(
        r"`((?:compare|domains|engine|fetch|manifest|redteam|report|sources|stages|store)/\w+)\.py`",
        read(DOCS / "architecture.md"),
    ):
        importlib.import_module("poisonscan." + name.replace("/", "."))


def _table(text: str, first: str) -> list[list[str]]:
    """Cells of the Markdown table whose first column is called `first`."""
    match = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert match, f"there is no table that begins with {first}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in match[1].splitlines()]


if __name__ == "__main__":
    SETTINGS.write_text(settings_page(), encoding="utf-8")
