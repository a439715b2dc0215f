"""Ask gcloud for its current project; this is done only when nothing else names one."""

from __future__ import annotations

import shutil
import subprocess


def current_project() -> str | None:
    """Return the project to which gcloud is set; None if there is none, or no gcloud that says so."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return None
    try:
        process = subprocess.run(
            [gcloud, "config", "get-value", "project"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except subprocess.TimeoutExpired:
        return None
    project = process.stdout.strip()
    return project if process.returncode == 0 and project not in ("", "(unset)") else None
