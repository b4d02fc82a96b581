from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from poisonscan.engine.local import LocalEngine

from . import tasks
from .tasks import Shard

if TYPE_CHECKING:
    from pathlib import Path


def test_after_an_exception_the_others_finish_even_if_nobody_reads_their_reports(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="shard zero is bad"):
        list(LocalEngine[Shard](2).run(tasks.chatter, [Shard(index, tmp_path) for index in range(2)]))
    assert (tmp_path / "done-1").exists()


def test_workers_die_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        f"import sys; from pathlib import Path; from {tasks.__package__} import tasks\n"
        "from poisonscan.engine.local import LocalEngine\n"
        "if __name__ == '__main__':\n"
        "    shards = [tasks.Shard(index, Path(sys.argv[1])) for index in range(2)]\n"
        "    list(LocalEngine(2).run(tasks.until_stopped, shards))\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment)  # noqa: S603 - our own script
    try:
        for index in range(2):
            tasks.wait_for(tmp_path / f"begun-{index}")
        children = psutil.Process(parent.pid).children(recursive=True)
    finally:
        parent.kill()
        parent.wait()
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=tasks.PATIENCE_S / 3)
    assert alive == []
    assert not (tmp_path / "finished-0").exists()
