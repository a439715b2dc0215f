"""The Google Cloud project that gcloud is set to, asked only when nothing else says it."""

from __future__ import annotations

import shutil
import subprocess


def current_project() -> str | None:
    """Ask `gcloud config get-value project`; None without gcloud, or when none is set."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return None
    process = subprocess.run(
        [gcloud, "config", "get-value", "project"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    project = process.stdout.strip()
    return project if process.returncode == 0 and project not in ("", "(unset)") else None
