"""Small directories of definitions: how one is written, and what reading them gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.package.model import Package
from dag.errors import UsageError
from dag.io.package.definitions import read


def define(root: Path, name: str, more: str = "", file: str | None = None) -> Path:
    path = root / (file or f"{name}.yaml")
    path.write_text(f"package:\n  name: {name}\n  version: 1\n{more}\n")
    return path


def needs(packages: tuple[Package, ...], name: str) -> list[str]:
    (package,) = (one for one in packages if one.name == name)
    return [need.text for need in package.environment]


def refusal(directory: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read(directory, arch="x86_64")
    return caught.value.message
