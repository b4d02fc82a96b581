"""Optional dependencies: what a verb needs beyond the base install, said before any work is done."""

from __future__ import annotations

from importlib.util import find_spec

from poisonscan.errors import MissingDependencyError


def require(extra: str, purpose: str, *modules: str) -> None:
    """See that an extra of ours is installed, without importing it.

    Args:
        extra: its name in `pip install 'poisonscan[extra]'`.
        purpose: what needs it, as the beginning of a sentence.
        modules: what it brings.

    Raises:
        MissingDependencyError: one of them is not there; says what to install.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingDependencyError(f"{purpose} needs {module}: pip install 'poisonscan[{extra}]'")
