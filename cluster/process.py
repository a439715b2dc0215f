"""Processes that outlive the command that started them, found again by their pid."""

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

# The shell leaves at once, so the process belongs to init: nobody here has to wait for it, and
# a caller that lives on, such as a test run, keeps no zombie.
_DETACH = 'setsid "$@" </dev/null >>"$0" 2>&1 & echo $!'


@dataclass(frozen=True)
class Process:
    """One component of the cluster, by the name of its log and pid file."""

    name: str

    @property
    def log(self) -> Path:
        """Everything that it has written, over all its starts."""
        return state_directory() / "logs" / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return state_directory() / "pids" / self.name

    def start(self, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start `command` and remember it; a process that is alive stays as it is.

        Raises ClusterError when there is no such program.
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
        """Its pid while it lives. A pid that was reused since does not count as alive."""
        try:
            pid, birth = self._pid_file.read_text().split()
        except FileNotFoundError:
            return None
        return int(pid) if _birth(int(pid)) == birth else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; raises ClusterError when the process is not there."""
        pid = self.pid()
        if pid is None:
            raise ClusterError(f"{self.name} does not run; its log is {self.log}")
        os.kill(pid, number)

    def kill(self) -> None:
        """End it at once and wait till it is gone; nothing happens when it is not there."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            while self.pid() is not None:
                time.sleep(0.01)
        self._pid_file.unlink(missing_ok=True)

    def last_words(self, lines: int = 15) -> str:
        """Return the end of its log, for a message about why it does not work."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def _birth(pid: int) -> str | None:
    """Return the start time of process `pid` in clock ticks since boot; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except FileNotFoundError:
        return None
    # The command's name, in parentheses, may hold anything: only what follows it has columns.
    state, *columns = text.rpartition(")")[2].split()
    # While other threads of a process that was killed live on, its sockets do.
    return None if state in "ZX" and threads == 1 else columns[18]
