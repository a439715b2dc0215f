"""Run the build script of one attempt on this machine, as a process group of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from dag.core.shell import ShellScript, script_text
from dag.io import landlock
from dag.io.build.confinement import Group

_GRACE = 3.0
"""Seconds that a build has to end by itself when it is told to."""
_BUILD_USER = 1000
"""The user and group that melange gives the steps of everybody but root, and calls root in packages.

What belongs to anybody else stays theirs in a package. As long as melange sees its own user as this
one, a package is the same whoever builds it.
https://github.com/chainguard-dev/melange/blob/v0.56.0/pkg/container/bubblewrap_runner.go
"""


def words_to_be_alone() -> list[str]:
    """Return the words before a command with which all that it has started ends.

    It has process ids of its own, and the kernel ends those with the first of them.
    https://man7.org/linux/man-pages/man7/pid_namespaces.7.html
    """
    words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        words += ["--user", f"--map-user={_BUILD_USER}", f"--map-group={_BUILD_USER}"]
    return words


def words_to_be_quiet() -> list[str]:
    """Return the words before a command that then connects to no abstract socket of the machine.

    Steps have the network of the machine, and these sockets belong to that.
    """
    return [sys.executable, "-I", "-S", landlock.__file__]


class ScriptEnd(Struct, frozen=True):
    """How the script ended."""

    code: int
    """The exit code; if a signal ended the shell itself, the number of that, negative."""
    is_late: bool
    """It took longer than it may, and was ended."""

    @property
    def signal(self) -> str | None:
        """Return the name of the signal that ended the shell or what it ran, if one did."""
        if 0 <= self.code <= 128:
            return None
        number = -self.code if self.code < 0 else self.code - 128
        try:
            return signal.Signals(number).name
        except ValueError:
            return f"signal {number}"


async def run_script(
    command: Sequence[str],
    group: Group,
    *,
    directory: Path,
    output: int,
    environment: Mapping[str, str],
    timeout: float | None,  # noqa: ASYNC109  # what is late is told apart, and ended gently
    alone: bool,
) -> ScriptEnd:
    """Run a command under the limits of `group` in a directory, and leave none of its processes.

    `output` is the descriptor of its log, `environment` is its whole environment, and `timeout` is
    in seconds. The command ends when this process ends, however that happens; when the task is
    cancelled, it is ended first. Unless it is not `alone`, nothing that it has started is left when
    it has ended, not even what has left its session or its directory.
    """
    files = map(os.fspath, group.process_files())
    leash = ShellScript(script_text("dag.run.build", "leash"), (*files, "--"))
    process = await asyncio.create_subprocess_exec(
        *group.prefix(),
        *leash.command(*([*words_to_be_alone(), *words_to_be_quiet()] if alone else ()), *command),
        stdin=asyncio.subprocess.PIPE,
        stdout=output,
        stderr=output,
        cwd=directory,
        env=environment,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout):
            return ScriptEnd(await process.wait(), is_late=False)
    except TimeoutError:
        return ScriptEnd(await _end(process), is_late=True)
    except asyncio.CancelledError:
        await _end(process)
        raise
    finally:
        _kill(process.pid)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process) -> int:
    """Ask a process group to end, kill it if it does not, and return the exit code."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE):
            return await process.wait()
    except TimeoutError:
        _kill(process.pid)
        return await process.wait()
