"""The edges of the graph, in words of definitions."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from dag.core.package.model import Need, Package

RUN_TIME = "run time"


class Edge(NamedTuple):
    """A dependency: `package` is built with `need`, and the build of `origin` gives that."""

    package: str
    origin: str
    """The definition that gives the need; if none here does, the name that must be found."""
    need: Need
    provider: str | None
    """The package or subpackage that is installed, if it is not called like the need."""
    through: tuple[str, ...] = ()
    """The packages that come with the need, if `origin` does not make the first but the last one:
    each needs the next at run time."""
    is_ours: bool = True
    """Whether `origin` is a definition."""

    @property
    def where(self) -> str:
        """Return the place of the need as `FILE:LINE`."""
        return f"{self.need.file}:{self.need.line}"

    @property
    def kind(self) -> str:
        """Return the need's kind, or `run time` if a package that it installs has the need."""
        return RUN_TIME if self.through else self.need.kind

    @property
    def wanted(self) -> str:
        """Return the name of what must be there: the need's, or that of the last package."""
        return self.through[-1] if self.through else self.need.name


class Component(Struct, frozen=True, kw_only=True):
    """Packages that all need each other, or one that needs itself."""

    packages: tuple[Package, ...]
    dropped: tuple[Edge, ...]
    """The edges that the order leaves out."""
    cycles: tuple[tuple[Edge, ...], ...]
    """Some of the shortest cycles."""
    bootstrap: tuple[str, ...]
    """Packages that would leave no cycle if they came from elsewhere."""
