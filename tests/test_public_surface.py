from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path

import pytest

import poisonscan

HEAVY = ("torch", "faiss", "ray", "open_clip", "onnxruntime", "model_signing", "picklescan")
MIDDLING = ("duckdb", "pyarrow", "aiohttp", "numpy", "PIL", "pandas")


def fresh(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)  # noqa: S603 - our own code


def loaded_after(statement: str, suspects: tuple[str, ...]) -> str:
    """Which of the modules a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*sorted(set(sys.modules) & set({suspects!r})), file=sys.stderr)"
    return fresh(code).stderr.strip()


def test_the_public_surface_is_this() -> None:
    """Adding a name is a promise, removing one breaks somebody: either is to be done here, on purpose."""
    assert poisonscan.__all__ == [
        "Algorithm",
        "Audit",
        "AuditSettings",
        "Calibration",
        "Choice",
        "CompareSettings",
        "Config",
        "DecodeSettings",
        "Descriptions",
        "DomainReport",
        "DomainSettings",
        "EmbedSettings",
        "Experiment",
        "FetchSettings",
        "Group",
        "HuntSettings",
        "JudgeSettings",
        "Metrics",
        "PoisonscanError",
        "ProbeSettings",
        "Reported",
        "Run",
        "RunSettings",
        "Selection",
        "Signer",
        "Summary",
        "Trust",
        "VantageSettings",
        "Verdict",
        "Verification",
        "Watch",
        "__version__",
        "calibrate",
        "check",
        "demo",
        "diff",
        "earlier_checks",
        "embed_pictures",
        "exit_code_of",
        "explore",
        "export",
        "export_as",
        "from_toml",
        "history",
        "hunt_dataset",
        "model_manifest",
        "model_probe",
        "model_verify",
        "open_run",
        "plan_audit",
        "query",
        "report",
        "require_intact",
        "require_signed",
        "sign_snapshot",
        "snapshot",
        "snapshot_hashes",
        "snapshot_images",
        "snapshot_shards",
        "survey_domains",
        "verify",
        "worst_exit_code",
    ]
    assert dir(poisonscan) == sorted(poisonscan.__all__)


@pytest.mark.parametrize("name", poisonscan.__all__)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    value = getattr(poisonscan, name)
    if name != "__version__":
        assert inspect.getdoc(value), name
        assert inspect.isfunction(value) or inspect.isclass(value)


def test_a_verb_is_a_function_of_that_name_whatever_was_imported_before() -> None:
    verbs = [name for name in poisonscan.__all__ if name[0].islower()]
    names = ", ".join(f"poisonscan.{name}.__name__" for name in verbs)
    assert fresh(f"import poisonscan.reporting.html, poisonscan; print({names})").stdout.split() == verbs


def test_no_module_hides_a_public_name() -> None:
    """Importing a submodule puts it where the function of that name would be looked for."""
    modules = {module.name for module in pkgutil.iter_modules(poisonscan.__path__)}
    assert modules & set(poisonscan.__all__) == set()


def test_settings_are_plain_frozen_values() -> None:
    assert is_dataclass(poisonscan.Config)
    assert poisonscan.Config() == poisonscan.Config()
    assert hash(poisonscan.Config()) == hash(poisonscan.Config())


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'snapshoot'"):
        poisonscan.snapshoot  # noqa: B018 - looking it up is the test


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import poisonscan", (*HEAVY, *MIDDLING)) == ""


def test_help_is_quick() -> None:
    call = "import poisonscan.cli\ntry: poisonscan.cli.main(['--help'])\nexcept SystemExit: pass"
    assert loaded_after(call, (*HEAVY, *MIDDLING)) == ""


def test_using_the_verbs_loads_no_optional_dependency() -> None:
    names = ", ".join(name for name in poisonscan.__all__ if name != "__version__")
    assert loaded_after(f"from poisonscan import {names}", HEAVY) == ""


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(poisonscan.__file__).parent / "py.typed").exists()
