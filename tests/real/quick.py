"""The definitions of `make test`, built by `dag build` once for all tests that look at the result."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.system import locked
from tests.real import sets
from tests.real.distribution import Distribution, lay_out, workplace
from tests.real.ways import build_by


@dataclass(frozen=True, kw_only=True)
class QuickBuild:
    """What was built, and of what."""

    distribution: Distribution
    packages: Path


def build_quick(temporary: pytest.TempPathFactory) -> QuickBuild:
    """Return the build of `sets.QUICK`, which the first process of a test run makes for all of them.

    Raises ClusterError if it fails.
    """
    base = temporary.getbasetemp()
    # Each process of pytest-xdist has a directory of its own, in one that they have in common.
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "quick"
    with locked(place.with_suffix(".lock")):
        if not place.exists():
            _build(place)
    return QuickBuild(
        distribution=Distribution(
            directory=place / "distribution",
            names=sets.QUICK,
            repository=(place / "repository").resolve(),
        ),
        packages=place / "packages",
    )


def _build(place: Path) -> None:
    shutil.rmtree(made := place.with_suffix(".new"), ignore_errors=True)
    distribution = lay_out(made / "distribution", sets.DEFINITIONS, sets.QUICK)
    (made / "repository").symlink_to(distribution.repository)
    with workplace() as memory:
        packages = build_by("build", distribution, memory / "build")
        shutil.copytree(packages, made / "packages", ignore=shutil.ignore_patterns(".dag"))
    made.rename(place)
