"""The agent as a pod starts it: a process of its own beside a build, which is a shell script here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dag.io.agent.signals import make_pipe

ROOT = Path(__file__).parents[3]


@dataclass
class Pod:
    """The volumes of a pod, and the processes in it."""

    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        return self.directory / "workspace"

    @property
    def packages(self) -> Path:
        return self.workspace / "packages/x86_64"

    @property
    def pipe(self) -> Path:
        return self.directory / "pipes/agent"

    def agent(self, command: str, *words: str | Path) -> subprocess.Popen[str]:
        """Start a container of the agent."""
        common = ["--arch=x86_64", f"--workspace={self.workspace}"]
        waiting = [f"--pipe={self.pipe}", f"--state={self.directory / 'agent'}"]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dag", "agent", command, *common, *waiting, *words],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT / "src"),
                "DAG_DEBUG": "1",
                **self.environment,
            },
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def build(self, script: str = "true") -> None:
        """Run a build that holds the pipe open, to its end."""
        text = f"exec 9>{self.pipe}; echo started >&9; cd {self.workspace}; {script}"
        subprocess.run(["sh", "-c", text], check=True)


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """Return a pod in which nothing runs yet."""
    made = Pod(tmp_path)
    made.packages.mkdir(parents=True)
    made.pipe.parent.mkdir()
    make_pipe(made.pipe)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()
