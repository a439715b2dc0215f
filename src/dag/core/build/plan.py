"""Graph + selection + what exists → Plan: what is built, in which order, and why.

To build A with B in its environment, B must be there and be installable: so must be everything that
B needs at run time, static dependencies from the definitions and those of packages already built.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from dag.core.arch import Arch
from dag.core.build.bootstrap import Dropped, Stuck, bootstrap_order
from dag.core.build.events import ComputeResources, Unit
from dag.core.build.needs import Needs
from dag.core.graph.graph import Graph
from dag.core.package.apkindex import offers
from dag.core.package.model import Package
from dag.core.units import quantity
from dag.errors import UsageError

DEFAULT_RESOURCES = ComputeResources(1000, 2 << 30)


class Reason(StrEnum):
    """Why a package is built."""

    MISSING = "missing"
    CHANGED = "definition changed"
    DEPENDENCY = "dependency rebuilt"
    ASKED = "asked for"


class Absence(StrEnum):
    """Why a package is not built."""

    STORED = "in the store"
    REPOSITORY = "in a repository"
    OTHER_ARCH = "not for this architecture"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What somebody wants."""

    packages: tuple[str, ...] = ()
    """Empty: everything."""
    lenient: bool = False
    """They follow from something: that one is not for this architecture is no reason to fail."""
    only: bool = False
    """Just these, not what they need."""
    rebuild: frozenset[str] = frozenset()
    """Packages that are built although they exist."""
    rebuild_dependents: bool = False
    """What is built with something that is built anew is built anew, too."""
    rebuild_all: bool = False
    resources: ComputeResources = DEFAULT_RESOURCES
    """Of a package whose definition asks for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A finished unit in the store."""

    version: str
    """`VERSION-rEPOCH`."""
    fingerprint: str
    """Of the definition that it was built from; empty if nobody knows."""
    packages: tuple[str, ...]
    depends: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of each of its packages, as built."""
    provides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What earlier runs and repositories know."""

    stored: Mapping[str, Stored] = field(default_factory=dict)
    """By the name of the definition's package."""
    repository: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Package → its versions in the repositories given with `-r`."""
    available: Collection[str] = ()
    """More names that these repositories can install: what their packages provide."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Of today's definitions, by package."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long a package took the last time."""
    ram: Mapping[str, int] = field(default_factory=dict)
    """Bytes that a package turned out to need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUnit:
    """A package that is built, and why."""

    package: Package
    reason: Reason
    because: str
    """The dependency that is rebuilt, or the old version; often empty."""
    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedPackage:
    """A package that was asked for and is not built."""

    package: Package
    absence: Absence
    named: bool
    """Somebody asked for this very package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """What a run will do."""

    arch: Arch
    steps: tuple[PlannedUnit, ...]
    """Dependencies first."""
    gates: tuple[Unit, ...]
    skipped: tuple[SkippedPackage, ...]
    stuck: tuple[Stuck, ...]
    """Cycles that nothing opens: their packages cannot be built."""
    blocked: Mapping[str, str]
    """Packages that are not built because they need a stuck one → the stuck one."""
    dropped: tuple[Dropped, ...]
    """Dependencies that a repository satisfies for now, because they close a cycle."""
    timed: int
    """Of how many steps an earlier run knows how long they take; of the others it is a guess."""
    external: Mapping[str, Sequence[str]]
    """Names that neither the directory nor a repository has → who needs them."""

    @property
    def units(self) -> tuple[Unit, ...]:
        """What the scheduler gets."""
        return (*(step.unit for step in self.steps), *self.gates)


def make_plan(graph: Graph, arch: Arch, request: BuildRequest, known: Known) -> BuildPlan:
    """Decide what is built, and why.

    Raises:
        UsageError: a name is not in the graph, or a definition's resources are no quantities.

    """
    return _Planner(graph, arch, request, known).plan()


class _Planner:
    def __init__(self, graph: Graph, arch: Arch, request: BuildRequest, known: Known) -> None:
        self.graph = graph
        self.arch = arch
        self.request = request
        self.known = known
        self.packages = {package.name: package for package in graph.packages}
        self.absent: dict[str, Absence] = {}
        self.reasons: dict[str, tuple[Reason, str]] = {}
        self.available = frozenset((*known.repository, *known.available))
        self.needs = Needs(graph, self.stored_depends(), self.is_elsewhere)

    def plan(self) -> BuildPlan:
        request = self.request
        asked = self.asked()
        forced = {self.find(name).name for name in request.rebuild}
        for package in asked:
            self.decide(package, forced=request.rebuild_all or package.name in forced)
        if not request.only:
            self.follow(forced)
        order = self.in_order()
        units, gates, stuck, blocked, dropped = bootstrap_order(
            self.needs, order, self.available, follow=not request.only
        )
        guess = median(self.known.seconds.values()) if self.known.seconds else 1.0
        steps = tuple(
            PlannedUnit(
                package=package,
                reason=self.reasons[package.name][0],
                because=self.reasons[package.name][1],
                unit=Unit(
                    package.name,
                    units[package.name],
                    self.resources(package),
                    self.known.seconds.get(package.name, guess),
                ),
            )
            for package in map(self.packages.__getitem__, units)
        )
        return BuildPlan(
            arch=self.arch,
            steps=steps,
            gates=tuple(Unit(key, needs, is_gate=True) for key, needs in gates.items()),
            skipped=tuple(
                SkippedPackage(
                    package=package,
                    absence=self.absent[package.name],
                    named=bool(request.packages) and not request.lenient,
                )
                for package in asked
                if package.name in self.absent
            ),
            stuck=stuck,
            blocked=blocked,
            dropped=dropped,
            timed=sum(name in self.known.seconds for name in units),
            external=self.graph.missing(units),
        )

    # ---- what is asked for --------------------------------------------------------------------

    def asked(self) -> Sequence[Package]:
        if not self.request.packages:
            return self.graph.packages
        names = (*self.request.packages, *self.request.rebuild)
        return sorted(self.graph.order(names), key=lambda package: package.name)

    def find(self, name: str) -> Package:
        package = self.graph.origin(name)
        return package if package is not None else self.graph.order([name])[0]

    def follow(self, forced: Collection[str]) -> None:
        """Go from what is built to what must be there for it, until nothing new comes up."""
        todo = list(self.reasons)
        users = self.users() if self.request.rebuild_dependents else {}
        seen: set[int] = set()
        while todo:
            name = todo.pop()
            for package in self.needs.walk(self.packages[name], seen):
                need = package.name
                if need not in self.reasons and need not in self.absent:
                    force = self.request.rebuild_all or need in forced
                    if self.decide(package, forced=force):
                        todo.append(need)
            for user in users.get(name, ()):
                if user not in self.reasons:
                    self.absent.pop(user, None)
                    self.reasons[user] = (Reason.DEPENDENCY, name)
                    todo.append(user)

    def users(self) -> dict[str, list[str]]:
        """For each package, those of what was asked for, and what that needs, built with it."""
        everything = {package.name: package for package in self.asked()}
        users: dict[str, list[str]] = {}
        todo = list(everything)
        for name in todo:  # grows while it is walked
            for package in self.needs.walk(everything[name], set()):
                need = package.name
                users.setdefault(need, []).append(name)
                if need not in everything:
                    everything[need] = package
                    todo.append(need)
        return users

    def decide(self, package: Package, *, forced: bool) -> bool:
        """Find out whether `package` is built, and note why (not)."""
        name, version = package.name, package.full_version
        stored = self.known.stored.get(name)
        there = (
            stored is not None
            and stored.version == version
            and set(package.promised) <= set(stored.packages)
        )
        if not package.builds_on(self.arch.apk):
            self.absent[name] = Absence.OTHER_ARCH
        elif forced:
            self.reasons[name] = (Reason.ASKED, "")
        elif stored is not None and there:
            today = self.known.fingerprints.get(name, "")
            if stored.fingerprint and today and stored.fingerprint != today:
                self.reasons[name] = (Reason.CHANGED, "")
            else:
                self.absent[name] = Absence.STORED
        elif self.in_repository(package):
            self.absent[name] = Absence.REPOSITORY
        else:
            self.reasons[name] = (Reason.MISSING, stored.version if stored else "")
        return name in self.reasons

    def in_repository(self, package: Package) -> bool:
        return offers(self.known.repository, package)

    def is_elsewhere(self, package: Package) -> bool:
        """Whether it comes with all that it needs, or never: nothing follows from it."""
        absence = self.absent.get(package.name)
        return absence in (Absence.REPOSITORY, Absence.OTHER_ARCH)

    def stored_depends(self) -> Callable[[str, Package], Iterable[str]]:
        providers: dict[str, str] = {}
        for stored in self.known.stored.values():
            for package, provides in stored.provides.items():
                for text in provides:
                    providers.setdefault(text.partition("=")[0], package)

        def depends(name: str, package: Package) -> Iterable[str]:
            # Only what is not built again: of the others nobody knows yet.
            stored = self.known.stored.get(package.name)
            if stored is None or package.name in self.reasons:
                return ()
            return (providers.get(one, one) for one in stored.depends.get(name, ()))

        return depends

    # ---- what becomes of it -------------------------------------------------------------------

    def in_order(self) -> list[Package]:
        if len(self.reasons) == len(self.graph):
            return self.graph.order()
        return self.graph.order(self.reasons)

    def resources(self, package: Package) -> ComputeResources:
        asked = package.resources
        ram = self.known.ram.get(package.name, 0)
        if not (asked.cpu or asked.memory or ram):
            return self.request.resources
        where = f"{package.file}: package.resources of {package.name}"
        cpu = _quantity(asked.cpu, where, self.request.resources.cpu, 1000)
        least = _quantity(asked.memory, where, self.request.resources.ram, 1)
        return ComputeResources(cpu, max(ram, least))


def _quantity(text: str, where: str, default: int, factor: int) -> int:
    if not text:
        return default
    try:
        return int(quantity(text) * factor)
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", hint=error.hint) from error
