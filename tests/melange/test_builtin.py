"""The table of built-in pipelines is what scripts/builtin-pipelines makes of melange's own files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dag.core.package import builtin
from tests.support.melange import ROOT, binary


def test_the_table_is_what_the_script_writes_from_melange_s_files(tmp_path: Path) -> None:
    pipelines = binary().parents[1] / "share" / "melange" / "pipelines"
    made = tmp_path / "builtin.py"
    subprocess.run(
        [sys.executable, "scripts/builtin-pipelines", builtin.MELANGE, str(pipelines), str(made)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src"},
        check=True,
    )
    assert made.read_text() == Path(builtin.__file__).read_text()
