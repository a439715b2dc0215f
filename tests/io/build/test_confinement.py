"""The groups of a build that was killed are removed, and those of others stay."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from dag.core.build.events import ComputeResources
from dag.io.build.confinement import ControlGroups, detect, most_processes


def test_groups_of_processes_that_were_killed_go_and_others_stay(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    names = [f"dag-{ended.pid}-dead.1", f"dag-{os.getpid()}-own.1", "dag-x-other", "other"]
    for name in names:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1, time.time() - 3600))
    (tmp_path / f"dag-{ended.pid}-new.1").mkdir()
    ControlGroups({"memory": tmp_path, "cpu": tmp_path}, version=2).sweep()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names[1:], f"dag-{ended.pid}-new.1"}


def test_an_attempt_cannot_take_all_processes_of_the_machine() -> None:
    assert 0 < most_processes() <= int(Path("/proc/sys/kernel/pid_max").read_text()) // 4
    limiter = detect()
    group = limiter.group("many", ComputeResources(1000, 1 << 30))
    try:
        if isinstance(limiter, ControlGroups):
            said = {path.parent / "pids.max" for path in group.process_files()}
            limits = [int(path.read_text()) for path in said if path.exists()]
            assert limits == [most_processes()]
        else:
            assert limiter.name == "none" or f"TasksMax={most_processes()}" in group.prefix()
    finally:
        group.close()
