"""Directories of real definitions that can be built: with a Makefile, their sources, and settings."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import parts
from cluster.debian import install
from cluster.system import ClusterError
from dag.core.arch import Arch
from dag.core.package.directory import Definitions
from dag.core.package.model import Checkout, Fetch, Package
from dag.io.package.compiling import CompileCheck
from dag.io.package.definitions import read_directory
from tests.real import apt
from tests.real.convert import ARCH
from tests.real.outside import find_outside
from tests.real.repository import KEY, repository

RULES = Path(__file__).with_name("rules.mk")
PROGRAMS = Path(__file__).with_name("programs")
"""The definitions of programs that use what the real ones build, each with its source."""
REMEDY = (
    "leave these definitions out; or name packages of Debian in tests/real/names.py,"
    " and put sources into {place}, each as sha256:DIGEST"
)
"""What to do about definitions that cannot be built."""
_ENOUGH = 8 << 30
_FLAGS = "CFLAGS=-O2\nCXXFLAGS=-O2\n"

MAKE_OPTIONS = "--lint-require="
"""Without this melange refuses files in /bin, /sbin and /lib, which definitions of 2023 have."""
_SETTINGS = """\
repository = ["{repository}"]
keyring = ["{repository}/{key}.pub"]

[make]
MELANGE_EXTRA_OPTS = "{options}"
"""


@contextmanager
def workplace() -> Iterator[Path]:
    """Give a new directory to build in, which is in memory if this machine has enough of that.

    A unit installs hundreds of megabytes of compiler that nobody needs afterwards. On a disk that
    costs several times the processor time.
    """
    memory = Path("/dev/shm")  # no file of a known name is made there
    free = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    has_room = free and min(int(free[1]) << 10, shutil.disk_usage(memory).free) >= _ENOUGH
    with tempfile.TemporaryDirectory(
        prefix="real-", dir=memory if has_room else None, ignore_cleanup_errors=True
    ) as directory:
        yield Path(directory)


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A directory that `dag build` and make can build, and what it is built with."""

    directory: Path
    names: tuple[str, ...]
    """The definitions that are built; the others there come from the repository."""
    repository: Path


def lay_out(directory: Path, definitions: Path, names: Sequence[str]) -> Distribution:
    """Write everything into the new `directory` that it takes to build `names`.

    The definitions are copies, byte by byte. `cache/` has the sources as `dag cache` would have
    fetched them, and `dag.toml` names the bootstrap repository.

    What it takes to build is installed if it is missing.

    Raises ClusterError if Debian does not have some sources or packages, or melange cannot use some
    definitions; the message has all of them.
    """
    install("bubblewrap", "make", "openssl")
    directory.mkdir(parents=True)
    _copy(definitions, directory, names)
    found = read_directory(directory, arch=ARCH)
    packages = found.packages
    pipelines = "PIPELINES := pipelines\n" if (directory / "pipelines").is_dir() else ""
    rules = (f"$(eval $(call build-package,{one.name},{one.full_version}))\n" for one in packages)
    (directory / "Makefile").write_text(pipelines + RULES.read_text() + "".join(rules))
    (directory / f"build-{ARCH}.env").write_text(_FLAGS)
    built = [one for one in packages if one.name in names]
    broken = {name for one in found.broken for name in one.names}.intersection(names)
    outside, lacking = find_outside(packages, set(names) - broken)
    lacking += _problems(found, built, broken, directory)
    lacking += _lacking_sources(built)
    if lacking:
        lacking.append(REMEDY.format(place=apt.place() / "sources"))
        raise ClusterError("\n".join(lacking))
    _add_sources(directory / "cache", built)
    made = repository(outside)
    (directory / "dag.toml").write_text(
        _SETTINGS.format(repository=made, key=KEY, options=MAKE_OPTIONS)
    )
    return Distribution(directory=directory, names=tuple(names), repository=made)


def _copy(definitions: Path, directory: Path, names: Sequence[str]) -> None:
    """Copy all definitions, and what belongs to those that are built."""
    for file in sorted(definitions.glob("*.yaml")):
        shutil.copyfile(file, directory / file.name)
    for name in ("pipelines", *names):
        if (definitions / name).is_dir():
            shutil.copytree(definitions / name, directory / name)
        elif (PROGRAMS / name).is_dir():
            shutil.copyfile(PROGRAMS / f"{name}.yaml", directory / f"{name}.yaml")
            shutil.copytree(PROGRAMS / name, directory / name)


def _problems(
    found: Definitions, built: Sequence[Package], broken: Collection[str], directory: Path
) -> list[str]:
    """Return in words what is wrong with the definitions that are to be built."""
    check = CompileCheck(str(parts.build("melange") / "melange"), directory)
    refused = check.refused(found, built, Arch.parse(ARCH))
    problems = [problem for several in refused.values() for problem in several]
    problems += [
        problem
        for one in found.broken
        if {*one.names}.intersection(broken)
        for problem in one.problems
    ]
    return [str(problem) for problem in sorted(problems)]


def _lacking_sources(packages: Iterable[Package]) -> list[str]:
    """Fetch the files that the definitions fetch; return in words what is not to be had of Debian."""
    files: dict[str, str] = {}
    uncompared, checkouts = [], []
    for package in packages:
        for source in package.sources:
            if not source.runs:
                continue
            if isinstance(source, Checkout):
                checkouts.append(f"{package.name} ({source.repository})")
            elif source.sha256:
                files[source.sha256] = f"{package.name} ({source.uri})"
            else:
                uncompared.append(f"{package.name} ({source.uri})")
    lacking = files.keys() - apt.fetch_sources(files.keys(), apt.place() / "sources")
    told = {
        "Debian's mirror does not have the sources of": [files[one] for one in lacking],
        "without a SHA-256 no file of Debian can be found for": uncompared,
        "Debian has no git repositories for the checkouts of": checkouts,
    }
    return [f"{words} {', '.join(sorted(named))}" for words, named in told.items() if named]


def _add_sources(cache: Path, packages: Iterable[Package]) -> None:
    """Put the files that the definitions fetch into the new directory `cache`."""
    cache.mkdir()
    for package in packages:
        for source in package.sources:
            if isinstance(source, Fetch) and source.runs:
                name = f"sha256:{source.sha256}"
                shutil.copyfile(apt.place() / "sources" / name, cache / name)
