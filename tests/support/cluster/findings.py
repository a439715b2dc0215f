"""The findings of `dag doctor`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.support.cluster.running import Dag


class Findings:
    """The output of one run of `dag doctor --json`."""

    def __init__(self, dag: Dag, directory: Path, *words: str | Path) -> None:
        done = dag("doctor", "--dir", directory, "--json", *words)
        assert done.stdout, done.stderr
        answer = json.loads(done.stdout)
        self.code = done.returncode
        assert answer["exit_code"] == self.code
        self.checks: dict[str, dict[str, Any]] = {one["name"]: one for one in answer["checks"]}

    def status(self, name: str) -> str:
        return str(self.checks[name]["status"])

    def message(self, name: str) -> str:
        """Return the message of a check."""
        return str(self.checks[name]["message"])

    def failed(self, name: str) -> str:
        """Return the message of a check that failed."""
        assert self.status(name) == "failed", self.checks[name]
        return self.message(name)

    def with_status(self, status: str) -> list[str]:
        return [name for name, one in self.checks.items() if one["status"] == status]

    def mend(self, dag: Dag, name: str) -> None:
        """Run the command with which the finding can be mended."""
        command = self.checks[name]["fix"].removeprefix("who runs the cluster runs: ")
        path = f"{dag.cluster.kubectl.parent}:{dag.environment['PATH']}"
        done = subprocess.run(
            ["sh", "-c", command],
            env={**dag.environment, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
