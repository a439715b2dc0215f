"""Reads a directory of definitions."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from pathlib import Path

from dag.core.arch import Arch
from dag.core.definitions import Package
from dag.errors import UsageError


def read(
    directory: Path,
    *,
    arch: str,
    pipeline_dirs: Sequence[Path] = (),
    build_options: Sequence[str] = (),
) -> tuple[Package, ...]:
    """Read every definition at the top level of `directory`, resolved for `arch`, by name.

    Raises:
        UsageError: naming every problem of every file.

    """
    from dag.core.compile import compile_definition
    from dag.core.pipelines import Table

    wanted = Arch.parse(arch)
    own: dict[str, tuple[str, bytes]] = {}
    for root in (*reversed(pipeline_dirs), directory / "pipelines"):
        for path in sorted(root.rglob("*.yaml")):
            uses = path.relative_to(root).with_suffix("").as_posix()
            own[uses] = (os.fspath(path), path.read_bytes())
    table = Table(own)
    packages: list[Package] = []
    problems: list[str] = []
    enabled = gc.isenabled()
    gc.disable()
    try:
        for path in sorted(directory.glob("*.yaml")):
            package, found = compile_definition(
                path.read_bytes(), path.name, arch=wanted, table=table, build_options=build_options
            )
            problems += map(str, found)
            if package is not None:
                packages.append(package)
    finally:
        if enabled:
            gc.enable()
    if problems:
        raise UsageError("\n".join(problems), hint="correct the definitions")
    return tuple(sorted(packages, key=lambda package: package.name))
