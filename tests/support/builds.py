"""Distributions of small packages, and runs of `dag build` on them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dag.io.build.processes import _below
from tests.support.errors import see
from tests.torture.kills import dag, environment

SHARE = "/usr/share/torture"


def definition(
    name: str, *needs: str, runs: str = "true", version: str = "1", extra: str = ""
) -> str:
    packages = "".join(f"      - {need}\n" for need in ("busybox", *needs))
    steps = "".join(f"      {line}\n" for line in runs.splitlines())
    return (
        f"package:\n  name: {name}\n  version: {version}\n  epoch: 0\n  description: {name}\n"
        f"  copyright:\n    - license: MIT\n{extra}"
        f"environment:\n  contents:\n    packages:\n{packages}"
        f"pipeline:\n  - runs: |\n"
        f'      mkdir -p "${{{{targets.destdir}}}}{SHARE}"\n{steps}'
        f'      echo {name} >"${{{{targets.destdir}}}}{SHARE}/{name}"\n'
    )


Make = Callable[..., Path]


def run(place: Path, *words: str, command: str = "build", **more: str) -> tuple[int, str, str]:
    """Run `dag build` with `more` in its environment; return the exit code, stdout and stderr."""
    process = subprocess.run(
        [sys.executable, "-m", "dag", command, *words],
        cwd=place,
        env={**environment(), **more},
        capture_output=True,
        text=True,
        check=False,
    )
    see(process.returncode, process.stderr, compared=False)  # a log may end in many ways
    return process.returncode, process.stdout, process.stderr


def apks(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "packages" / "x86_64").glob("*.apk"))


def leftovers(place: Path) -> list[Path]:
    return list((place / "packages" / ".dag" / "work").iterdir())


SLEEPER = definition("sleeper", runs="echo sleeping\nsleep 300")


def running(place: Path, name: str) -> subprocess.Popen[str]:
    """Start a build, and return when the build script of `name` has begun to build."""
    process = dag(place, "build")
    log = place / "packages" / "logs" / "x86_64" / f"{name}.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and "sleeping" in log.read_text()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def gone(place: Path) -> bool:
    """Return whether every process of the builds at `place` ends soon."""
    deadline = time.monotonic() + 10
    while _below(str(place.resolve())):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def new_key(directory: Path) -> Path:
    key = directory / "my.rsa"
    melange = str(shutil.which("melange", path=environment()["PATH"]))
    subprocess.run([melange, "keygen", str(key)], check=True, capture_output=True)
    return key
