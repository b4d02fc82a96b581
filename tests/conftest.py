"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")

SLOW = frozenset(
    {
        *(
            "authenticity",
            "benchmarks",
            "cli",
            "compare",
            "diffusion",
            "embed",
            "engine",
            "explorer",
            "fetch",
        ),
        *("hunt", "redteam", "registry", "reporting", "stages", "stages_calibrate", "stages_diff"),
        *("stages_export", "stages_judging", "store"),
    }
)
"""Folders of tests that start processes, servers or models, or judge many pictures; not in `make check`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes its time, by folder."""
    root = Path(__file__).parent
    for item in items:
        if item.path.relative_to(root).parts[0] in SLOW | {"test_pipelines.py"}:
            item.add_marker("slow")


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared data beside the checkout; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is absent: the shared data is not at hand")
    return SHARED_DATA
