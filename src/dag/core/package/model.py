"""What a melange definition says once everything in it is resolved for one architecture.

The model alone: `dag.core.package.compile` makes it from YAML text, `dag.io.package.definitions` from a directory.
The small parts are named tuples, because a distribution has 33,000 of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_CONSTRAINT = re.compile(r"[=<>~@]")


UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f]")
"""No name of a package has one of these, and no terminal should see them."""


def bare_name(dependency: str) -> str:
    """Cut the version constraint and the repository tag off: `foo>=1.2`, `foo~1`, `foo@edge`.

    A conflict (`!foo`) keeps its mark.
    """
    constraint = _CONSTRAINT.search(dependency)
    return (dependency[: constraint.start()] if constraint else dependency).strip()


class Need(NamedTuple):
    """One package of the build environment, and where the definition asks for it."""

    text: str
    """As written, with its constraint: `openssl-dev>3`."""
    file: str
    line: int
    reason: str
    """`environment`, or the way to a pipeline: `uses py/build > python/build`; `nested ` before it
    for a step inside a step, `subpackage NAME ` if a subpackage's pipeline asks."""

    @property
    def name(self) -> str:
        """The package's name, without the constraint; `!foo` for a conflict."""
        return bare_name(self.text)

    @property
    def kind(self) -> str:
        """`environment`, `pipeline`, `nested pipeline` or `subpackage pipeline`."""
        if self.reason == "environment":
            return "environment"
        if self.reason.startswith("subpackage "):
            return "subpackage pipeline"
        if self.reason.startswith("nested ") or " > " in self.reason:
            return "nested pipeline"
        return "pipeline"


class Fetch(NamedTuple):
    """A `fetch` step of any pipeline."""

    uri: str
    sha256: str
    """As resolved; empty if the step has none."""
    sha512: str
    expected_none: bool
    """The step says that there is no checksum."""
    file: str
    line: int
    runs: bool = True
    """False if an `if` keeps the step from running on this architecture."""


class Checkout(NamedTuple):
    """A `git-checkout` step of any pipeline."""

    repository: str
    tag: str
    branch: str
    expected_commit: str
    """Forty hex digits, or empty."""
    depth: str
    """A number, or `unset`."""
    recurse_submodules: bool
    cherry_picks: str
    destination: str
    file: str
    line: int
    runs: bool = True
    """False if an `if` keeps the step from running on this architecture."""
    is_branch_tip: bool = False
    """`expected-commit-is-branch-tip`: an older commit of the branch is an error."""


Source = Fetch | Checkout


class DeclaredResources(NamedTuple):
    """`package.resources`: Kubernetes quantities as written, empty where nothing is said."""

    cpu: str = ""
    cpumodel: str = ""
    memory: str = ""
    disk: str = ""


NO_RESOURCES = DeclaredResources()


class Subpackage(NamedTuple):
    """A package that is built along with its origin."""

    name: str
    file: str
    line: int
    runtime: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    provider_priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A definition, resolved for one architecture."""

    name: str
    version: str
    epoch: int
    file: str
    """Base name of the definition."""
    line: int
    """The line of `package.name`, counted from 1."""
    subpackages: tuple[Subpackage, ...] = ()
    """Those that this architecture has: an `if` that is false leaves one out."""
    left_out: tuple[Subpackage, ...] = ()
    """Those that an `if` leaves out for this architecture."""
    environment: tuple[Need, ...] = ()
    """The build environment: what the definition lists, then what its pipelines need; each text
    once, the first reason wins."""
    runtime: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    provider_priority: int = 0
    sources: tuple[Source, ...] = ()
    pipelines: tuple[str, ...] = ()
    """Every pipeline that a step uses, at any depth, sorted."""
    resources: DeclaredResources = NO_RESOURCES
    target_architecture: tuple[str, ...] = ()
    """As written; empty and `("all",)` mean every architecture."""
    options: tuple[str, ...] = ()
    """Those of its build options that are enabled."""

    @property
    def full_version(self) -> str:
        """`VERSION-rEPOCH`, as in the name of the built file."""
        return f"{self.version}-r{self.epoch}"

    @property
    def promised(self) -> tuple[str, ...]:
        """The names of the packages that this builds, its own first."""
        return (self.name, *(subpackage.name for subpackage in self.subpackages))

    @property
    def given(self) -> frozenset[str]:
        """Every name that can be installed when this is built: its packages, what they provide."""
        provided = (*self.provides, *(text for one in self.subpackages for text in one.provides))
        return frozenset((*self.promised, *map(bare_name, provided)))

    def builds_on(self, arch: str) -> bool:
        """Whether melange builds this for `arch` (its apk name) or skips it."""
        return self.target_architecture in ((), ("all",)) or arch in self.target_architecture
