"""From a directory and what was asked for to make's targets: the part before any cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dag.core.arch import Arch
from dag.core.definitions import Package
from dag.core.graph import Graph
from dag.core.makefile import FILE_NAMES, Makefile, read_makefile
from dag.errors import UsageError
from dag.io import definitions


@dataclass(frozen=True, slots=True)
class Selection:
    """What make is asked for."""

    packages: tuple[Package, ...]
    """What is built, dependencies first."""
    targets: tuple[str, ...]
    makefile: Makefile


def select(
    directory: Path,
    names: Sequence[str],
    *,
    arch: Arch,
    pipeline_dirs: Sequence[Path] = (),
    only: bool = False,
    template: str | None = None,
) -> Selection:
    """Find the packages that `names` ask for, or all, and their targets.

    With names it is their closure, dependencies first; with `only` just themselves. Without, it is
    the Makefile's `all`, or every definition's target where it has no such rule.

    Raises:
        UsageError: a definition is wrong, a name unknown, or there is no Makefile.

    """
    makefile = _makefile(directory, template)
    packages = definitions.read(directory, arch=arch.apk, pipeline_dirs=pipeline_dirs)
    graph = Graph(packages)
    order = graph.order()
    if names:
        wanted = {
            package.name for package in (graph.order(names) if only else graph.closure(names))
        }
        order = [package for package in order if package.name in wanted]
    targets = makefile.targets(order, arch)
    if not names and makefile.has_all:
        targets = ["all"]
    return Selection(tuple(order), tuple(targets), makefile)


def _makefile(directory: Path, template: str | None) -> Makefile:
    for name in FILE_NAMES:
        path = directory / name
        if path.is_file():
            try:
                return read_makefile(path.read_text(encoding="utf-8", errors="replace"), template)
            except OSError as error:
                raise UsageError(f"{path}: {error.strerror}") from error
    raise UsageError(
        f"{directory}: there is no Makefile beside the definitions",
        hint="the build runs `make`; see docs/build.md for the rules that it needs",
    )
