"""What git knows of the definitions directory."""

from __future__ import annotations

import subprocess
from pathlib import Path


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
