"""Questions to git about the directory of the definitions."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dag.errors import InfrastructureError, UsageError

_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


def last_commit_time(directory: Path) -> int | None:
    """Return when the last commit that touches `directory` was made, in seconds since 1970.

    None where there is no git, no repository or no commit yet.
    """
    try:
        process = subprocess.run(
            ["git", "-C", str(directory), "log", "-1", "--format=%ct", "--", "."],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    answer = process.stdout.strip()
    return int(answer) if process.returncode == 0 and answer.isdigit() else None


def source_date_epoch(directory: Path) -> int | None:
    """Return $SOURCE_DATE_EPOCH, or else when the last commit was made; in seconds since 1970.

    None where there is neither.

    Raises:
        UsageError: the variable is not a number.

    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if not given:
        return last_commit_time(directory)
    if not (given.isascii() and given.isdigit()):
        raise UsageError(
            f"$SOURCE_DATE_EPOCH is {given!r}, which is not a number of seconds since 1970",
            hint="correct the variable, or unset it",
        )
    return int(given)


def run_git(directory: Path, *words: str, inner: bool = False) -> str:
    """Run a git command in `directory`, and return what it prints.

    `inner` says that the repository is inside of another one, so that the variables which git sets
    for a hook of that other one are left out.

    Raises:
        UsageError: git refuses.
        InfrastructureError: there is no git.

    """
    environment = {
        name: value for name, value in os.environ.items() if not (inner and name in _OF_A_HOOK)
    }
    try:
        process = subprocess.run(
            ["git", "-C", str(directory), *words],
            capture_output=True,
            check=False,
            env=environment,
        )
    except FileNotFoundError:
        raise InfrastructureError("git is not installed", hint="install git") from None
    if process.returncode != 0:
        message = process.stderr.decode(errors="replace").strip()
        raise UsageError(
            f"git {words[0]} failed in {directory}: {message}", hint="correct --since or --dir"
        )
    return os.fsdecode(process.stdout)
