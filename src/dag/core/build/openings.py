"""The cycles that a plan need not report, because something that they need is there already."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct

from dag.core.build.bootstrap import Holder
from dag.core.build.plan import BuildPlan
from dag.core.graph.draw import describe
from dag.core.graph.graph import Graph
from dag.core.package.apkindex import offers
from dag.core.package.model import bare_name


class Opening(Struct, frozen=True):
    """An edge of a cycle that keeps nothing waiting."""

    package: str
    """The package that is built."""
    name: str
    """The package that it is built with, and that needs it in turn."""
    holder: Holder
    need: str
    """Why it needs that, in words."""


def find_openings(
    graph: Graph,
    plan: BuildPlan,
    repository: Mapping[str, Collection[str]],
    stored: Collection[str],
) -> list[Opening]:
    """Return what opens the cycles of a plan.

    `repository` has the versions of packages that repositories have, by name, and `stored` are the
    definitions whose packages the store has. It may take a second for a large distribution.
    """
    planned = {step.package.name for step in plan.steps}
    there = {one.name: Holder.STORE for one in graph.packages if one.name in stored}
    for one in graph.packages:
        if offers(repository, one):
            there[one.name] = Holder.REPOSITORY
    for name in planned:
        there.pop(name, None)
    return sorted({*_dropped(graph, plan), *_there(graph, planned, there)}, key=_place)


def _place(one: Opening) -> tuple[str, str]:
    return one.package, one.name


def _dropped(graph: Graph, plan: BuildPlan) -> Iterator[Opening]:
    """Yield the needs that something satisfies for now, although they are to be built."""
    for one in plan.dropped:
        yield _opening(graph, one.package, one.name, one.holder)


def _there(
    graph: Graph, planned: Collection[str], there: Mapping[str, Holder]
) -> Iterator[Opening]:
    """Yield the needs within cycles of what is not to be built, because it is there."""
    for component in graph.components(cycles=0) if planned and there else ():
        names = [one.name for one in component.packages]
        for name in names:
            for other in names if name in planned else ():
                if other in there and graph.edge(name, other) is not None:
                    yield _opening(graph, name, other, there[other])


def _opening(graph: Graph, package: str, name: str, holder: Holder) -> Opening:
    origin = graph.origin(bare_name(name))
    edge = graph.edge(package, origin.name) if origin else None
    need = describe(edge) if edge else f"{package} needs {name}"
    return Opening(package, name, holder, need)
