"""All settings of a run, and the sections that a settings file may have."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from poisonscan.config.domains import DomainSettings
from poisonscan.config.fetching import DecodeSettings, FetchSettings, VantageSettings
from poisonscan.config.hunting import EmbedSettings, HuntSettings
from poisonscan.config.judging import AuditSettings, CompareSettings, JudgeSettings
from poisonscan.config.model import Settings, setting
from poisonscan.config.probing import ProbeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

ENGINES = ("local", "ray")
"""Values of `RunSettings.engine`."""


@dataclass(frozen=True)
class RunSettings(Settings):
    """How a run is cut and spread over processes."""

    workers: int = setting(os.cpu_count() or 1, "worker processes", least=1)
    engine: str = setting(
        "local", "where they run: local (this machine) or ray (the cluster of RAY_ADDRESS)", among=ENGINES
    )
    shard_rows: int = setting(10_000, "rows a shard", least=1)


SECTIONS: Mapping[str, type[Settings]] = {
    "fetch": FetchSettings,
    "decode": DecodeSettings,
    "compare": CompareSettings,
    "judge": JudgeSettings,
    "audit": AuditSettings,
    "run": RunSettings,
    "domains": DomainSettings,
    "embed": EmbedSettings,
    "hunt": HuntSettings,
    "probe": ProbeSettings,
}
"""The sections of the TOML file."""


@dataclass(frozen=True)
class Config:
    """All settings of a run."""

    fetch: FetchSettings = field(default_factory=FetchSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    compare: CompareSettings = field(default_factory=CompareSettings)
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    run: RunSettings = field(default_factory=RunSettings)
    vantages: tuple[VantageSettings, ...] = ()
    domains: DomainSettings = field(default_factory=DomainSettings)
    embed: EmbedSettings = field(default_factory=EmbedSettings)
    hunt: HuntSettings = field(default_factory=HuntSettings)
    probe: ProbeSettings = field(default_factory=ProbeSettings)


def as_dict(config: Config) -> dict[str, dict[str, object]]:
    """Plain values of all settings, for run.json and for comparing two runs."""
    return dataclasses.asdict(config)
