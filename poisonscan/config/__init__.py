"""Settings: one frozen dataclass a section, each default written once, passed whole.

Every field carries its help text and its range, so that the command line, the TOML file and the
documentation are made from one place. `from_toml` refuses what it does not know.
"""

from poisonscan.config.domains import DomainSettings
from poisonscan.config.fetching import DecodeSettings, FetchSettings, VantageSettings
from poisonscan.config.hunting import DEVICES, PRECISIONS, EmbedSettings, HuntSettings
from poisonscan.config.judging import FAIL_ON, AuditSettings, CompareSettings, JudgeSettings
from poisonscan.config.model import Settings
from poisonscan.config.probing import SAMPLERS, ProbeSettings
from poisonscan.config.run import SECTIONS, Config, RunSettings, as_dict
from poisonscan.config.toml import from_mapping, from_toml

__all__ = [
    "DEVICES",
    "FAIL_ON",
    "PRECISIONS",
    "SAMPLERS",
    "SECTIONS",
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
    "Settings",
    "VantageSettings",
    "as_dict",
    "from_mapping",
    "from_toml",
]
