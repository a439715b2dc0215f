"""Graph, selection and what exists → a plan: what is built, in which order, and why.

To build A with B in its environment, B must be there and be installable. So everything must be
there that B needs at run time: what its definition names, and what a built package turned out to
need.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from msgspec import Struct

from dag.core.arch import Arch
from dag.core.build.bootstrap import Dropped, find_build_order
from dag.core.build.clashes import refuse_clashing_files
from dag.core.build.events import ComputeResources, Unit
from dag.core.build.known import Known
from dag.core.build.needs import Needs
from dag.core.build.resources import NO_RESOURCES, unit_resources
from dag.core.build.stuck import Stuck, explained
from dag.core.build.unbuildable import Obstacle, UnbuildableFinder
from dag.core.graph.graph import Graph
from dag.core.graph.stops import refuse_needs
from dag.core.package.apkindex import offers
from dag.core.package.model import Package, bare_name

DEFAULT_RESOURCES = ComputeResources(1000, 2 << 30)


class Reason(StrEnum):
    """Why a package is built."""

    MISSING = "missing"
    CHANGED = "definition changed"
    DEPENDENCY = "dependency rebuilt"
    INPUTS = "inputs changed"
    ROUND = "second round"
    ASKED = "asked for"


class Absence(StrEnum):
    """Why a package is not built."""

    STORED = "in the store"
    UNCHANGED = "unchanged"
    REPOSITORY = "in a repository"
    OTHER_ARCH = "not for this architecture"
    STOPPED = "needs a broken definition"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """A request for packages."""

    packages: tuple[str, ...] = ()
    """The packages that are asked for; empty for all."""
    lenient: bool = False
    """Whether nobody named the packages, so that one for another architecture is no failure."""
    only: bool = False
    """Whether just these are built, and not what they need."""
    rebuild: frozenset[str] = frozenset()
    """Packages that are built although they exist."""
    rebuild_dependents: bool = False
    """Whether packages are built anew, too, that are built with one that is."""
    rebuild_cycle: bool = False
    """Whether packages are built anew that had a repository's package in the place of our own."""
    rebuild_all: bool = False
    """Whether everything is built although it exists."""
    resources: ComputeResources = DEFAULT_RESOURCES
    """The resources of a package whose definition asks for none."""


class PlannedUnit(Struct, frozen=True, kw_only=True):
    """A package that is built, and why."""

    package: Package
    reason: Reason
    because: str
    """The dependency that is rebuilt, or the old version; often empty."""
    unit: Unit


class SkippedPackage(Struct, frozen=True, kw_only=True):
    """A package that was asked for and is not built."""

    package: Package
    absence: Absence
    named: bool
    """Whether somebody asked for this very package."""
    because: str = ""
    """What it needs that a broken definition should give, in words; empty if that is not why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """The plan of a run; without more than an architecture there is nothing to do."""

    arch: Arch
    steps: tuple[PlannedUnit, ...] = ()
    """The packages that are built, dependencies first."""
    gates: tuple[Unit, ...] = ()
    second_builds: tuple[Unit, ...] = ()
    """The second builds, see `dag.core.build.twice`."""
    skipped: tuple[SkippedPackage, ...] = ()
    stuck: tuple[Stuck, ...] = ()
    """The cycles that nothing opens, so that their packages cannot be built."""
    blocked: Mapping[str, str] = field(default_factory=dict)
    """Packages that are not built because they need a stuck one → the stuck one."""
    unbuildable: Mapping[str, str] = field(default_factory=dict)
    """Packages that need something for another architecture → words that say so."""
    dropped: tuple[Dropped, ...] = ()
    """Dependencies that what is there satisfies for now, because they close a cycle."""
    timed: int = 0
    """How many steps have a time from an earlier run; the times of the others are guesses."""
    external: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names that neither the directory nor a repository has → who needs them."""
    same_version: tuple[str, ...] = ()
    """Packages whose definition has changed since they were built, and whose version has not."""
    open: Mapping[str, str] = field(default_factory=dict)
    """Packages for which melange must ask repositories itself → why, as far as it is known."""

    @property
    def units(self) -> tuple[Unit, ...]:
        """Return the units for the scheduler."""
        return (*(step.unit for step in self.steps), *self.gates, *self.second_builds)

    @property
    def is_complete(self) -> bool:
        """Return whether all that was asked for is there, or can be built."""
        elsewhere = (one for one in self.skipped if one.absence is Absence.OTHER_ARCH)
        return not (self.stuck or self.unbuildable or any(one.named for one in elsewhere))


