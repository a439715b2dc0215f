"""The command `make demo`, which builds the example distribution on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.torture.distribution import index
from tests.torture.kills import ROOT


def test_the_demo_builds_everything_and_shows_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo", "place"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "$ dag build --dir place" in done.stderr
    assert "dag: 12 built in " in done.stderr
    shown = [Path(line.split()[-1]) for line in done.stderr.splitlines() if line.endswith(".apk")]
    assert [path.name for path in shown] == index(tmp_path / "place" / "packages")
    assert all((tmp_path / path).is_file() for path in shown)
