"""Processes that outlive the command that started them, and are found again by their pid."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.config import state_directory
from cluster.system import ClusterError, installed, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The shell ends at once, so the process becomes a child of init. Nobody here has to wait for it,
# and a caller that runs on, such as a test run, keeps no zombie.
_DETACH = 'setsid "$@" </dev/null >>"$0" 2>&1 & echo $!'


@dataclass(frozen=True)
class Process:
    """One process of the cluster; its log and its pid file have its name."""

    name: str

    @property
    def log(self) -> Path:
        """The file with everything that the process has written, in all its runs."""
        return state_directory() / "logs" / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return state_directory() / "pids" / self.name

    def start(self, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start `command` and store its pid, if the process does not run already.

        Raises ClusterError if there is no such program.
        """
        if self.pid() is not None:
            return
        for file in (self.log, self._pid_file):
            file.parent.mkdir(parents=True, exist_ok=True)
        program = installed(command[0])
        environment = {**os.environ, **(env or {})}
        shell = ("sh", "-c", _DETACH, self.log, program, *command[1:])
        pid = int(run(*shell, env=environment))
        self._pid_file.write_text(f"{pid} {_birth(pid)}\n")

    def pid(self) -> int | None:
        """Return the pid while the process lives; another process with that pid does not count."""
        try:
            pid, birth = self._pid_file.read_text().split()
        except FileNotFoundError:
            return None
        return int(pid) if _birth(int(pid)) == birth else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process. Raises ClusterError if it does not run."""
        pid = self.pid()
        if pid is None:
            raise ClusterError(f"{self.name} does not run; its log is {self.log}")
        os.kill(pid, number)

    def kill(self) -> None:
        """Kill the process, if it runs, and wait until it is gone."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            while self.pid() is not None:
                time.sleep(0.01)
        self._pid_file.unlink(missing_ok=True)

    def last_words(self, lines: int = 15) -> str:
        """Return the end of the log, for an error message."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def _birth(pid: int) -> str | None:
    """Return the start time of process `pid` in clock ticks since boot, or None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except FileNotFoundError:
        return None
    # The name of the command, in parentheses, may hold anything; the columns come after it.
    state, *columns = text.rpartition(")")[2].split()
    # While other threads of a killed process live, its sockets are still open.
    return None if state in "ZX" and threads == 1 else columns[18]
