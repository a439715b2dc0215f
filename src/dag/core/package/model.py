"""The model of a melange definition, with everything in it resolved for one architecture.

`dag.core.package.compile` makes it from YAML text, `dag.io.package.definitions` from a directory.
`dag.io.package.parses` keeps it in a cache: msgspec writes and reads these classes as they are.
Small parts are named tuples, because a distribution has 33,000 of them.
"""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from dag.core.package.problems import FileProblem

_CONSTRAINT = re.compile(r"[=<>~@]")


UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f]")
"""Characters that no name of a package has, and that no terminal should see."""


@lru_cache(maxsize=1 << 16)
def bare_name(dependency: str) -> str:
    """Return the name without its version constraint and repository tag: `foo>=1.2`, `foo@edge`.

    A conflict (`!foo`) keeps its mark.
    """
    constraint = _CONSTRAINT.search(dependency)
    return (dependency[: constraint.start()] if constraint else dependency).strip()


@lru_cache(maxsize=1 << 12)
def pipeline_file(uses: str) -> str:
    """Return the path, without its ending, of the file that melange opens for a `uses:`.

    It joins and cleans the path with the ending: `./a//b` is a/b, but `a/` is a/.yaml.
    """
    return posixpath.normpath(f"{uses}.yaml").removesuffix(".yaml")


APPENDED = "appended"
"""The reason and the kind of what melange is told to append to an environment."""


class Need(NamedTuple):
    """A package of the build environment, and where it is asked for."""

    text: str
    """The package as it is written, with its constraint: `openssl-dev>3`."""
    file: str
    line: int
    reason: str
    """`environment`, `appended`, or the way to a pipeline: `uses py/build > python/build`. A step inside of a
    step has `nested ` before it, and a step of a subpackage has `subpackage NAME ` before it."""

    @property
    def name(self) -> str:
        """Return the package's name without the constraint; `!foo` for a conflict."""
        return bare_name(self.text)

    @property
    def kind(self) -> str:
        """Return `environment`, `appended`, or `pipeline`, `nested pipeline`, `subpackage pipeline`."""
        if self.reason in ("environment", APPENDED):
            return self.reason
        if self.reason.startswith("subpackage "):
            return "subpackage pipeline"
        if self.reason.startswith("nested ") or " > " in self.reason:
            return "nested pipeline"
        return "pipeline"


class Named(NamedTuple):
    """A repository or a key that an environment names, and where it is written."""

    text: str
    file: str
    line: int


class Fetch(Struct, frozen=True, array_like=True, tag=True):
    """A `fetch` step of any pipeline."""

    uri: str
    sha256: str
    """The checksum with its variables resolved; empty if the step has none."""
    sha512: str
    expected_none: bool
    """The step says that there is no checksum."""
    file: str
    line: int
    runs: bool = True
    """False if an `if` keeps the step from running on this architecture."""


class Checkout(Struct, frozen=True, array_like=True, tag=True):
    """A `git-checkout` step of any pipeline."""

    repository: str
    tag: str
    branch: str
    expected_commit: str
    """Forty hexadecimal digits; empty if the step names no commit."""
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
    """Whether the step says `expected-commit-is-branch-tip`: an older commit is then an error."""


Source = Fetch | Checkout


class DeclaredResources(NamedTuple):
    """The `package.resources`: Kubernetes quantities as written, empty where nothing is said."""

    cpu: str = ""
    cpumodel: str = ""
    memory: str = ""
    disk: str = ""
    lines: tuple[tuple[str, int], ...] = ()
    """Field → the line of its value, for each that is written."""


NO_RESOURCES = DeclaredResources()


class Subpackage(NamedTuple):
    """A package that is built along with its origin."""

    name: str
    file: str
    line: int
    runtime: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    provider_priority: int = 0


class Package(Struct, frozen=True, array_like=True, kw_only=True, tag=True):
    """A definition, resolved for one architecture."""

    name: str
    version: str
    epoch: int
    file: str
    """The base name of the definition's file."""
    line: int
    """The line of `package.name`, counted from 1."""
    subpackages: tuple[Subpackage, ...] = ()
    """The subpackages that are built for this architecture."""
    left_out: tuple[Subpackage, ...] = ()
    """The subpackages that an `if` leaves out for this architecture."""
    environment: tuple[Need, ...] = ()
    """The build environment: what the definition lists, then what its pipelines need, then what
    melange is told to append. Each text is there once, with the first reason for it."""
    repositories: tuple[Named, ...] = ()
    """The repositories of the environment, as written, with their tags."""
    keyring: tuple[Named, ...] = ()
    """The public keys that the environment trusts: URLs and paths."""
    ignores_signatures: bool = False
    """Whether the environment takes indexes of repositories, whoever signed them."""
    runtime: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    provider_priority: int = 0
    sources: tuple[Source, ...] = ()
    pipelines: tuple[str, ...] = ()
    """The names of all pipelines that a step uses, at any depth, sorted."""
    resources: DeclaredResources = NO_RESOURCES
    target_architecture: tuple[str, ...] = ()
    """The architectures as written; empty and `("all",)` mean every architecture."""
    options: tuple[str, ...] = ()
    """The build options of the definition that are enabled."""
    warnings: tuple[FileProblem, ...] = ()
    """What a person should know, although it makes nothing wrong."""
    unbuildable: tuple[FileProblem, ...] = ()
    """Why melange would not build this, although it compiles it."""

    @property
    def file_stem(self) -> str:
        """Return the name of the definition's file without its ending."""
        return self.file.removesuffix(".yaml")

    @property
    def full_version(self) -> str:
        """Return `VERSION-rEPOCH`, as in the name of the built file."""
        return f"{self.version}-r{self.epoch}"

    @property
    def outputs(self) -> tuple[Package | Subpackage, ...]:
        """Return the packages that this definition builds, its own first."""
        return (self, *self.subpackages)

    @property
    def promised(self) -> tuple[str, ...]:
        """Return the names of the packages that this definition builds, its own first."""
        return (self.name, *(subpackage.name for subpackage in self.subpackages))

    @property
    def given(self) -> frozenset[str]:
        """Return every name that can be installed once this is built: packages and provided names."""
        provided = (*self.provides, *(text for one in self.subpackages for text in one.provides))
        return frozenset((*self.promised, *map(bare_name, provided)))

    def builds_on(self, arch: str) -> bool:
        """Return whether melange builds this for `arch` (its apk name); else melange skips it."""
        return self.target_architecture in ((), ("all",)) or arch in self.target_architecture


class BrokenDefinition(Struct, frozen=True, array_like=True, tag=True):
    """A definition that cannot be used."""

    file: str
    names: tuple[str, ...]
    """The names that it may give, as far as its text tells; its file's name if that tells none."""
    problems: tuple[FileProblem, ...]
    """What is wrong with it, at least one problem."""
    pipelines: tuple[str, ...] = ()
    """The pipelines that its steps use, as far as they could be read, sorted."""
