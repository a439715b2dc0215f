"""The live answers of melange, offline: `melange compile`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@cache
def binary() -> Path:
    """Return the path of the melange that this project builds."""
    process = subprocess.run(
        [sys.executable, "-m", "cluster", "part", "melange"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Path(process.stdout.split()[-1]) / "melange"


def answer(
    definition: Path,
    *,
    arch: str = "x86_64",
    options: Sequence[str] = (),
    flags: Sequence[str] = (),
) -> dict[str, Any] | str:
    """Return melange's answer for `definition` in the form of the stored answers, or its error."""
    command = [str(binary()), "compile", "--arch", arch, "--pipeline-dir", "./pipelines"]
    command += [f"--build-option={option}" for option in options]
    command += flags
    process = subprocess.run(
        [*command, definition.name],
        cwd=definition.parent,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if process.returncode != 0:
        return process.stderr.strip().splitlines()[-1]
    compiled = json.loads(process.stdout)
    subpackages = compiled.get("subpackages") or []
    return {
        "name": compiled["package"]["name"],
        "version": compiled["package"]["version"],
        "epoch": compiled["package"]["epoch"],
        "env": compiled["environment"]["contents"].get("packages") or [],
        **_dependencies(compiled["package"]),
        "subs": {one["name"]: _dependencies(one) for one in subpackages},
        "uris": sorted(
            _fetches([compiled, *subpackages]),
        ),
    }


def _dependencies(one: dict[str, Any]) -> dict[str, list[str]]:
    dependencies = one.get("dependencies") or {}
    return {key: dependencies.get(key) or [] for key in ("runtime", "provides")}


def _fetches(steps: list[dict[str, Any]]) -> list[list[str]]:
    found: list[list[str]] = []
    for step in steps:
        given = step.get("with") or {}
        if step.get("uses") == "fetch":
            found.append(
                [given["uri"], given.get("expected-sha256") or given.get("expected-sha512") or ""]
            )
        found += _fetches(step.get("pipeline") or [])
    return found
