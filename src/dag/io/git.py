"""What git knows of the definitions directory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dag.errors import InfrastructureError, UsageError


def last_commit_time(directory: Path) -> int | None:
    """Read when the last commit that touches `directory` was made, in seconds since 1970.

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


def changed_files(directory: Path, since: str) -> list[str]:
    """The files below `directory` that differ from the commit `since`, relative to it.

    What is not committed yet counts, and so do new files that git doesn't ignore.

    Raises:
        UsageError: there is no such commit, or no repository.
        InfrastructureError: there is no git.

    """
    try:
        commit = _git(directory, "rev-parse", "--verify", "--end-of-options", f"{since}^{{commit}}")
    except UsageError as error:
        if "single revision" not in error.message:
            raise
        raise UsageError(
            f"--since {since!r}: git knows no such commit in {directory}",
            hint="name a branch, a tag or a commit; a shallow clone has only the newest",
        ) from error
    changed = _git(
        directory, "diff", "--no-renames", "--name-only", "--relative", "-z", commit.strip(), "--"
    )
    new = _git(directory, "ls-files", "--others", "--exclude-standard", "-z")
    return sorted({name for name in (changed + new).split("\0") if name})


def _git(directory: Path, *words: str) -> str:
    try:
        process = subprocess.run(
            ["git", "-C", str(directory), *words], capture_output=True, check=False
        )
    except FileNotFoundError:
        raise InfrastructureError("git is not installed", hint="install it") from None
    if process.returncode != 0:
        message = process.stderr.decode(errors="replace").strip()
        raise UsageError(f"git {words[0]}: {message}", hint="see --since and --dir")
    return os.fsdecode(process.stdout)
