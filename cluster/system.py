"""Commands, locks and lines of progress, which every other module needs."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


class ClusterError(Exception):
    """An error of the machine or the cluster; the message says what to do."""


def explained(action: Callable[[], object]) -> int:
    """Do what a command line asked for and return the exit code.

    0 is success, 1 a failure that was explained on standard error, 130 an interruption.
    """
    try:
        action()
    except (ClusterError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def say(message: str) -> None:
    """Print a message on standard error, because standard output is for data."""
    print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Print `what` before the step, and how long it took after it."""
    say(f"{what} …")
    begin = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - begin:.1f} s")


def installed(program: str | Path) -> str:
    """Return the path of `program`, which is a path or a name in PATH.

    Raises ClusterError if it is not installed.
    """
    found = shutil.which(program)
    if found is None:
        raise ClusterError(
            f"{program} is not installed; `python3 -m cluster prepare` installs what a cluster needs"
        )
    return found


def run(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run `command` to its end and return its standard output.

    Raises ClusterError, with the message of the command if it fails, or if it is not installed.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        [installed(words[0]), *words[1:]],
        cwd=cwd,
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-20:])
        raise ClusterError(f"{' '.join(words[:6])}: exit code {done.returncode}\n{tail}")
    return done.stdout


def succeeds(*command: str | Path) -> bool:
    """Return whether `command` ends with exit code 0; it is for questions, not for work.

    It is no error if the program is not installed: then the answer is no.
    """
    program = shutil.which(command[0])
    if program is None:
        return False
    words = [program, *map(str, command[1:])]
    return not subprocess.run(words, capture_output=True, check=False).returncode


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, so that no two processes do the same at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that holds {path}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
