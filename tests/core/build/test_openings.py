"""What opens the cycles of a plan."""

from __future__ import annotations

from dag.core.build.bootstrap import Holder
from dag.core.build.known import Known
from dag.core.build.openings import Opening, find_openings
from dag.core.build.plan import BuildRequest
from dag.core.graph.graph import Graph
from tests.core.build.test_plan import ALL, CYCLE, X86, package, plan, stored


def openings(known: Known, request: BuildRequest = ALL) -> list[Opening]:
    graph = Graph(CYCLE, arch=X86.apk)
    return find_openings(graph, plan(CYCLE, known, request), known.repository, known.stored)


NEED = "c needs b at c.yaml:5, environment"


def test_a_repository_opens_a_cycle_with_a_package_that_is_built_as_well() -> None:
    assert openings(Known(repository={"b": {"0-r0"}})) == [
        Opening("c", "b", Holder.REPOSITORY, NEED)
    ]


def test_what_is_there_already_opens_a_cycle_and_is_told_with_who_has_it() -> None:
    assert openings(Known(stored=stored("b"))) == [Opening("c", "b", Holder.STORE, NEED)]
    assert openings(Known(repository={"b": {"1-r0"}})) == [
        Opening("c", "b", Holder.REPOSITORY, NEED)
    ]
    assert openings(Known(stored=stored("a", "b", "c"))) == []


def test_what_is_not_there_opens_nothing() -> None:
    assert openings(Known()) == []
    only = BuildRequest(packages=("c",), only=True)
    assert openings(Known(), only) == []
    assert openings(Known(stored=stored("b")), only) == [Opening("c", "b", Holder.STORE, NEED)]


def test_a_need_outside_of_a_cycle_is_none_of_them() -> None:
    packages = [package("lib"), package("app", "lib")]
    graph = Graph(packages, arch=X86.apk)
    assert find_openings(graph, plan(packages, Known(stored=stored("lib"))), {}, ["lib"]) == []
