"""Runs of `dag cache` for definitions that fetch one file each."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from tests.support import commands

BODIES = {name: name.encode() * 5000 for name in ("lib", "app", "tool")}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(directory: Path, name: str, uri: str, digest: str, *, needs: str = "") -> None:
    packages = f"environment:\n  contents:\n    packages:\n      - {needs}\n" if needs else ""
    (directory / f"{name}.yaml").write_text(
        f"package:\n  name: {name}\n  version: '1.0'\n  epoch: 0\n{packages}pipeline:\n"
        f"  - uses: fetch\n    with:\n      uri: {uri}\n      expected-sha256: {digest}\n"
    )


def write_clone(directory: Path, name: str, uri: str, tag: str, commit: str) -> None:
    expected = f"      expected-commit: {commit}\n" if commit else ""
    (directory / f"{name}.yaml").write_text(
        f"package:\n  name: {name}\n  version: '1'\n  epoch: 0\npipeline:\n"
        f"  - uses: git-checkout\n    with:\n      repository: {uri}\n      tag: {tag}\n{expected}"
    )


@dataclass
class Done:
    code: int
    out: str
    err: str


def dag(*arguments: object, cwd: Path | None = None, **environment: str) -> Done:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DAG_")}
    done = commands.dag("cache", *arguments, environment=clean | environment, cwd=cwd)
    return Done(done.returncode, done.stdout, done.stderr)


def files(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.name.startswith("sha"))
