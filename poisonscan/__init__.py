"""poisonscan finds poison in web-scale image datasets before anyone trains on them.

The verbs of the command line are functions of the same names:

    import poisonscan
    poisonscan.snapshot("list.parquet", Path("then"))
    summary = poisonscan.check(Path("then"), Path("now"))

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from poisonscan._version import __version__

if TYPE_CHECKING:
    from poisonscan.authenticity.signing import Signer, Trust
    from poisonscan.cli.recipes import exit_code_of, worst_exit_code
    from poisonscan.cli.watching import Metrics
    from poisonscan.config import (
        AuditSettings,
        CompareSettings,
        Config,
        DecodeSettings,
        DomainSettings,
        EmbedSettings,
        FetchSettings,
        HuntSettings,
        JudgeSettings,
        ProbeSettings,
        RunSettings,
        VantageSettings,
        from_toml,
    )
    from poisonscan.errors import PoisonscanError
    from poisonscan.records import Algorithm, Group, Verdict
    from poisonscan.stages.calibrate.run import Calibration, calibrate
    from poisonscan.stages.calibrate.task import Experiment
    from poisonscan.stages.check.audit import Audit
    from poisonscan.stages.check.plan import plan_audit
    from poisonscan.stages.check.run import Selection, check
    from poisonscan.stages.common import Summary
    from poisonscan.stages.demo import demo
    from poisonscan.stages.diff.run import diff
    from poisonscan.stages.domains.run import DomainReport, survey_domains
    from poisonscan.stages.embed.descriptions import Descriptions
    from poisonscan.stages.embed.run import embed_pictures
    from poisonscan.stages.explore import explore
    from poisonscan.stages.export.formats import export_as
    from poisonscan.stages.export.run import Choice, export
    from poisonscan.stages.history.run import history
    from poisonscan.stages.hunt.run import hunt_dataset
    from poisonscan.stages.model.manifest import model_manifest
    from poisonscan.stages.model.probe import model_probe
    from poisonscan.stages.model.verify import Verification, model_verify
    from poisonscan.stages.opened import Run, open_run
    from poisonscan.stages.query import query
    from poisonscan.stages.report import Reported, earlier_checks, report
    from poisonscan.stages.signing import require_signed, sign_snapshot
    from poisonscan.stages.snapshot.take import snapshot, snapshot_hashes, snapshot_images, snapshot_shards
    from poisonscan.stages.verify import require_intact, verify
    from poisonscan.stages.watch import Watch

_HOMES = {
    "authenticity.signing": ("Signer", "Trust"),
    "cli.recipes": ("exit_code_of", "worst_exit_code"),
    "cli.watching": ("Metrics",),
    "config": (
        "AuditSettings",
        "CompareSettings",
        "Config",
        "DecodeSettings",
        "DomainSettings",
        "EmbedSettings",
        "FetchSettings",
        "HuntSettings",
        "JudgeSettings",
        "ProbeSettings",
        "RunSettings",
        "VantageSettings",
        "from_toml",
    ),
    "errors": ("PoisonscanError",),
    "records": ("Algorithm", "Group", "Verdict"),
    "stages.check.audit": ("Audit",),
    "stages.check.plan": ("plan_audit",),
    "stages.check.run": ("Selection", "check"),
    "stages.calibrate.run": ("Calibration", "calibrate"),
    "stages.calibrate.task": ("Experiment",),
    "stages.common": ("Summary",),
    "stages.demo": ("demo",),
    "stages.diff.run": ("diff",),
    "stages.domains.run": ("DomainReport", "survey_domains"),
    "stages.embed.descriptions": ("Descriptions",),
    "stages.embed.run": ("embed_pictures",),
    "stages.explore": ("explore",),
    "stages.export.formats": ("export_as",),
    "stages.export.run": ("Choice", "export"),
    "stages.history.run": ("history",),
    "stages.hunt.run": ("hunt_dataset",),
    "stages.model.manifest": ("model_manifest",),
    "stages.model.probe": ("model_probe",),
    "stages.model.verify": ("Verification", "model_verify"),
    "stages.opened": ("Run", "open_run"),
    "stages.query": ("query",),
    "stages.report": ("Reported", "earlier_checks", "report"),
    "stages.signing": ("require_signed", "sign_snapshot"),
    "stages.snapshot.take": ("snapshot", "snapshot_hashes", "snapshot_images", "snapshot_shards"),
    "stages.verify": ("require_intact", "verify"),
    "stages.watch": ("Watch",),
}
_MODULES = {name: f"poisonscan.{module}" for module, names in _HOMES.items() for name in names}

__all__ = [
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


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
