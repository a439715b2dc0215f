"""Small git repositories whose commits have the times that a test gives them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(place: Path, *words: str, time: int = 0) -> None:
    """Run git; a commit is made `time` seconds after 1,700,000,000."""
    when = f"{1_700_000_000 + time} +0000"
    dated = {"GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when}
    own = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(
        ["git", "-C", place, *own, *words],
        check=True,
        capture_output=True,
        env={**os.environ, **dated, "GIT_CONFIG_GLOBAL": "/dev/null"},
    )


def commit(place: Path, time: int, **files: str) -> None:
    """Write files, whose names have `__` for a slash, and commit all that there is."""
    for name, text in files.items():
        path = place / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    git(place, "add", "-A")
    git(place, "commit", "-qm", "x", time=time)
