"""Limits of memory, CPU and processes on this machine, where it allows them.

Memory is a hard limit, as in a pod, and so is how many processes there are; CPU is a share, so that no
processor idles. Used are control groups of version 1 or 2 if we may write them, else scopes of
systemd, else nothing. Where processes are not counted, or not for us, there are the other two limits.
https://docs.kernel.org/admin-guide/cgroup-v2.html
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from dag.core.build.events import ComputeResources

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
"""The control groups that this process is in."""
_PID_MAX = Path("/proc/sys/kernel/pid_max")
_MOST_PROCESSES = 32_768
"""The largest builds have some thousands, on machines with hundreds of processors."""
_NAME = re.compile(r"[^A-Za-z0-9_.-]")


class Group(Protocol):
    """The limits of one attempt."""

    is_apart: bool
    """Whether the attempt is alone in a control group, so that what that counts is of the attempt."""

    def prefix(self) -> list[str]:
        """Return words to put before the command."""

    def process_files(self) -> Sequence[Path]:
        """Return the files into which a process writes its id to put itself under the limits."""

    def out_of_memory(self) -> bool:
        """Return whether a process in the group was killed for its memory."""

    def close(self) -> None:
        """Kill what is left in it and remove it."""


class Limiter(Protocol):
    """A maker of groups."""

    name: str
    """The kind of its groups, for people."""

    def sweep(self) -> None:
        """Remove the groups that killed builds have left."""

    def group(self, name: str, resources: ComputeResources) -> Group:
        """Make the limits of one attempt."""


class Unlimited:
    """No limits at all."""

    name = "none"
    is_apart = False

    def sweep(self) -> None:
        """Do nothing, because nothing is ever left."""

    def group(self, name: str, resources: ComputeResources) -> Group:
        """Return a group without limits."""
        return self

    def prefix(self) -> list[str]:
        """Return no words."""
        return []

    def process_files(self) -> Sequence[Path]:
        """Return none."""
        return ()

    def out_of_memory(self) -> bool:
        """Return False, because nobody knows."""
        return False

    def close(self) -> None:
        """Do nothing."""


class ControlGroups:
    """Control groups: directories in one hierarchy (version 2) or in several (version 1)."""

    def __init__(self, parents: Mapping[str, Path], *, version: int) -> None:
        """Take the directories in which groups are made, by controller (`memory`, `cpu`, `pids`)."""
        self.name = f"cgroup v{version}"
        self._parents = parents
        self._version = version

    def sweep(self) -> None:
        """Remove the empty groups of killed processes, unless the groups are new.

        A process of another container may be unknown here, but it enters its groups at once.
        """
        for parent in dict.fromkeys(self._parents.values()):
            for path in parent.glob("dag-[0-9]*-*"):
                pid = path.name.split("-")[1]
                with suppress(OSError):
                    if not Path("/proc", pid).exists() and time.time() - path.stat().st_mtime > 60:
                        path.rmdir()

    def group(self, name: str, resources: ComputeResources) -> Group:
        """Make the directories of one attempt."""
        safe = _NAME.sub("_", name)
        if safe != name:  # another name may have become the same
            safe += f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        safe = f"dag-{os.getpid()}-{safe}"
        paths = {controller: parent / safe for controller, parent in self._parents.items()}
        for path in dict.fromkeys(paths.values()):
            path.mkdir()
        for (controller, file), value in self._values(resources).items():
            if controller not in paths:
                continue
            with suppress(FileNotFoundError):  # as if swap is not accounted for
                _write(paths[controller] / file, str(value))
        return _ControlGroup(paths, self._version)

    def _values(self, resources: ComputeResources) -> dict[tuple[str, str], int]:
        if self._version == 2:
            return {
                ("memory", "memory.max"): resources.ram,
                ("memory", "memory.swap.max"): 0,
                ("cpu", "cpu.weight"): max(1, min(10_000, resources.cpu // 10)),
                ("pids", "pids.max"): most_processes(),
            }
        return {
            ("memory", "memory.limit_in_bytes"): resources.ram,
            ("memory", "memory.memsw.limit_in_bytes"): resources.ram,
            ("cpu", "cpu.shares"): max(2, resources.cpu * 1024 // 1000),
            ("pids", "pids.max"): most_processes(),
        }


class _ControlGroup:
    is_apart = True

    def __init__(self, paths: Mapping[str, Path], version: int) -> None:
        self._paths = tuple(dict.fromkeys(paths.values()))
        self._events = paths["memory"] / ("memory.events" if version == 2 else "memory.oom_control")

    def prefix(self) -> list[str]:
        return []

    def process_files(self) -> Sequence[Path]:
        return [path / "cgroup.procs" for path in self._paths]

    def out_of_memory(self) -> bool:
        try:
            lines = self._events.read_text().splitlines()
        except OSError:
            return False
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)

    def close(self) -> None:
        for path in self._paths:
            for _ in range(100):
                try:
                    path.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:  # a process is in it, and is not gone at once when it is killed
                    _kill(path / "cgroup.procs")
                    time.sleep(0.005)


def _write(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _kill(file: Path) -> None:
    with suppress(OSError):
        for process in file.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)


class SystemdScopes:
    """Transient scopes of systemd, for a user who may not write control groups."""

    def __init__(self, command: Sequence[str]) -> None:
        """Take the words of `systemd-run` with the flags that choose its manager."""
        self.name = "systemd-run"
        self._command = tuple(command)

    def sweep(self) -> None:
        """Do nothing, because systemd removes its scopes (--collect)."""

    def group(self, name: str, resources: ComputeResources) -> Group:
        """Return the scope of one attempt."""
        return _Scope(self._command, resources)


class _Scope(Unlimited):
    is_apart = True

    def __init__(self, command: tuple[str, ...], resources: ComputeResources) -> None:
        self._command = command
        self._resources = resources

    def prefix(self) -> list[str]:
        return [
            *self._command,
            "-p",
            f"MemoryMax={self._resources.ram}",
            "-p",
            "MemorySwapMax=0",
            "-p",
            f"CPUWeight={max(1, min(10_000, self._resources.cpu // 10))}",
            "-p",
            f"TasksMax={most_processes()}",
            "--",
        ]


def most_processes() -> int:
    """Return how many processes and threads an attempt may have, so that others can start some."""
    return min(_MOST_PROCESSES, int(_PID_MAX.read_text()) // 4)


def detect() -> Limiter:
    """Return the best kind of limits that this process may set."""
    try:
        lines = _OWN.read_text().splitlines()
    except OSError:
        return Unlimited()
    mine: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        mine |= {controller: path.lstrip("/") for controller in controllers.split(",")}
    for limiter in (_version_2(mine.get("", "")), _version_1(mine), _scopes()):
        if limiter is not None and _works(limiter):
            limiter.sweep()
            return limiter
    return Unlimited()


def _version_2(mine: str) -> Limiter | None:
    parent = _ROOT / mine
    try:
        available = (parent / "cgroup.controllers").read_text().split()
        if not {"memory", "cpu"} <= set(available):
            return None
        # This fails if the group has processes of its own, as ours may have.
        (parent / "cgroup.subtree_control").write_text("+memory +cpu")
    except OSError:
        return None
    parents = {"memory": parent, "cpu": parent}
    with suppress(OSError):
        (parent / "cgroup.subtree_control").write_text("+pids")
        parents["pids"] = parent
    return ControlGroups(parents, version=2)


def _version_1(mine: Mapping[str, str]) -> Limiter | None:
    parents = {}
    for controller in ("memory", "cpu", "pids"):
        path = _ROOT / controller / mine.get(controller, "")
        parents[controller] = path if path.is_dir() else _ROOT / controller
    there = {name for name, path in parents.items() if (path / "cgroup.procs").exists()}
    if not {"memory", "cpu"} <= there:
        return None
    if "pids" not in there or not os.access(parents["pids"], os.W_OK):
        del parents["pids"]
    return ControlGroups(parents, version=1)


def _scopes() -> Limiter | None:
    program = shutil.which("systemd-run")
    if program is None:
        return None
    manager = [] if os.geteuid() == 0 else ["--user"]
    command = [program, *manager, "--scope", "--quiet", "--collect"]
    try:
        tried = subprocess.run(
            [*command, "true"],
            capture_output=True,
            check=False,
            timeout=5,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return SystemdScopes(command) if tried.returncode == 0 else None


def _works(limiter: Limiter) -> bool:
    try:
        limiter.group("try", ComputeResources(1000, 1 << 30)).close()
    except OSError:
        return False
    return True
