"""Looks at the definitions that a build would be of, and at its namespace; no cluster is asked."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from dag.core.arch import Arch
from dag.core.doctor import checks as doctor
from dag.core.doctor.checks import Finding
from dag.core.doctor.options import DoctorOptions
from dag.core.package.model import Package
from dag.errors import DagError
from dag.io.package.compiling import CompileCheck
from dag.report.terminal import Terminal
from dag.report.words import count
from dag.run.aside import aside
from dag.run.graph.selection import select
from dag.run.pod.bundle import namespace_of


async def judge_definitions(
    chosen: DoctorOptions,
    terminal: Terminal,
    melange: str | None = None,
    fix: str = doctor.ELSEWHERE,
) -> tuple[Finding, Mapping[Arch, tuple[Package, ...]]]:
    """Judge the definitions, and return what would be built of them for each architecture.

    `melange` is asked whether it can compile them, and `fix` is what follows if it cannot.

    Raises:
        UsageError: they are wrong.

    """
    made: dict[Arch, tuple[Package, ...]] = {}
    broken: list[str] = []
    refused: list[str] = []
    unmade: list[str] = []
    # A pod's melange may be another; but there is no better one to ask before there is a pod.
    check = CompileCheck(melange or shutil.which("melange"), Path(chosen.directory))
    for arch in chosen.arch:
        # Repositories are asked later, if they are.
        work = partial(select, chosen, arch, terminal.say_once, ask=False)
        selection = await aside(work)
        made[arch] = selection.packages
        makefile, targets = selection.makefile, list(selection.targets)
        if chosen.on != "pod":  # each unit calls make with its own target
            targets = makefile.targets(selection.packages, arch)
        unmade += makefile.target_notes(targets)
        found = selection.definitions
        broken += map(found.place, found.problems)
        problems = await aside(partial(check.refused, found, selection.packages, arch))
        refused += [found.place(one) for several in problems.values() for one in several]
    numbers = [f"{count(len(made[arch]), 'package')} to make for {arch}" for arch in made]
    words, those = ", ".join(numbers), [*dict.fromkeys(refused)]
    useless = [*dict.fromkeys(broken)]
    return doctor.definitions(words, those, fix, broken=useless, unmade=unmade), made


def guess_namespace(chosen: DoctorOptions) -> str:
    """Return the namespace of the flags or of the kubeconfig; `default` if that cannot be read."""
    try:
        return namespace_of(chosen)
    except DagError:
        return "default"  # the check of the API meets the same kubeconfig, and says what is wrong