def make_plan(graph: Graph, arch: Arch, request: BuildRequest, known: Known) -> BuildPlan:
    """Return what is built, and why.

    Raises:
        UsageError: a name is not in the graph, what it stands for needs a broken definition, a
            definition's resources are not quantities, or two packages would have one file.

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
        held = known.stored if request.rebuild_cycle else {}
        self.needs = Needs(
            graph,
            self.stored_depends(),
            self.is_elsewhere,
            self.available,
            {name: one.replaced for name, one in held.items() if one.replaced},
        )
        self.obstacles: Mapping[str, Obstacle] = {}

    def plan(self) -> BuildPlan:
        request = self.request
        asked = self.packages_asked_for()
        self.choose(asked)
        if not request.only and self.find_obstacles(asked):
            self.reasons.clear()
            self.absent.clear()
            self.choose(asked)
        refuse_clashing_files(self.graph.packages, self.reasons.keys())
        order = self.needs_first()
        found = find_build_order(self.needs, order, follow=not request.only)
        guess = median(self.known.seconds.values()) if self.known.seconds else 1.0
        asked_for, needed = request.resources, self.known.needed
        steps = tuple(
            PlannedUnit(
                package=package,
                reason=self.reasons[package.name][0],
                because=self.reasons[package.name][1],
                unit=Unit(
                    package.name,
                    found.units[package.name],
                    unit_resources(package, asked_for, needed.get(package.name, NO_RESOURCES)),
                    self.known.seconds.get(package.name, guess),
                ),
            )
            for package in map(self.packages.__getitem__, found.units)
        )
        return BuildPlan(
            arch=self.arch,
            steps=steps,
            gates=tuple(Unit(key, needs, is_gate=True) for key, needs in found.gates.items()),
            skipped=tuple(
                SkippedPackage(
                    package=package,
                    absence=self.absent[package.name],
                    named=self.is_named,
                    because=self.obstacles[package.name].words
                    if self.absent[package.name] is Absence.STOPPED
                    else "",
                )
                for package in asked
                if package.name in self.absent
            ),
            stuck=tuple(explained(self.graph, one) for one in found.stuck),
            blocked=found.blocked,
            unbuildable={
                name: one.words for name, one in self.obstacles.items() if not one.is_broken
            },
            dropped=found.dropped,
            timed=sum(name in self.known.seconds for name in found.units),
            external=self.graph.missing(found.units),
            same_version=tuple(name for name in found.units if self.has_changed(name)),
        )

    # ---- what is asked for --------------------------------------------------------------------

    @property
    def is_named(self) -> bool:
        return bool(self.request.packages and not self.request.lenient)

    def choose(self, asked: Sequence[Package]) -> None:
        """Decide about what is asked for, and about all that must be there for it."""
        request = self.request
        forced = {self.find(name).name for name in request.rebuild}
        for package in asked:
            self.decide(package, forced=request.rebuild_all or package.name in forced)
        if not request.only:
            self.follow(forced)

    def find_obstacles(self, asked: Sequence[Package]) -> bool:
        """Find what cannot be built of all that is to be, and return whether there is any."""
        is_for_all = all(package.builds_on(self.arch.apk) for package in self.graph.packages)
        if is_for_all and not self.graph.broken:
            return False
        finder = UnbuildableFinder(
            graph=self.graph,
            needs=self.needs,
            arch=self.arch,
            available=self.available,
        )
        self.obstacles = finder.find([self.packages[name] for name in self.reasons])
        if self.is_named:
            names = {package.name for package in asked}
            refuse_needs(
                dict.fromkeys(
                    obstacle.words
                    for name, obstacle in self.obstacles.items()
                    if obstacle.is_broken and name in names
                )
            )
        return bool(self.obstacles)

    def packages_asked_for(self) -> Sequence[Package]:
        if not self.request.packages:
            return self.graph.packages
        names = (*self.request.packages, *self.request.rebuild)
        return sorted(self.graph.order(names), key=lambda package: package.name)

    def find(self, name: str) -> Package:
        package = self.graph.origin(name)
        return package if package is not None else self.graph.order([name])[0]

    def follow(self, forced: Collection[str]) -> None:
        """Decide about all that must be there for what is built, until nothing new comes up."""
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
                if user not in self.reasons and user not in self.obstacles:
                    self.absent.pop(user, None)
                    self.reasons[user] = (Reason.DEPENDENCY, name)
                    todo.append(user)

    def users(self) -> dict[str, list[str]]:
        """Return, by package, those packages of the request and its needs that are built with it."""
        everything = {package.name: package for package in self.packages_asked_for()}
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
        """Return whether `package` is built, and note why it is or is not."""
        name, promised = package.name, set(package.promised)
        stored = self.known.stored.get(name)
        is_current = stored is not None and stored.version == package.full_version
        there = is_current and stored is not None and promised.issubset(stored.packages)
        obstacle = self.obstacles.get(name)
        if obstacle is not None:
            if obstacle.is_broken:
                self.absent[name] = Absence.STOPPED
        elif not package.builds_on(self.arch.apk):
            self.absent[name] = Absence.OTHER_ARCH
        elif forced:
            self.reasons[name] = (Reason.ASKED, "")
        elif there and self.has_changed(name):
            self.reasons[name] = (Reason.CHANGED, "")
        elif stored is not None and there:
            if stored.replaced and self.request.rebuild_cycle:
                self.reasons[name] = (Reason.ROUND, ", ".join(stored.replaced))
            elif stored.is_unchanged is False:
                self.reasons[name] = (Reason.INPUTS, "")
            else:
                self.absent[name] = Absence.UNCHANGED if stored.is_unchanged else Absence.STORED
        elif offers(self.known.repository, package):
            self.absent[name] = Absence.REPOSITORY
        else:
            self.reasons[name] = (Reason.MISSING, stored.version if stored else "")
        return name in self.reasons

    def has_changed(self, name: str) -> bool:
        """Return whether the store has the version of a package, but from another definition."""
        stored, today = self.known.stored.get(name), self.known.fingerprints.get(name)
        if stored is None or stored.version != self.packages[name].full_version:
            return False
        return bool(stored.fingerprint and today) and stored.fingerprint != today

    def is_elsewhere(self, package: Package) -> bool:
        """Return whether nothing follows from `package`: it comes with its needs, or never."""
        absence = self.absent.get(package.name)
        return absence in (Absence.REPOSITORY, Absence.OTHER_ARCH, Absence.STOPPED)

    def stored_depends(self) -> Callable[[str, Package], Iterable[str]]:
        providers: dict[str, str] = {}
        for stored in self.known.stored.values():
            for package, provides in stored.provides.items():
                for text in provides:
                    providers.setdefault(text.partition("=")[0], package)

        def depends(name: str, package: Package) -> Iterable[str]:
            # Nobody knows yet what a package will need that is built again.
            stored = self.known.stored.get(package.name)
            if stored is None or package.name in self.reasons:
                return ()
            return (providers.get(bare_name(one), one) for one in stored.depends.get(name, ()))

        return depends

    # ---- what becomes of it -------------------------------------------------------------------

    def needs_first(self) -> list[Package]:
        if len(self.reasons) == len(self.graph):
            return self.graph.order()
        return self.graph.order(self.reasons)
