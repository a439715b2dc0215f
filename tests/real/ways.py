"""The ways in which one distribution is built; each ends with a directory of packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import parts
from cluster.system import ClusterError
from tests.real.convert import ARCH
from tests.real.distribution import MAKE_OPTIONS, Distribution
from tests.real.jobs import build_as_jobs
from tests.real.nodes import on_cluster
from tests.real.pod import build_in_pods
from tests.real.repository import KEY
from tests.real.standin import standing_in
from tests.torture.kills import build_killed, environment

Variables = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of building."""

    summary: str
    build: Callable[[Distribution, Path, Variables], Path]
    """Build everything, with a new directory to work in and variables for every program, and
    return the directory of the packages. Raises ClusterError if a build fails."""


def build_by(way: str, distribution: Distribution, place: Path) -> Path:
    """Build in the way of that name, in the new directory `place`; return where the packages are.

    Raises ClusterError with the end of the log if a build fails.
    """
    with variables_of(distribution, place) as variables:
        return WAYS[way].build(distribution, place, variables)


@contextmanager
def variables_of(distribution: Distribution, place: Path) -> Iterator[Variables]:
    """Give the variables with which programs build in the new directory `place`.

    melange's own cache of packages is in `place`, too, because it grows with every build.
    """
    place.mkdir(parents=True)
    with standing_in(distribution.repository) as variables:
        yield {**variables, "XDG_CACHE_HOME": str(place / "cache")}


def order(distribution: Distribution, variables: Variables) -> list[str]:
    """Return what make builds, as `dag text` orders it, without what is not built here."""
    words = ["-m", "dag", "text", "--type=json", *distribution.names]
    said = _run(words, distribution.directory, environment(variables))
    return [
        f"packages/{ARCH}/{one['name']}-{one['version']}-r{one['epoch']}.apk"
        for one in map(json.loads, said.splitlines())
        if one["name"] in distribution.names
    ]


def by_make(distribution: Distribution, place: Path, variables: Variables) -> Path:
    """Build with make and melange alone, one package after the other."""
    directory, repository = place / "distribution", distribution.repository
    shutil.copytree(distribution.directory, directory)
    extra = (
        f"--cache-dir {directory}/cache --runner bubblewrap {MAKE_OPTIONS}"
        f" --repository-append {repository} --keyring-append {repository}/{KEY}.pub"
    )
    words = [
        f"MELANGE={parts.build('melange') / 'melange'}",
        f"MELANGE_DIR={parts.pipelines().parent}",
        "KEY=melange.rsa",
        f"ARCH={ARCH}",
        f"MELANGE_EXTRA_OPTS={extra}",
    ]
    done = subprocess.run(
        ["make", "--jobs=1", *words, *order(distribution, variables)],
        cwd=directory,
        env={**environment(variables), "MAKEFLAGS": "", "REPO": "./packages"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ClusterError(f"make failed:\n{done.stdout[-4000:]}")
    return directory / "packages"


def by_dag_build(distribution: Distribution, place: Path, variables: Variables) -> Path:
    """Build with `dag build`."""
    store = place / "store"
    dag_build(distribution, store, variables)
    return store


def dag_build(distribution: Distribution, store: Path, variables: Variables, *words: str) -> str:
    """Build into `store` with `dag build` and these `words`; return its standard output.

    Raises ClusterError with the end of what it says if it fails.
    """
    words = ("build", "--store", str(store), *words, *distribution.names)
    return _run(["-m", "dag", *words], distribution.directory, environment(variables))


def by_dag_pod(distribution: Distribution, place: Path, _: Variables) -> Path:
    """Build with `dag pod` on both nodes of the test cluster."""
    return build_in_pods(distribution, place)


def by_jobs(distribution: Distribution, place: Path, _: Variables) -> Path:
    """Build with `dag build --on kubernetes` on both nodes of the test cluster."""
    with on_cluster(place) as dag:
        return build_as_jobs(dag, distribution, place)


def by_killed_dag_build(distribution: Distribution, place: Path, variables: Variables) -> Path:
    """Build with `dag build`, which is killed three times and started again."""
    store = place / "store"
    try:
        built, killed = build_killed(
            distribution.directory,
            store,
            *distribution.names,
            kills=3,
            seed=1,
            most=max(2, len(distribution.names) // 2),
            more=variables,
        )
    except RuntimeError as error:
        raise ClusterError(str(error)) from error
    if twice := {name for name in built if built.count(name) > 1}:
        raise ClusterError(f"{', '.join(sorted(twice))} were built twice")
    if not killed:
        raise ClusterError("dag build ended before it was killed once")
    return store


def _run(words: list[str], directory: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shown = " ".join(os.path.basename(word) for word in words[1:3])  # noqa: PTH119
        raise ClusterError(f"{shown} failed:\n{done.stderr[-4000:]}")
    return done.stdout


WAYS = {
    "make": Way(summary="make and melange alone", build=by_make),
    "build": Way(summary="dag build", build=by_dag_build),
    "killed": Way(summary="dag build, killed and resumed", build=by_killed_dag_build),
    "pod": Way(summary="dag pod on both nodes", build=by_dag_pod),
    "jobs": Way(summary="dag build --on kubernetes on both nodes", build=by_jobs),
}
"""By name."""
